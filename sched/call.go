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
	askHolders    = 3                      // peers asked for the argument bytes they hold
	answerFirst   = 20 * time.Millisecond  // the usual answer time before one was seen
	answerLeast   = 5 * time.Millisecond   // bounds of how long bids are waited for
	answerMost    = 250 * time.Millisecond // …
	leaseTrust    = leaseIdle * 8 / 10     // a kept slot is counted on so long
	aheadRemote   = 10 * time.Millisecond  // work kept ahead at an executor for each slot
	aheadRemoteIn = 20 * time.Millisecond  // classes slower than this are not sent ahead for speed alone
	seekFirst     = 10 * time.Millisecond  // a call that brought too little is repeated after this; doubles
	seekMost      = 500 * time.Millisecond
	spreadPatient = time.Second // SPREAD waits so long for the peer whose turn it is
)

// seat is what an owner has at one executor for one class.
type seat struct {
	peer     *peer
	class    *class
	bid      Bid       // the last one
	offered  int       // slots reserved by bids, unused
	lease    int       // slots kept from tasks that ended
	until    time.Time // lease is counted on
	stands   time.Time // a call stands there until
	brief    bool
	wanting  int // slots that it still asks for: the peer is full while it does
	running  int
	sent     uint64 // tasks assigned, in all
	used     time.Time
	inflight int
	placed   int // tasks assigned since the class last had none waiting
	recalled bool
	batch    []Assigned
	open     bool // in class.open
}

// round is a call for bids that is being answered.
type round struct {
	id       uint64
	want     int
	asked    int
	answered int
	offered  int
	began    time.Time
	from     map[*peer]bool // who has yet to answer
}

// free is the number of tasks that could start there at once.
func (s *seat) free(now time.Time) int {
	n := s.offered
	if now.Before(s.until) {
		n += s.lease
	}
	return n
}

// feasible are the peers on which tasks of a class could run, by their totals,
// labels and the strategy.
func (c *Core) feasible(cl *class) []*peer {
	if cl.lookedAt == c.topology {
		return cl.peers
	}
	cl.lookedAt = c.topology
	cl.peers = cl.peers[:0]
	for _, p := range c.peerOrder {
		if !p.draining && c.suits(cl, p) {
			cl.peers = append(cl.peers, p)
		}
	}
	if s := &cl.opts.Strategy; s.Kind == raygo.StrategyAffinity {
		at := slices.IndexFunc(cl.peers, func(p *peer) bool { return p.id == s.Peer })
		switch {
		case at >= 0:
			cl.peers = cl.peers[at : at+1]
		case !s.Soft || s.Peer == c.cfg.Self && cl.refused == "":
			cl.peers = nil
		}
	}
	return cl.peers
}

// suits reports whether a peer as a whole could run tasks of the class.
func (c *Core) suits(cl *class, p *peer) bool {
	o := &cl.opts
	if o.CPU > p.totals[raygo.CPU] || o.GPU > p.totals[raygo.GPU] || raygo.Quantity(o.Memory) > p.totals[raygo.Memory] {
		return false
	}
	for name, q := range o.Custom {
		if q > p.totals[name] {
			return false
		}
	}
	if o.Strategy.Kind == raygo.StrategyLabels {
		ok, err := Match(o.Strategy.Selector, p.labels)
		return ok && err == nil
	}
	return true
}

// atHome reports whether tasks of the class may run on this peer.
func (c *Core) atHome(cl *class) bool {
	if cl.refused != "" || c.draining && cl.owned() && len(c.feasible(cl)) > 0 {
		return false
	}
	s := &cl.opts.Strategy
	return s.Kind != raygo.StrategyAffinity || s.Peer == c.cfg.Self || s.Soft && !slices.ContainsFunc(c.feasible(cl), func(p *peer) bool { return p.id == s.Peer })
}

// shared reports whether a class's tasks may have to go to other peers.
func (c *Core) shared(cl *class) bool {
	return len(c.peers) > 0 && cl.owned() && len(c.feasible(cl)) > 0
}

// seatAt is the class's seat at a peer.
func (c *Core) seatAt(cl *class, p *peer) *seat {
	s := cl.seats[p]
	if s == nil {
		s = &seat{peer: p, class: cl}
		if len(cl.seats) > 0 { // a late comer is not owed what others had
			s.placed = cl.placedHere
			for _, o := range cl.seats {
				s.placed = min(s.placed, o.placed)
			}
		}
		if cl.seats == nil {
			cl.seats = map[*peer]*seat{}
		}
		cl.seats[p] = s
	}
	return s
}

