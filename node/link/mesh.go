package link

import (
	"context"

	"github.com/libp2p/go-libp2p/core/network"
)

// Mesh is this peer's links. It is safe for concurrent use.
type Mesh struct{ cfg Config }

// New makes a mesh without links; nothing comes up before Run.
func New(cfg Config) (*Mesh, error) { return &Mesh{cfg: cfg}, nil }

// Run accepts and keeps links until ctx is done, then ends them all, with Down
// for each, and returns when all goroutines have.
func (m *Mesh) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Connect dials multiaddrs that end in /p2p/ID, all at once, and returns when a
// link to one of them is up; the others go on. The error says what was tried.
// It does not keep the peers: see Keep.
func (m *Mesh) Connect(ctx context.Context, addrs ...string) error { return ErrDown }

// Keep has a peer dialled at these addresses, besides those that libp2p knows,
// whenever there is no link to it, until Forget.
func (m *Mesh) Keep(p string, addrs ...string) error { return ErrFull }

// Forget ends Keep. A link that is up stays.
func (m *Mesh) Forget(p string) {}

// Alive is evidence that a peer lives: if it is kept and has no link it is
// dialled at once.
func (m *Mesh) Alive(p string) {}

// Send appends a frame to what goes to a peer; Flush lets it go. It never
// blocks: ErrDown without a link, ErrFull at a bound, ErrTooLong above MaxFrame.
// The bytes are copied.
func (m *Mesh) Send(p string, c Class, frame []byte) error { return ErrDown }

// Flush sends what was appended for a peer. It never blocks.
func (m *Mesh) Flush(p string) {}

// Drop ends the link to a peer, if there is one, and closes its connections,
// without waiting for Down. A kept peer is dialled again.
func (m *Mesh) Drop(p, reason string) {}

// Ban is Drop of a peer that broke the rules: its connections and links are
// refused for a while, longer each time.
func (m *Mesh) Ban(p, reason string) {}

// Peers says how things stand with every peer that has a link, is kept or is
// banned, in the order of their IDs.
func (m *Mesh) Peers() []Status { return nil }

// Advertise replaces what later links say in Hello of this peer's advert and
// addresses.
func (m *Mesh) Advertise(advert []byte, addrs []string) {}

// OpenBulk opens a stream to a peer that has a link, for bytes of objects.
// Close or Reset it. Opening is given 5 s if ctx has no deadline. ErrFull: too
// many are open.
func (m *Mesh) OpenBulk(ctx context.Context, p string) (network.Stream, error) { return nil, ErrDown }
