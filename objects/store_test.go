package objects

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/raygo/raygo"
	"golang.org/x/sys/unix"
)

const kib, mib = 1 << 10, 1 << 20

// behaviour 36, the bytes' side: both gets see the same memory, and writing fails.
func TestTwoReadersShareReadOnlyMemory(t *testing.T) {
	s := runStore(t, Config{Limit: 16 * mib})
	arena, _ := openJob(t, s, 1)
	id, b := object(1, 1), content(1, 3*mib+5)
	put(t, s, id, b)
	one, two := pinOne(t, s, id)[0], pinOne(t, s, id)[0]
	if one != two || one.Size != uint64(len(b)) {
		t.Fatalf("extents %v and %v of %d bytes", one, two, len(b))
	}
	checkArena(t, s, 1, one, b)
	m, err := unix.Mmap(int(arena.Fd()), int64(one.Offset), int(one.Size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(m) }()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	func() {
		defer func() {
			if recover() == nil {
				t.Error("writing to a read-only view worked")
			}
		}()
		m[0]++
	}()
	s.Unpin(id, id)
	checkBooks(t, s)
}

// behaviour 147: what is deleted is gone; a reader that has it keeps it to the end.
func TestDelete(t *testing.T) {
	s := runStore(t, Config{Limit: 4 * mib})
	openJob(t, s, 1)
	id, b := object(1, 1), content(1, mib)
	put(t, s, id, b)
	e := pinOne(t, s, id)[0]
	s.Delete(id)
	if _, ok := s.TryPin([]raygo.ObjectID{id}); ok {
		t.Error("a deleted object was pinned")
	}
	if _, err := s.Pin(t.Context(), []raygo.ObjectID{id}); !errors.Is(err, ErrNotFound) {
		t.Errorf("pin of a deleted object: %v", err)
	}
	if err := s.PutBytes(t.Context(), id, b); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), "1 readers") {
		t.Errorf("put while a reader has the old value: %v", err)
	}
	checkArena(t, s, 1, e, b)
	s.Unpin(id)
	if u := s.Usage(); u.Objects != 0 || u.Used != u.Retained {
		t.Errorf("after the last unpin: %+v", u)
	}
	put(t, s, id, b) // as lineage does
	if got, ok := s.TryAlloc(object(1, 2), mib); !ok || got.Offset == e.Offset {
		t.Errorf("second object at %v, %v", got, ok)
	}
	s.Delete(object(1, 2)) // its writer is still writing
	if s.Usage().Writing != mib {
		t.Error("memory was taken from a writer")
	}
	if err := s.Seal(object(1, 2)); err != nil {
		t.Error(err)
	}
	if _, ok := s.Info(object(1, 2)); ok {
		t.Error("deleted while being written, but there after Seal")
	}
	checkBooks(t, s)
}

func TestRecycledRangesComeFirst(t *testing.T) {
	s := runStore(t, Config{Limit: 16 * mib})
	openJob(t, s, 1)
	for i := range uint32(100) {
		if _, ok := s.TryAlloc(object(1, i), 3*mib); !ok {
			t.Fatalf("no room for put %d", i)
		}
		if i%2 == 0 {
			s.Abort(object(1, i))
			continue
		}
		if err := s.Seal(object(1, i)); err != nil {
			t.Fatal(err)
		}
		s.Delete(object(1, i))
	}
	eventually(t, "the last hash given up", func() bool { return s.Usage().Used == s.Usage().Retained })
	if u := s.Usage(); u.Used > 6*mib {
		t.Errorf("100 values of 3 MiB, one at a time, used %d bytes", u.Used)
	}
	checkBooks(t, s)
}

// Memory that nobody needs for a while is given back.
func TestIdleMemoryIsGivenBack(t *testing.T) {
	s := runStore(t, Config{Limit: 16 * mib, Idle: 10 * time.Millisecond})
	arena, _ := openJob(t, s, 1)
	put(t, s, object(1, 1), content(1, 5*mib))
	s.Delete(object(1, 1))
	waitUsed(t, s, 0)
	var st unix.Stat_t
	if err := unix.Fstat(int(arena.Fd()), &st); err != nil || st.Blocks != 0 {
		t.Errorf("the arena has %d blocks, %v", st.Blocks, err)
	}
	checkBooks(t, s)
}

