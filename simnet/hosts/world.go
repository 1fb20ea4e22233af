package hosts

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

// port is where every peer listens, on an address of its own.
const port = 8000

// Config says what the world is like.
type Config struct {
	Link Link  // between peers without a link of their own; zero: no latency
	Seed int64 // of identities, jitter and loss
	// Secure has hosts of Add use TLS. Without it they tell each other who they
	// are and are believed, which is several times cheaper.
	Secure bool
}

// World is some peers and the wire between them. Its methods are safe for
// concurrent use within Run.
type World struct {
	T   *testing.T // the test inside the bubble: its Context, Fatal and Cleanup are the ones to use
	cfg Config

	mu     sync.Mutex
	rand   *rand.Rand
	peers  []*Peer
	names  map[string]*Peer
	byAddr map[string]*Peer // by multiaddr
	links  map[pair]Link
	busy   map[pair]time.Time
	bytes  map[pair]int64
	ends   map[*end]bool
}

// state is how a peer's machine answers.
type state int

const (
	up      state = iota
	killed        // the process is gone, the machine refuses in its place
	crashed       // nothing answers
)

// Peer is one machine with one libp2p host.
type Peer struct {
	Name string
	Key  crypto.PrivKey
	ID   peer.ID
	Host host.Host // as Add or Restart made it; nil for a peer of Options

	w        *World
	ip       net.IP
	addr     ma.Multiaddr
	life     int
	state    state
	group    int
	port     int
	listener *listener
	stop     []func()
}

// Run runs f in a world of its own, in virtual time. All hosts are closed after
// it, and goroutines that are left a minute later fail the test.
func Run(t *testing.T, cfg Config, f func(w *World)) {
	t.Helper()
	if raceEnabled { // the race detector loses its place among many threads of one bubble: golang/go #78156
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}
	synctest.Test(t, func(t *testing.T) {
		w := &World{
			T: t, cfg: cfg, rand: rand.New(rand.NewPCG(uint64(cfg.Seed), 1)),
			names: map[string]*Peer{}, byAddr: map[string]*Peer{}, links: map[pair]Link{},
			busy: map[pair]time.Time{}, bytes: map[pair]int64{}, ends: map[*end]bool{},
		}
		defer func() {
			for _, p := range w.all() {
				p.close()
			}
			time.Sleep(time.Minute) // virtual: what is winding down ends
		}()
		f(w)
	})
}

func (w *World) all() []*Peer {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*Peer(nil), w.peers...)
}

// peer finds a peer by name; w.mu is held.
func (w *World) peer(name string) *Peer {
	p := w.names[name]
	if p == nil {
		panic(fmt.Sprintf("hosts: no peer has the name %q", name))
	}
	return p
}

// Peer is the peer of that name, made when there is none yet: with key and
// address, but without a host.
func (w *World) Peer(name string) *Peer {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.names[name]; p != nil {
		return p
	}
	n := len(w.peers) + 1
	seed := sha256.Sum256(fmt.Appendf(nil, "%d %s", w.cfg.Seed, name))
	key, _, err := crypto.GenerateEd25519Key(rand.NewChaCha8(seed))
	if err != nil {
		panic(err) // ChaCha8 reads never fail
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		panic(err) // nor does hashing a key
	}
	ip := net.IPv4(1, 1, byte(n>>8), byte(n)) // public, so that nothing treats it as special
	p := &Peer{Name: name, Key: key, ID: id, w: w, ip: ip, addr: ma.StringCast(fmt.Sprintf("/ip4/%s/tcp/%d", ip, port))}
	w.peers = append(w.peers, p)
	w.names[name] = p
	w.byAddr[string(p.addr.Bytes())] = p
	return p
}

// Info is where others find the peer.
func (p *Peer) Info() peer.AddrInfo { return peer.AddrInfo{ID: p.ID, Addrs: []ma.Multiaddr{p.addr}} }

// Addr is the peer's listen address.
func (p *Peer) Addr() ma.Multiaddr { return p.addr }

