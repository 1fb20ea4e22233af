package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// readAll takes everything apart.
func readAll(s io.Reader) (frames []string, notes []string, largest int, err error) {
	r := reader{s: s}
	for err == nil {
		var batch [][]byte
		batch, err = r.next(func(kind note, body []byte) error {
			notes = append(notes, fmt.Sprintf("%d %s", kind, body))
			return nil
		})
		for _, f := range batch {
			frames = append(frames, string(f))
		}
		largest = max(largest, len(r.buf))
	}
	return frames, notes, largest, err
}

// However a stream is cut into reads, the same frames and notes come out, and
// those that were handed over stay as they are.
func TestFramesComeOutHoweverTheyAreRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var wire []byte
		var frames, notes []string
		for range rapid.IntRange(0, 40).Draw(t, "n") {
			body := bytes.Repeat([]byte{byte(len(wire))}, rapid.OneOf(rapid.IntRange(0, 200), rapid.IntRange(0, 100_000)).Draw(t, "size"))
			if rapid.Bool().Draw(t, "note") && len(body) < maxNote {
				wire = appendNote(wire, 99, body)
				notes = append(notes, fmt.Sprintf("99 %s", body))
			} else {
				wire = append(binary.BigEndian.AppendUint32(wire, uint32(len(body))), body...)
				frames = append(frames, string(body))
			}
		}
		s := io.Reader(bytes.NewReader(wire))
		switch rapid.IntRange(0, 3).Draw(t, "reads") {
		case 0:
			s = iotest.HalfReader(s)
		case 1:
			s = iotest.DataErrReader(s)
		case 2:
			s = &shortReader{s, rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))}
		}
		gotFrames, gotNotes, _, err := readAll(s)
		if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("the end is %v", err)
		}
		if d := cmp.Diff(frames, gotFrames); d != "" {
			t.Fatal(d)
		}
		if d := cmp.Diff(notes, gotNotes); d != "" {
			t.Fatal(d)
		}
	})
}

// shortReader reads as much as chance has it.
type shortReader struct {
	io.Reader
	r *rand.Rand
}

func (s *shortReader) Read(b []byte) (int, error) {
	return s.Reader.Read(b[:min(len(b), 1+s.r.IntN(5000))])
}

// A length is no reason to take memory: bytes are.
func TestALengthTakesNoMemory(t *testing.T) {
	_, _, largest, err := readAll(bytes.NewReader(append(length(MaxFrame), "little"...)))
	if !errors.Is(err, io.ErrUnexpectedEOF) || largest > minBuffer {
		t.Errorf("%d bytes were taken; %v", largest, err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(appendNumber(append(length(3), "abc"...), noteAck, 7), uint16(3))
	f.Add(length(MaxFrame+1), uint16(1))
	f.Add(length(1<<32-1), uint16(4096))
	f.Fuzz(func(t *testing.T, wire []byte, step uint16) {
		frames, notes, largest, err := readAll(&stepReader{wire, int(step) + 1})
		if err == nil || largest > max(2*len(wire), maxBuffer)+minBuffer {
			t.Fatalf("%d bytes took %d; %v", len(wire), largest, err)
		}
		size := 0
		for _, s := range frames {
			size += 4 + len(s)
		}
		if size+len(notes)*5 > len(wire) {
			t.Fatalf("%d bytes of frames from %d", size, len(wire))
		}
	})
}

type stepReader struct {
	b    []byte
	step int
}

func (s *stepReader) Read(b []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), s.step)], s.b)
	s.b = s.b[n:]
	return n, nil
}

func FuzzHello(f *testing.F) {
	good, err := enc.Marshal(golden)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = decodeRefusal(b)
		h, err := decodeHello(b)
		if err != nil {
			return
		}
		again, err := enc.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		g, err := decodeHello(again)
		if err != nil || !cmp.Equal(h, g) {
			t.Fatalf("%+v is read back as %+v, %v", h, g, err)
		}
	})
}

// golden is a Hello whose bytes are in testdata.
var golden = Hello{Versions: [2]uint16{1, 2}, Cluster: "c", Peer: "p", Incarnation: 3, Session: 4, Advert: []byte{5}, Addrs: []string{"/ip4/127.0.0.1/tcp/6"}}

// What goes over the wire does not change by accident.
func TestTheWireIsAsItWas(t *testing.T) {
	hello, err := enc.Marshal(golden)
	if err != nil {
		t.Fatal(err)
	}
	no, err := enc.Marshal(refusal{refusedVersion, "no"})
	if err != nil {
		t.Fatal(err)
	}
	wire := appendNote(nil, noteHello, hello)
	wire = appendNumber(wire, noteSession, 4)
	wire = appendNote(wire, noteRefuse, no)
	wire = appendNumber(wire, noteConfirm, 4)
	wire = appendNumber(wire, notePing, 1)
	wire = appendNumber(wire, notePong, 1)
	wire = appendNumber(wire, noteAck, 1<<40)
	wire = appendNote(wire, noteBye, []byte("bye"))
	wire = append(append(wire, length(5)...), "frame"...)
	file := filepath.Join("testdata", "wire1.hex")
	want, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) && os.Getenv("GOLDEN") != "" {
		if err := os.WriteFile(file, fmt.Appendf(nil, "%x\n", wire), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), fmt.Sprintf("%x\n", wire)); d != "" {
		t.Errorf("wire version 1 changed:\n%s", d)
	}
}
