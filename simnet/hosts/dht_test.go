package hosts_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"

	"github.com/raygo/raygo"
	"github.com/raygo/raygo/dht"
	"github.com/raygo/raygo/simnet/hosts"
)

// tables is a world whose peers have a hash table, and a failure detector that
// knows what the test tells it.
type tables struct {
	w *hosts.World
	d []*dht.DHT
	p []*hosts.Peer

	mu   sync.Mutex
	dead map[peer.ID]bool
	lost []dht.OwnerRecord // what peers were told that has taken their jobs
}

func newTables(w *hosts.World, n int) *tables {
	s := &tables{w: w, dead: map[peer.ID]bool{}}
	for i := range n {
		s.open(w.Add(fmt.Sprint("peer", i)))
	}
	return s
}

// open gives a peer its part of the table; it knows three others.
func (s *tables) open(p *hosts.Peer) *dht.DHT {
	var known []peer.AddrInfo
	for i := range min(3, len(s.p)) {
		known = append(known, s.p[len(s.p)*i/3].Info())
	}
	d, err := dht.New(dht.Config{
		Host: p.Host, Cluster: "sim",
		Alive:   func(id peer.ID) bool { s.mu.Lock(); defer s.mu.Unlock(); return !s.dead[id] },
		Members: func() []peer.AddrInfo { return slices.Clone(known) },
		Superseded: func(r dht.OwnerRecord) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.lost = append(s.lost, r)
		},
	})
	if err != nil {
		s.w.T.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- d.Run(context.Background()) }()
	p.OnStop(func() {
		if err := d.Close(); err != nil {
			s.w.T.Errorf("close of %s: %v", p.Name, err)
		}
		<-ran
	})
	s.d, s.p = append(s.d, d), append(s.p, p)
	return d
}

// bury is what the detector does about a peer that it finds dead.
func (s *tables) bury(i int) {
	s.mu.Lock()
	s.dead[s.p[i].ID] = true
	s.mu.Unlock()
	for j, d := range s.d {
		if j != i {
			_ = s.p[j].Host.Network().ClosePeer(s.p[i].ID)
			d.Remove(s.p[i].ID)
		}
	}
}

func name(i int) cid.Cid {
	sum := sha256.Sum256(fmt.Appendf(nil, "object %d", i))
	mh, err := multihash.Encode(sum[:], multihash.SHA2_256)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.Raw, mh)
}

func TestTableOfThirtyPeers(t *testing.T) {
	began := time.Now()
	hosts.Run(t, hosts.Config{Link: hosts.WAN, Seed: 7}, func(w *hosts.World) {
		s := newTables(w, 30)
		met := w.Eventually("everybody has met some", 30*time.Second, func() bool {
			return !slices.ContainsFunc(s.d, func(d *dht.DHT) bool { return d.Stats().Peers < 8 })
		})
		holder, asker := s.d[12], s.d[3]
		for i := range 60 {
			if err := holder.Provide(name(i)); err != nil {
				w.T.Fatal(err)
			}
			if err := s.d[29].Provide(name(i)); err != nil {
				w.T.Fatal(err)
			}
		}
		said := w.Eventually("all is announced", 20*time.Second, func() bool {
			return holder.Stats().Queued+s.d[29].Stats().Queued == 0
		})
		job := raygo.JobID{1}
		if err := holder.PutOwner(w.T.Context(), dht.OwnerRecord{Job: job, Epoch: 1}); err != nil {
			w.T.Fatal(err)
		}
		look := func(phase string, d *dht.DHT, want ...peer.ID) (slowest time.Duration) {
			for i := range 60 {
				start := time.Now()
				found, err := d.Providers(w.T.Context(), name(i), 8)
				slowest = max(slowest, time.Since(start))
				for _, id := range want {
					if !slices.Contains(found, id) {
						w.T.Errorf("%s: object %d is found at %v, %v", phase, i, found, err)
					}
				}
				if len(found) != len(want) {
					w.T.Errorf("%s: object %d has %d holders", phase, i, len(found))
				}
			}
			return slowest
		}
		before := look("all alive", asker, s.p[12].ID, s.p[29].ID)
		for i := 20; i < 30; i++ {
			w.Crash(s.p[i].Name)
		}
		// Nobody knows yet: what is found may be the dead one, in time all the same.
		start := time.Now()
		if _, err := asker.Providers(w.T.Context(), name(61), 8); time.Since(start) > 1100*time.Millisecond {
			w.T.Errorf("beside unknown dead a lookup took %s, %v", time.Since(start), err)
		}
		for i := 20; i < 30; i++ {
			s.bury(i)
		}
		after := look("ten crashed", asker, s.p[12].ID)
		if after > before+200*time.Millisecond {
			w.T.Errorf("lookups took %s beside the dead, %s without", after, before)
		}
		if r, err := s.d[5].Owner(w.T.Context(), job); err != nil || r.Peer != s.p[12].ID {
			w.T.Errorf("the owner is %v, %v", r.Peer, err)
		}
		w.T.Logf("met in %s, 120 announced in %s, slowest lookup %s, beside ten dead %s (all virtual)", met, said, before, after)
	})
	t.Logf("in %s", time.Since(began).Round(time.Millisecond))
}

