package gossip

import (
	"errors"
	"math/rand/v2"
	"time"
)

// Rounds of the digest.
const (
	fanOut       = 3  // neighbours that get a digest in a round
	digestMost   = 32 // loads in a digest
	roundBusy    = 500 * time.Millisecond
	roundCalm    = 2 * time.Second // when nothing changed here
	compareEvery = 10 * time.Second
	bundleMost   = 128     // adverts in one message
	stampsMost   = 2000    // stamps in one message
	MaxFrame     = 1 << 20 // bytes of a message
)

// Config is what a Core is made from.
type Config struct {
	Self        string
	Incarnation uint64
	Seed        uint64
	Times       Times
	// Verify checks a signature by a peer's key.
	Verify func(peer string, msg, sig []byte) bool
}

// Event is something that happened. The types are those of this file.
type Event interface{ event() }

// LinkUp says that there is a link to a peer.
type LinkUp struct {
	Peer        string
	Incarnation uint64
	Advert      *Advert // what it said of itself, if it did
}

// LinkDown says that the link is no more; Refused, then or later, while there is
// no other link, that nothing listens where the peer was.
type LinkDown struct {
	Peer    string
	Refused bool
}

// Frame is what came on a peer's control stream.
type Frame struct {
	From  string
	Bytes []byte
}

// Heard says that something else came from a peer.
type Heard struct{ Peer string }

// SelfAdvert is what this peer says of itself.
type SelfAdvert struct{ Advert Advert }

// SelfLoad is how busy this peer is.
type SelfLoad struct {
	Free   int64
	Queued uint32
}

// Learnt is an advert that came another way.
type Learnt struct{ Advert Advert }

// Tick only lets time pass.
type Tick struct{}

func (*LinkUp) event()     {}
func (*LinkDown) event()   {}
func (*Frame) event()      {}
func (*Heard) event()      {}
func (*SelfAdvert) event() {}
func (*SelfLoad) event()   {}
func (*Learnt) event()     {}
func (*Tick) event()       {}

// Effect is something for the caller to do. The types are those of this file.
type Effect interface{ effect() }

// Send says something to a linked peer on its control stream.
type Send struct {
	To    string
	Bytes []byte
}

// News is an advert that was not known.
type News struct{ Advert *Advert }

// Judged says what is thought of a peer from now on.
type Judged struct {
	Peer        string
	Incarnation uint64
	Health      Health
	Reason      string
	Broken      bool // dead, and without a link
	Refused     bool // and nothing listens where it was
}

// Bad says that a peer sent what it may not.
type Bad struct {
	Peer string
	Err  error
}

func (*Send) effect()   {}
func (*News) effect()   {}
func (*Judged) effect() {}
func (*Bad) effect()    {}

// Core joins view, rounds and detector. It is not safe for concurrent use.
type Core struct {
	cfg     Config
	rng     *rand.Rand
	view    *View
	det     *Detector
	links   map[string]bool
	order   []string
	own     Load
	changed bool // own load, since it last went out
	tickAt  time.Time
	roundAt time.Time
	compAt  time.Time
	started bool
	out     []Effect
}

// New makes a core.
func New(cfg Config) *Core {
	return &Core{
		cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x726f_756e_64)), view: NewView(cfg.Self, cfg.Verify),
		det: NewDetector(cfg.Times, cfg.Seed), links: map[string]bool{}, own: Load{Peer: cfg.Self, Incarnation: cfg.Incarnation},
	}
}

// View is what is known. The caller must not change it.
func (c *Core) View() *View { return c.view }

// Health is what is thought of a peer; false if it is not watched.
func (c *Core) Health(peer string) (Health, bool) { return c.det.Health(peer) }

// Next is when a Tick is due.
func (c *Core) Next() time.Time { return c.tickAt }

