package hosts_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/raygo/raygo/gossip"
	"github.com/raygo/raygo/gossip/topic"
	"github.com/raygo/raygo/simnet/hosts"
)

// teller is a peer on the cluster's topics, with a view of who is in it.
type teller struct {
	*hosts.Peer
	topic *topic.Topic

	mu      sync.Mutex
	view    *gossip.View
	notices []string // who told what
}

// verify checks a signature by the key that is in a peer's ID.
func verify(p string, msg, sig []byte) bool {
	id, err := peer.Decode(p)
	if err != nil {
		return false
	}
	key, err := id.ExtractPublicKey()
	if err != nil {
		return false
	}
	ok, err := key.Verify(msg, sig)
	return ok && err == nil
}

func newTeller(w *hosts.World, p *hosts.Peer) *teller {
	x := &teller{Peer: p, view: gossip.NewView(p.ID.String(), verify)}
	var err error
	x.topic, err = topic.New(topic.Config{Host: p.Host, Cluster: "sim", Advert: x.hear, Notice: x.note})
	if err != nil {
		w.T.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- x.topic.Run(ctx) }()
	p.OnStop(func() { cancel(); <-ran })
	return x
}

func (x *teller) hear(a gossip.Advert) {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, _ = x.view.Put(&a) // what is not signed stays out, and is missed below
}

func (x *teller) note(from string, n topic.Notice) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.notices = append(x.notices, fmt.Sprint(from, " ", n.Kind))
}

// say advertises the peer as it is in its nth version.
func (x *teller) say(w *hosts.World, n uint64) {
	a := &gossip.Advert{Peer: x.ID.String(), Incarnation: 1, Seq: n, Platform: "linux/amd64", Wire: [2]uint16{1, 1}}
	if err := a.Sign(x.Key.Sign); err != nil {
		w.T.Fatal(err)
	}
	x.hear(*a)
	if err := x.topic.SetAdvert(a); err != nil {
		w.T.Fatal(err)
	}
}

// knows counts the peers that x knows in their nth version.
func (x *teller) knows(n uint64) (count int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, a := range x.view.Adverts() {
		if a.Seq == n {
			count++
		}
	}
	return count
}

// compare is anti-entropy with another peer, as the core does it over a link.
func (x *teller) compare(y *teller) {
	x.mu.Lock()
	defer x.mu.Unlock()
	y.mu.Lock()
	defer y.mu.Unlock()
	of := x.view.Differing(y.view.Hashes())
	lacks, newer := x.view.Compare(of, y.view.Stamps(of, 1000))
	for _, a := range lacks {
		_, _ = y.view.Put(a)
	}
	for _, p := range newer {
		_, _ = x.view.Put(y.view.Advert(p))
	}
}

// newTellers are peers of which each is connected to six to eight others.
func newTellers(w *hosts.World, n int) []*teller {
	var all []*teller
	for i := range n {
		all = append(all, newTeller(w, w.Add(fmt.Sprint("peer", i))))
	}
	for i := range all {
		for _, far := range []int{1, 2, 5, 11} {
			connect(w.T, all[i].Peer, all[(i+far)%n].Peer)
		}
	}
	w.Eventually("all hear others", 5*time.Second, func() bool {
		return !slices.ContainsFunc(all, func(x *teller) bool { return x.topic.Neighbours() < 6 })
	})
	return all
}

func TestAdvertsReachAllWithinSeconds(t *testing.T) {
	began := time.Now()
	hosts.Run(t, hosts.Config{Link: hosts.WAN, Seed: 3}, func(w *hosts.World) {
		const n = 30
		all := newTellers(w, n)
		for _, x := range all {
			x.say(w, 1)
		}
		first := w.Eventually("all know all", 5*time.Second, func() bool {
			return !slices.ContainsFunc(all, func(x *teller) bool { return x.knows(1) != n })
		})
		sent := w.SentInAll()
		all[7].say(w, 2)
		second := w.Eventually("all know of a change", 3*time.Second, func() bool {
			return !slices.ContainsFunc(all, func(x *teller) bool { return x.knows(2) != 1 })
		})
		if sent = w.SentInAll() - sent; sent > 400<<10 {
			w.T.Errorf("one advert to %d peers took %d bytes", n, sent)
		}
		if err := all[3].topic.Tell(w.T.Context(), topic.Notice{Kind: topic.Draining, Incarnation: 1}); err != nil {
			w.T.Fatal(err)
		}
		event := w.Eventually("all know of an event", 3*time.Second, func() bool {
			for i, x := range all {
				x.mu.Lock()
				ok := i == 3 || slices.Equal(x.notices, []string{fmt.Sprint(all[3].ID, " ", topic.Draining)})
				x.mu.Unlock()
				if !ok {
					return false
				}
			}
			return true
		})
		w.T.Logf("%d adverts reached all in %s, a change in %s with %d bytes, an event in %s (virtual)", n, first, second, sent, event)
	})
	t.Logf("in %s", time.Since(began).Round(time.Millisecond))
}

// Pubsub does not repeat what was said during a partition: whoever was cut off
// learns it by comparing views, once and through one pair of peers.
func TestAfterAPartitionViewsAreCompared(t *testing.T) {
	hosts.Run(t, hosts.Config{Link: hosts.LAN, Seed: 3}, func(w *hosts.World) {
		const n = 12
		all := newTellers(w, n)
		for _, x := range all {
			x.say(w, 1)
		}
		w.Eventually("all know all", 5*time.Second, func() bool {
			return !slices.ContainsFunc(all, func(x *teller) bool { return x.knows(1) != n })
		})
		names := w.Names()
		w.Partition(names[:n/2], names[n/2:])
		time.Sleep(2 * time.Minute) // connections across break
		all[0].say(w, 2)
		all[n-1].say(w, 2)
		side := func(part []*teller) func() bool {
			return func() bool { return !slices.ContainsFunc(part, func(x *teller) bool { return x.knows(2) < 1 }) }
		}
		w.Eventually("each side knows of its change", 5*time.Second, func() bool { return side(all[:n/2])() && side(all[n/2:])() })
		if a, b := all[1].knows(2), all[n-2].knows(2); a != 1 || b != 1 {
			w.T.Errorf("a change crossed the partition: %d, %d", a, b)
		}
		w.Heal()
		for i := range n / 2 {
			connect(w.T, all[i].Peer, all[n/2+i].Peer)
			all[i].compare(all[n/2+i])
		}
		for i, x := range all {
			if k := x.knows(2); k != 2 {
				w.T.Errorf("peer %d knows %d of 2 changes after comparing", i, k)
			}
		}
		// And what is said now reaches all again.
		all[2].say(w, 3)
		took := w.Eventually("all know of a change", 5*time.Second, func() bool {
			return !slices.ContainsFunc(all, func(x *teller) bool { return x.knows(3) != 1 })
		})
		w.T.Logf("a change reached both sides %s after they were joined", took)
	})
}