// What was said among three is found by those who come later, who look for it
// elsewhere.
func TestWhatIsSaidEarlyIsFoundLater(t *testing.T) {
	hosts.Run(t, hosts.Config{Link: hosts.LAN}, func(w *hosts.World) {
		s := newTables(w, 3)
		w.Eventually("three have met", 10*time.Second, func() bool {
			return !slices.ContainsFunc(s.d, func(d *dht.DHT) bool { return d.Stats().Peers < 2 })
		})
		const n = 20
		for i := range n {
			if err := s.d[0].Provide(name(i)); err != nil {
				w.T.Fatal(err)
			}
			if err := s.d[0].PutOwner(w.T.Context(), dht.OwnerRecord{Job: raygo.JobID{byte(i)}, Epoch: 1}); err != nil {
				w.T.Fatal(err)
			}
		}
		w.Eventually("all is announced", 10*time.Second, func() bool { return s.d[0].Stats().Queued == 0 })
		time.Sleep(2 * time.Minute)
		for i := range 24 {
			s.open(w.Add(fmt.Sprint("late", i)))
		}
		time.Sleep(time.Minute)
		for i := range n {
			d := s.d[3+i]
			if found, err := d.Providers(w.T.Context(), name(i), 1); !slices.Equal(found, []peer.ID{s.p[0].ID}) {
				w.T.Errorf("peer %d finds object %d at %v, %v", 3+i, i, found, err)
			}
			if r, err := d.Owner(w.T.Context(), raygo.JobID{byte(i)}); err != nil || r.Peer != s.p[0].ID {
				w.T.Errorf("peer %d finds the owner of job %d at %v, %v", 3+i, i, r.Peer, err)
			}
		}
	})
}

func TestRecordsOfAHolderThatIsNotSeenToDieExpire(t *testing.T) {
	hosts.Run(t, hosts.Config{Link: hosts.LAN}, func(w *hosts.World) {
		s := newTables(w, 5)
		if err := s.d[4].Provide(name(1)); err != nil {
			w.T.Fatal(err)
		}
		found := func() int {
			list, _ := s.d[0].Providers(w.T.Context(), name(1), 3)
			return len(list)
		}
		w.Eventually("it is found", 10*time.Second, func() bool { return found() == 1 })
		time.Sleep(2 * time.Hour)
		if found() != 1 {
			w.T.Error("what is held for two hours is not announced again")
		}
		w.Crash("peer4")
		time.Sleep(31 * time.Minute)
		if found() != 0 {
			w.T.Error("a record outlives its holder by half an hour")
		}
	})
}

func TestAPartitionedTableComesTogether(t *testing.T) {
	hosts.Run(t, hosts.Config{Link: hosts.LAN}, func(w *hosts.World) {
		s := newTables(w, 6)
		w.Eventually("all have met", 20*time.Second, func() bool {
			return !slices.ContainsFunc(s.d, func(d *dht.DHT) bool { return d.Stats().Peers < 5 })
		})
		w.Partition([]string{"peer0", "peer1", "peer2"}, []string{"peer3", "peer4", "peer5"})
		time.Sleep(3 * time.Minute)
		job := raygo.JobID{2}
		if err := s.d[0].PutOwner(w.T.Context(), dht.OwnerRecord{Job: job, Epoch: 1}); err != nil {
			w.T.Fatal(err)
		}
		if err := s.d[5].PutOwner(w.T.Context(), dht.OwnerRecord{Job: job, Epoch: 2}); err != nil {
			w.T.Fatal(err)
		}
		if err := s.d[5].Provide(name(1)); err != nil {
			w.T.Fatal(err)
		}
		if r, err := s.d[1].Owner(w.T.Context(), job); err != nil || r.Epoch != 1 {
			w.T.Errorf("this side of the partition believes %+v, %v", r, err)
		}
		w.Heal()
		took := w.Eventually("both sides believe the higher epoch", 3*time.Minute, func() bool {
			for _, d := range s.d {
				if r, err := d.Owner(w.T.Context(), job); err != nil || r.Epoch != 2 {
					return false
				}
			}
			return true
		})
		holders := w.Eventually("a holder of the other side is found", 12*time.Minute, func() bool {
			found, _ := s.d[1].Providers(w.T.Context(), name(1), 2)
			return len(found) == 1
		})
		w.Eventually("the owner that was cut off learns of its successor", 3*time.Minute, func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.lost) == 1 && s.lost[0].Peer == s.p[5].ID && s.lost[0].Epoch == 2
		})
		w.T.Logf("owners agree %s, holders are found %s after the partition", took, holders)
	})
}
