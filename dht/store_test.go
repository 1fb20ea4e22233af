package dht

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/prometheus/client_golang/prometheus"
)

func TestRecordStoreIsBounded(t *testing.T) {
	ctx := context.Background()
	refused := prometheus.NewCounter(prometheus.CounterOpts{Name: "x"})
	s := newRecordStore(5, provider, refused)
	s.quota = 2
	put := func(k string) error { return s.Put(ctx, ds.RawKey(k), []byte(k)) }
	for _, k := range []string{"/providers/A/P", "/providers/B/P", "/providers/A/Q", "/providers/A/P"} {
		if err := put(k); err != nil {
			t.Fatalf("%s: %v", k, err)
		}
	}
	if err := put("/providers/C/P"); !errors.Is(err, errFull) {
		t.Errorf("a peer beyond its share: %v", err)
	}
	for _, k := range []string{"/providers/C/Q", "/providers/C/R"} {
		if err := put(k); err != nil {
			t.Fatalf("%s: %v", k, err)
		}
	}
	if err := put("/providers/D/S"); !errors.Is(err, errFull) {
		t.Errorf("beyond the bound: %v", err)
	}
	if err := s.Delete(ctx, ds.RawKey("/providers/A/P")); err != nil {
		t.Fatal(err)
	}
	if err := put("/providers/D/P"); err != nil {
		t.Errorf("after a delete: %v", err)
	}
	count := func(prefix string) int {
		res, err := s.Query(ctx, query.Query{Prefix: prefix})
		if err != nil {
			t.Fatal(err)
		}
		all, err := res.Rest()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			if e.Key == "" || len(e.Value) == 0 {
				t.Errorf("entry %+v", e)
			}
		}
		return len(all)
	}
	for prefix, want := range map[string]int{"/providers/A": 1, "/providers/C": 2, "/providers/": 5, "": 5, "/providers/X": 0, "/raygo": 0} {
		if n := count(prefix); n != want {
			t.Errorf("%d entries below %q, want %d", n, prefix, want)
		}
	}
	if _, err := s.Get(ctx, ds.RawKey("/providers/A/P")); !errors.Is(err, ds.ErrNotFound) {
		t.Errorf("a deleted record: %v", err)
	}
}

// kad-dht writes the keys that forget takes apart.
func TestForgetReachesWhatKadWrote(t *testing.T) {
	ctx := context.Background()
	s := newRecordStore(80, provider, prometheus.NewCounter(prometheus.CounterOpts{Name: "x"}))
	ps, err := pstoremem.NewPeerstore()
	if err != nil {
		t.Fatal(err)
	}
	defer ps.Close()
	_, self := identity(t, 1)
	_, other := identity(t, 2)
	m, err := records.NewProviderManager(self, ps, s, records.Cache(noCache{}))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	k := key(1).Hash()
	for _, p := range []peer.ID{self, other} {
		if err := m.AddProvider(ctx, k, peer.AddrInfo{ID: p}); err != nil {
			t.Fatal(err)
		}
	}
	s.forget(k, other)
	list, err := m.GetProviders(ctx, k)
	if err != nil || len(list) != 1 || list[0].ID != self {
		t.Errorf("left: %v, %v", list, err)
	}
}

func TestDroppedHoldersAreBounded(t *testing.T) {
	d := newDropped(1 << 40)
	_, p := identity(t, 1)
	for i := range maxDropped + 10 {
		d.add(key(i), p)
		d.add(key(i), p)
	}
	if len(d.until) != maxDropped || len(d.order) != maxDropped {
		t.Errorf("%d and %d remembered", len(d.until), len(d.order))
	}
	if d.has(key(9), p) || !d.has(key(10), p) {
		t.Error("not the oldest was forgotten")
	}
}

func FuzzReadWithdrawals(f *testing.F) {
	one := key(1).Hash()
	f.Add(append(binary.AppendUvarint(nil, uint64(len(one))), one...))
	f.Add([]byte{81})
	f.Add([]byte{0})
	f.Add([]byte{0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		err := readWithdrawals(bytes.NewReader(data), func(k []byte) {
			if len(k) == 0 || len(k) > maxKey {
				t.Fatalf("a key of %d bytes", len(k))
			}
			n += 1 + len(k)
		})
		if err == nil && n > len(data) {
			t.Fatalf("%d bytes of keys in %d", n, len(data))
		}
	})
}

func TestTooManyWithdrawals(t *testing.T) {
	n := 0
	if err := readWithdrawals(bytes.NewReader(bytes.Repeat([]byte{1, 7}, maxWithdrawn)), func([]byte) { n++ }); err != nil || n != maxWithdrawn {
		t.Errorf("%d read, %v", n, err)
	}
	if err := readWithdrawals(bytes.NewReader(bytes.Repeat([]byte{1, 7}, maxWithdrawn+1)), func([]byte) {}); err == nil {
		t.Error("one more is taken")
	}
	if err := readWithdrawals(bytes.NewReader([]byte{5, 1}), func([]byte) { t.Error("a cut key") }); err == nil {
		t.Error("a cut key is no error")
	}
}