// leaveSeat forgets a class's seat at a peer that is gone.
func (c *Core) leaveSeat(cl *class, p *peer) {
	s := cl.seats[p]
	if s == nil {
		return
	}
	delete(cl.seats, p)
	cl.open = slices.DeleteFunc(cl.open, func(o *seat) bool { return o == s })
	s.open = false
	if cl.round2 != nil && cl.round2.from[p] {
		delete(cl.round2.from, p)
		cl.round2.asked--
		c.roundMayEnd(cl)
	}
}

// seek calls for bids for what waits of a class, if no call is out and somebody
// is left to ask.
func (c *Core) seek(cl *class) {
	if cl.round2 != nil || cl.queue.n == 0 {
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
	cl.round2 = r
	brief := len(c.peers) >= askAll && cl.seekWait == 0 // of many peers others are asked rather than waited for
	h := cl.queue.head()
	for _, p := range ask {
		s := c.seatAt(cl, p)
		s.stands, s.wanting, s.brief = c.now.Add(standFor), r.want, brief
		if brief {
			s.stands = c.now.Add(2 * briefFor)
		}
		r.from[p] = true
		c.introduce(p, cl)
		c.send(p, &Call{Round: r.id, Class: cl.id, Want: r.want, Depth: h.depth, Quiet: len(c.peers) >= askAll, Brief: brief})
	}
	wait := min(max(2*c.answerTime, answerLeast), answerMost)
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

// unasked are the peers that are not known to be full, none if the class asked
// too short a while ago.
func (c *Core) unasked(cl *class) []*peer {
	if c.now.Before(cl.nextSeek) {
		return nil
	}
	var ask []*peer
	for _, p := range c.feasible(cl) {
		if s := cl.seats[p]; s == nil || s.wanting <= 0 || !c.now.Before(s.stands) {
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
	if r := cl.round2; r != nil && r.id == m.Round && r.from[from] {
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

// roundMayEnd ends a call when enough is offered or everybody has answered.
func (c *Core) roundMayEnd(cl *class) {
	if r := cl.round2; r != nil && (r.answered >= r.asked || r.offered >= min(r.want, cl.queue.n) && !cl.patient()) {
		c.endRound(cl)
	}
}

// endRound ends a call. One that brought too little is not repeated at once: who
// was asked will offer what falls free.
func (c *Core) endRound(cl *class) {
	r := cl.round2
	cl.round2 = nil
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
	if cl.round2 != nil && uint32(cl.round2.id) == mark {
		c.endRound(cl)
	}
}

// standAt takes what an executor says of how the class stands there.
func (c *Core) standAt(cl *class, p *peer, st Stand) {
	s := cl.seats[p]
	if s == nil || st.Slots < 0 || st.Running < 0 {
		return
	}
	s.recalled = false
	onTheWay := int(s.sent - min(st.Seen, s.sent))
	s.lease = max(0, st.Slots-onTheWay)
	s.running = st.Running + min(onTheWay, st.Slots)
	s.until = c.now.Add(leaseTrust)
	if s.lease > 0 {
		c.openSeat(s)
	}
}

// placeShared places one task on another peer or this one. It reports false when the
// task has to wait.
func (c *Core) placeShared(cl *class, t *task) (ok bool, short string) {
	home := c.atHome(cl)
	var fits bool
	if home {
		if fits, short = c.hasSlot(cl); fits && len(c.resume) > 0 && cl.demand.cpu > 0 {
			fits, short = false, "CPU (tasks that were blocked go on first)"
		}
	}
	if fits && c.startsHere(cl, t) {
		return c.placeHere(cl, t)
	}
	if cl.round2 == nil && c.shouldAsk(cl, t) {
		c.seek(cl)
	}
	if cl.round2 == nil {
		if s, here := c.choose(cl, t, fits); s != nil {
			c.assign(s, t)
			return true, ""
		} else if here {
			return c.placeHere(cl, t)
		}
		if s := c.aheadSeat(cl, t); s != nil {
			c.assign(s, t)
			return true, ""
		}
		c.seek(cl)
	}
	if short == "" {
		short = "room on any of the peers that were asked"
	}
	return false, short
}

// shouldAsk reports whether peers are to be asked before a task gets its place:
// if nobody has room that is known of, if the strategy compares all, or if its
// arguments are somewhere else.
func (c *Core) shouldAsk(cl *class, t *task) bool {
	if len(cl.open) > 0 && !cl.patient() && c.missingBytes(t, nil) <= elsewhere {
		for _, s := range cl.open {
			if s.free(c.now) > 0 {
				return false
			}
		}
	}
	return len(c.unasked(cl)) > 0
}

func (c *Core) placeHere(cl *class, t *task) (bool, string) {
	if !c.place(t) {
		return false, "a worker process (limit reached)"
	}
	cl.placedHere++
	return true, ""
}

// startsHere is rule one: no question is asked for a task of no special wishes
// whose arguments are here and which leaves half of this machine free.
func (c *Core) startsHere(cl *class, t *task) bool {
	switch cl.opts.Strategy.Kind {
	case raygo.StrategyDefault, raygo.StrategyLabels:
	case raygo.StrategyAffinity:
		return cl.opts.Strategy.Peer == c.cfg.Self
	default:
		return false
	}
	if c.missingBytes(t, nil) > elsewhere {
		return false
	}
	if c.led.total.cpu == 0 || cl.demand.cpu == 0 {
		return true
	}
	return c.used()+cl.demand.cpu.Float()/c.led.total.cpu.Float() <= 0.5
}

// elsewhere is how many bytes of arguments must lie on other peers before a task
// is not started here without asking.
const elsewhere = 256 << 10

// assign sends a task to the peer of a seat, at the end of the step.
func (c *Core) assign(s *seat, t *task) {
	cl, p := t.class, s.peer
	if q := cl.queue.pop(); q != t {
		panic("sched: the task to assign is not the head of its queue")
	}
	switch {
	case c.now.Before(s.until) && s.lease > 0:
		s.lease--
		s.running++
	case s.offered > 0:
		s.offered--
		s.running++
	}
	cl.job.running++
	c.places++
	cl.served = c.places
	t.award++
	t.at = p
	t.state = raygo.SubmittedToWorker
	t.startedAt = c.now.UnixNano()
	p.running[t.id] = t
	s.sent++
	s.used = c.now
	s.inflight++
	s.placed++
	vs, stored := c.values(t)
	a := Assigned{
		Task: t.id, Parent: t.parentID, Attempt: t.attempt, Award: t.award, Depth: t.depth, Args: t.args, Values: vs,
		Sources: c.sources(t.job, stored, true), Created: t.created,
	}
	if st := t.stream; st != nil {
		a.Stream, a.From, a.Taken = true, st.produced, st.credit()
		if st.fixed || t.redo {
			a.From = 0
		}
	}
	if t.regen {
		a.Stream, a.Taken = true, raygo.StreamIndex
	}
	c.introduce(p, cl)
	if len(s.batch) == 0 {
		c.assigning = append(c.assigning, s)
	}
	s.batch = append(s.batch, a)
}

// flushSeats sends the assignments of a step, and gives back what was offered
// and is of no use.
func (c *Core) flushSeats() {
	for _, s := range c.assigning {
		if len(s.batch) > 0 && !s.peer.down && !s.class.job.ended {
			more := s.class.queue.n > 0
			if !more {
				s.wanting = 0
			}
			c.send(s.peer, &Assign{Class: s.class.id, Tasks: s.batch, More: more})
		}
		s.batch = nil
	}
	clear(c.assigning)
	c.assigning = c.assigning[:0]
	for _, cl := range c.openSeats {
		if cl.job.ended || cl.round2 != nil {
			continue
		}
		if cl.queue.n == 0 {
			c.callOff(cl)
		}
		cl.open = slices.DeleteFunc(cl.open, func(s *seat) bool {
			if s.offered > 0 && (cl.queue.n == 0 || s.free(c.now) > cl.queue.n && !cl.patient()) {
				s.offered, s.wanting = 0, 0
				c.send(s.peer, &Free{Class: cl.id})
			}
			s.open = s.offered+s.lease > 0
			return !s.open
		})
	}
	clear(c.openSeats)
	c.openSeats = c.openSeats[:0]
}

// callOff ends the calls of a class that stand at peers, when nothing waits any
// more: it is one message now or two later.
func (c *Core) callOff(cl *class) {
	if len(c.peers) < askAll {
		return
	}
	for _, p := range cl.peers {
		s := cl.seats[p]
		if s == nil || s.wanting <= 0 || s.offered > 0 {
			continue
		}
		if s.wanting = 0; c.now.Before(s.stands) && !s.brief {
			c.send(p, &Free{Class: cl.id})
		}
	}
}
