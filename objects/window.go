package objects

import (
	"sync"

	"github.com/raygo/raygo"
	"golang.org/x/sys/unix"
)

// window is this process's own mapping of a job's arena, made when it is first
// needed. It costs address space and, where it was touched, page tables; what is
// punched out of the arena goes from it too.
type window struct {
	once sync.Once
	b    []byte // nil if there is no room for it
}

// bytes maps the arena. The job must be held.
func (w *window) bytes(j *job, size uint64) []byte {
	w.once.Do(func() {
		conn, err := j.arena.SyscallConn()
		if err != nil {
			return
		}
		_ = conn.Control(func(fd uintptr) {
			b, err := unix.Mmap(int(fd), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
			if err == nil {
				w.b = b
			}
		})
	})
	return w.b
}

// mapAhead is how much is worth a system call that maps it.
const mapAhead = 64 << 10

// write copies p into the mapped arena all at an offset whose pages have been
// touched before. Pages that this process has not mapped yet would each cost a
// fault, four times the copy; they are mapped together first.
func write(all []byte, at uint64, p []byte) int {
	if len(p) >= mapAhead {
		from := at &^ (pageSize - 1)
		_ = unix.Madvise(all[from:at+uint64(len(p))], unix.MADV_POPULATE_READ) // only a saving, and Linux 5.14
	}
	return copy(all[at:], p)
}

// close unmaps the arena. Nobody may hold the job any more.
func (w *window) close() error {
	w.once.Do(func() {})
	if w.b == nil {
		return nil
	}
	b := w.b
	w.b = nil
	return unix.Munmap(b)
}

// View lends n bytes of a sealed object where they lie in memory, from off on,
// until release is called; ok is false if they are on disk, or do not exist.
// Meanwhile the object stays in memory although it is not pinned: who lends
// should be quick.
func (s *Store) View(id raygo.ObjectID, off int64, n int) (b []byte, release func(), ok bool) {
	s.mu.Lock()
	e := s.find(id)
	if e == nil || e.state != InMemory || off < 0 || uint64(off) > e.size || uint64(n) > e.size-uint64(off) {
		s.mu.Unlock()
		return nil, nil, false
	}
	s.hold(e)
	at := e.ext.Offset + uint64(off)
	s.mu.Unlock()
	release = func() { s.release(e) }
	all := e.job.window.bytes(e.job, s.cfg.ArenaSize)
	if all == nil {
		release()
		return nil, nil, false
	}
	return all[at : at+uint64(n) : at+uint64(n)], release, true
}
