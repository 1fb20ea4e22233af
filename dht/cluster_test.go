package dht

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multihash"
)

// cluster is some peers on 127.0.0.1 that share a failure detector.
type cluster struct {
	t     testing.TB
	peers []*DHT

	mu   sync.Mutex
	dead map[peer.ID]bool
}

func newHost(t testing.TB) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.Transport(tcp.NewTCPTransport),
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.ForceReachabilityPublic(), libp2p.DisableIdentifyAddressDiscovery())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// newCluster starts n peers that know the first one as a member, and waits
// until each has met as many as there are, or as a bucket holds.
func newCluster(t testing.TB, n int, edit ...func(*Config)) *cluster {
	t.Helper()
	c := &cluster{t: t, dead: map[peer.ID]bool{}}
	for range n {
		c.add(edit...)
	}
	for i, d := range c.peers {
		eventually(t, fmt.Sprintf("peer %d has company", i), func() bool { return d.Stats().Peers >= min(n-1, 6) })
	}
	return c
}

func (c *cluster) add(edit ...func(*Config)) *DHT {
	c.t.Helper()
	h := newHost(c.t)
	cfg := Config{Host: h, Cluster: "test", Alive: c.alive}
	if len(c.peers) > 0 {
		first := peer.AddrInfo{ID: c.peers[0].self, Addrs: c.peers[0].cfg.Host.Addrs()}
		cfg.Members = func() []peer.AddrInfo { return []peer.AddrInfo{first} }
	}
	for _, f := range edit {
		f(&cfg)
	}
	d, err := New(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	c.peers = append(c.peers, d)
	start(c.t, d)
	return d
}

// start runs a DHT until the test ends.
func start(t testing.TB, d *DHT) {
	ran := make(chan error, 1)
	go func() { ran <- d.Run(context.Background()) }()
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ran; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
		_ = d.cfg.Host.Close()
	})
}

func (c *cluster) alive(p peer.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.dead[p]
}

// kill is what a failure detector does about a dead peer.
func (c *cluster) kill(p peer.ID) {
	c.mu.Lock()
	c.dead[p] = true
	c.mu.Unlock()
	for _, d := range c.peers {
		if d.self != p {
			_ = d.cfg.Host.Network().ClosePeer(p)
			d.Remove(p)
		}
	}
}

// key is the name of some bytes.
func key(i int) cid.Cid {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("test"), uint64(i)))
	mh, err := multihash.Encode(sum[:], multihash.SHA2_256)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.Raw, mh)
}

// eventually waits until something is so.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("after 20 s not yet so: %s", what)
		}
		time.Sleep(2 * time.Millisecond) // between looks at what another goroutine does
	}
}

// said waits until a peer has announced all that it holds.
func said(t testing.TB, d *DHT) {
	t.Helper()
	eventually(t, "all is announced", func() bool { return d.Stats().Queued == 0 })
}
