package swarm

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/raygo/raygo/objects"
)

var update = flag.Bool("update", false, "write testdata/v1.txt anew")

// frames are one of each type.
func frames() []struct {
	name  string
	frame []byte
} {
	key, file := ObjectKey(object(7)), FileKey(objects.SumBytes([]byte("program")))
	m := objects.Manifest{Size: objects.BlockSize + 1, Digests: [][sha256.Size]byte{sha256.Sum256([]byte("a")), sha256.Sum256([]byte("b"))}}
	keyed := func(k Key) func([]byte) []byte { return func(b []byte) []byte { return appendKey(b, k) } }
	spans := []span{{0, 1}, {5, 3}}
	out := []struct {
		name  string
		frame []byte
	}{
		{"GetManifest", appendFrame(nil, head{typ: typeGetManifest, prio: ForWait, id: 1}, keyed(file))},
		{"GetBlocks", appendFrame(nil, head{typ: typeGetBlocks, prio: ForArguments, id: 2}, askBlocks{key: key, spans: spans}.append)},
		{"GetBlocks insisting", appendFrame(nil, head{typ: typeGetBlocks, prio: ForCopy, id: 3}, askBlocks{insist: true, key: key, spans: spans}.append)},
		{"Have", appendFrame(nil, head{typ: typeHave, id: 4}, keyed(key))},
		{"Cancel", appendFrame(nil, head{typ: typeCancel, id: 4}, nil)},
		{"Manifest", appendFrame(nil, head{typ: typeManifest, id: 1}, func(b []byte) []byte { return appendManifest(b, m) })},
		{"Block", appendFrame(nil, head{typ: typeBlock, id: 2}, func(b []byte) []byte { return append(b, 0, 0, 0, 5, 'x', 'y') })},
		{"Has", appendFrame(nil, head{typ: typeHas, id: 4}, has{from: 8, bits: []byte{0x81, 1}, peers: []string{"p", "qr"}}.append)},
		{"Has all", appendFrame(nil, head{typ: typeHas, id: 4}, has{all: true}.append)},
	}
	for k, name := range []string{"NotFound", "Busy", "Missing", "Elsewhere"} {
		r := refusal{}
		if name == "Missing" || name == "Elsewhere" {
			r.spans = spans
		}
		if name == "Elsewhere" {
			r.peer = "p"
		}
		out = append(out, struct {
			name  string
			frame []byte
		}{name, appendFrame(nil, head{typ: typeNotFound + frameType(k), id: 2}, r.append)})
	}
	return out
}

// What is on the wire never changes within a version.
func TestGoldenFrames(t *testing.T) {
	const file = "testdata/v1.txt"
	var b strings.Builder
	for _, f := range frames() {
		fmt.Fprintf(&b, "%s %s\n", hex.EncodeToString(f.frame), f.name)
	}
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("frames differ from those of version 1 (-want +got):\n%s", d)
	}
}

// again reads a frame and writes what was read.
func again(frame []byte) ([]byte, error) {
	if len(frame) < headLen {
		return nil, ErrProtocol
	}
	h, err := parseHead(frame[:headLen])
	if err != nil {
		return nil, err
	}
	body := frame[headLen:]
	if len(body) != h.len {
		return nil, ErrProtocol
	}
	var write func([]byte) []byte
	switch h.typ {
	case typeGetManifest, typeHave:
		k, e := parseKey(body)
		err, write = e, func(b []byte) []byte { return appendKey(b, k) }
	case typeGetBlocks:
		a, e := parseAskBlocks(body)
		err, write = e, a.append
	case typeManifest:
		m, e := parseManifest(body)
		err, write = e, func(b []byte) []byte { return appendManifest(b, m) }
	case typeHas:
		v, e := parseHas(body)
		err, write = e, v.append
	case typeNotFound, typeBusy, typeMissing, typeElsewhere:
		r, e := parseRefusal(body)
		err, write = e, r.append
	default:
		write = func(b []byte) []byte { return append(b, body...) }
	}
	if err != nil {
		return nil, err
	}
	return appendFrame(nil, h, write), nil
}

func TestFramesAreReadAsTheyWereWritten(t *testing.T) {
	for _, f := range frames() {
		got, err := again(f.frame)
		if err != nil || !bytes.Equal(got, f.frame) {
			t.Errorf("%s: %x, %v; written %x", f.name, got, err, f.frame)
		}
		for n := range f.frame { // what ends early is no frame
			short := bytes.Clone(f.frame[:n])
			if n >= headLen {
				short[0], short[1], short[2], short[3] = 0, 0, byte((n-headLen)>>8), byte(n-headLen)
			}
			if h := frameType(0); n > headLen {
				if h = frameType(short[5]); h == typeBlock {
					continue
				}
			}
			if got, err := again(short); err == nil && n != headLen {
				t.Errorf("%s: the first %d bytes are read as %x", f.name, n, got)
			}
		}
	}
}

// Whatever comes is an error or is read as it could have been written.
func FuzzFrames(f *testing.F) {
	for _, x := range frames() {
		f.Add(x.frame)
	}
	f.Add(bytes.Repeat([]byte{0xff}, headLen+8))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := again(b)
		if err != nil {
			return
		}
		twice, err := again(got)
		if err != nil || !bytes.Equal(got, twice) {
			t.Errorf("%x is read as %x, and that as %x, %v", b, got, twice, err)
		}
	})
}
