package gossip

import "time"

// Core is what one peer knows of the others and tells them. One goroutine owns it.
type Core struct {
	cfg Config
}

// New makes a Core that knows nobody.
func New(cfg Config, now time.Time) *Core {
	cfg.defaults()
	return &Core{cfg: cfg}
}

// Step takes an event and says what is to be done. What it is given and what it
// gives belong to the other side from then on.
func (c *Core) Step(now time.Time, ev Event) []Effect { return nil }

// Next is when to step with a Tick at the latest.
func (c *Core) Next() time.Time { return time.Time{} }

// Peers are the peers that are in the cluster as far as is known, this one too,
// by name.
func (c *Core) Peers() []*Advert { return nil }

// Load is the last that is known of a peer's load.
func (c *Core) Load(peer string) (Load, bool) { return Load{}, false }

// State is what the detector thinks of a peer.
func (c *Core) State(peer string) State { return StateUnknown }

// Stats are counters since the start.
func (c *Core) Stats() Stats { return Stats{} }

// State is how a peer is, as far as is known here.
type State int

// The states, in the order in which a peer comes through them.
const (
	StateUnknown State = iota
	StateAlive
	StateSuspected
	StateDead // or it has left
)

// Stats counts what a Core did.
type Stats struct {
	Sent, Received           uint64 // messages
	SentBytes, ReceivedBytes uint64
	Refused                  uint64 // adverts that were not signed by their peer or broke a limit
	Full                     uint64 // peers that were refused since MaxPeers are known
	Suspicions, Deaths       uint64
	Starved                  uint64 // ticks that came late
}
