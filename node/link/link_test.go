package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/prometheus/client_golang/prometheus"
)

// Whoever dials, both sides have one link, know each other's hello, and frames
// of both classes go both ways in order.
func TestFramesGoBothWaysInOrder(t *testing.T) {
	for name, first := range map[string]int{"the lower dials": 0, "the higher dials": 1} {
		t.Run(name, func(t *testing.T) {
			k := keys(t, 2)
			n := [2]*node{newNode(t, k[0], 0, nil), newNode(t, k[1], 0, func(c *Config) {
				c.Hello.Versions, c.Hello.Advert, c.Hello.Addrs = [2]uint16{1, 3}, []byte("four CPUs"), []string{"/ip4/127.0.0.1/tcp/1"}
			})}
			connect(t, n[first], n[1-first])
			for from, a := range n {
				b := n[1-from]
				var want [classes][]string
				for c := range classes {
					for i := range 1000 {
						f := strings.Repeat(fmt.Sprintf("%v %d from %d;", c, i, from), i%50)
						want[c] = append(want[c], f)
						if err := a.mesh.Send(b.name, c, []byte(f)); err != nil {
							t.Fatal(err)
						}
						if i%10 == 0 {
							a.mesh.Flush(b.name)
						}
					}
					big := strings.Repeat("x", MaxFrame)
					want[c] = append(want[c], big)
					if err := a.mesh.Send(b.name, c, []byte(big)); err != nil {
						t.Fatal(err)
					}
				}
				a.mesh.Flush(b.name)
				for c := range classes {
					until(t, "all frames arrive", func() bool { return len(b.got(a.name, c)) == len(want[c]) })
					for i, f := range b.got(a.name, c) {
						if f != want[c][i] {
							t.Fatalf("frame %d of class %v is not what was sent", i, c)
						}
					}
				}
			}
			e, ups := n[0].last(true)
			if ups != 1 || string(e.hello.Advert) != "four CPUs" || e.hello.Version != 1 || len(e.hello.Addrs) != 1 || e.hello.Peer != n[1].name {
				t.Errorf("up %d times, last with %+v", ups, e.hello)
			}
		})
	}
}

// A burst that is flushed once arrives in few batches.
func TestABurstTravelsTogether(t *testing.T) {
	a, b := pair(t, nil)
	for range 500 {
		if err := a.mesh.Send(b.name, Task, []byte("a task of some forty bytes, more or less")); err != nil {
			t.Fatal(err)
		}
	}
	a.mesh.Flush(b.name)
	until(t, "all arrive", func() bool { return len(b.got(a.name, Task)) == 500 })
	if b.batches > 20 {
		t.Errorf("500 frames came in %d batches", b.batches)
	}
}

// Peers that dial each other at the same time have one link.
func TestPeersThatDialEachOtherHaveOneLink(t *testing.T) {
	k := keys(t, 2)
	for range 5 {
		a, b := newNode(t, k[0], 0, nil), newNode(t, k[1], 0, nil)
		errs := make(chan error, 2)
		go func() { errs <- a.mesh.Connect(t.Context(), b.addr) }()
		go func() { errs <- b.mesh.Connect(t.Context(), a.addr) }()
		for range 2 {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range []*node{a, b} {
			if _, ups := n.last(true); ups != 1 {
				t.Errorf("%d links came up", ups)
			}
			if _, downs := n.last(false); downs != 0 {
				t.Errorf("%d links went down", downs)
			}
		}
		a.close()
		b.close()
	}
}

// behaviour 233: peers of two wire versions take the newest both speak.
func TestTheNewestCommonVersionIsTaken(t *testing.T) {
	for _, c := range []struct {
		a, b [2]uint16
		want uint16
	}{{[2]uint16{1, 3}, [2]uint16{2, 5}, 3}, {[2]uint16{4, 9}, [2]uint16{1, 4}, 4}, {[2]uint16{1, 2}, [2]uint16{3, 4}, 0}, {[2]uint16{3, 4}, [2]uint16{1, 2}, 0}} {
		got, ok := Negotiate(c.a, c.b)
		if ok != (c.want != 0) || ok && got != c.want {
			t.Errorf("%v and %v: %d, %v; want %d", c.a, c.b, got, ok, c.want)
		}
	}
}

// behaviour 233: peers without a common version refuse at join, and both sides
// name both.
func TestWithoutACommonVersionBothSidesNameBoth(t *testing.T) {
	for first := range 2 {
		k := keys(t, 2)
		n := [2]*node{
			newNode(t, k[0], 0, func(c *Config) { c.Hello.Versions = [2]uint16{1, 2} }),
			newNode(t, k[1], 0, func(c *Config) { c.Hello.Versions = [2]uint16{3, 4} }),
		}
		if err := n[1-first].mesh.Keep(n[first].name); err != nil { // the other side wants to know too
			t.Fatal(err)
		}
		err := n[first].mesh.Connect(t.Context(), n[1-first].addr)
		if !errors.Is(err, ErrVersion) || !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "1 to 2") || !strings.Contains(err.Error(), "3 to 4") {
			t.Fatalf("connecting ends with %v", err)
		}
		var text string
		until(t, "the other side knows why", func() bool {
			for _, s := range n[1-first].mesh.Peers() {
				text = s.Err
			}
			return strings.Contains(text, "1 to 2") && strings.Contains(text, "3 to 4")
		})
		for _, x := range n {
			if _, ups := x.last(true); ups != 0 {
				t.Error("a link came up")
			}
		}
	}
}

