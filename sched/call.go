package sched

import (
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
)

// The owner's side of placement: whom to ask, what they offered, and what they
// have.

// How an owner asks.
const (
	askAtMost     = 64                     // peers in one call for bids
	askAll        = 32                     // below so many peers all are asked
	askLeast      = 4                      // of many peers, at least so many
	askSurplus    = 1.3                    // slots asked for above the need, by what peers usually offer
	askCompare    = 3                      // answers that are waited for even if fewer offer enough
	askHolders    = 3                      // peers asked for the argument bytes they hold
	answerFirst   = 20 * time.Millisecond  // the usual answer time before one was seen
	answerLeast   = 5 * time.Millisecond   // bounds of how long bids are waited for
	answerMost    = 250 * time.Millisecond // …
	leaseTrust    = leaseIdle * 8 / 10     // a kept slot is counted on so long
	aheadRemote   = 10 * time.Millisecond  // work kept ahead at an executor for each slot
	aheadRemoteIn = 20 * time.Millisecond  // classes slower than this are not sent ahead for speed alone
	seekFirst     = 10 * time.Millisecond  // a call that brought too little is repeated after this; doubles
	seekMost      = 500 * time.Millisecond
	spreadLeast   = 20 * time.Millisecond // SPREAD waits at least so long, or twice as long as a task takes,
	spreadPatient = time.Second           // SPREAD waits so long for the peer whose turn it is
)

// round is a call for bids that is being answered.
type round struct {
	id       uint64
	want     int
	asked    int
	answered int
	offered  int
	began    time.Time
	from     map[*peer]bool // who has yet to answer
	holders  []*peer        // of the head's arguments, among those asked
}

// seek calls for bids for what waits of a class, if no call is out and somebody
// is left to ask.
func (c *Core) seek(cl *class) {
	if cl.asking != nil || cl.queue.n == 0 {
		return
	}
	ask := c.unasked(cl)
	if len(ask) == 0 {
		c.seekLater(cl)
		return
	}
	ask = c.sample(cl, ask)
	c.rounds++
	r := &round{id: c.rounds, want: min(cl.queue.n, maxWant), asked: len(ask), began: c.now, from: map[*peer]bool{}}
	if cl.opts.Strategy.Kind == raygo.StrategyPack {
		r.want = maxWant // who has room for most is to be known
	}
	cl.asking = r
	brief := len(c.peers) >= askAll && cl.seekWait == 0 // of many peers others are asked rather than waited for
	h := cl.queue.head()
	for _, p := range ask {
		s := c.seatAt(cl, p)
		s.stands, s.wanting, s.brief = c.now.Add(standFor), r.want, brief
		if brief {
			s.stands = c.now.Add(2 * briefFor)
		}
		r.from[p] = true
		if c.bytesAt(h, p) > elsewhere {
			r.holders = append(r.holders, p)
		}
		c.introduce(p, cl)
		c.send(p, &Call{Round: r.id, Class: cl.id, Want: r.want, Depth: h.depth, Quiet: len(c.peers) >= askAll, Brief: brief})
	}
	wait := max(2*c.answerTime, answerLeast)
	if b := c.missingBytes(h, nil); b > elsewhere { // its holders are worth waiting for
		wait = max(wait, time.Duration(float64(b)/guessRate*float64(time.Second)))
	}
	wait = min(wait, answerMost)
	c.after(wait, timer{kind: timerRound, class: cl, mark: uint32(r.id)})
	c.seekLater(cl)
}

// seekLater makes sure that a class which waits is looked at again when it may
// ask anew, at the latest when the calls that stand for it have run out.
func (c *Core) seekLater(cl *class) {
	if !cl.seekTimed {
		cl.seekTimed = true
		wait := standFor
		if d := cl.nextSeek.Sub(c.now); d > 0 {
			wait = min(wait, d)
		}
		c.after(wait, timer{kind: timerSeek, class: cl})
	}
}

// unasked are the peers that are not known to be full and have offered nothing
// that is still to be had, none if the class asked too short a while ago.
func (c *Core) unasked(cl *class) []*peer {
	if c.now.Before(cl.nextSeek) {
		return nil
	}
	var ask []*peer
	for _, p := range c.feasible(cl) {
		if s := cl.seats[p]; (s == nil || s.free(c.now) == 0 && (s.wanting <= 0 || !c.now.Before(s.stands))) && !c.kept(p) {
			ask = append(ask, p)
		}
	}
	return ask
}

