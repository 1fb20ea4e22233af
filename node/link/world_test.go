package link

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

// testHost is a libp2p host that can clear its backoff, as node/host's can.
type testHost struct{ host.Host }

// ClearBackoff is node/host's.
func (h testHost) ClearBackoff(p peer.ID) { h.Network().(*swarm.Swarm).Backoff().Clear(p) }

// newHost makes a host on loopback; listen is a port or 0.
func newHost(t testing.TB, key crypto.PrivKey, port int) testHost {
	t.Helper()
	var h host.Host
	var err error
	until(t, "the port is free", func() bool { // one that was closed a moment ago may linger
		h, err = libp2p.New(libp2p.Identity(key), libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()), libp2p.DisableRelay(), libp2p.DisableMetrics(),
			libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port)), libp2p.ForceReachabilityPublic(), libp2p.DisableIdentifyAddressDiscovery())
		return err == nil
	})
	return testHost{h}
}

func newKey(t testing.TB) crypto.PrivKey {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// keys are n keys in the order of their peers' IDs: 0 opens links to 1.
func keys(t testing.TB, n int) []crypto.PrivKey {
	list := make([]crypto.PrivKey, 0, n)
	id := func(k crypto.PrivKey) peer.ID { p, _ := peer.IDFromPrivateKey(k); return p }
	for range n {
		k := newKey(t)
		at := 0
		for at < len(list) && id(list[at]) < id(k) {
			at++
		}
		list = append(list[:at], append([]crypto.PrivKey{k}, list[at:]...)...)
	}
	return list
}

// event is what a handler was told.
type event struct {
	up     bool
	peer   string
	hello  Hello
	reason string
}

// node is a host with a mesh and a handler that keeps what it hears, and that
// checks the order of what it is told.
type node struct {
	t     testing.TB
	host  testHost
	mesh  *Mesh
	name  string
	addr  string
	close func()

	mu      sync.Mutex
	up      map[string]bool
	events  []event
	frames  map[string][classes][]string
	batches int
	onFrame func(p string, c Class, frames [][]byte) // in the place of keeping
}

func (n *node) Up(p string, h Hello) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.up[p] {
		n.t.Errorf("peer %s is up twice", p)
	}
	n.up[p] = true
	n.events = append(n.events, event{up: true, peer: p, hello: h})
}

func (n *node) Down(p, reason string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.up[p] {
		n.t.Errorf("peer %s is down without being up: %s", p, reason)
	}
	n.up[p] = false
	n.events = append(n.events, event{peer: p, reason: reason})
}

func (n *node) Frames(p string, c Class, frames [][]byte) {
	n.mu.Lock()
	if !n.up[p] {
		n.t.Errorf("frames of peer %s while it is down", p)
	}
	if n.onFrame != nil {
		f := n.onFrame
		n.mu.Unlock()
		f(p, c, frames)
		return
	}
	defer n.mu.Unlock()
	list := n.frames[p]
	for _, f := range frames {
		list[c] = append(list[c], string(f))
	}
	n.frames[p] = list
	n.batches++
}

// got is what arrived from a peer.
func (n *node) got(p string, c Class) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.frames[p][c]
}

// isUp reports whether the handler knows a link to the peer.
func (n *node) isUp(p string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.up[p]
}

// last is the last event of a kind, and how many there were.
func (n *node) last(up bool) (e event, count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, x := range n.events {
		if x.up == up {
			e = x
			count++
		}
	}
	return e, count
}

// newNode makes a running node. change may alter its configuration.
func newNode(t testing.TB, key crypto.PrivKey, port int, change func(*Config)) *node {
	t.Helper()
	return newNodeOn(t, newHost(t, key, port), change)
}

// newNodeOn is newNode on a host.
func newNodeOn(t testing.TB, h testHost, change func(*Config)) *node {
	t.Helper()
	n := &node{t: t, host: h, up: map[string]bool{}, frames: map[string][classes][]string{}}
	n.name = n.host.ID().String()
	n.addr = n.host.Addrs()[0].String() + "/p2p/" + n.name
	cfg := Config{Host: n.host, Handler: n, Hello: Hello{Versions: [2]uint16{1, 1}, Cluster: "test", Incarnation: 1}}
	if os.Getenv("LINK_LOG") != "" {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("self", n.name[len(n.name)-4:])
	}
	if change != nil {
		change(&cfg)
	}
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.mesh = m
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := m.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	n.close = sync.OnceFunc(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Error("the mesh does not end")
		}
		_ = n.host.Close()
		n.mu.Lock()
		defer n.mu.Unlock()
		for p, up := range n.up {
			if up {
				t.Errorf("peer %s is up though the mesh has ended", p)
			}
		}
	})
	t.Cleanup(n.close)
	return n
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not happen that %s", what)
		}
	}
}

// connect joins two nodes.
func connect(t testing.TB, from, to *node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := from.mesh.Connect(ctx, to.addr); err != nil {
		t.Fatalf("connect: %v", err)
	}
	until(t, "both sides know the link", func() bool { return from.isUp(to.name) && to.isUp(from.name) })
}

// pair is two nodes with a link, which the lower or the higher one dialled.
func pair(t testing.TB, change func(*Config)) (a, b *node) {
	t.Helper()
	k := keys(t, 2)
	a, b = newNode(t, k[0], 0, change), newNode(t, k[1], 0, change)
	connect(t, a, b)
	return a, b
}
