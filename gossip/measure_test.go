package gossip

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// newCluster are n peers with names as long as real ones, each linked to every
// other as a small cluster is, or to some as a large one, which have found each
// other.
func newCluster(t testing.TB, n int, full bool) *world {
	t.Helper()
	w := newWorld(t, 0)
	for i := range n {
		m := &member{w: w, id: fmt.Sprintf("12D3KooW%s%04d", strings.Repeat("x", 40), i)}
		m.c = New(Config{Self: m.id, Incarnation: 1, Seed: uint64(i), Verify: func(string, []byte, []byte) bool { return true }})
		m.step(&SelfAdvert{Advert{Peer: m.id, Incarnation: 1, Seq: 1, Addrs: []string{"/ip4/127.0.0.1/tcp/4001/p2p/" + m.id}, Platform: "linux/amd64", Sig: make([]byte, 64)}})
		w.peers, w.by[m.id] = append(w.peers, m), m
	}
	for i, m := range w.peers {
		for k := i + 1; full && k < n; k++ {
			w.link(m, w.peers[k])
		}
		for k := 1; !full && k <= 16; k++ {
			w.link(m, w.peers[(i+k*k)%n])
		}
	}
	return w
}

// busy has every peer change its load every so often.
func (w *world) busy(every time.Duration) {
	for i, m := range w.peers {
		queued := uint32(0)
		var change func()
		change = func() {
			queued++
			m.step(&SelfLoad{Free: int64(queued % 8), Queued: queued})
			w.after(every, change)
		}
		w.after(every*time.Duration(i)/time.Duration(len(w.peers)), change)
	}
}

// BenchmarkCost is what gossip sends for each peer and second, with names of a
// real length, when nothing happens and when every load changes all the time, and
// the age of what a peer then knows of another's load.
func BenchmarkCost(b *testing.B) {
	for _, c := range []struct {
		n    int
		full bool
		busy bool
	}{{10, true, false}, {10, true, true}, {100, true, false}, {100, true, true}, {1000, false, false}, {1000, false, true}} {
		if c.n > 100 && testing.Short() {
			continue // minutes
		}
		b.Run(fmt.Sprintf("peers=%d/full=%v/busy=%v", c.n, c.full, c.busy), func(b *testing.B) {
			for b.Loop() {
				w := newCluster(b, c.n, c.full)
				if c.busy {
					w.busy(500 * time.Millisecond)
				}
				w.run(w.now.Add(30 * time.Second))
				w.bytes = 0
				const span = 20
				w.run(w.now.Add(span * time.Second))
				b.ReportMetric(float64(w.bytes)/float64(c.n)/span, "bytes/peer/s")
				if c.busy {
					ages := w.ages(500 * time.Millisecond)
					b.ReportMetric(ages[len(ages)/2].Seconds(), "age-p50-s")
					b.ReportMetric(ages[len(ages)*99/100].Seconds(), "age-p99-s")
				}
			}
		})
	}
}

// ages are how old what a few peers know of all loads is, in order.
func (w *world) ages(every time.Duration) (ages []time.Duration) {
	for i := range min(10, len(w.peers)) {
		at := w.peers[i*len(w.peers)/min(10, len(w.peers))]
		for _, m := range w.peers {
			if l := at.c.View().Load(m.id); l != nil && m != at {
				ages = append(ages, time.Duration(m.c.own.Queued-l.Queued)*every)
			}
		}
	}
	slices.Sort(ages)
	return ages
}