// sample chooses whom to ask: all of few; of many those that hold most of the
// head's arguments and a random rest.
func (c *Core) sample(cl *class, ask []*peer) []*peer {
	if len(c.peers) < askAll {
		return ask
	}
	limit := min(askAtMost, 2*cl.queue.n, max(askLeast, int(askSurplus*float64(cl.queue.n)/max(c.offers, 0.5))))
	if len(ask) <= limit {
		return ask
	}
	var picked []*peer
	h := cl.queue.head()
	for range askHolders {
		var best *peer
		var most uint64
		for _, p := range ask {
			if b := c.bytesAt(h, p); b > most && !slices.Contains(picked, p) {
				best, most = p, b
			}
		}
		if best == nil {
			break
		}
		picked = append(picked, best)
	}
	// Where the class ran lately there are workers for it: up to half of those
	// asked.
	chosen := make(map[*peer]bool, limit)
	for _, p := range picked {
		chosen[p] = true
	}
	for i := range ask {
		k := i + c.rng.IntN(len(ask)-i)
		ask[i], ask[k] = ask[k], ask[i]
		p := ask[i]
		if s := cl.seats[p]; len(picked) < limit*3/4 && !chosen[p] && s != nil && c.now.Sub(s.used) < idleOverLimit {
			picked, chosen[p] = append(picked, p), true
		}
	}
	for _, p := range ask {
		if len(picked) < limit && !chosen[p] {
			picked = append(picked, p)
		}
	}
	return picked
}

// bid takes an offer.
func (c *Core) bid(from *peer, m *Bid) {
	cl := c.classes[m.Class]
	if cl == nil || !cl.owned() || !from.defined[cl.id] || m.Slots < 0 || m.Slots > maxWant {
		return
	}
	s := c.seatAt(cl, from)
	s.bid = *m
	s.offered += m.Slots
	s.wanting = max(0, s.wanting-m.Slots)
	if m.Slots > 0 {
		c.openSeat(s)
	}
	if r := cl.asking; r != nil && r.id == m.Round && r.from[from] {
		delete(r.from, from)
		r.answered++
		r.offered += m.Slots
		c.answerTime += (c.now.Sub(r.began) - c.answerTime) / 8
		c.roundMayEnd(cl)
	}
}

func (c *Core) openSeat(s *seat) {
	if !s.open {
		s.open = true
		s.class.open = append(s.class.open, s)
	}
	c.openSeats = append(c.openSeats, s.class)
}

// roundMayEnd ends a call when enough is offered, by more than one to choose from,
// or everybody has answered.
func (c *Core) roundMayEnd(cl *class) {
	r := cl.asking
	if r == nil || r.answered < r.asked && (cl.patient() || r.answered < askCompare || r.offered < min(r.want, cl.queue.n)) {
		return
	}
	if r.answered < r.asked {
		for _, p := range r.holders {
			if r.from[p] {
				return // what it offers may save bringing the arguments
			}
		}
	}
	c.endRound(cl)
}

// endRound ends a call. One that brought too little is not repeated at once: who
// was asked will offer what falls free.
func (c *Core) endRound(cl *class) {
	r := cl.asking
	cl.asking = nil
	if r.asked > 0 && len(c.peers) >= askAll {
		c.offers += (float64(r.offered)/float64(r.asked) - c.offers) / 8
	}
	if r.offered >= min(r.want, cl.queue.n) {
		cl.seekWait = 0
		return
	}
	limit := seekMost
	if cl.mean > 0 {
		limit = min(max(cl.mean/8, seekFirst), seekMost)
	}
	cl.seekWait = min(max(2*cl.seekWait, seekFirst/2), limit)
	cl.nextSeek = c.now.Add(cl.seekWait/2 + time.Duration(c.rng.Int64N(int64(cl.seekWait))))
}

// patient reports whether the strategy has to know all offers before it chooses.
func (cl *class) patient() bool {
	k := cl.opts.Strategy.Kind
	return k == raygo.StrategySpread || k == raygo.StrategyPack
}

func (c *Core) roundDue(cl *class, mark uint32) {
	if cl.asking != nil && uint32(cl.asking.id) == mark {
		c.endRound(cl)
	}
}
