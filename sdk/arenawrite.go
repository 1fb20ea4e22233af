package raygo

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// Pages of the arena as the kernel counts them, and how many of them a window
// has.
const (
	pageSize    = 4 << 10
	windowPages = windowSize / pageSize
)

// pages says which pages of a window this process has written. A first write
// goes through the file: the kernel then makes each page as it copies, without a
// fault and without clearing it first, which is twice as fast. Later ones go
// through the map, whose speed is that of memory.
type pages [windowPages / 64]uint64

// wrote marks the pages of a range and reports whether all were marked before.
func (p *pages) wrote(offset, size uint64) bool {
	known := true
	for n := offset / pageSize; n <= (offset+size-1)/pageSize; n++ {
		bit := uint64(1) << (n % 64)
		known = known && p[n/64]&bit != 0
		p[n/64] |= bit
	}
	return known
}

// Large first writes are done by several goroutines, since making pages is what
// takes the time.
const (
	splitWrite = 8 << 20 // bytes for each of them
	mostSplits = 4
)

// writeFile writes src at offset through the file.
func (a *arena) writeFile(offset uint64, src []byte) error {
	parts := min(max(1, len(src)/splitWrite), mostSplits)
	each := (len(src)/parts + pageSize) &^ (pageSize - 1)
	errs := make([]error, parts)
	var wg sync.WaitGroup
	for i := range parts {
		from := min(i*each, len(src))
		part := src[from:min(from+each, len(src))]
		write := func() { errs[i] = a.pwrite(offset+uint64(from), part) }
		if i == parts-1 {
			write()
		} else {
			wg.Go(write)
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (a *arena) pwrite(offset uint64, src []byte) error {
	for len(src) > 0 {
		n, err := unix.Pwrite(int(a.file.Fd()), src, int64(offset))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("write the arena: %w", err)
		}
		src = src[n:]
		offset += uint64(n)
	}
	return nil
}
