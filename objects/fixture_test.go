package objects

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/raygo/raygo"
)

// runStore opens a store and runs it until the test ends.
func runStore(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

func jobID(n int) raygo.JobID {
	var j raygo.JobID
	binary.BigEndian.PutUint64(j[:], uint64(n))
	return j
}

func object(job int, n uint32) raygo.ObjectID {
	return raygo.NewTaskID(jobID(job), 1, n).Object(0)
}

func openJob(t testing.TB, s *Store, n int) (*os.File, uint64) {
	t.Helper()
	f, size, err := s.OpenJob(jobID(n))
	if err != nil {
		t.Fatal(err)
	}
	return f, size
}

// content is n bytes that depend on the seed.
func content(seed uint32, n int) []byte {
	var key [32]byte
	binary.BigEndian.PutUint32(key[:], seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

func put(t testing.TB, s *Store, id raygo.ObjectID, b []byte) {
	t.Helper()
	if err := s.PutBytes(t.Context(), id, b); err != nil {
		t.Fatal(err)
	}
}

func pinOne(t testing.TB, s *Store, ids ...raygo.ObjectID) []Extent {
	t.Helper()
	if e, ok := s.TryPin(ids); ok {
		return e
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	e, err := s.Pin(ctx, ids)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// checkArena compares a pinned object with what it should be.
func checkArena(t testing.TB, s *Store, job int, e Extent, want []byte) {
	t.Helper()
	arena, _ := openJob(t, s, job)
	got := make([]byte, e.Size)
	if _, err := arena.ReadAt(got, int64(e.Offset)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("arena at %d has other bytes than were put", e.Offset)
	}
}

func readAll(t testing.TB, s *Store, id raygo.ObjectID) []byte {
	t.Helper()
	info, ok := s.Info(id)
	if !ok {
		t.Fatalf("object %s is gone", id)
	}
	b := make([]byte, info.Size)
	if n, err := s.Read(t.Context(), id, 0, b); err != nil && !errors.Is(err, io.EOF) || n != len(b) {
		t.Fatalf("read %d of %d bytes: %v", n, len(b), err)
	}
	return b
}

// eventually waits for work that the store does behind a call.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func waitUsed(t testing.TB, s *Store, want int64) {
	t.Helper()
	eventually(t, "memory given back", func() bool { return s.Usage().Used == want })
}

// checkBooks compares the running sums with what the entries say.
func checkBooks(t testing.TB, s *Store) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var used, retained, committed, pinned, writing int64
	for _, j := range s.jobs {
		used += int64(j.ranges.used())
		retained += int64(j.ranges.warm.total)
		for _, e := range j.entries {
			if e.pins > 0 {
				pinned += e.pages()
			}
			if e.state == Writing {
				writing += e.pages()
			}
			if e.pins > 0 || e.state == Writing {
				committed += e.pages()
			}
		}
	}
	for _, j := range s.closing {
		used += int64(j.ranges.used())
	}
	for _, c := range s.claims {
		if c.alloc != nil {
			committed += c.pages()
		}
	}
	if used != s.used || retained != s.retained || committed != s.committed || pinned != s.count.Pinned || writing != s.count.Writing {
		t.Errorf("books: used %d, retained %d, committed %d, pinned %d, writing %d; counted %d, %d, %d, %d, %d",
			s.used, s.retained, s.committed, s.count.Pinned, s.count.Writing, used, retained, committed, pinned, writing)
	}
	if s.used > s.limit || s.committed > s.limit || s.promised < 0 || s.punching < 0 || s.spilling < 0 {
		t.Errorf("limit %d: used %d, committed %d, promised %d, punching %d, spilling %d", s.limit, s.used, s.committed, s.promised, s.punching, s.spilling)
	}
}
