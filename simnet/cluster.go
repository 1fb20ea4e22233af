package simnet

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/raygo/raygo/node"
	"github.com/raygo/raygo/node/member"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
	"github.com/raygo/raygo/simnet/hosts"
)

// SeedVariable replays a seed that Run printed.
const SeedVariable = "RAYGO_SEED"

// Config says what a simulated cluster is like. The zero value is three peers of
// two CPUs on a fast local network.
type Config struct {
	// Seed decides identities, jitter, loss and the choices of the scheduler; 0
	// draws one, which Run prints if the test fails. $RAYGO_SEED comes before
	// both. Goroutines of one process are not scheduled by it: a seed brings back
	// the world, not each interleaving.
	Seed        uint64
	Peers       int     // 3 if it is 0
	CPUsPerPeer float64 // 2 if it is 0
	// Link is between every two peers.
	Latency   time.Duration // of each byte; 200 µs if it is 0, negative for none
	Jitter    time.Duration // at most so much more
	Bandwidth int64         // bytes a second; 0 is no limit
	Loss      float64       // share of writes that have to be sent again, 0 to 1
	// Labels and Resources are those of peer i; nil for none.
	Labels    func(i int) map[string]string
	Resources func(i int) map[string]float64
}

// Link is how the network between two peers is.
type Link struct {
	Latency   time.Duration
	Jitter    time.Duration
	Bandwidth int64
	Loss      float64
}

// Cluster is simulated peers, and the network between them. Use it from the test
// function, and from goroutines that it waits for.
type Cluster struct {
	t     *testing.T
	cfg   Config
	world *hosts.World
	dir   string
	key   string // the cluster's
	peers []*machine
}

// machine is a peer's.
type machine struct {
	name  string
	home  string
	mu    sync.Mutex // guards what is below
	node  *node.Node // nil while it is dead
	stop  context.CancelFunc
	ended chan error
}

// Run makes a cluster, runs test on it in virtual time, and ends it. The
// program's own registered functions run in workers inside this process. In the
// test time stands still while anything is being done, and jumps when nothing
// is: time.Sleep and deadlines are those of the simulation, and real sockets,
// files to wait for and goroutines from outside do not belong. t must be a
// *testing.T.
func Run(t testing.TB, cfg Config, test func(c *Cluster)) {
	t.Helper()
	tt, ok := t.(*testing.T)
	if !ok {
		t.Fatalf("simnet.Run: virtual time is testing/synctest's, which wants a *testing.T, not a %T", t)
	}
	cfg = cfg.complete(t)
	tt.Cleanup(func() {
		if tt.Failed() {
			tt.Logf("simnet: seed %d; run again with %s=%d", cfg.Seed, SeedVariable, cfg.Seed)
		}
	})
	hosts.Run(tt, hosts.Config{Seed: int64(cfg.Seed), Link: hosts.Link{Latency: cfg.Latency, Jitter: cfg.Jitter, Bandwidth: cfg.Bandwidth, Loss: cfg.Loss}}, func(w *hosts.World) {
		c := &Cluster{t: w.T, cfg: cfg, world: w, dir: w.T.TempDir()}
		c.open()
		test(c)
	})
}

func (cfg Config) complete(t testing.TB) Config {
	t.Helper()
	if s := os.Getenv(SeedVariable); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("simnet: $%s is %q, not a seed", SeedVariable, s)
		}
		cfg.Seed = n
	}
	if cfg.Seed == 0 {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		cfg.Seed = binary.BigEndian.Uint64(b[:])>>16 + 1
	}
	if cfg.Peers == 0 {
		cfg.Peers = 3
	}
	if cfg.CPUsPerPeer == 0 {
		cfg.CPUsPerPeer = 2
	}
	switch {
	case cfg.Latency == 0:
		cfg.Latency = 200 * time.Microsecond
	case cfg.Latency < 0:
		cfg.Latency = 0
	}
	if cfg.Peers < 1 || cfg.Peers > 1000 || cfg.CPUsPerPeer < 0 || cfg.Loss < 0 || cfg.Loss >= 1 || cfg.Bandwidth < 0 {
		t.Fatalf("simnet: %+v: want 1 to 1000 peers, CPUs and bandwidth of 0 or more, loss from 0 to below 1", cfg)
	}
	return cfg
}

// open makes the cluster's key and its peers, and waits until they have met.
func (c *Cluster) open() {
	c.t.Helper()
	a, err := member.NewAuthority()
	if err != nil {
		c.t.Fatalf("simnet: make a cluster: %v", err)
	}
	c.key = filepath.Join(c.dir, "cluster.key")
	if err := a.Save(c.key); err != nil {
		c.t.Fatalf("simnet: make a cluster: %v", err)
	}
	for i := range c.cfg.Peers {
		m := &machine{name: fmt.Sprint("peer", i), home: filepath.Join(c.dir, fmt.Sprint(i))}
		c.peers = append(c.peers, m)
		c.start(i)
	}
	c.Meet()
}

