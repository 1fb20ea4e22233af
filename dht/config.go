package dht

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"
)

// What goes wrong here in a way that callers tell apart.
var (
	ErrFull     = errors.New("dht: table is full")                      // a bound of Config is reached
	ErrClosed   = errors.New("dht: closed")                             // after Close
	ErrNotFound = errors.New("dht: no such record")                     // nobody asked has one
	ErrStale    = errors.New("dht: a newer record of ownership exists") // a higher epoch, or the same with a smaller peer ID
	ErrInvalid  = errors.New("dht: invalid record of ownership")        // wrong signature, job, size or form
)

// Config says how a peer takes part. The zero value of a field is its default.
type Config struct {
	Host    host.Host // required; its key signs records of ownership
	Cluster string    // required: the cluster's ID, part of the protocol's name

	// Alive reports what the failure detector thinks of a peer; one that is
	// not alive is neither asked nor named. nil: everybody is.
	Alive func(peer.ID) bool
	// Member reports whether a peer may be in the routing table and sign
	// records. nil: everybody who got past the handshake.
	Member func(peer.ID) bool
	// Members is a snapshot of the known members, to find back from being
	// alone. nil: others have to connect to us.
	Members func() []peer.AddrInfo
	// Peers is the expected size of the cluster; it sets how many peers keep
	// a record: 8 up to 200 peers, 20 above.
	Peers int

	// Superseded is told of a better record of ownership than one that this
	// peer kept alive: the job is another's now. It must not block. nil: nobody
	// is told.
	Superseded func(OwnerRecord)

	Reprovide     time.Duration // how often a holding is announced again (10 min); a record expires after three times that
	OwnerAge      time.Duration // how long peers keep a record of ownership that is not put again (1 h)
	LookupTimeout time.Duration // the longest a Providers or Owner takes (1 s)

	MaxProvided int // holdings of this peer (32,768)
	MaxQueue    int // of them, not announced yet (16,384)
	MaxOwners   int // jobs whose record this peer keeps alive (4,096)
	MaxRecords  int // records kept for all peers, of each kind (262,144); one peer may have an eighth
	Workers     int // peers told, and lookups made, at the same time (4)

	Registerer prometheus.Registerer // nil: not counted anywhere
	Logger     *slog.Logger          // nil: silent
}

// or is v, or its default when it is zero.
func or[T comparable](v *T, standard T) {
	var zero T
	if *v == zero {
		*v = standard
	}
}

// check fills in the defaults.
func (c *Config) check() error {
	if c.Host == nil {
		return errors.New("dht: no host")
	}
	if c.Cluster == "" {
		return errors.New("dht: no cluster ID")
	}
	if c.Alive == nil {
		c.Alive = func(peer.ID) bool { return true }
	}
	if c.Member == nil {
		c.Member = func(peer.ID) bool { return true }
	}
	if c.Members == nil {
		c.Members = func() []peer.AddrInfo { return nil }
	}
	if c.Superseded == nil {
		c.Superseded = func(OwnerRecord) {}
	}
	or(&c.Reprovide, 10*time.Minute)
	or(&c.OwnerAge, time.Hour)
	or(&c.LookupTimeout, time.Second)
	or(&c.MaxProvided, 32<<10)
	or(&c.MaxQueue, 16<<10)
	or(&c.MaxOwners, 4<<10)
	or(&c.MaxRecords, 256<<10)
	or(&c.Workers, 4)
	or(&c.Logger, slog.New(slog.DiscardHandler))
	for name, n := range map[string]int{"MaxProvided": c.MaxProvided, "MaxQueue": c.MaxQueue, "MaxOwners": c.MaxOwners, "MaxRecords": c.MaxRecords, "Workers": c.Workers} {
		if n < 0 {
			return fmt.Errorf("dht: %s is %d", name, n)
		}
	}
	return nil
}

// bucket is how many peers keep a record.
func (c *Config) bucket() int {
	if c.Peers > 200 {
		return 20
	}
	return 8
}