// Peers of two clusters, and those that Admit does not want, get no link.
func TestStrangersAreRefused(t *testing.T) {
	k := keys(t, 2)
	a := newNode(t, k[0], 0, nil)
	b := newNode(t, k[1], 0, func(c *Config) { c.Hello.Cluster = "other" })
	if err := a.mesh.Connect(t.Context(), b.addr); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "cluster other") {
		t.Fatalf("connecting to another cluster ends with %v", err)
	}
	k = keys(t, 2)
	a = newNode(t, k[0], 0, nil)
	b = newNode(t, k[1], 0, func(c *Config) { c.Admit = func(network.Conn) error { return errors.New("readers have no links") } })
	if err := a.mesh.Connect(t.Context(), b.addr); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "readers have no links") {
		t.Fatalf("connecting without a role ends with %v", err)
	}
}

// A peer that is killed is down at once; started again at the same address it
// is a new incarnation, and its link is up again soon. The old one is refused.
func TestAPeerThatRestartsIsANewIncarnation(t *testing.T) {
	k := keys(t, 2)
	for first := range 2 {
		a, b := newNode(t, k[first], 0, nil), newNode(t, k[1-first], 0, nil)
		if err := a.mesh.Keep(b.name, b.addr); err != nil {
			t.Fatal(err)
		}
		until(t, "the kept peer is up", func() bool { return a.isUp(b.name) && b.isUp(a.name) })
		port := portOf(t, b)
		began := time.Now()
		_ = b.host.Close() // as when the process is killed: connections break
		until(t, "the link is down", func() bool { return !a.isUp(b.name) })
		if d := time.Since(began); d > time.Second {
			t.Errorf("a broken connection was noticed after %s", d)
		}
		b.close()
		b = newNode(t, k[1-first], port, func(c *Config) { c.Hello.Incarnation = 7 })
		began = time.Now()
		until(t, "the link is up again", func() bool { return a.isUp(b.name) })
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("a restarted peer was found again after %s", d)
		}
		if e, ups := a.last(true); ups != 2 || e.hello.Incarnation != 7 {
			t.Errorf("after %d links the peer's incarnation is %d", ups, e.hello.Incarnation)
		}
		b.close()
		b = newNode(t, k[1-first], port, func(c *Config) { c.Hello.Incarnation = 3 })
		err := b.mesh.Connect(t.Context(), a.addr)
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "incarnation 3") {
			t.Errorf("an incarnation that is over is answered with %v", err)
		}
		a.close()
		b.close()
	}
}

func portOf(t testing.TB, n *node) (port int) {
	t.Helper()
	if _, err := fmt.Sscanf(n.host.Addrs()[0].String(), "/ip4/127.0.0.1/tcp/%d", &port); err != nil {
		t.Fatal(err)
	}
	return port
}

// Drop ends the link on both sides, with the reason; a kept peer comes back.
func TestADroppedPeerKnowsWhyAndComesBack(t *testing.T) {
	a, b := pair(t, nil)
	if err := b.mesh.Keep(a.name, a.addr); err != nil {
		t.Fatal(err)
	}
	a.mesh.Drop(b.name, "it seemed dead")
	until(t, "both are down", func() bool {
		_, x := a.last(false)
		_, y := b.last(false)
		return x == 1 && y == 1
	})
	if e, _ := a.last(false); e.reason != "it seemed dead" {
		t.Errorf("here it is down because %q", e.reason)
	}
	if e, _ := b.last(false); !strings.Contains(e.reason, "it seemed dead") {
		t.Errorf("there it is down because %q", e.reason)
	}
	if err := a.mesh.Send("nobody", Task, nil); !errors.Is(err, ErrDown) {
		t.Errorf("sending to nobody: %v", err)
	}
	until(t, "it is back", func() bool { return a.isUp(b.name) && b.isUp(a.name) })
}

