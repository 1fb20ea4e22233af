package objects

import (
	"context"
	"crypto/rand"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

const benchSize = 64 << 20

func mapExtent(b *testing.B, f *os.File, e Extent) []byte {
	b.Helper()
	m, err := unix.Mmap(int(f.Fd()), int64(e.Offset), int(roundUp(e.Size)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		b.Fatal(err)
	}
	return m
}

func BenchmarkMemcpy(b *testing.B) {
	src, dst := make([]byte, benchSize), make([]byte, benchSize)
	_, _ = rand.Read(src)
	copy(dst, src)
	b.SetBytes(benchSize)
	for b.Loop() {
		copy(dst, src)
	}
}

// BenchmarkTmpfsFile is the floor of a fresh put: a new memory file each time.
func BenchmarkTmpfsFile(b *testing.B) {
	src := make([]byte, benchSize)
	_, _ = rand.Read(src)
	b.SetBytes(benchSize)
	for b.Loop() {
		f, err := newArena("bench", benchSize)
		if err != nil {
			b.Fatal(err)
		}
		m := mapExtent(b, f, Extent{0, benchSize})
		copy(m, src)
		_ = unix.Munmap(m)
		_ = f.Close()
	}
}

// A writer keeps its mapping of recycled ranges, as the SDK's cached windows do.
func BenchmarkPutRecycled(b *testing.B) {
	s := runStore(b, Config{Limit: 1 << 30, HashWorkers: -1})
	arena, _ := openJob(b, s, 1)
	src := make([]byte, benchSize)
	_, _ = rand.Read(src)
	windows := map[uint64][]byte{}
	n := uint32(0)
	b.SetBytes(benchSize)
	for b.Loop() {
		id := object(1, n)
		n++
		e, ok := s.TryAlloc(id, benchSize)
		if !ok {
			var err error
			if e, err = s.Alloc(context.Background(), id, benchSize); err != nil {
				b.Fatal(err)
			}
		}
		m := windows[e.Offset]
		if m == nil {
			m = mapExtent(b, arena, e)
			windows[e.Offset] = m
		}
		copy(m, src)
		_ = s.Seal(id)
		s.Delete(id)
	}
}

// benchFresh puts into memory that was never touched, sixteen values a job.
func benchFresh(b *testing.B, write func(arena *os.File, e Extent, src []byte)) {
	s := runStore(b, Config{Limit: 8 << 30, HashWorkers: -1})
	src := make([]byte, benchSize)
	_, _ = rand.Read(src)
	b.SetBytes(benchSize)
	var arena *os.File
	job := 0
	for i := 0; b.Loop(); i++ {
		if i%16 == 0 {
			b.StopTimer()
			s.CloseJob(jobID(job))
			waitUsed(b, s, 0)
			job++
			arena, _ = openJob(b, s, job)
			b.StartTimer()
		}
		id := object(job, uint32(i))
		e, ok := s.TryAlloc(id, benchSize)
		if !ok {
			b.Fatal("no room")
		}
		write(arena, e, src)
		_ = s.Seal(id)
	}
}

func BenchmarkPutFreshMapped(b *testing.B) {
	benchFresh(b, func(arena *os.File, e Extent, src []byte) {
		m := mapExtent(b, arena, e)
		copy(m, src)
		_ = unix.Munmap(m)
	})
}

// A write leaves the kernel no page to clear first: the way to fill fresh memory.
func BenchmarkPutFreshPwrite(b *testing.B) {
	benchFresh(b, func(arena *os.File, e Extent, src []byte) {
		if _, err := arena.WriteAt(src, int64(e.Offset)); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkPutBytesRecycled(b *testing.B) {
	s := runStore(b, Config{Limit: 1 << 30, HashWorkers: -1})
	openJob(b, s, 1)
	src := make([]byte, benchSize)
	_, _ = rand.Read(src)
	b.SetBytes(benchSize)
	for n := uint32(0); b.Loop(); n++ {
		if err := s.PutBytes(context.Background(), object(1, n), src); err != nil {
			b.Fatal(err)
		}
		s.Delete(object(1, n))
	}
}

// BenchmarkSmall is the store's own cost of an object of 128 KiB: allocate,
// seal, pin, unpin, delete.
func BenchmarkSmall(b *testing.B) {
	s := runStore(b, Config{Limit: 1 << 30, HashWorkers: -1})
	openJob(b, s, 1)
	b.ReportAllocs()
	for n := uint32(0); b.Loop(); n++ {
		id := object(1, n)
		if _, ok := s.TryAlloc(id, 128<<10); !ok {
			b.Fatal("no room")
		}
		_ = s.Seal(id)
		pinOne(b, s, id)
		s.Unpin(id)
		s.Delete(id)
	}
}

func BenchmarkHash(b *testing.B) {
	src := make([]byte, benchSize)
	_, _ = rand.Read(src)
	f, err := newArena("hash", benchSize)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	_, _ = f.WriteAt(src, 0)
	for name, workers := range map[string]int{"one": 1, "two": 2} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(benchSize)
			for b.Loop() {
				if _, err := manifestOf(f, benchSize, workers); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