// Step lets one event happen at now and returns what is to be done. The slice is
// valid until the next Step.
func (c *Core) Step(now time.Time, ev Event) []Effect {
	c.out = c.out[:0]
	if !c.started {
		c.started = true
		c.tickAt, c.roundAt, c.compAt = now, now.Add(c.jitter(roundBusy)), now.Add(c.jitter(compareEvery))
	}
	switch e := ev.(type) {
	case *LinkUp:
		c.linkUp(now, e)
	case *LinkDown:
		delete(c.links, e.Peer)
		c.det.Down(now, e.Peer, e.Refused)
	case *Frame:
		c.frame(now, e)
	case *Heard:
		c.det.Heard(now, e.Peer)
	case *SelfAdvert:
		c.learn(&e.Advert, "")
	case *SelfLoad:
		if c.own.Free != e.Free || c.own.Queued != e.Queued {
			c.own.Free, c.own.Queued, c.changed = e.Free, e.Queued, true
		}
	case *Learnt:
		c.learn(&e.Advert, "")
	case *Tick: // only then: what has arrived is heard before anybody is judged
		c.advance(now)
	}
	for _, v := range c.det.said {
		if v.health == Gone {
			delete(c.links, v.peer)
			c.view.Bury(v.peer, v.incarnation)
		}
		c.emit(&Judged{Peer: v.peer, Incarnation: v.incarnation, Health: v.health, Reason: v.reason, Broken: v.broken, Refused: v.refused})
	}
	c.det.said = c.det.said[:0]
	return c.out
}

func (c *Core) emit(e Effect) { c.out = append(c.out, e) }

func (c *Core) send(to string, m *message) {
	if c.links[to] {
		c.emit(&Send{To: to, Bytes: m.bytes()})
	}
}

func (c *Core) jitter(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(c.rng.Int64N(int64(d/2)+1))
}

func (c *Core) linkUp(now time.Time, e *LinkUp) {
	c.links[e.Peer] = true
	c.view.unbury(e.Peer, e.Incarnation) // it speaks: what it had is void with its old link, it is not
	c.det.Up(now, e.Peer, e.Incarnation)
	if e.Advert != nil && e.Advert.Peer == e.Peer {
		c.learn(e.Advert, e.Peer)
	}
	c.send(e.Peer, &message{Kind: kindHashes, Hashes: c.view.Hashes()})
}

// learn merges an advert that from passed on.
func (c *Core) learn(a *Advert, from string) {
	news, err := c.view.Put(a)
	switch {
	case errors.Is(err, ErrFull): // whoever passed it on did right
	case err != nil && from != "":
		c.emit(&Bad{Peer: from, Err: err})
	case news:
		c.emit(&News{Advert: c.view.Advert(a.Peer)})
	}
}

// advance does what is due.
func (c *Core) advance(now time.Time) {
	if !now.Before(c.tickAt) {
		c.det.due = c.tickAt
		ping, ask := c.det.tick(now)
		for _, p := range ping {
			c.send(p, &message{Kind: kindPing})
		}
		for _, p := range ask {
			for _, o := range c.det.others(p) {
				c.send(o, &message{Kind: kindAsk, About: p})
			}
		}
		c.tickAt = now.Add(c.det.times.Ping / 2)
	}
	if !now.Before(c.roundAt) {
		c.round()
		wait := roundCalm
		if c.changed {
			wait = roundBusy
		}
		c.changed = false
		c.roundAt = now.Add(c.jitter(wait))
	}
	if !now.Before(c.compAt) {
		c.compAt = now.Add(c.jitter(compareEvery))
		for _, p := range c.neighbours(1) {
			c.send(p, &message{Kind: kindHashes, Hashes: c.view.Hashes()})
		}
	}
}

// round sends a digest to a few neighbours.
func (c *Core) round() {
	to := c.neighbours(fanOut)
	if len(to) == 0 {
		return
	}
	c.own.Beat++
	c.view.SetLoad(c.own)
	loads := c.view.Digest(digestMost)
	for _, p := range to {
		c.send(p, &message{Kind: kindPush, Loads: loads})
	}
}

// neighbours are n linked peers by lot.
func (c *Core) neighbours(n int) []string {
	c.order = c.order[:0]
	for _, p := range c.det.order {
		if c.links[p] {
			c.order = append(c.order, p)
		}
	}
	n = min(n, len(c.order))
	for i := range n {
		k := i + c.rng.IntN(len(c.order)-i)
		c.order[i], c.order[k] = c.order[k], c.order[i]
	}
	return c.order[:n:n]
}