// A peer that does not read costs a bounded buffer here: Send says when it is
// full, blocks nobody, and in the end the link goes.
func TestASlowReaderIsBounded(t *testing.T) {
	stuck := make(chan struct{})
	registry := prometheus.NewRegistry()
	k := keys(t, 2)
	a := newNode(t, k[0], 0, func(c *Config) {
		c.MaxQueue, c.Silence, c.Registerer = [2]int{1 << 20, 1 << 20}, time.Second, registry
	})
	b := newNode(t, k[1], 0, nil)
	b.onFrame = func(string, Class, [][]byte) { <-stuck }
	defer close(stuck)
	connect(t, a, b)
	frame := make([]byte, 64<<10)
	began := time.Now()
	var err error
	sent := 0
	for ; err == nil && sent < 1000; sent++ {
		err = a.mesh.Send(b.name, Task, frame)
		a.mesh.Flush(b.name)
	}
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "1048576") {
		t.Fatalf("after %d frames sending ends with %v", sent, err)
	}
	if d := time.Since(began); d > time.Second {
		t.Errorf("sending took %s", d)
	}
	if s := a.mesh.Peers()[0]; s.Queued[Task] > 1<<20 {
		t.Errorf("%d bytes wait", s.Queued[Task])
	}
	if err := a.mesh.Send(b.name, Control, []byte("still")); err != nil {
		t.Errorf("the other class: %v", err)
	}
	a.mesh.Flush(b.name)
	until(t, "the link goes", func() bool { return !a.isUp(b.name) })
	// A busy machine may find the silence first: either is about the reader.
	if e, _ := a.last(false); !strings.Contains(e.reason, "did not read") && !strings.Contains(e.reason, "nothing was heard") {
		t.Errorf("it went because %q", e.reason)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, f := range families {
		if f.GetName() == "raygo_link_full_total" {
			for _, m := range f.GetMetric() {
				found = found || m.GetCounter().GetValue() > 0
			}
		}
	}
	if !found {
		t.Error("no metric says that frames found no room")
	}
	if used := a.mesh.budget.used.Load(); used != 0 {
		t.Errorf("%d bytes are still counted as waiting", used)
	}
}

