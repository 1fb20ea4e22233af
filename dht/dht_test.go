package dht

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"
)

func TestHoldersAreFound(t *testing.T) {
	for _, n := range []int{2, 5, 20} {
		t.Run(fmt.Sprint(n, " peers"), func(t *testing.T) {
			c := newCluster(t, n)
			holder := c.peers[n-1]
			for i := range 40 {
				if err := holder.Provide(key(i)); err != nil {
					t.Fatal(err)
				}
			}
			said(t, holder)
			for i := range 40 {
				d := c.peers[i%(n-1)]
				eventually(t, "the holder is found", func() bool {
					found, err := d.Providers(t.Context(), key(i), 3)
					if err != nil {
						t.Fatal(err)
					}
					return slices.Equal(found, []peer.ID{holder.self})
				})
			}
			// A holder is not told of itself.
			if found, err := holder.Providers(t.Context(), key(0), 3); err != nil || len(found) != 0 {
				t.Errorf("the only holder is told of %v, %v", found, err)
			}
			if found, err := c.peers[0].Providers(t.Context(), key(1000), 3); err != nil || len(found) != 0 {
				t.Errorf("what nobody holds is found at %v, %v", found, err)
			}
		})
	}
}

func TestSeveralHolders(t *testing.T) {
	c := newCluster(t, 5)
	for _, d := range c.peers[1:4] {
		if err := d.Provide(key(1)); err != nil {
			t.Fatal(err)
		}
		said(t, d)
	}
	eventually(t, "all three are found", func() bool {
		found, err := c.peers[4].Providers(t.Context(), key(1), 10)
		return err == nil && len(found) == 3
	})
	if found, err := c.peers[4].Providers(t.Context(), key(1), 2); err != nil || len(found) != 2 {
		t.Errorf("asked for two holders: %v, %v", found, err)
	}
}

func TestAlonePeerSaysItLater(t *testing.T) {
	c := newCluster(t, 1)
	d := c.peers[0]
	if err := d.Provide(key(1)); err != nil {
		t.Fatal(err)
	}
	if err := d.PutOwner(t.Context(), OwnerRecord{Job: job(1)}); err != nil {
		t.Fatalf("a peer alone puts a record: %v", err)
	}
	if r, err := d.Owner(t.Context(), job(1)); err != nil || r.Peer != d.self {
		t.Errorf("a peer alone finds its own record: %v, %v", r, err)
	}
	if found, err := d.Providers(t.Context(), key(1), 1); err != nil || len(found) != 0 {
		t.Errorf("a peer alone finds %v, %v", found, err)
	}
	if n := d.Stats().Queued; n != 1 {
		t.Errorf("%d announcements wait, want 1", n)
	}
	other := c.add()
	said(t, d)
	eventually(t, "the record came along", func() bool {
		found, _ := other.Providers(t.Context(), key(1), 1)
		_, err := other.Owner(t.Context(), job(1))
		return len(found) == 1 && err == nil
	})
	// A third peer is a reason to have more copies than one.
	c.add()
	eventually(t, "more copies", func() bool {
		d.announce.mu.Lock()
		defer d.announce.mu.Unlock()
		for _, e := range d.announce.entries {
			return len(e.placed) == 2
		}
		return false
	})
}

