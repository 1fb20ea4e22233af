package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	raygo "github.com/raygo/raygo/sdk"
)

// largeBytes is the size of one large value; a copy of it finds nothing in a
// cache.
const largeBytes = 64 << 20

func largeWorkloads() []workload {
	ws := []workload{
		{
			name: "put_gigabytes_fresh", what: "Put of 64 MiB where memory was never touched", unit: "GB/s", higher: true,
			target: target{ratio: 1}, beside: "write to a fresh file in memory",
			run: putFresh, floor: writeFresh,
		},
		{
			name: "put_gigabytes_recycled", what: "Put of 64 MiB where released values were", unit: "GB/s", higher: true,
			target: target{ratio: 0.5}, beside: "memcpy",
			run: putRecycled, floor: copyLarge,
		},
		{
			name: "get_large_1MiB", what: "Get of a mapped value and a byte of it", unit: "µs",
			beside: "question to the peer, then map a file",
			run: func(ctx context.Context, st *stage) (float64, error) {
				return getMapped(ctx, st, 1<<20, 9)
			},
			floor: mapFile,
		},
	}
	small := func(ctx context.Context, st *stage) (float64, error) { return getMapped(ctx, st, 1<<20, 5) }
	for _, w := range []workload{
		{name: "get_large_64MiB", what: "the same of 64 MiB", run: func(ctx context.Context, st *stage) (float64, error) {
			return getMapped(ctx, st, st.size(64<<20, 16<<20), 5)
		}},
		{name: "get_large_1GiB", what: "the same of 1 GiB", most: 3, run: func(ctx context.Context, st *stage) (float64, error) {
			return getMapped(ctx, st, st.size(1<<30, 64<<20), 3)
		}},
	} {
		w.unit, w.target, w.beside, w.floor = "µs", target{ratio: 2}, "the same of 1 MiB: the time is constant", small
		ws = append(ws, w)
	}
	return ws
}

// buffers makes and touches what is copied.
func (st *stage) buffers() {
	if st.source == nil {
		st.source, st.target = make([]byte, largeBytes), make([]byte, largeBytes)
		for i := range st.source {
			st.source[i] = byte(i)
		}
		copy(st.target, st.source)
	}
}

// gigabytes is the rate of n times the large value.
func gigabytes(n int, do func() error) (float64, error) {
	r, err := rate(n, do)
	return r * largeBytes / 1e9, err
}

func copyLarge(_ context.Context, st *stage) (float64, error) {
	st.buffers()
	n := st.size(16, 2)
	return gigabytes(n, func() error {
		for range n {
			copy(st.target, st.source)
		}
		return nil
	})
}

func putRecycled(ctx context.Context, st *stage) (float64, error) {
	ctx, err := st.driver(ctx)
	if err != nil {
		return 0, err
	}
	st.buffers()
	put := func(n int) error {
		for range n {
			ref, err := raygo.Put(ctx, st.source)
			if err != nil {
				return err
			}
			raygo.Release(ref)
		}
		return nil
	}
	if err := put(2); err != nil { // touches the memory
		return 0, err
	}
	n := st.size(16, 2)
	return gigabytes(n, func() error { return put(n) })
}

func putFresh(ctx context.Context, st *stage) (float64, error) {
	st.buffers()
	ctx, s, err := st.attach(ctx)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	n := st.size(8, 2)
	refs := make([]raygo.Ref[[]byte], n)
	defer func() { raygo.Release(refs[0]) }()
	return gigabytes(n, func() error {
		for i := range refs {
			if refs[i], err = raygo.Put(ctx, st.source); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeFresh writes files in memory that are new.
func writeFresh(_ context.Context, st *stage) (float64, error) {
	st.buffers()
	n := st.size(8, 2)
	var files []int
	defer func() {
		for _, fd := range files {
			_ = unix.Close(fd)
		}
	}()
	return gigabytes(n, func() error {
		for range n {
			fd, err := unix.MemfdCreate("raygo-bench", unix.MFD_CLOEXEC)
			if err != nil {
				return fmt.Errorf("make a file in memory: %w", err)
			}
			files = append(files, fd)
			for b := st.source; len(b) > 0; {
				k, err := unix.Write(fd, b)
				if err != nil {
					return fmt.Errorf("write a file in memory: %w", err)
				}
				b = b[k:]
			}
		}
		return nil
	})
}

// getMapped puts a value of some size n times and times the first Get of it,
// with the peer at rest.
func getMapped(ctx context.Context, st *stage, size, n int) (float64, error) {
	ctx, err := st.driver(ctx)
	if err != nil {
		return 0, err
	}
	value := make([]byte, size)
	var took []float64
	for range n {
		ref, err := raygo.Put(ctx, value)
		if err != nil {
			return 0, err
		}
		if err := st.settle(); err != nil {
			return 0, err
		}
		start := time.Now()
		b, err := raygo.Get(ctx, ref)
		if err != nil || len(b) != size || b[size/2] != 0 {
			return 0, wrong(err)
		}
		took = append(took, float64(time.Since(start))/1e3)
		raygo.Release(ref)
	}
	slices.Sort(took)
	return quantile(took, 0.5), nil
}

// mapFile asks the echo's peer a question and maps a file of 1 MiB.
func mapFile(_ context.Context, st *stage) (float64, error) {
	if err := st.startEcho(); err != nil {
		return 0, err
	}
	fd, err := unix.MemfdCreate("raygo-bench", unix.MFD_CLOEXEC)
	if err != nil {
		return 0, fmt.Errorf("make a file in memory: %w", err)
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, make([]byte, 1<<20)); err != nil {
		return 0, fmt.Errorf("write a file in memory: %w", err)
	}
	const n = 200
	return micros(n, func() error {
		for range n {
			if err := st.client.ask(64); err != nil {
				return err
			}
			b, err := unix.Mmap(fd, 0, 1<<20, unix.PROT_READ, unix.MAP_SHARED)
			if err != nil {
				return fmt.Errorf("map a file: %w", err)
			}
			if b[1<<19] != 0 {
				return errWrong
			}
			if err := unix.Munmap(b); err != nil {
				return fmt.Errorf("unmap a file: %w", err)
			}
		}
		return nil
	})
}
