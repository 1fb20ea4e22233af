package gossip

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// world is some cores that hear each other in virtual time.
type world struct {
	t     testing.TB
	now   time.Time
	rng   *rand.Rand
	peers []*member
	by    map[string]*member
	q     occasions
	seq   int
	lag   time.Duration
	loss  float64
	bytes int
	dead  map[string]map[string]time.Time // who was judged dead by whom, when
}

type member struct {
	w      *world
	id     string
	c      *Core
	gone   bool
	asleep bool
	alarm  time.Time
}

type occasion struct {
	at  time.Time
	seq int
	do  func()
}
type occasions []occasion

func (q occasions) Len() int { return len(q) }
func (q occasions) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].seq < q[j].seq
}
func (q occasions) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *occasions) Push(x any)   { *q = append(*q, x.(occasion)) }
func (q *occasions) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

// newWorld links n peers, each with up to 32 others.
func newWorld(t testing.TB, n int) *world {
	w := &world{t: t, now: time.Unix(1000, 0), rng: rand.New(rand.NewPCG(1, uint64(n))), by: map[string]*member{}, lag: time.Millisecond, dead: map[string]map[string]time.Time{}}
	trust := func(string, []byte, []byte) bool { return true }
	for i := range n {
		m := &member{w: w, id: fmt.Sprint("p", i)}
		m.c = New(Config{Self: m.id, Incarnation: 1, Seed: uint64(i), Verify: trust})
		w.peers, w.by[m.id] = append(w.peers, m), m
	}
	for i, m := range w.peers {
		m.step(&SelfAdvert{Advert{Peer: m.id, Incarnation: 1, Seq: 1, Addrs: []string{"/ip4/127.0.0.1/tcp/4001"}, Platform: "linux/amd64"}})
		for k := 1; k <= min(n-1, 16); k++ {
			j := (i + k) % n
			if n > 33 && k > 8 {
				j = (i + k*n/17) % n
			}
			w.link(m, w.peers[j])
		}
	}
	return w
}

func (w *world) link(a, b *member) {
	if a == b || a.c.links[b.id] {
		return
	}
	a.step(&LinkUp{Peer: b.id, Incarnation: 1})
	b.step(&LinkUp{Peer: a.id, Incarnation: 1})
}

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.q, occasion{w.now.Add(d), w.seq, do})
}

func (w *world) run(until time.Time) {
	for len(w.q) > 0 && !w.q[0].at.After(until) {
		o := heap.Pop(&w.q).(occasion)
		w.now = o.at
		o.do()
	}
	w.now = until
}

func (m *member) step(ev Event) {
	w := m.w
	if m.gone || m.asleep {
		return
	}
	for _, e := range append([]Effect(nil), m.c.Step(w.now, ev)...) {
		switch e := e.(type) {
		case *Send:
			w.bytes += len(e.Bytes)
			lag := w.lag
			if w.rng.Float64() < w.loss {
				lag += 200 * time.Millisecond // sent again
			}
			w.after(lag, func() { w.by[e.To].step(&Frame{From: m.id, Bytes: e.Bytes}) })
		case *Judged:
			if e.Health == Gone {
				if w.dead[e.Peer] == nil {
					w.dead[e.Peer] = map[string]time.Time{}
				}
				w.dead[e.Peer][m.id] = w.now
			}
		}
	}
	if next := m.c.Next(); m.alarm != next {
		m.alarm = next
		w.after(max(0, next.Sub(w.now)), func() {
			if m.alarm.Equal(next) {
				m.step(&Tick{})
			}
		})
	}
}

// wake lets a peer that slept go on.
func (m *member) wake() {
	m.asleep = false
	m.step(&Tick{})
}

func (w *world) linkedTo(p *member) (out []*member) {
	for _, m := range w.peers {
		if m != p && !m.gone && m.c.links[p.id] {
			out = append(out, m)
		}
	}
	return out
}

// Everybody comes to know everybody, also over others.
func TestAdvertsReachAll(t *testing.T) {
	for _, n := range []int{2, 10, 100} {
		w := newWorld(t, n)
		w.run(w.now.Add(40 * time.Second))
		for _, m := range w.peers {
			if got := len(m.c.View().Adverts()); got != n {
				t.Fatalf("%d peers: %s knows %d", n, m.id, got)
			}
		}
	}
}

// A dead peer is named within five seconds, whether its links break or not, and
// nobody else is.
func TestDeathIsNoticed(t *testing.T) {
	for _, n := range []int{3, 50, 100} {
		for _, broken := range []bool{false, true} {
			w := newWorld(t, n)
			w.loss = 0.05
			w.run(w.now.Add(20 * time.Second))
			victim := w.peers[n/2]
			died := w.now
			watchers := w.linkedTo(victim)
			victim.gone = true
			if broken {
				for _, m := range watchers {
					m.step(&LinkDown{Peer: victim.id, Refused: true})
				}
			}
			w.run(w.now.Add(20 * time.Second))
			for _, m := range watchers {
				at, ok := w.dead[victim.id][m.id]
				limit := 5500 * time.Millisecond
				if broken {
					limit = 1500 * time.Millisecond
				}
				if !ok || at.Sub(died) > limit {
					t.Fatalf("%d peers, links broken %v: %s noticed %v after %s", n, broken, m.id, ok, at.Sub(died))
				}
			}
			if len(w.dead) != 1 {
				t.Fatalf("%d peers were judged dead: %v", len(w.dead), w.dead)
			}
		}
	}
}

// A machine that is starved for a while condemns nobody, and is not condemned by
// those that were patient enough.
func TestStarvedMachineStandsAside(t *testing.T) {
	w := newWorld(t, 20)
	w.run(w.now.Add(10 * time.Second))
	for range 5 {
		slow := w.peers[3]
		slow.asleep = true
		w.run(w.now.Add(3 * time.Second)) // shorter than death
		slow.wake()
		w.run(w.now.Add(3 * time.Second))
	}
	if len(w.dead) > 0 {
		t.Fatalf("judged dead: %v", w.dead)
	}
}

// A peer that stops for longer than death and comes back is dead, then back.
func TestFalseDeath(t *testing.T) {
	w := newWorld(t, 5)
	w.run(w.now.Add(10 * time.Second))
	p := w.peers[2]
	p.asleep = true
	w.run(w.now.Add(10 * time.Second))
	if len(w.dead[p.id]) != 4 {
		t.Fatalf("judged dead by %v", w.dead[p.id])
	}
	p.asleep = false
	for _, m := range w.peers {
		if m != p {
			p.step(&LinkDown{Peer: m.id})
		}
	}
	for _, m := range w.peers {
		if m != p {
			w.link(m, p)
		}
	}
	w.run(w.now.Add(15 * time.Second))
	for _, m := range w.peers {
		if m != p {
			if h, ok := m.c.Health(p.id); !ok || h != Alive || m.c.View().Advert(p.id) == nil {
				t.Fatalf("%s thinks %v %v of it, advert %v", m.id, h, ok, m.c.View().Advert(p.id))
			}
		}
	}
}

// BenchmarkBytes is what gossip sends for each peer and second; it must not grow
// with the cluster.
func BenchmarkBytes(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("peers=%d", n), func(b *testing.B) {
			if n > 100 && testing.Short() {
				b.Skip("it takes minutes")
			}
			for b.Loop() {
				w := newWorld(b, n)
				w.run(w.now.Add(60 * time.Second)) // everybody knows everybody
				w.bytes = 0
				const span = 60
				w.run(w.now.Add(span * time.Second))
				b.ReportMetric(float64(w.bytes)/float64(n)/span, "bytes/peer/s")
			}
		})
	}
}
