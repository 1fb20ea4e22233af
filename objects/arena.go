package objects

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// newArena makes a sparse memory file.
func newArena(name string, size uint64) (*os.File, error) {
	fd, err := unix.MemfdCreate("raygo-"+name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create arena: %w", err)
	}
	f := os.NewFile(uintptr(fd), "arena "+name)
	if err := f.Truncate(int64(size)); err != nil {
		return nil, errors.Join(fmt.Errorf("size arena: %w", err), f.Close())
	}
	return f, nil
}

// punch gives the memory or disk space of a part of a file back. Whoever maps it
// reads zeros. The descriptor is held meanwhile, so that a close at the same time
// cannot lead to a punch in another file.
func punch(f *os.File, e Extent) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := conn.Control(func(fd uintptr) {
		for {
			err = unix.Fallocate(int(fd), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(e.Offset), int64(e.Size))
			if !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
	return errors.Join(err, cerr)
}
