package objects

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/raygo/raygo"
)

// A copy of another peer's object is written piece by piece, seen by nobody
// before it is sealed, and pinned with the seal.
func TestACopyIsSeenWhenItIsSealed(t *testing.T) {
	s := runStore(t, Config{Limit: 8 << 20, HashWorkers: -1})
	openJob(t, s, 1)
	id, data := object(1, 1), content(1, 3*BlockSize/2)
	m, err := ManifestOf(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.WriteUnsealed(id, data, 0); !errors.Is(err, ErrNotFound) {
		t.Errorf("write without room: %v", err)
	}
	if _, err := s.Alloc(t.Context(), id, uint64(len(data))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.WriteUnsealed(id, data, 1); err == nil {
		t.Error("written past the end")
	}
	for _, off := range []int{BlockSize, 0} {
		piece := data[off:min(len(data), off+BlockSize)]
		if n, err := s.WriteUnsealed(id, piece, int64(off)); err != nil || n != len(piece) {
			t.Fatalf("wrote %d: %v", n, err)
		}
		got := make([]byte, len(piece))
		if _, err := s.ReadUnsealed(id, got, int64(off)); err != nil || !bytes.Equal(got, piece) {
			t.Errorf("read other bytes, %v", err)
		}
	}
	if _, ok := s.TryPin([]raygo.ObjectID{id}); ok {
		t.Error("pinned before it was sealed")
	}
	if _, err := s.Read(t.Context(), id, 0, make([]byte, 1)); !errors.Is(err, ErrNotSealed) {
		t.Errorf("read before it was sealed: %v", err)
	}
	if err := s.SealCopy(id, Manifest{Size: 1}, 0); !errors.Is(err, ErrCorrupt) {
		t.Errorf("sealed with the manifest of something else: %v", err)
	}
	if err := s.SealCopy(id, m, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := s.WriteUnsealed(id, data, 0); !errors.Is(err, ErrExists) {
		t.Errorf("write to a sealed object: %v", err)
	}
	if info, _ := s.Info(id); info.Pins != 2 || info.CID != m.CID().String() {
		t.Errorf("got %+v", info)
	}
	if got := readAll(t, s, id); !bytes.Equal(got, data) {
		t.Error("other bytes")
	}
	checkBooks(t, s)
	// It goes when room is needed, but not while it is pinned.
	s.Unpin(id)
	put(t, s, object(1, 2), content(2, 4<<20))
	if _, ok := s.Info(id); !ok {
		t.Error("gone while it was pinned")
	}
	s.Unpin(id)
	put(t, s, object(1, 3), content(3, 3<<20))
	if _, ok := s.Info(id); ok {
		t.Error("a copy is kept while room is needed")
	}
	checkBooks(t, s)
}

// A copy that takes the place of an object that is gone holds its own bytes, in
// whatever pieces they come and wherever they begin.
func TestACopyInMemoryThatWasUsedBefore(t *testing.T) {
	s := runStore(t, Config{Limit: 8 << 20, HashWorkers: -1})
	openJob(t, s, 1)
	const size = 3*BlockSize + 5000
	for k, piece := range []int{size, BlockSize, 100_000, 70_001, 4097} {
		n := uint32(k)
		old, id := object(1, 2*n+1), object(1, 2*n+2)
		put(t, s, old, content(n, size)) // pages that this process has mapped, or not
		s.Delete(old)
		data := content(100+n, size)
		if _, err := s.Alloc(t.Context(), id, size); err != nil {
			t.Fatal(err)
		}
		for off := 0; off < size; off += piece {
			b := data[off:min(size, off+piece)]
			if got, err := s.WriteUnsealed(id, b, int64(off)); err != nil || got != len(b) {
				t.Fatalf("wrote %d: %v", got, err)
			}
		}
		m, err := ManifestOf(bytes.NewReader(data), size)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SealCopy(id, m, 0); err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, s, id); !bytes.Equal(got, data) {
			t.Errorf("in pieces of %d: other bytes", piece)
		}
		s.Delete(id)
		checkBooks(t, s)
	}
}

// An object that is deleted while it is written is gone when its writer ends.
func TestACopyThatNobodyNeedsAnyMore(t *testing.T) {
	s := runStore(t, Config{Limit: 8 << 20, HashWorkers: -1})
	openJob(t, s, 1)
	id := object(1, 1)
	if _, err := s.Alloc(t.Context(), id, 100); err != nil {
		t.Fatal(err)
	}
	s.Delete(id)
	if _, err := s.WriteUnsealed(id, make([]byte, 10), 0); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if err := s.SealCopy(id, Manifest{Size: 100}, 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	s.Abort(id)
	if u := s.Usage(); u.Objects != 0 || u.Writing != 0 || u.Pinned != 0 {
		t.Errorf("got %+v", u)
	}
	checkBooks(t, s)
}

func TestTheManifestOfOneBlockFollowsFromItsCID(t *testing.T) {
	for _, n := range []int{0, 1, BlockSize} {
		data := content(1, n)
		m, ok := BlockManifest(SumBytes(data), uint64(n))
		if !ok || m.VerifyBlock(0, data) != nil {
			t.Errorf("%d bytes: %v", n, ok)
		}
	}
	if _, ok := BlockManifest(SumBytes(content(1, BlockSize+1)), BlockSize+1); ok {
		t.Error("that of a larger object does not")
	}
	if _, ok := BlockManifest(cid.Undef, 1); ok {
		t.Error("a name that names nothing")
	}
}
