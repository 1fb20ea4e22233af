package link

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/prometheus/client_golang/prometheus"
)

// What goes wrong here in a way that callers tell apart.
var (
	ErrDown    = errors.New("link: no link to the peer")
	ErrFull    = errors.New("link: full") // the text has which bound
	ErrTooLong = errors.New("link: frame too long")
	ErrRefused = errors.New("link: refused") // the other side, or this one, will not have the link; the text has why
	ErrVersion = fmt.Errorf("%w: no common wire version", ErrRefused)
	ErrClosed  = errors.New("link: closed")
)

// Class is which of a link's streams a frame travels on. Frames of one class
// arrive in the order in which they were sent; between classes there is none.
type Class int

// The classes.
const (
	Control Class = iota // gossip, detector, bids: small, never behind the rest
	Task                 // tasks, results, refs
	classes
)

func (c Class) String() string {
	switch c {
	case Control:
		return "control"
	case Task:
		return "task"
	}
	return fmt.Sprintf("class %d", int(c))
}

// The protocols.
const (
	ControlProtocol protocol.ID = "/raygo/ctl/1"
	TaskProtocol    protocol.ID = "/raygo/task/1"
	BulkProtocol    protocol.ID = "/raygo/obj/1"
)

// Limits of the wire.
const (
	MaxFrame = 4 << 20  // bytes of a frame
	MaxHello = 64 << 10 // bytes of an encoded Hello
	maxNote  = MaxHello + 64
)

// Hello is what each side says of itself as a link begins.
type Hello struct {
	Versions    [2]uint16 `cbor:"1,keyasint"` // lowest and highest wire version it speaks
	Cluster     string    `cbor:"2,keyasint"`
	Peer        string    `cbor:"3,keyasint"` // its peer ID; New fills it in
	Incarnation uint64    `cbor:"4,keyasint"` // rises with every start of the peer
	Session     uint64    `cbor:"5,keyasint"` // names the link; drawn by the opener
	Advert      []byte    `cbor:"6,keyasint,omitempty"`
	Addrs       []string  `cbor:"7,keyasint,omitempty"` // where it can be dialled, without the peer ID

	Version uint16 `cbor:"-"` // the newest version both speak: set in what Up is given
}

// Handler is told what happens on links. For one peer the calls of Up and Down
// alternate, and calls of Frames lie between them: never one after Down was
// called. Frames of one class come one call at a time, those of two classes may
// come at once. A handler that blocks in Frames stops reading from that peer,
// which in the end fills the peer's buffers, not ours; it must return when its
// owner shuts down.
type Handler interface {
	// Up says that a link is up, with what the other side said of itself.
	Up(p string, h Hello)
	// Down says that it is up no more. What was sent and not answered may or
	// may not have arrived.
	Down(p string, reason string)
	// Frames brings all the frames of one read, in order. The bytes are the
	// handler's to keep.
	Frames(p string, c Class, frames [][]byte)
}

// Config says what links there may be. The zero value of a field is its
// default.
type Config struct {
	Host    host.Host // required; with a method ClearBackoff(peer.ID), as node/host has, dials after a failure do not wait for libp2p's backoff
	Hello   Hello     // required: versions, cluster, incarnation
	Handler Handler   // required

	// Bulk serves a stream that another peer opened with OpenBulk. The stream
	// is closed when it returns, and reset when the link goes. nil: refused.
	Bulk func(p string, s network.Stream)
	// Admit says who may have a link or a bulk stream, beyond what the host's
	// handshake let in. nil: everybody.
	Admit func(c network.Conn) error

	MaxLinks     int              // links, and of kept peers (4,096)
	MaxQueue     [classes]int     // bytes that wait to be sent to one peer, per class (8 MiB, 64 MiB)
	MaxQueued    int              // bytes that wait to be sent to all (512 MiB)
	MaxBulk      int              // bulk streams with one peer, each way (64)
	MaxRate      [classes]int     // frames a second that a peer may send, beyond a burst of twice that (200,000, 4,000,000)
	Ping         time.Duration    // how often the round trip is measured (2 s)
	Silence      time.Duration    // a link ends when nothing was heard for that long, or a write or a frame made no progress (15 s)
	Handshake    time.Duration    // the longest that a link takes to come up once there is a connection (5 s)
	Dial         time.Duration    // the longest that dialling a peer takes (5 s)
	Retry        [2]time.Duration // backoff between dials to a kept peer (200 ms, 5 s)
	RetryRefused time.Duration    // between dials to one that refuses (30 s)
	Ban          time.Duration    // how long a peer that broke the protocol is refused; doubles each time up to 32-fold (10 s)

	Registerer prometheus.Registerer // nil: not counted anywhere
	Logger     *slog.Logger          // nil: silent
}

// Status is how things stand with one peer.
type Status struct {
	Peer        string
	Up          bool
	Kept        bool      // dialled again and again until it is there
	Since       time.Time // of being up, or down
	Hello       Hello     // of the link that is up
	Addr        string    // of the other end
	Relayed     bool
	RTT         time.Duration // smoothed; 0: not measured yet
	RTTMin      time.Duration
	Queued      [2]int // bytes that wait to be sent, per class
	BytesIn     uint64 // of this link, bulk included
	BytesOut    uint64
	FramesIn    uint64
	FramesOut   uint64
	Bulk        int    // open bulk streams, both ways
	Err         string // why it is not up, as far as is known
	BannedUntil time.Time
}
