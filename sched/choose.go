package sched

import (
	"time"

	raygo "github.com/raygo/raygo"
)

// What estimates are made of when nothing was measured yet.
const (
	guessRate     = 300e6                  // bytes a second between peers
	guessStart    = 30 * time.Millisecond  // a worker's start
	guessProgram  = 200 * time.Millisecond // bringing a program
	loadWeight    = 20 * time.Millisecond  // what a fully used peer counts more than an idle one
	gpuWeight     = 50 * time.Millisecond  // what a peer's GPUs count against it for tasks that want none
	storeWeight   = 100 * time.Millisecond // what a full object store counts
	storeCrowded  = 0.7
	tieShare      = 1.1 // estimates within a tenth are ties
	tieAtLeast    = time.Millisecond
	correctionMax = 4.0
)

// Terms are what an estimate was made of.
type Terms struct {
	Peer    string // "" for this one
	Slots   int
	Program time.Duration // to bring the program
	Start   time.Duration // to start a worker
	Bytes   uint64        // of arguments that it lacks
	Move    time.Duration // to bring them
	Run     time.Duration // the class's mean
	Load    time.Duration // weight of how busy it is
	Correct float64       // learnt from past bids
	Total   time.Duration
	Placed  int
}

// estimate is the expected time to completion of a task on a peer (nil: here).
func (c *Core) estimate(cl *class, t *task, s *seat) Terms {
	e := Terms{Run: cl.mean, Correct: 1}
	if s == nil {
		e.Bytes, e.Placed = c.missingBytes(t, nil), cl.placedHere
		if c.warm(cl) == 0 {
			e.Start = guessStart
		}
		e.Load = time.Duration(c.used() * float64(loadWeight))
		if cl.opts.GPU == 0 && len(c.led.gpuIDs) > 0 {
			e.Load += gpuWeight
		}
		e.Load += crowded(c.storeUsed)
	} else {
		p := s.peer
		e.Peer, e.Slots, e.Placed, e.Correct = p.id, s.free(c.now), s.placed, p.correction
		e.Bytes = c.missingBytes(t, p)
		if !s.bid.Program && s.sent == 0 {
			e.Program = guessProgram
		}
		if s.bid.Warm == 0 && s.running == 0 && s.lease == 0 {
			e.Start = guessStart
		}
		e.Load = time.Duration(s.bid.Used*float64(loadWeight)) + crowded(s.bid.Stored) + p.rtt
		if cl.opts.GPU == 0 && p.totals[raygo.GPU] > 0 {
			e.Load += gpuWeight
		}
	}
	if e.Bytes > 0 {
		rate := guessRate
		if s != nil && s.peer.rate > 0 {
			rate = s.peer.rate
		}
		e.Move = time.Duration(float64(e.Bytes) / rate * float64(time.Second))
	}
	e.Total = time.Duration(float64(e.Program+e.Start+e.Move+e.Run)*e.Correct) + e.Load
	return e
}

func crowded(used float64) time.Duration {
	if used <= storeCrowded {
		return 0
	}
	return time.Duration((used - storeCrowded) / (1 - storeCrowded) * float64(storeWeight))
}

// choose picks the best place for a task among those that have room now: a seat,
// or here.
func (c *Core) choose(cl *class, t *task, fits bool) (best *seat, here bool) {
	switch cl.opts.Strategy.Kind {
	case raygo.StrategySpread:
		return c.chooseSpread(cl, fits)
	case raygo.StrategyPack:
		return c.choosePack(cl, fits)
	}
	var least Terms
	ties := 0
	consider := func(e Terms, s *seat) {
		switch {
		case ties > 0 && e.Total > least.Total && float64(e.Total) > float64(least.Total)*tieShare && e.Total > least.Total+tieAtLeast:
			return
		case ties == 0 || float64(e.Total)*tieShare < float64(least.Total) && e.Total+tieAtLeast < least.Total:
			least, ties, best = e, 1, s
			return
		}
		if e.Total < least.Total {
			least.Total = e.Total
		}
		if ties++; c.rng.IntN(ties) == 0 { // a lot among equals
			best = s
			least.Peer = e.Peer
		}
	}
	for _, s := range cl.open {
		if s.free(c.now) > 0 && !c.kept(s.peer) {
			consider(c.estimate(cl, t, s), s)
		}
	}
	if fits {
		consider(c.estimate(cl, t, nil), nil)
	}
	if ties == 0 {
		return nil, false
	}
	t.estimate = least.Total
	c.decide(cl, t, best)
	return best, best == nil
}