// start starts the peer of a machine that is up.
func (c *Cluster) start(i int) {
	c.t.Helper()
	m, p := c.peers[i], c.world.Peer(c.peers[i].name)
	keys := filepath.Join(m.home, "keys")
	raw, err := crypto.MarshalPrivateKey(p.Key)
	if err == nil {
		err = os.MkdirAll(keys, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(keys, "peer.key"), raw, 0o600)
	}
	if err != nil {
		c.t.Fatalf("simnet: peer %d's identity: %v", i, err)
	}
	cfg := node.Config{
		DataDir: m.home, Socket: filepath.Join(m.home, "none.sock"), CPUs: c.cfg.CPUsPerPeer, Memory: 8 << 30, ObjectStoreMemory: 256 << 20,
		HTTP: "off", MemoryHigh: 2, ClusterKeyFile: c.key, Listen: []string{p.Addr().String()}, LoopbackDir: m.home,
		Simulation: &node.Simulation{Transport: p.Transport(), Worker: raygo.ServeOn},
	}
	if i > 0 {
		first := c.world.Peer(c.peers[0].name)
		cfg.Bootstrap = []string{first.Addr().String() + "/p2p/" + first.ID.String()}
	}
	if c.cfg.Labels != nil {
		cfg.Labels = c.cfg.Labels(i)
	}
	if c.cfg.Resources != nil {
		cfg.Resources = c.cfg.Resources(i)
	}
	n, err := node.New(cfg)
	if err != nil {
		c.t.Fatalf("simnet: peer %d: %v", i, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended, ready := make(chan error, 1), make(chan struct{})
	go func() { ended <- n.Run(ctx, func(node.Ready) { close(ready) }) }()
	m.mu.Lock()
	m.node, m.stop, m.ended = n, cancel, ended
	m.mu.Unlock()
	p.OnStop(func() { c.end(i) })
	select {
	case <-ready:
	case err := <-ended:
		c.t.Fatalf("simnet: peer %d ended: %v", i, err)
	}
}

// end stops the peer of a machine and waits for it.
func (c *Cluster) end(i int) {
	m := c.peers[i]
	m.mu.Lock()
	stop, ended := m.stop, m.ended
	m.node, m.stop, m.ended = nil, nil, nil
	m.mu.Unlock()
	if stop == nil {
		return
	}
	stop()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		c.t.Logf("simnet: peer %d ended with: %v", i, err)
	}
}

func (c *Cluster) running(i int) *node.Node {
	c.t.Helper()
	if i < 0 || i >= len(c.peers) {
		c.t.Fatalf("simnet: peer %d of %d", i, len(c.peers))
	}
	m := c.peers[i]
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.node
}

// ID is peer i's, as a libp2p peer ID.
func (c *Cluster) ID(i int) string {
	c.running(i) // checks i
	return c.world.Peer(c.peers[i].name).ID.String()
}

// Driver attaches a driver to peer i and gives a context with its session, which
// ends with the test, or with the peer: then its calls give ErrPeerDied.
func (c *Cluster) Driver(i int, opts ...raygo.InitOption) context.Context {
	c.t.Helper()
	n := c.running(i)
	if n == nil {
		c.t.Fatalf("simnet: a driver for peer %d, which is dead", i)
	}
	var peer *ipc.Conn
	dial := func(context.Context) (mine *ipc.Conn, err error) {
		peer, mine = ipc.Pipe(0)
		n.Attach(peer)
		return mine, nil
	}
	ctx, session, err := raygo.Init(context.Background(), append([]raygo.InitOption{raygo.WithConn(dial), raygo.LogToDriver(false)}, opts...)...)
	if err != nil {
		c.t.Fatalf("simnet: a driver for peer %d: %v", i, err)
	}
	c.world.Peer(c.peers[i].name).OnStop(func() {
		_ = peer.Close()
		// Virtual time goes on when all that runs has come to rest: when the session has
		// seen it, so that its calls say that the peer died.
		time.Sleep(time.Nanosecond)
		_ = session.Close()
	})
	return ctx
}

// Kill ends peer i's process as a power cut would, but that its machine tells
// others that nothing listens there any more.
func (c *Cluster) Kill(i int) {
	c.running(i)
	c.world.Kill(c.peers[i].name)
}

// Restart brings peer i back with its identity and its data directory. What it
// had in memory is gone. It returns when the others see it.
func (c *Cluster) Restart(i int) {
	c.t.Helper()
	if c.running(i) != nil {
		c.Kill(i)
	}
	c.world.Revive(c.peers[i].name)
	c.start(i)
}

// Partition parts the network: peers of different groups do not hear each other,
// and those in no group hear nobody.
func (c *Cluster) Partition(groups ...[]int) {
	c.t.Helper()
	named := make([][]string, len(groups))
	for g, is := range groups {
		for _, i := range is {
			c.running(i)
			named[g] = append(named[g], c.peers[i].name)
		}
	}
	c.world.Partition(named...)
}

// Heal ends a partition.
func (c *Cluster) Heal() { c.world.Heal() }

// SetLink changes the network between two peers, both ways.
func (c *Cluster) SetLink(i, j int, l Link) {
	c.running(i)
	c.running(j)
	c.world.SetLink(c.peers[i].name, c.peers[j].name, hosts.Link(l))
}

// Advance lets time pass.
func (c *Cluster) Advance(d time.Duration) { time.Sleep(d) }

// meetTime bounds how long peers may take to find each other, on bad links too.
const meetTime = 5 * time.Minute

// Meet waits until all peers that run have links with each other.
func (c *Cluster) Meet() {
	c.t.Helper()
	c.world.Eventually("all peers have met", meetTime, func() bool {
		var live []int
		for i := range c.peers {
			if c.running(i) != nil {
				live = append(live, i)
			}
		}
		for _, i := range live {
			linked := c.running(i).Linked()
			for _, j := range live {
				if i != j && !slices.Contains(linked, c.ID(j)) {
					return false
				}
			}
		}
		return true
	})
}
