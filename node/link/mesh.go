package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Mesh is this peer's links. It is safe for concurrent use.
type Mesh struct {
	cfg    Config
	self   peer.ID
	name   string
	log    *slog.Logger
	budget budget
	counts counts
	kicked chan struct{}   // has one when the keeper is to look at once
	slots  chan struct{}   // of dials and openings that are under way
	life   context.Context // done when Run is
	stop   context.CancelFunc

	mu      sync.RWMutex
	hello   Hello // as it goes to others
	peers   map[string]*entry
	live    map[string]*link // that are up
	parked  map[parking]chan network.Stream
	running bool
	closing bool
	wait    sync.WaitGroup // all goroutines; only added to under mu, when not closing
}

// defaults fills in what is zero.
func (c *Config) defaults() error {
	switch {
	case c.Host == nil:
		return errors.New("link: no host")
	case c.Handler == nil:
		return errors.New("link: no handler")
	case c.Hello.Cluster == "":
		return errors.New("link: no cluster")
	}
	c.Hello.Peer = c.Host.ID().String()
	if err := c.Hello.check(); err != nil {
		return fmt.Errorf("link: a hello %w", err)
	}
	or(&c.MaxLinks, 4096)
	or(&c.MaxQueue[Control], 8<<20)
	or(&c.MaxQueue[Task], 64<<20)
	or(&c.MaxQueued, 512<<20)
	or(&c.MaxBulk, 64)
	or(&c.MaxRate[Control], 200_000)
	or(&c.MaxRate[Task], 4_000_000)
	or(&c.Ping, 2*time.Second)
	or(&c.Silence, 15*time.Second)
	or(&c.Handshake, 5*time.Second)
	or(&c.Dial, 5*time.Second)
	or(&c.Retry[0], 200*time.Millisecond)
	or(&c.Retry[1], 5*time.Second)
	or(&c.RetryRefused, 30*time.Second)
	or(&c.Ban, 10*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// or is v, or its default when it is zero.
func or[T comparable](v *T, standard T) {
	var zero T
	if *v == zero {
		*v = standard
	}
}

// maxDials bounds the dials and openings that are under way at once.
const maxDials = 64

// New makes a mesh without links; nothing comes up before Run.
func New(cfg Config) (*Mesh, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	m := &Mesh{
		cfg: cfg, self: cfg.Host.ID(), name: cfg.Hello.Peer, log: cfg.Logger, hello: cfg.Hello,
		kicked: make(chan struct{}, 1), slots: make(chan struct{}, maxDials),
		peers: map[string]*entry{}, live: map[string]*link{}, parked: map[parking]chan network.Stream{},
	}
	m.life, m.stop = context.WithCancel(context.Background())
	m.budget.limit = int64(cfg.MaxQueued)
	if cfg.Registerer != nil {
		if err := cfg.Registerer.Register(m); err != nil {
			return nil, fmt.Errorf("link: register metrics: %w", err)
		}
	}
	return m, nil
}

// Run accepts and keeps links until ctx is done, then ends them all, with Down
// for each, and returns when all goroutines have. It runs once.
func (m *Mesh) Run(ctx context.Context) error {
	m.mu.Lock()
	if m.running || m.closing {
		m.mu.Unlock()
		return errors.New("link: a mesh runs once")
	}
	m.running = true
	m.mu.Unlock()

	h := m.cfg.Host
	h.SetStreamHandler(ControlProtocol, m.tracked(m.acceptControl))
	h.SetStreamHandler(TaskProtocol, m.tracked(m.acceptTask))
	h.SetStreamHandler(BulkProtocol, m.tracked(m.acceptBulk))
	events := &network.NotifyBundle{ConnectedF: m.connected}
	h.Network().Notify(events)
	for _, c := range h.Network().Conns() {
		m.connected(h.Network(), c)
	}

	m.keepUp(ctx)

	h.Network().StopNotify(events)
	for _, p := range protocols {
		h.RemoveStreamHandler(p)
	}
	m.mu.Lock()
	m.closing = true
	for _, l := range m.live {
		l.end("the peer is shutting down", false)
	}
	for _, e := range m.peers {
		e.settle(ErrClosed)
	}
	m.mu.Unlock()
	m.stop()
	m.wait.Wait()
	if m.cfg.Registerer != nil {
		m.cfg.Registerer.Unregister(m)
	}
	return nil
}

var protocols = [...]protocol.ID{ControlProtocol, TaskProtocol, BulkProtocol}

// enter has Run wait for the caller, until m.wait.Done; not when Run is over.
func (m *Mesh) enter() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closing {
		return false
	}
	m.wait.Add(1)
	return true
}

// track runs f in a goroutine that Run waits for.
func (m *Mesh) track(f func()) bool {
	if !m.enter() {
		return false
	}
	go func() {
		defer m.wait.Done()
		f()
	}()
	return true
}

// tracked is a stream handler that Run waits for.
func (m *Mesh) tracked(handle network.StreamHandler) network.StreamHandler {
	return func(s network.Stream) {
		if !m.enter() {
			_ = s.Reset()
			return
		}
		defer m.wait.Done()
		handle(s)
	}
}

// limit has a stream that is not part of a link yet end with the mesh, and gives
// it the time of a handshake.
func (m *Mesh) limit(s network.Stream) (free func() bool) {
	_ = s.SetDeadline(time.Now().Add(m.cfg.Handshake))
	return context.AfterFunc(m.life, func() { _ = s.Reset() })
}

// lower reports whether this peer has the lower ID, and so opens the streams.
func (m *Mesh) lower(other peer.ID) bool { return m.self < other }

// find is the link to a peer that is up, or nil.
func (m *Mesh) find(p string) *link {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.live[p]
}

// admit reports why a connection may not have links.
func (m *Mesh) admit(c network.Conn) error {
	if m.cfg.Admit == nil {
		return nil
	}
	return m.cfg.Admit(c)
}

// Send appends a frame to what goes to a peer; Flush lets it go. It never
// blocks: ErrDown without a link, ErrFull at a bound, ErrTooLong above MaxFrame.
// The bytes are copied.
func (m *Mesh) Send(p string, c Class, frame []byte) error {
	if len(frame) > MaxFrame {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLong, len(frame), MaxFrame)
	}
	l := m.find(p)
	if l == nil {
		return ErrDown
	}
	return l.outs[c].send(frame)
}

