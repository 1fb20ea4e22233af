package raygo

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// arena is the memory that the job's processes share with their peer: a sparse
// file in which every large value lies. It is written through windows that stay
// mapped, so that memory which was touched before costs no page fault, and read
// through maps of just the value that are read-only.
type arena struct {
	file *os.File
	size uint64

	mu      sync.Mutex // guards windows and use
	windows map[uint64]*window
	use     uint64
}

type window struct {
	mem     []byte
	users   int
	used    uint64
	written pages
}

const (
	windowSize = 256 << 20
	maxWindows = 64
)

// stored is where a value lies in the arena.
type stored struct {
	offset, size uint64
	// Guarded by the session's mutex.
	users int    // reads in progress
	view  []byte // mapped and given out
}

func newArena(file *os.File, size uint64) *arena {
	return &arena{file: file, size: size, windows: map[uint64]*window{}}
}

func (a *arena) check(offset, size uint64) error {
	if a.file == nil {
		return errors.New("the peer gave this process no arena")
	}
	if size == 0 || offset > a.size || size > a.size-offset {
		return fmt.Errorf("a value at %d of %d bytes is outside of the arena of %d", offset, size, a.size)
	}
	return nil
}

// read copies a value out.
func (a *arena) read(st *stored, into []byte) error {
	if err := a.check(st.offset, st.size); err != nil {
		return err
	}
	if _, err := a.file.ReadAt(into, int64(st.offset)); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the arena: %w", err)
	}
	return nil
}

// view maps a value read-only.
func (a *arena) view(st *stored) ([]byte, error) {
	if err := a.check(st.offset, st.size); err != nil {
		return nil, err
	}
	b, err := unix.Mmap(int(a.file.Fd()), int64(st.offset), int(st.size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes of the arena: %w", st.size, err)
	}
	return b, nil
}

// write copies src to offset.
func (a *arena) write(offset uint64, src []byte) error {
	if err := a.check(offset, uint64(len(src))); err != nil {
		return err
	}
	for len(src) > 0 {
		n := min(uint64(len(src)), windowSize-offset%windowSize)
		w, warm, err := a.window(offset, n)
		if err != nil {
			return err
		}
		if warm {
			copy(w.mem[offset%windowSize:], src[:n])
		} else {
			err = a.writeFile(offset, src[:n])
		}
		a.done(w)
		if err != nil {
			return err
		}
		src = src[n:]
		offset += n
	}
	return nil
}

// window maps the window of a range that is to be written, and unmaps the one
// that was used longest ago when there are too many. warm says that all of the
// range was written before.
func (a *arena) window(offset, size uint64) (_ *window, warm bool, err error) {
	n := offset / windowSize
	a.mu.Lock()
	defer a.mu.Unlock()
	a.use++
	w := a.windows[n]
	if w == nil {
		a.trim()
		length := min(windowSize, a.size-n*windowSize)
		mem, err := unix.Mmap(int(a.file.Fd()), int64(n*windowSize), int(length), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return nil, false, fmt.Errorf("map the arena for writing: %w", err)
		}
		w = &window{mem: mem}
		a.windows[n] = w
	}
	w.users++
	w.used = a.use
	return w, w.written.wrote(offset%windowSize, size), nil
}

func (a *arena) done(w *window) {
	a.mu.Lock()
	w.users--
	a.mu.Unlock()
}

func (a *arena) trim() {
	if len(a.windows) < maxWindows {
		return
	}
	var oldest uint64
	var found *window
	for n, w := range a.windows {
		if w.users == 0 && (found == nil || w.used < found.used) {
			oldest, found = n, w
		}
	}
	if found != nil {
		_ = unix.Munmap(found.mem)
		delete(a.windows, oldest)
	}
}

// close gives the arena back. Views that were given out stay mapped until the
// process ends: reading one late shows old bytes or faults, as it was said.
func (a *arena) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for n, w := range a.windows {
		_ = unix.Munmap(w.mem)
		delete(a.windows, n)
	}
	if a.file != nil {
		_ = a.file.Close()
	}
}

func unmap(b []byte) error { return unix.Munmap(b) }