// chooseSpread takes the peer with the fewest tasks of the class so far. While
// one with room has two more than one without, it waits a while for that one.
func (c *Core) chooseSpread(cl *class, fits bool) (best *seat, here bool) {
	fewest, room := -1, -1
	ties := 0
	see := func(placed int, free bool, s *seat) {
		if fewest < 0 || placed < fewest {
			fewest = placed
		}
		if !free {
			return
		}
		switch {
		case room < 0 || placed < room:
			room, best, here, ties = placed, s, s == nil, 1
		case placed == room:
			if ties++; c.rng.IntN(ties) == 0 {
				best, here = s, s == nil
			}
		}
	}
	for _, p := range c.feasible(cl) {
		if s := cl.seats[p]; s != nil {
			see(s.placed, s.free(c.now) > 0 && !c.kept(p), s)
		}
	}
	if c.atHome(cl) && !c.kept(nil) {
		see(cl.placedHere, fits, nil)
	}
	if room < 0 {
		return nil, false
	}
	if room > fewest+1 {
		patience := min(spreadPatient, max(2*cl.mean, spreadLeast))
		if since := cl.blockedSince; since.IsZero() || c.now.Sub(since) < patience {
			if !c.now.Before(cl.patientUntil) { // one timer at a time
				cl.patientUntil = c.now.Add(patience)
				c.after(patience, timer{kind: timerStarve})
			}
			return nil, false
		}
	}
	c.decide(cl, cl.queue.head(), best)
	return best, here
}

// choosePack takes the fullest peer that has room.
func (c *Core) choosePack(cl *class, fits bool) (best *seat, here bool) {
	most := -1.0
	if fits {
		most, here = c.used()+0.001, true
	}
	for _, p := range c.feasible(cl) {
		s := cl.seats[p]
		if s == nil || s.free(c.now) == 0 || c.kept(p) {
			continue
		}
		used := s.bid.Used
		if total := p.totals[raygo.CPU]; total > 0 {
			used = max(used, float64(cl.opts.CPU)*float64(s.inflight)/float64(total))
		}
		if used > most {
			most, best, here = used, s, false
		}
	}
	if best != nil || here {
		c.decide(cl, cl.queue.head(), best)
	}
	return best, here
}

// aheadSeat is a seat whose slots are all busy but which may have one more task
// of the class on its way: when tasks are short against the round trip, or when
// their arguments can be brought meanwhile.
func (c *Core) aheadSeat(cl *class, t *task) *seat {
	if cl.opts.MaxCalls > 0 || cl.opts.Generator || cl.patient() || len(cl.seats) == 0 || cl.mean == 0 {
		return nil
	}
	if cl.mean >= aheadRemoteIn && len(t.deps) == 0 && c.slowestRTT <= cl.mean/10 {
		return nil // aheadDepth is 0 for every peer
	}
	var best *seat
	for _, p := range c.feasible(cl) {
		s := cl.seats[p]
		if s == nil || s.running == 0 || c.kept(p) {
			continue
		}
		depth := c.aheadDepth(cl, t, p)
		if depth == 0 || cl.queue.n < s.running || s.inflight >= s.running*(1+depth) {
			continue
		}
		if best == nil || s.inflight*best.running < best.inflight*s.running {
			best = s
		}
	}
	if best != nil {
		if !cl.aheadListed {
			cl.aheadListed = true
			c.aheads = append(c.aheads, cl)
		}
		t.estimate = 0
		if cl.mean > aheadLongest {
			c.decide(cl, t, best)
		}
	}
	return best
}

// aheadDepth is how many tasks may wait behind each that runs at a peer.
func (c *Core) aheadDepth(cl *class, t *task, p *peer) int {
	switch {
	case cl.mean == 0:
		return 0
	case cl.mean < aheadRemoteIn:
		return min(aheadMax, max(1, int((aheadRemote+2*p.rtt)/cl.mean)))
	case p.rtt > cl.mean/10:
		return 1
	case len(t.deps) > 0 && c.missingBytes(t, p) > elsewhere:
		return 1
	}
	return 0
}

// missingBytes are the bytes of a task's stored arguments that a peer (nil:
// this one) lacks.
func (c *Core) missingBytes(t *task, p *peer) uint64 {
	var n uint64
	for _, id := range t.deps {
		o := t.job.objects.get(id)
		if o == nil || o.value.Kind == Inline {
			continue
		}
		n += c.lacks(o, p)
		if o.value.Kind == Composite {
			for i := range o.value.Parts {
				if part := t.job.objects.get(id.Task().Object(i + 1)); part != nil {
					n += c.lacks(part, p)
				}
			}
		}
	}
	return n
}