// Flush sends what was appended for a peer. It never blocks.
func (m *Mesh) Flush(p string) {
	l := m.find(p)
	if l == nil {
		return
	}
	for _, o := range l.outs {
		o.flush()
	}
}

// Drop ends the link to a peer, if there is one, and closes its connections,
// without waiting for Down. A kept peer is dialled again.
func (m *Mesh) Drop(p, reason string) {
	if l := m.find(p); l != nil {
		l.end(reason, true)
		return
	}
	if id, err := peer.Decode(p); err == nil {
		m.hangup(id)
	}
}

// Ban is Drop of a peer that broke the rules: its links are refused for a while,
// longer each time.
func (m *Mesh) Ban(p, reason string) {
	if id, err := peer.Decode(p); err == nil {
		m.ban(p, id, reason)
	}
}

// Advertise replaces what later links say in Hello of this peer's advert and
// addresses.
func (m *Mesh) Advertise(advert []byte, addrs []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.hello
	h.Advert, h.Addrs = advert, addrs
	b, err := enc.Marshal(h)
	if err != nil {
		return fmt.Errorf("link: encode a hello: %w", err)
	}
	if len(b) > MaxHello-64 {
		return fmt.Errorf("link: a hello of %d bytes, at most %d are allowed", len(b), MaxHello-64)
	}
	if err := h.check(); err != nil {
		return fmt.Errorf("link: a hello %w", err)
	}
	m.hello = h
	return nil
}