// Retained memory of one job makes room for another.
func TestRetainedMemoryOfOtherJobs(t *testing.T) {
	s := runStore(t, Config{Limit: 8 * mib})
	openJob(t, s, 1)
	openJob(t, s, 2)
	put(t, s, object(1, 1), content(1, 6*mib))
	s.Delete(object(1, 1))
	put(t, s, object(2, 1), content(2, 7*mib))
	checkArena(t, s, 2, pinOne(t, s, object(2, 1))[0], content(2, 7*mib))
	checkBooks(t, s)
}

// behaviour 156: spilling off and store full.
func TestStoreFullWithoutSpilling(t *testing.T) {
	s := runStore(t, Config{Limit: 4 * mib, PutWait: 50 * time.Millisecond, MaxWaiting: 2})
	openJob(t, s, 1)
	put(t, s, object(1, 1), content(1, 3*mib))
	_, err := s.Alloc(t.Context(), object(1, 2), 2*mib)
	if !errors.Is(err, ErrStoreFull) || !strings.Contains(err.Error(), "spilling is off") {
		t.Errorf("alloc in a full store: %v", err)
	}
	if _, err := s.Alloc(t.Context(), object(1, 3), 5*mib); !errors.Is(err, ErrTooLarge) ||
		!strings.Contains(err.Error(), fmt.Sprint(5*mib)) || !strings.Contains(err.Error(), fmt.Sprint(4*mib)) {
		t.Errorf("alloc of more than the store: %v", err)
	}
	checkBooks(t, s)
	go s.Delete(object(1, 1)) // room comes while the call waits
	if _, err := s.Alloc(t.Context(), object(1, 2), 2*mib); err != nil {
		t.Errorf("alloc after room came: %v", err)
	}
	checkBooks(t, s)
}

// Waiting calls are bounded in number, honour their context and end with the store.
func TestWaitingCallsAreBounded(t *testing.T) {
	s := runStore(t, Config{Limit: mib, PutWait: time.Minute, MaxWaiting: 1})
	openJob(t, s, 1)
	if _, ok := s.TryAlloc(object(1, 1), mib); !ok {
		t.Fatal("no room in an empty store")
	}
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := s.Alloc(ctx, object(1, 2), mib)
		first <- err
	}()
	eventually(t, "one call waiting", func() bool { return s.Usage().Waiting == 1 })
	if _, err := s.Alloc(ctx, object(1, 3), mib); !errors.Is(err, ErrStoreFull) {
		t.Errorf("one call too many: %v", err)
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled call: %v", err)
	}
	go func() {
		_, err := s.Alloc(context.Background(), object(1, 2), mib)
		first <- err
	}()
	eventually(t, "one call waiting", func() bool { return s.Usage().Waiting == 1 })
	s.CloseJob(jobID(1))
	if err := <-first; !errors.Is(err, ErrNoJob) {
		t.Errorf("call of a closed job: %v", err)
	}
	waitUsed(t, s, 0)
	checkBooks(t, s)
}

func TestCallsOutOfOrder(t *testing.T) {
	s := runStore(t, Config{Limit: 4 * mib})
	id := object(1, 1)
	if _, err := s.Alloc(t.Context(), id, 1); !errors.Is(err, ErrNoJob) {
		t.Errorf("alloc without a job: %v", err)
	}
	if err := s.Seal(id); !errors.Is(err, ErrNoJob) {
		t.Errorf("seal without a job: %v", err)
	}
	openJob(t, s, 1)
	if err := s.Seal(id); !errors.Is(err, ErrNotFound) {
		t.Errorf("seal of nothing: %v", err)
	}
	if _, ok := s.TryAlloc(id, 10); !ok {
		t.Fatal("no room")
	}
	if _, err := s.Pin(t.Context(), []raygo.ObjectID{id}); !errors.Is(err, ErrNotSealed) {
		t.Errorf("pin before seal: %v", err)
	}
	if _, err := s.CID(t.Context(), id); !errors.Is(err, ErrNotSealed) {
		t.Errorf("CID before seal: %v", err)
	}
	if _, err := s.Read(t.Context(), id, 0, make([]byte, 1)); !errors.Is(err, ErrNotSealed) {
		t.Errorf("read before seal: %v", err)
	}
	if _, err := s.Alloc(t.Context(), id, 1); !errors.Is(err, ErrExists) {
		t.Errorf("alloc twice: %v", err)
	}
	if err := errors.Join(s.Seal(id), nil); err != nil {
		t.Error(err)
	}
	if err := s.Seal(id); !errors.Is(err, ErrExists) {
		t.Errorf("seal twice: %v", err)
	}
	s.Unpin(id, object(2, 2)) // neither is pinned
	s.Delete(object(2, 2))
	s.Abort(id)
	if info, ok := s.Info(id); !ok || info.State != InMemory {
		t.Errorf("abort after seal: %+v, %v", info, ok)
	}
	checkBooks(t, s)
}

