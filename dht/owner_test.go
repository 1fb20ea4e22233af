package dht

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/raygo/raygo"
)

var update = flag.Bool("update", false, "write golden files")

func job(n byte) raygo.JobID { return raygo.JobID{7: n} }

// identity is a key made from a number.
func identity(t testing.TB, n byte) (crypto.PrivKey, peer.ID) {
	t.Helper()
	k, _, err := crypto.GenerateEd25519Key(bytes.NewReader(bytes.Repeat([]byte{n}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return k, id
}

// record is one that identity n signed for the cluster of the tests.
func record(t testing.TB, n byte, r OwnerRecord) (OwnerRecord, []byte) {
	t.Helper()
	k, _ := identity(t, n)
	if err := r.Sign("test", k); err != nil {
		t.Fatal(err)
	}
	data, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return r, data
}

func TestOwnerRecordKeepsItsBytes(t *testing.T) {
	_, a := identity(t, 2)
	_, b := identity(t, 3)
	want, data := record(t, 1, OwnerRecord{Job: job(5), Epoch: 3, Guardians: []peer.ID{a, b}, Seq: 2})
	golden := filepath.Join("testdata", "owner-v1.cbor")
	if *update {
		if err := os.WriteFile(golden, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, data) {
		t.Errorf("the record's bytes changed:\n%x\n%x", kept, data)
	}
	got, err := ParseOwner(kept)
	if err != nil {
		t.Fatal(err)
	}
	if got.Job != want.Job || got.Epoch != 3 || got.Peer != want.Peer || len(got.Guardians) != 2 || got.Seq != 2 {
		t.Errorf("%+v", got)
	}
	if err := got.Verify("test"); err != nil {
		t.Error(err)
	}
}

func TestForgedRecordsAreRefused(t *testing.T) {
	_, thief := identity(t, 9)
	good, data := record(t, 1, OwnerRecord{Job: job(5), Epoch: 3})
	_, other := identity(t, 4)
	v := validator{cluster: "test", member: func(p peer.ID) bool { return p != other }}
	if err := v.Validate(ownerKey(job(5)), data); err != nil {
		t.Fatal(err)
	}
	forged := func(f func(*OwnerRecord)) []byte {
		r := good
		f(&r)
		b, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	_, stranger := record(t, 4, OwnerRecord{Job: job(5)})
	foreign := good
	k, _ := identity(t, 1)
	if err := foreign.Sign("another", k); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key   string
		value []byte
	}{
		"another job's key":   {ownerKey(job(6)), data},
		"no such kind":        {"/raygo/else/00", data},
		"a higher epoch":      {ownerKey(job(5)), forged(func(r *OwnerRecord) { r.Epoch++ })},
		"another owner":       {ownerKey(job(5)), forged(func(r *OwnerRecord) { r.Peer = thief })},
		"added guardians":     {ownerKey(job(5)), forged(func(r *OwnerRecord) { r.Guardians = []peer.ID{thief} })},
		"a later word":        {ownerKey(job(5)), forged(func(r *OwnerRecord) { r.Seq++ })},
		"no signature":        {ownerKey(job(5)), forged(func(r *OwnerRecord) { r.Sig = nil })},
		"a changed signature": {ownerKey(job(5)), forged(func(r *OwnerRecord) { r.Sig = bytes.Clone(r.Sig); r.Sig[0] ^= 1 })},
		"an epoch to end all": {ownerKey(job(5)), forged(func(r *OwnerRecord) { r.Epoch = maxEpoch })},
		"too large":           {ownerKey(job(5)), append(bytes.Clone(data), make([]byte, maxOwnerBytes)...)},
		"trailing bytes":      {ownerKey(job(5)), append(bytes.Clone(data), 0)},
		"empty":               {ownerKey(job(5)), nil},
		"not a member's":      {ownerKey(job(5)), stranger},
		"another cluster's":   {ownerKey(job(5)), forged(func(r *OwnerRecord) { *r = foreign })},
	} {
		if err := v.Validate(c.key, c.value); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAllReadersBelieveTheSameRecord(t *testing.T) {
	_, low := record(t, 1, OwnerRecord{Job: job(5), Epoch: 1})
	_, high := record(t, 2, OwnerRecord{Job: job(5), Epoch: 2})
	a, one := record(t, 1, OwnerRecord{Job: job(5), Epoch: 2})
	b, _ := identity(t, 2)
	_ = b
	_, later := record(t, 1, OwnerRecord{Job: job(5), Epoch: 2, Seq: 1})
	var v validator
	pick := func(values ...[]byte) []byte {
		i, err := v.Select(ownerKey(job(5)), values)
		if err != nil {
			t.Fatal(err)
		}
		return values[i]
	}
	if !bytes.Equal(pick(low, high), high) || !bytes.Equal(pick(high, low), high) {
		t.Error("the higher epoch does not win")
	}
	hr, err := ParseOwner(high)
	if err != nil {
		t.Fatal(err)
	}
	smaller := high
	if a.Peer < hr.Peer {
		smaller = one
	}
	if !bytes.Equal(pick(one, high), smaller) || !bytes.Equal(pick(high, one), smaller) {
		t.Error("the smaller peer ID does not win at equal epochs")
	}
	if !bytes.Equal(pick(one, later), later) || !bytes.Equal(pick(later, one), later) {
		t.Error("an owner's later word does not win")
	}
	if !bytes.Equal(pick([]byte("junk"), low), low) {
		t.Error("junk wins")
	}
	if _, err := v.Select("", [][]byte{nil, []byte("junk")}); err == nil {
		t.Error("junk alone is selected")
	}
}

func TestOwnershipMovesByEpoch(t *testing.T) {
	c := newCluster(t, 5)
	first, second, reader := c.peers[1], c.peers[2], c.peers[3]
	ctx := t.Context()
	if _, err := reader.Owner(ctx, job(5)); !errors.Is(err, ErrNotFound) {
		t.Errorf("no record yet: %v", err)
	}
	if err := first.PutOwner(ctx, OwnerRecord{Job: job(5), Epoch: 1, Guardians: []peer.ID{second.self}}); err != nil {
		t.Fatal(err)
	}
	r, err := reader.Owner(ctx, job(5))
	if err != nil || r.Peer != first.self || len(r.Guardians) != 1 || r.Guardians[0] != second.self {
		t.Fatalf("owner is %+v, %v", r, err)
	}
	// New guardians in the same epoch replace the old ones.
	if err := first.PutOwner(ctx, OwnerRecord{Job: job(5), Epoch: 1, Guardians: []peer.ID{second.self, reader.self}}); err != nil {
		t.Fatal(err)
	}
	if r, err = reader.Owner(ctx, job(5)); err != nil || len(r.Guardians) != 2 {
		t.Fatalf("owner is %+v, %v", r, err)
	}
	if err := second.PutOwner(ctx, OwnerRecord{Job: job(5), Epoch: 2}); err != nil {
		t.Fatal(err)
	}
	for i, d := range c.peers {
		if r, err := d.Owner(ctx, job(5)); err != nil || r.Peer != second.self || r.Epoch != 2 {
			t.Errorf("peer %d believes %+v, %v", i, r, err)
		}
	}
	// The first owner, which was taken for dead, learns it.
	if err := first.PutOwner(ctx, OwnerRecord{Job: job(5), Epoch: 1}); !errors.Is(err, ErrStale) {
		t.Errorf("a stale record is put: %v", err)
	}
	if n := first.Stats().Owners; n != 0 {
		t.Errorf("a stale record is kept alive: %d", n)
	}
	bad, _ := record(t, 9, OwnerRecord{Job: job(5), Epoch: 3})
	bad.Epoch = 4
	if err := first.PutOwner(ctx, bad); !errors.Is(err, ErrInvalid) {
		t.Errorf("a forged record is put: %v", err)
	}
}

func FuzzParseOwner(f *testing.F) {
	_, data := record(f, 1, OwnerRecord{Job: job(5), Epoch: 3})
	_, g := identity(f, 2)
	_, more := record(f, 1, OwnerRecord{Job: job(5), Epoch: 3, Guardians: []peer.ID{g}, Seq: 1})
	f.Add(data)
	f.Add(more)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseOwner(data)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("another error: %v", err)
			}
			return
		}
		again, err := r.Marshal()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x is read as %+v, which is %x, %v", data, r, again, err)
		}
		_ = validator{cluster: "test", member: func(peer.ID) bool { return true }}.Validate(ownerKey(r.Job), data)
	})
}