func TestDeadPeersCostNoTime(t *testing.T) {
	c := newCluster(t, 12)
	holder, asker := c.peers[1], c.peers[2]
	for i := range 20 {
		if err := holder.Provide(key(i)); err != nil {
			t.Fatal(err)
		}
		if err := c.peers[11].Provide(key(i)); err != nil {
			t.Fatal(err)
		}
	}
	said(t, holder)
	said(t, c.peers[11])
	// Four freeze: they take streams and answer nothing.
	for _, d := range c.peers[8:] {
		d.cfg.Host.SetStreamHandler(d.protocol, func(s network.Stream) { _, _ = io.Copy(io.Discard, s) })
		for _, conn := range d.cfg.Host.Network().Conns() {
			for _, s := range conn.GetStreams() {
				if s.Protocol() == d.protocol {
					_ = s.Reset()
				}
			}
		}
	}
	look := func(i int) time.Duration {
		start := time.Now()
		found, err := asker.Providers(t.Context(), key(i), 20)
		if err != nil || !slices.Contains(found, holder.self) {
			t.Errorf("key %d is found at %v, %v", i, found, err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("key %d took %s", i, took)
		}
		return time.Since(start)
	}
	look(0) // nobody knows yet
	for _, d := range c.peers[8:] {
		c.kill(d.self)
	}
	var slowest time.Duration
	for i := range 20 {
		slowest = max(slowest, look(i))
	}
	t.Logf("slowest lookup beside four dead of twelve: %s", slowest)
	if slowest > time.Second { // simnet/hosts holds it to milliseconds, in virtual time
		t.Errorf("a lookup took %s beside peers known to be dead", slowest)
	}
	found, err := asker.Providers(t.Context(), key(3), 20)
	if err != nil || slices.Contains(found, c.peers[11].self) {
		t.Errorf("a dead holder is named: %v, %v", found, err)
	}
	start := time.Now()
	if err := asker.PutOwner(t.Context(), OwnerRecord{Job: job(9)}); err != nil || time.Since(start) > time.Second {
		t.Errorf("put of an owner beside dead peers: %v after %s", err, time.Since(start))
	}
}

func TestWithdrawnHoldingsVanish(t *testing.T) {
	c := newCluster(t, 5)
	holder := c.peers[3]
	for i := range 10 {
		if err := holder.Provide(key(i)); err != nil {
			t.Fatal(err)
		}
	}
	said(t, holder)
	for _, d := range []int{0, 1, 2, 4} {
		eventually(t, "the record is there", func() bool { return c.peers[d].Stats().Records == 10 })
	}
	for i := range 5 {
		holder.Withdraw(key(i))
		holder.Withdraw(key(i)) // twice is once
	}
	for i := range 10 {
		want := 1
		if i < 5 {
			want = 0
		}
		eventually(t, fmt.Sprintf("key %d has %d holders", i, want), func() bool {
			found, err := c.peers[0].Providers(t.Context(), key(i), 5)
			return err == nil && len(found) == want
		})
	}
	if s := holder.Stats(); s.Provided != 5 {
		t.Errorf("after five withdrawals of ten: %+v", s)
	}
	// One that does not say so, but is asked in vain, is dropped by the asker.
	c.peers[0].Drop(key(7), holder.self)
	if found, err := c.peers[0].Providers(t.Context(), key(7), 5); err != nil || len(found) != 0 {
		t.Errorf("a dropped holder is named: %v, %v", found, err)
	}
	if found, err := c.peers[1].Providers(t.Context(), key(7), 5); err != nil || len(found) != 1 {
		t.Errorf("what one peer drops another finds: %v, %v", found, err)
	}
}

func TestWithdrawnBeforeItWasSaid(t *testing.T) {
	c := newCluster(t, 1)
	d := c.peers[0]
	if err := d.Provide(key(1)); err != nil {
		t.Fatal(err)
	}
	d.Withdraw(key(1))
	if s := d.Stats(); s.Provided != 0 || s.Queued != 0 {
		t.Errorf("%+v", s)
	}
	other := c.add()
	eventually(t, "they met", func() bool { return d.Stats().Peers == 1 && other.Stats().Peers == 1 })
	if s := other.Stats(); s.Records != 0 {
		t.Errorf("the other peer keeps %d records of nothing", s.Records)
	}
}

func TestAPeerTakesBackItsOwnRecordsAlone(t *testing.T) {
	c := newCluster(t, 3)
	if err := c.peers[1].Provide(key(1)); err != nil {
		t.Fatal(err)
	}
	said(t, c.peers[1])
	eventually(t, "the record is there", func() bool { return c.peers[0].Stats().Records == 1 })
	w := []withdrawal{{key: key(1).Hash()}}
	if err := c.peers[0].cfg.Host.Connect(t.Context(), peer.AddrInfo{ID: c.peers[2].self, Addrs: c.peers[2].cfg.Host.Addrs()}); err != nil {
		t.Fatal(err)
	}
	if err := c.peers[2].sendWithdrawals(t.Context(), c.peers[0].self, w, []int{0}); err != nil {
		t.Fatal(err)
	}
	if err := c.peers[1].sendWithdrawals(t.Context(), c.peers[2].self, w, []int{0}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the holder's own word counts", func() bool { return c.peers[2].Stats().Records == 0 })
	if n := c.peers[0].Stats().Records; n != 1 {
		t.Errorf("another peer took a record back: %d left", n)
	}
}

func TestAFullQueueSaysSo(t *testing.T) {
	reg := prometheus.NewRegistry()
	c := newCluster(t, 1, func(c *Config) { c.MaxQueue, c.MaxProvided, c.MaxOwners, c.Registerer = 3, 4, 1, reg })
	d := c.peers[0]
	for i := range 3 {
		if err := d.Provide(key(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Provide(key(2)); err != nil {
		t.Errorf("what waits already: %v", err)
	}
	if err := d.Provide(key(3)); !errors.Is(err, ErrFull) {
		t.Errorf("beyond the queue: %v", err)
	}
	c.add()
	said(t, d)
	if err := d.Provide(key(3)); err != nil {
		t.Errorf("after the queue emptied: %v", err)
	}
	if err := d.Provide(key(4)); !errors.Is(err, ErrFull) {
		t.Errorf("beyond the table: %v", err)
	}
	if err := d.PutOwner(t.Context(), OwnerRecord{Job: job(1)}); err != nil {
		t.Error(err)
	}
	if err := d.PutOwner(t.Context(), OwnerRecord{Job: job(2)}); !errors.Is(err, ErrFull) {
		t.Errorf("beyond the table of owners: %v", err)
	}
	d.DropOwner(job(1))
	if err := d.PutOwner(t.Context(), OwnerRecord{Job: job(2)}); err != nil {
		t.Error(err)
	}
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	full := 0.0
	for _, f := range all {
		for _, m := range f.Metric {
			if f.GetName() == "raygo_dht_full_total" {
				full += m.GetCounter().GetValue()
			}
		}
	}
	if full != 3 {
		t.Errorf("%v refusals counted, want 3", full)
	}
}

func TestClosed(t *testing.T) {
	h := newHost(t)
	defer h.Close()
	reg := prometheus.NewRegistry()
	d, err := New(Config{Host: h, Cluster: "test", Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- d.Run(t.Context()) }()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	<-ran
	if err := d.Provide(key(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("Provide: %v", err)
	}
	if _, err := d.Providers(t.Context(), key(1), 1); !errors.Is(err, ErrClosed) {
		t.Errorf("Providers: %v", err)
	}
	if err := d.PutOwner(t.Context(), OwnerRecord{}); !errors.Is(err, ErrClosed) {
		t.Errorf("PutOwner: %v", err)
	}
	if _, err := d.Owner(t.Context(), job(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("Owner: %v", err)
	}
	if err := d.Run(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("Run: %v", err)
	}
	d.Withdraw(key(1))
	// The names are free again: a peer may be opened anew in its process.
	again, err := New(Config{Host: h, Cluster: "test", Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestAPeerThatCameBackIsInTheTableAgain(t *testing.T) {
	c := newCluster(t, 3)
	back := c.peers[2].self
	c.kill(back)
	eventually(t, "it is out of the table", func() bool { // kad-dht may have been about to put it in
		c.peers[0].tend()
		return c.peers[0].kad.RoutingTable().Find(back) == ""
	})
	// It connects before the detector believes in it, and is put in once it does.
	if err := c.peers[2].cfg.Host.Connect(t.Context(), peer.AddrInfo{ID: c.peers[0].self, Addrs: c.peers[0].cfg.Host.Addrs()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "they are connected", func() bool {
		return c.peers[0].cfg.Host.Network().Connectedness(back) == network.Connected
	})
	c.mu.Lock()
	delete(c.dead, back)
	c.mu.Unlock()
	eventually(t, "it is in the table", func() bool {
		c.peers[0].tend()
		return c.peers[0].kad.RoutingTable().Find(back) != ""
	})
}