// A hash under way does not keep the memory of a deleted object.
func TestDeleteStopsHash(t *testing.T) {
	s := runStore(t, Config{Limit: 400 * mib})
	openJob(t, s, 1)
	id := object(1, 1)
	if _, ok := s.TryAlloc(id, 300*mib); !ok {
		t.Fatal("no room")
	}
	if err := s.Seal(id); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the hash begins", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.jobs[jobID(1)].entries[id].hashing != nil
	})
	s.Delete(id)
	eventually(t, "the object is gone", func() bool { return s.Usage().Objects == 0 })
	if u := s.Usage(); u.Hashed != 0 {
		t.Error("the hash went on to its end")
	}
	checkBooks(t, s)
}

// behaviour 161: copies of what other peers have go first and are never spilled.
func TestCopiesGoFirst(t *testing.T) {
	gone := make(chan []raygo.ObjectID, 10)
	s := runStore(t, Config{Limit: 4 * mib, SpillDir: t.TempDir(), Dropped: func(ids []raygo.ObjectID) { gone <- ids }})
	openJob(t, s, 1)
	put(t, s, object(1, 1), content(1, mib)) // older, but its only copy
	put(t, s, object(1, 2), content(2, mib))
	s.MarkCopy(object(1, 2))
	// What is being hashed cannot go; copies that were fetched never are.
	eventually(t, "both are hashed", func() bool { return s.Usage().Hashed == 2 })
	put(t, s, object(1, 3), content(3, 3*mib))
	if ids := <-gone; len(ids) != 1 || ids[0] != object(1, 2) {
		t.Errorf("dropped %v", ids)
	}
	if u := s.Usage(); u.SpilledEver != 0 || u.Objects != 2 {
		t.Errorf("usage %+v", u)
	}
	if _, err := s.Pin(t.Context(), []raygo.ObjectID{object(1, 2)}); !errors.Is(err, ErrNotFound) {
		t.Errorf("pin of a dropped copy: %v", err)
	}
	checkBooks(t, s)
}

func TestCIDBehindSeal(t *testing.T) {
	for _, workers := range []int{-1, 2} {
		s := runStore(t, Config{Limit: 16 * mib, HashWorkers: workers})
		openJob(t, s, 1)
		for i, n := range []int{200 * kib, mib, 3*mib + 1} {
			id, b := object(1, uint32(i)), content(uint32(i), n)
			put(t, s, id, b)
			c, err := s.CID(t.Context(), id)
			if err != nil || c != SumBytes(b) {
				t.Errorf("CID of %d bytes: %s, %v", n, c, err)
			}
			if info, _ := s.Info(id); info.CID != c.String() {
				t.Errorf("Info says %+v", info)
			}
		}
	}
}

// behaviour 160: an invalid spill configuration is refused at the start.
func TestInvalidConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	m, err := (&spillDir{path: t.TempDir()}).create("x")
	if err != nil {
		t.Fatal(err)
	}
	_ = m.Close()
	for want, cfg := range map[string]Config{
		"does not exist":        {SpillDir: file},
		"not writable":          {SpillDir: "/proc/self"},
		"not a directory":       {SpillDir: "/proc/self/status"},
		"limit -1 is negative":  {Limit: -1},
		"less than a page":      {Limit: 10},
		"not between 0 and 1":   {DiskHigh: 1.5},
		"put wait":              {PutWait: -1},
		"spill file size":       {FuseBytes: -1},
		"number of spill":       {IOWorkers: -1},
		"number of waiting":     {MaxWaiting: -1},
		"idle time":             {Idle: -1},
		"not a number of pages": {ArenaSize: 5},
	} {
		if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", cfg, err, want)
		}
	}
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("the zero Config: %v", err)
	}
}
