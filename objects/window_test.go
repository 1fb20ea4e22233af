package objects

import (
	"bytes"
	"testing"
)

// What was lent stays where it is until it is given back, whatever happens to the
// object meanwhile.
func TestLentBytesStay(t *testing.T) {
	s := runStore(t, Config{Limit: 8 << 20, SpillDir: t.TempDir()})
	openJob(t, s, 1)
	data := content(1, 3<<20)
	put(t, s, object(1, 1), data)
	b, release, ok := s.View(object(1, 1), 100, 1<<20)
	if !ok || !bytes.Equal(b, data[100:100+1<<20]) {
		t.Fatalf("not lent, or other bytes: %v", ok)
	}
	put(t, s, object(1, 2), content(2, 4<<20))
	put(t, s, object(1, 3), content(3, 4<<20)) // the second one goes to disk for it, not what is lent
	if info, _ := s.Info(object(1, 1)); info.State != InMemory {
		t.Errorf("it is %s while it is lent", info.State)
	}
	s.Delete(object(1, 1))
	put(t, s, object(1, 4), content(4, 1<<20))
	if !bytes.Equal(b, data[100:100+1<<20]) {
		t.Error("deleted bytes were overwritten while they were lent")
	}
	release()
	checkBooks(t, s)
	for _, off := range []int64{-1, 4<<20 + 1} {
		if _, _, ok := s.View(object(1, 3), off, 1); ok {
			t.Errorf("lent from %d on", off)
		}
	}
	if _, _, ok := s.View(object(1, 1), 0, 1); ok {
		t.Error("lent although it was deleted")
	}

	b, release, ok = s.View(object(1, 4), 0, 1<<20)
	if !ok {
		t.Fatal("not lent")
	}
	s.CloseJob(jobID(1))
	if !bytes.Equal(b, content(4, 1<<20)) {
		t.Error("the bytes of a closed job went while they were lent")
	}
	release()
	waitUsed(t, s, 0)
}

// Copies are written through the mapping where pages are warm, and by system
// calls where they are not: both are seen by both.
func TestCopiesIntoWarmAndColdPages(t *testing.T) {
	s := runStore(t, Config{Limit: 16 << 20, HashWorkers: -1})
	openJob(t, s, 1)
	for n := range uint32(4) {
		id, data := object(1, n), content(n, 2<<20)
		if _, err := s.Alloc(t.Context(), id, uint64(len(data))); err != nil {
			t.Fatal(err)
		}
		if _, err := s.WriteUnsealed(id, data, 0); err != nil {
			t.Fatal(err)
		}
		if err := s.Seal(id); err != nil {
			t.Fatal(err)
		}
		b, release, ok := s.View(id, 0, len(data))
		if !ok || !bytes.Equal(b, data) || !bytes.Equal(readAll(t, s, id), data) {
			t.Errorf("object %d has other bytes", n)
		}
		if ok {
			release()
		}
		s.Delete(id) // the next one gets its pages
	}
}
