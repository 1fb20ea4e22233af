package replay

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/sys/unix"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// arenaSize is the length of the sparse file; only what is written takes
// memory.
const arenaSize = 1 << 40

const pageSize = 4096

// arena is the shared memory of the one worker. Nothing is ever given back: it
// lasts for one call.
type arena struct {
	file *os.File
	next uint64
}

func newArena() (*arena, error) {
	fd, err := unix.MemfdCreate("raygo-replay", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make shared memory: %w", err)
	}
	a := &arena{file: os.NewFile(uintptr(fd), "arena")}
	if err := a.file.Truncate(arenaSize); err != nil {
		_ = a.file.Close()
		return nil, fmt.Errorf("make shared memory: %w", err)
	}
	return a, nil
}

// room takes a range for size bytes.
func (a *arena) room(id raygo.ObjectID, f ipc.Format, size uint64) (ipc.Value, error) {
	if size > arenaSize-a.next {
		return ipc.Value{}, fmt.Errorf("no room for %d bytes", size)
	}
	v := ipc.Value{Kind: ipc.ValueStored, Format: f, ID: id, Offset: a.next, Size: size}
	a.next += (size + pageSize - 1) / pageSize * pageSize
	return v, nil
}

// value makes the value of an object of what a ReplaySpec holds: a format byte
// and bytes.
func (a *arena) value(id raygo.ObjectID, b []byte) (ipc.Value, error) {
	if len(b) == 0 {
		return ipc.Value{}, fmt.Errorf("the value of %s is not kept any more", id)
	}
	f, b := ipc.Format(b[0]), b[1:]
	if len(b) <= raygo.InlineLimit {
		return ipc.Value{Kind: ipc.ValueInline, Format: f, Bytes: b}, nil
	}
	v, err := a.room(id, f, uint64(len(b)))
	if err != nil {
		return v, err
	}
	if _, err := a.file.WriteAt(b, int64(v.Offset)); err != nil {
		return v, fmt.Errorf("write %d bytes to shared memory: %w", len(b), err)
	}
	return v, nil
}

// bytes reads a value that the worker sent.
func (a *arena) bytes(v *ipc.Value) ([]byte, error) {
	if v.Kind != ipc.ValueStored {
		return v.Bytes, nil
	}
	if v.Offset > arenaSize || v.Size > arenaSize-v.Offset {
		return nil, fmt.Errorf("a result at %d of %d bytes is outside of shared memory", v.Offset, v.Size)
	}
	b := make([]byte, min(v.Size, a.next))
	if _, err := a.file.ReadAt(b, int64(v.Offset)); err != nil {
		return nil, fmt.Errorf("read a result from shared memory: %w", err)
	}
	return b, nil
}

// shownBytes is how much of a long value is printed.
const shownBytes = 4 << 10

// show prints a value as people read it: CBOR in its diagnostic notation, raw
// memory as text or hexadecimal.
func (a *arena) show(w io.Writer, v *ipc.Value) error {
	b, err := a.bytes(v)
	if err != nil {
		return err
	}
	s := ""
	switch {
	case v.Kind == ipc.ValueComposite:
		s = fmt.Sprintf("(%d parts)", v.Parts)
	case v.Format == ipc.FormatRaw && utf8.Valid(b):
		s = fmt.Sprintf("%d bytes: %q", len(b), b[:min(len(b), shownBytes)])
	case v.Format == ipc.FormatRaw:
		s = fmt.Sprintf("%d bytes: h'%s'", len(b), hex.EncodeToString(b[:min(len(b), shownBytes)]))
	default:
		if s, err = cbor.Diagnose(b); err != nil {
			return fmt.Errorf("print the result: %w", err)
		}
	}
	if len(s) > shownBytes {
		s = s[:shownBytes] + " …"
	}
	_, err = fmt.Fprintln(w, s)
	return err
}