// Round trips are measured, and bytes counted.
func TestStatusHasRoundTripsAndBytes(t *testing.T) {
	a, b := pair(t, func(c *Config) { c.Ping = 20 * time.Millisecond })
	for range 10 {
		if err := a.mesh.Send(b.name, Task, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	a.mesh.Flush(b.name)
	var s Status
	until(t, "there is a round trip", func() bool {
		s = a.mesh.Peers()[0]
		return s.RTT > 0 && s.FramesOut == 10
	})
	if !s.Up || s.Peer != b.name || s.BytesOut < 10_000 || s.RTTMin > s.RTT || s.RTT > time.Second || s.Addr == "" || s.Relayed {
		t.Errorf("status is %+v", s)
	}
	until(t, "it arrives", func() bool { return b.mesh.Peers()[0].FramesIn == 10 })
}

// Bulk streams go to whoever has a link, are bounded, and end with the link.
func TestBulkStreamsAreBoundedAndEndWithTheLink(t *testing.T) {
	k := keys(t, 2)
	a := newNode(t, k[0], 0, func(c *Config) { c.MaxBulk = 3 })
	b := newNode(t, k[1], 0, func(c *Config) {
		c.Bulk = func(_ string, s network.Stream) { _, _ = io.Copy(s, s) }
	})
	if _, err := a.mesh.OpenBulk(t.Context(), b.name); !errors.Is(err, ErrDown) {
		t.Fatalf("without a link: %v", err)
	}
	connect(t, a, b)
	var open []network.Stream
	for range 3 {
		s, err := a.mesh.OpenBulk(t.Context(), b.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte("block")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(s, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		open = append(open, s)
	}
	if _, err := a.mesh.OpenBulk(t.Context(), b.name); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "at most 3") {
		t.Fatalf("a fourth: %v", err)
	}
	_ = open[0].Close()
	_ = open[0].Close()
	s, err := a.mesh.OpenBulk(t.Context(), b.name)
	if err != nil {
		t.Fatal(err)
	}
	if st := a.mesh.Peers()[0]; st.Bulk != 3 || st.BytesIn < 15 {
		t.Errorf("status is %+v", st)
	}
	b.mesh.Drop(a.name, "enough")
	_ = s.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := s.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a stream of a link that went reads %v", err)
	}
}

// A mesh holds no more links than it may.
func TestLinksAreBounded(t *testing.T) {
	k := keys(t, 3)
	a := newNode(t, k[2], 0, func(c *Config) { c.MaxLinks = 1 })
	b, c := newNode(t, k[0], 0, nil), newNode(t, k[1], 0, nil)
	connect(t, b, a)
	if err := c.mesh.Connect(t.Context(), a.addr); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "at most 1") {
		t.Fatalf("a second link: %v", err)
	}
	if err := a.mesh.Keep(b.name); err != nil {
		t.Fatal(err)
	}
	if err := a.mesh.Keep(c.name); !errors.Is(err, ErrFull) {
		t.Fatalf("keeping more than may be: %v", err)
	}
}

// An address without an ID, of nobody, or of this peer is refused in words.
func TestConnectSaysWhatWasTried(t *testing.T) {
	k := keys(t, 2)
	a := newNode(t, k[0], 0, func(c *Config) { c.Dial = time.Second })
	if err := a.mesh.Connect(t.Context(), "/ip4/127.0.0.1/tcp/1"); err == nil || !strings.Contains(err.Error(), "/p2p/") {
		t.Errorf("without an ID: %v", err)
	}
	if err := a.mesh.Connect(t.Context(), a.addr); err == nil || !strings.Contains(err.Error(), "this peer") {
		t.Errorf("itself: %v", err)
	}
	id, err := peer.IDFromPrivateKey(k[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := a.mesh.Connect(t.Context(), "/ip4/127.0.0.1/tcp/1/p2p/"+id.String()); err == nil || !strings.Contains(err.Error(), "/ip4/127.0.0.1/tcp/1") {
		t.Errorf("nobody: %v", err)
	}
}

// A handler that takes its time does not cost the link, however long.
func TestASlowHandlerDoesNotCostTheLink(t *testing.T) {
	k := keys(t, 2)
	a := newNode(t, k[0], 0, func(c *Config) { c.Ping = 20 * time.Millisecond })
	b := newNode(t, k[1], 0, func(c *Config) { c.Silence, c.Ping = 300*time.Millisecond, 20*time.Millisecond })
	stuck := make(chan struct{})
	b.onFrame = func(string, Class, [][]byte) { <-stuck }
	connect(t, a, b)
	if err := a.mesh.Send(b.name, Control, []byte("think")); err != nil {
		t.Fatal(err)
	}
	a.mesh.Flush(b.name)
	var busy time.Time
	until(t, "it has thought for longer than Silence", func() bool {
		handling := b.mesh.find(a.name) != nil && b.mesh.find(a.name).ins[Control].handling.Load()
		if handling && busy.IsZero() {
			busy = time.Now()
		}
		return !busy.IsZero() && time.Since(busy) > 800*time.Millisecond
	})
	close(stuck)
	if _, downs := b.last(false); downs != 0 {
		t.Error("the link went down")
	}
}

// Peers that all keep each other have one link per pair, soon, and keep it.
func TestAFullMeshHasOneLinkPerPair(t *testing.T) {
	const peers = 10
	var nodes []*node
	for _, k := range keys(t, peers) {
		nodes = append(nodes, newNode(t, k, 0, nil))
	}
	began := time.Now()
	for _, a := range nodes {
		for _, b := range nodes {
			if err := a.mesh.Keep(b.name, b.addr); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, a := range nodes {
		for _, b := range nodes {
			until(t, "all links are up", func() bool { return a == b || a.isUp(b.name) })
		}
	}
	t.Logf("after %s", time.Since(began))
	for _, a := range nodes {
		if _, ups := a.last(true); ups != peers-1 {
			t.Errorf("%d links came up for %d peers", ups, peers-1)
		}
		if e, downs := a.last(false); downs != 0 {
			t.Errorf("%d links went down, the last because %s", downs, e.reason)
		}
		// Two peers that dial each other at the same moment keep both connections.
		if n := len(a.host.Network().Conns()); n > 2*(peers-1) {
			t.Errorf("%d connections for %d links", n, peers-1)
		}
	}
}

// Links are the same over QUIC.
func TestLinksWorkOverQUIC(t *testing.T) {
	var n [2]*node
	for i, key := range keys(t, 2) {
		h, err := libp2p.New(libp2p.Identity(key), libp2p.Transport(libp2pquic.NewTransport), libp2p.DisableRelay(), libp2p.DisableMetrics(),
			libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"), libp2p.ForceReachabilityPublic(), libp2p.DisableIdentifyAddressDiscovery())
		if err != nil {
			t.Fatal(err)
		}
		n[i] = newNodeOn(t, testHost{h}, nil)
	}
	connect(t, n[1], n[0])
	for from, a := range n {
		b := n[1-from]
		for i := range 2000 {
			if err := a.mesh.Send(b.name, Task, fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", 500))); err != nil {
				t.Fatal(err)
			}
			a.mesh.Flush(b.name)
		}
		until(t, "all arrive", func() bool { return len(b.got(a.name, Task)) == 2000 })
	}
	n[0].mesh.Drop(n[1].name, "enough")
	until(t, "both are down", func() bool { return !n[0].isUp(n[1].name) && !n[1].isUp(n[0].name) })
	// The reason is the last thing said; QUIC may reset the stream before it is read.
	if e, _ := n[1].last(false); !strings.Contains(e.reason, "enough") && !strings.Contains(e.reason, "the link broke") {
		t.Errorf("it is down because %q", e.reason)
	}
}