func (c *Core) lacks(o *object, p *peer) uint64 {
	if o.value.Kind != Stored {
		return 0
	}
	s := c.stored(o)
	if s == nil {
		return 0
	}
	if p == nil && s.here || p != nil && holdsIt(p, s) {
		return 0
	}
	return s.value.Size
}

func holdsIt(p *peer, o *object) bool {
	_, ok := p.objects[o.id]
	return ok
}

// bytesAt are the bytes of a task's stored arguments that a peer holds.
func (c *Core) bytesAt(t *task, p *peer) uint64 {
	var n uint64
	for _, id := range t.deps {
		if o := t.job.objects.get(id); o != nil && o.value.Kind == Stored && c.lacks(o, p) == 0 {
			n += o.value.Size
		}
	}
	return n
}

// judge learns from what an estimate turned out to be.
func (c *Core) judge(t *task, p *peer, r *TaskResult) {
	est := t.estimate
	t.estimate = 0
	if r.Status != StatusOK || est < time.Millisecond {
		return
	}
	took := time.Duration(c.now.UnixNano() - t.startedAt)
	ratio := min(max(float64(took)/float64(est), 1/correctionMax), correctionMax)
	p.correction = min(max(p.correction*(1+(ratio-1)/16), 1/correctionMax), correctionMax)
	if d := c.decisions[t.id]; d != nil {
		d.Took = took
	}
}

// Decision is why a task is where it is.
type Decision struct {
	At     time.Time
	Asked  int
	Winner string // "" for this peer
	Bids   []Terms
	Took   time.Duration // what it turned out to be, once it ended
}

// maxDecisions bounds those that are kept; the oldest go.
const maxDecisions = 8192

// decide keeps the decision about a task.
func (c *Core) decide(cl *class, t *task, best *seat) {
	if c.cfg.NoDecisions {
		return
	}
	d := &Decision{At: c.now, Asked: len(cl.seats)}
	if best != nil {
		d.Winner = best.peer.id
	}
	const shown = 8
	if best != nil {
		d.Bids = append(d.Bids, c.estimate(cl, t, best))
	}
	for _, s := range cl.open {
		if len(d.Bids) < shown && s != best && s.free(c.now) > 0 {
			d.Bids = append(d.Bids, c.estimate(cl, t, s))
		}
	}
	if c.atHome(cl) {
		d.Bids = append(d.Bids, c.estimate(cl, t, nil))
	}
	if c.decisions[t.id] == nil {
		if len(c.decided) < maxDecisions {
			c.decided = append(c.decided, t.id)
		} else {
			delete(c.decisions, c.decided[c.nextDecided])
			c.decided[c.nextDecided] = t.id
			c.nextDecided = (c.nextDecided + 1) % maxDecisions
		}
	}
	c.decisions[t.id] = d
}

// Explain is the last decision about a task, if it was not simply started here.
func (c *Core) Explain(id raygo.TaskID) (Decision, bool) {
	if d := c.decisions[id]; d != nil {
		return *d, true
	}
	return Decision{}, false
}

// steal asks for tasks back that were sent ahead to busy peers, when there is
// room for them elsewhere.
func (c *Core) steal() {
	kept := c.aheads[:0]
	for _, cl := range c.aheads {
		if cl.job.ended {
			cl.aheadListed = false
			continue
		}
		most, over := (*seat)(nil), 0
		room := 0
		for _, p := range c.feasible(cl) {
			s := cl.seats[p]
			if s == nil {
				continue
			}
			room += s.free(c.now)
			if n := s.inflight - s.running; n > over && !s.recalled {
				most, over = s, n
			}
		}
		if most == nil {
			if cl.inflight() == 0 {
				cl.aheadListed = false
				continue
			}
			kept = append(kept, cl)
			continue
		}
		kept = append(kept, cl)
		if cl.queue.n > 0 || cl.mean < aheadRemoteIn/4 {
			continue
		}
		if room == 0 && c.atHome(cl) && len(c.resume) == 0 {
			if ok, _ := c.hasSlot(cl); ok {
				room = 1
			}
		}
		if room > 0 {
			most.recalled = true
			c.send(most.peer, &RecallTasks{Class: cl.id, N: min((over+1)/2, room)})
		}
	}
	clear(c.aheads[len(kept):])
	c.aheads = kept
}

// inflight counts tasks of the class that other peers have.
func (cl *class) inflight() int {
	n := 0
	for _, s := range cl.seats {
		n += s.inflight
	}
	return n
}
