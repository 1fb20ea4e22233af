package dht

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	ds "github.com/ipfs/go-datastore"
	kad "github.com/libp2p/go-libp2p-kad-dht"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

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

// gullible is a peer of the same cluster that sends whatever it likes.
type gullible struct{}

func (gullible) Validate(string, []byte) error        { return nil }
func (gullible) Select(string, [][]byte) (int, error) { return 0, nil }

func TestPeersDoNotKeepForgedRecords(t *testing.T) {
	c := newCluster(t, 3)
	h := newHost(t)
	defer h.Close()
	liar, err := kad.New(h, kad.Mode(kad.ModeServer), kad.ProtocolPrefix("/raygo/test"), kad.Validator(gullible{}))
	if err != nil {
		t.Fatal(err)
	}
	defer liar.Close()
	for _, d := range c.peers {
		if err := h.Connect(t.Context(), peer.AddrInfo{ID: d.self, Addrs: d.cfg.Host.Addrs()}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the liar has met all", func() bool { return liar.RoutingTable().Size() == 3 })
	_, victim := identity(t, 1)
	forged := OwnerRecord{Job: job(5), Epoch: 7, Peer: victim, Sig: make([]byte, 64)}
	data, err := forged.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := liar.PutValue(t.Context(), ownerKey(job(5)), data); err != nil {
		t.Fatal(err)
	}
	for i, d := range c.peers {
		if r, err := d.Owner(t.Context(), job(5)); !errors.Is(err, ErrNotFound) {
			t.Errorf("peer %d believes %+v, %v", i, r, err)
		}
		if n := d.values.len(); n != 0 {
			t.Errorf("peer %d keeps %d forged records", i, n)
		}
	}
	// Nor does what the liar keeps drown the true record.
	if err := c.peers[0].PutOwner(t.Context(), OwnerRecord{Job: job(5), Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	if r, err := c.peers[2].Owner(t.Context(), job(5)); err != nil || r.Peer != c.peers[0].self {
		t.Errorf("owner is %+v, %v", r, err)
	}
}

func TestOneSignerHasAShareOfTheRecords(t *testing.T) {
	s := newRecordStore(16, signer, prometheus.NewCounter(prometheus.CounterOpts{Name: "x"}))
	put := func(who, j byte, epoch uint64) error {
		_, data := record(t, who, OwnerRecord{Job: job(j), Epoch: epoch})
		rec, err := proto.Marshal(&recpb.Record{Key: []byte(ownerKey(job(j))), Value: data})
		if err != nil {
			t.Fatal(err)
		}
		return s.Put(t.Context(), ds.NewKey("/raygo/"+job(j).String()), rec)
	}
	for i, c := range []struct {
		who, job byte
		epoch    uint64
		full     bool
	}{
		{1, 1, 1, false}, {1, 2, 1, false}, {1, 3, 1, true}, {1, 2, 2, false},
		{2, 3, 1, false}, {2, 1, 2, false}, {1, 4, 1, false}, {1, 5, 1, true}, {2, 2, 3, true},
	} {
		if err := put(c.who, c.job, c.epoch); errors.Is(err, errFull) != c.full {
			t.Errorf("step %d: %v", i, err)
		}
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