// Transport is the wire as a transport of this peer, for hosts that are built by
// the code under test. Each life of a peer has its own.
func (p *Peer) Transport() libp2p.Option {
	p.w.mu.Lock()
	life := p.life
	p.w.mu.Unlock()
	return libp2p.Transport(func(u transport.Upgrader, rcmgr network.ResourceManager) (*wire, error) {
		return &wire{w: p.w, p: p, life: life, upgrader: u, rcmgr: rcmgr}, nil
	})
}

// Add makes a peer with a host. The options come after those of the world, whose
// identity, address and transport they leave alone.
func (w *World) Add(name string, opts ...libp2p.Option) *Peer {
	w.T.Helper()
	p := w.Peer(name)
	p.open(opts)
	return p
}

func (p *Peer) open(opts []libp2p.Option) {
	p.w.T.Helper()
	all := []libp2p.Option{
		libp2p.Identity(p.Key), libp2p.ListenAddrs(p.addr), p.Transport(),
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableMetrics(), libp2p.DisableRelay(),
		libp2p.ForceReachabilityPublic(), libp2p.DisableIdentifyAddressDiscovery(), libp2p.Ping(false),
		libp2p.SwarmOpts(swarm.WithDialTimeout(2*time.Second), swarm.WithDialTimeoutLocal(time.Second)),
	}
	if !p.w.cfg.Secure {
		all = append(all, libp2p.NoSecurity)
	}
	h, err := libp2p.New(append(all, opts...)...)
	if err != nil {
		p.w.T.Fatalf("open host of %s: %v", p.Name, err)
	}
	p.Host = h
	p.OnStop(func() { _ = h.Close() })
}

// OnStop has f called when the peer stops, crashes or the world ends, before
// what was given to OnStop earlier.
func (p *Peer) OnStop(f func()) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.stop = append(p.stop, f)
}

func (p *Peer) close() {
	for {
		p.w.mu.Lock()
		n := len(p.stop)
		if n == 0 {
			p.w.mu.Unlock()
			return
		}
		f := p.stop[n-1]
		p.stop = p.stop[:n-1]
		p.w.mu.Unlock()
		f()
	}
}

// Crash takes a peer's machine away without a word: its connections stay half
// open at the others, and nobody answers at its address. It returns when what
// was running there has ended.
func (w *World) Crash(name string) { w.end(name, crashed) }

// Kill ends a peer's process: its connections are closed by its machine, which
// refuses new ones.
func (w *World) Kill(name string) { w.end(name, killed) }

func (w *World) end(name string, how state) {
	w.mu.Lock()
	p := w.peer(name)
	p.state = how
	if how == killed {
		for e := range w.ends {
			if e.peer == p {
				e.close()
			}
		}
	}
	p.life++
	p.listener = nil // the host closes it
	w.mu.Unlock()
	p.close()
}

// Restart brings a stopped peer back with the key and address it had, and a
// host of Add. Whoever still has a connection to its last life learns on its
// next write that it is gone.
func (w *World) Restart(name string, opts ...libp2p.Option) *Peer {
	w.T.Helper()
	p := w.Revive(name)
	p.open(opts)
	return p
}

// Revive is Restart for peers whose host the code under test builds.
func (w *World) Revive(name string) *Peer {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.peer(name)
	p.state = up
	return p
}

// Sent is how many bytes have been sent from one peer to another.
func (w *World) Sent(from, to string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bytes[pair{w.peer(from), w.peer(to)}]
}

// SentInAll is how many bytes have been sent between all peers.
func (w *World) SentInAll() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	var sum int64
	for _, n := range w.bytes {
		sum += n
	}
	return sum
}

// Eventually waits in virtual time until something is so, looks every
// millisecond at first and less often later, and says how long it took.
func (w *World) Eventually(what string, within time.Duration, ok func() bool) time.Duration {
	w.T.Helper()
	start, step := time.Now(), time.Millisecond
	for !ok() {
		if time.Since(start) > within {
			w.T.Fatalf("after %s not yet so: %s", within, what)
		}
		time.Sleep(step)
		step = min(step*5/4, 50*time.Millisecond)
	}
	return time.Since(start)
}
