package hosts_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"github.com/raygo/raygo/node/link"
	"github.com/raygo/raygo/simnet/hosts"
)

// linked is a peer with a mesh of links; it keeps what its links tell it.
type linked struct {
	*hosts.Peer
	mesh *link.Mesh

	mu     sync.Mutex
	up     map[string]uint64 // incarnation of those that are
	frames map[string][]string
	downs  int
	last   time.Time // of a frame
}

// forgiving clears libp2p's backoff, as node/host does.
type forgiving struct{ host.Host }

// ClearBackoff is node/host's.
func (h forgiving) ClearBackoff(p peer.ID) { h.Network().(*swarm.Swarm).Backoff().Clear(p) }

func newLinked(w *hosts.World, p *hosts.Peer, incarnation uint64) *linked {
	l := &linked{Peer: p, up: map[string]uint64{}, frames: map[string][]string{}}
	m, err := link.New(link.Config{Host: forgiving{p.Host}, Handler: l, Hello: link.Hello{Versions: [2]uint16{1, 1}, Cluster: "sim", Incarnation: incarnation}})
	if err != nil {
		w.T.Fatal(err)
	}
	l.mesh = m
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- m.Run(ctx) }()
	p.OnStop(func() { cancel(); <-ran })
	return l
}

// Up implements link.Handler.
func (l *linked) Up(p string, h link.Hello) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up[p] = h.Incarnation
}

// Down implements link.Handler.
func (l *linked) Down(p string, _ string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.up, p)
	l.downs++
}

// Frames implements link.Handler.
func (l *linked) Frames(p string, _ link.Class, frames [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range frames {
		l.frames[p] = append(l.frames[p], string(f))
	}
	l.last = time.Now()
}

func (l *linked) incarnation(of *linked) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up[of.ID.String()]
}

func (l *linked) got(from *linked) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.frames[from.ID.String()])
}

// keep has each dial the other whenever they have no link.
func keep(w *hosts.World, a, b *linked) {
	for _, x := range [][2]*linked{{a, b}, {b, a}} {
		if err := x[0].mesh.Keep(x[1].ID.String(), x[1].Addr().String()); err != nil {
			w.T.Fatal(err)
		}
	}
}

func both(a, b *linked, incarnation uint64) func() bool {
	return func() bool { return a.incarnation(b) == incarnation && b.incarnation(a) > 0 }
}

func TestABurstOverALinkTakesHalfARoundTrip(t *testing.T) {
	hosts.Run(t, hosts.Config{Link: hosts.Link{Latency: 40 * time.Millisecond}}, func(w *hosts.World) {
		a, b := newLinked(w, w.Add("a"), 1), newLinked(w, w.Add("b"), 1)
		keep(w, a, b)
		w.Eventually("the link is up", 5*time.Second, both(a, b, 1))
		start := time.Now()
		for i := range 200 {
			if err := a.mesh.Send(b.ID.String(), link.Task, fmt.Appendf(nil, "task %d", i)); err != nil {
				w.T.Fatal(err)
			}
		}
		a.mesh.Flush(b.ID.String())
		w.Eventually("all arrive", time.Second, func() bool { return b.got(a) == 200 })
		b.mu.Lock()
		defer b.mu.Unlock()
		if took := b.last.Sub(start); took != 40*time.Millisecond {
			w.T.Errorf("a burst took %s over a way of 40 ms", took)
		}
		for i, f := range b.frames[a.ID.String()] {
			if f != fmt.Sprint("task ", i) {
				w.T.Fatalf("frame %d is %q", i, f)
			}
		}
	})
}

func TestALinkComesBackAfterAPartition(t *testing.T) {
	hosts.Run(t, hosts.Config{Link: hosts.LAN}, func(w *hosts.World) {
		a, b, c := newLinked(w, w.Add("a"), 1), newLinked(w, w.Add("b"), 1), newLinked(w, w.Add("c"), 1)
		keep(w, a, b)
		keep(w, b, c)
		keep(w, a, c)
		w.Eventually("all links are up", 5*time.Second, func() bool { return both(a, b, 1)() && both(b, c, 1)() && both(a, c, 1)() })
		// A short one does no harm.
		w.Partition([]string{"a"})
		if err := a.mesh.Send(b.ID.String(), link.Control, []byte("held back")); err != nil {
			w.T.Fatal(err)
		}
		a.mesh.Flush(b.ID.String())
		time.Sleep(3 * time.Second)
		w.Heal()
		w.Eventually("what was sent meanwhile arrives", time.Second, func() bool { return b.got(a) == 1 })
		if a.downs+b.downs+c.downs != 0 {
			w.T.Errorf("links went down in a partition of 3 s")
		}
		w.Partition([]string{"a"})
		down := w.Eventually("both ends miss each other", 30*time.Second, func() bool {
			return a.incarnation(b) == 0 && b.incarnation(a) == 0 && a.incarnation(c) == 0
		})
		if b.incarnation(c) != 1 {
			w.T.Error("a link on one side of the partition went too")
		}
		time.Sleep(time.Minute)
		w.Heal()
		back := w.Eventually("the links are back", 15*time.Second, func() bool { return both(a, b, 1)() && both(a, c, 1)() })
		w.T.Logf("missed after %s, back %s after the partition", down, back)
	})
}

func TestARestartedPeerHasALinkOfItsNewIncarnation(t *testing.T) {
	hosts.Run(t, hosts.Config{Link: hosts.LAN}, func(w *hosts.World) {
		a, b := newLinked(w, w.Add("a"), 1), newLinked(w, w.Add("b"), 1)
		keep(w, a, b)
		w.Eventually("the link is up", 5*time.Second, both(a, b, 1))
		w.Crash("b")
		time.Sleep(time.Second)
		b = newLinked(w, w.Restart("b"), 2)
		keep(w, a, b)
		took := w.Eventually("the link to the new incarnation is up", 10*time.Second, both(a, b, 2))
		if err := b.mesh.Send(a.ID.String(), link.Task, []byte("again")); err != nil {
			w.T.Fatal(err)
		}
		b.mesh.Flush(a.ID.String())
		w.Eventually("frames pass", time.Second, func() bool { return a.got(b) == 1 })
		w.T.Logf("linked again %s after the restart", took)
		w.Kill("b")
		w.Eventually("the end of a process is seen at once", 100*time.Millisecond, func() bool { return a.incarnation(b) == 0 })
	})
}
