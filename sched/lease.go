package sched

import (
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
)

// The executor's side of placement: calls for bids that stand here, slots that
// are reserved for an owner, and slots that it may go on using.

// Times of the protocol between owner and executor.
const (
	standFor    = 2 * time.Second        // a call for bids is kept so long
	briefFor    = 10 * time.Millisecond  // one that the owner would rather repeat elsewhere
	reserveFor  = 2 * time.Second        // an offered slot is held so long for its owner
	leaseIdle   = 100 * time.Millisecond // a slot whose task ended is kept so long for the owner's next
	leaseTurn   = 100 * time.Millisecond // an owner keeps its slots so long while others wait
	returnAfter = 300 * time.Millisecond // assigned tasks that find no room so long go back
	maxWant     = 256                    // slots that one call may ask for
)

// called keeps a call for bids. It is answered at the end of the step, with
// what could be reserved by then.
func (c *Core) called(from *peer, m *Call) {
	cl := from.theirs[m.Class]
	if cl == nil || cl.job.owner != from || cl.job.ended {
		return
	}
	cl.round, cl.callDepth = m.Round, m.Depth
	if cl.mustBid = !m.Quiet || c.whyNoBid(cl) != ""; cl.mustBid {
		c.bidding = append(c.bidding, cl)
	}
	if c.draining || cl.refused != "" || m.Want <= 0 {
		cl.want = 0
		return
	}
	cl.want, cl.callUntil = min(m.Want, maxWant), c.now.Add(standFor)
	if m.Brief {
		cl.callUntil = c.now.Add(briefFor)
	}
	c.list(cl)
}

// list puts a class on the list of those that want a place.
func (c *Core) list(cl *class) {
	if !cl.listed {
		cl.listed = true
		c.ready = append(c.ready, cl)
	}
}

// calls reports whether a call of another peer for bids stands.
func (c *Core) calls(cl *class) bool {
	if cl.want > 0 && c.now.After(cl.callUntil) {
		cl.want = 0
	}
	return cl.want > 0
}

// reserve offers one slot to the class's owner.
func (c *Core) reserve(cl *class) {
	cl.reserved = append(cl.reserved, c.led.take(&cl.demand))
	cl.want--
	cl.offer++
	c.places++
	cl.served = c.places
	cl.reservedUntil = c.now.Add(reserveFor)
	c.after(reserveFor, timer{kind: timerReserve, class: cl})
	if !cl.mustBid && cl.offer == 1 {
		c.bidding = append(c.bidding, cl)
	}
}

// flushBids answers calls: those that came in this step, and those for which
// slots fell free.
func (c *Core) flushBids() {
	for _, cl := range c.bidding {
		if cl.job.ended || !cl.mustBid && cl.offer == 0 {
			continue
		}
		b := &Bid{
			Round: cl.round, Class: cl.ownerID, Slots: cl.offer, Program: cl.job.program, Warm: c.warm(cl), Used: c.used(), Stored: c.storeUsed,
		}
		if b.Slots == 0 {
			b.Delay, b.Reason = c.delay(cl), c.whyNoBid(cl)
		}
		cl.mustBid, cl.offer = false, 0
		c.send(cl.job.owner, b)
	}
	clear(c.bidding)
	c.bidding = c.bidding[:0]
}

// whyNoBid is the reason for no bid, "" if there may be one later.
func (c *Core) whyNoBid(cl *class) string {
	switch {
	case c.draining:
		return "it is draining"
	case cl.refused != "":
		return cl.refused
	}
	return ""
}

// delay guesses when a slot for the class will be free: the shortest mean of
// what runs.
func (c *Core) delay(cl *class) time.Duration {
	best := time.Duration(0)
	for _, w := range c.order {
		if len(w.queue) > 0 && w.state == busy {
			if m := w.queue[0].class.mean; m > 0 && (best == 0 || m < best) {
				best = m
			}
		}
	}
	return best
}

// warm counts workers that could take a task of the class at once.
func (c *Core) warm(cl *class) int {
	n := 0
	for _, w := range c.order {
		if w.state == idle && w.job == cl.job && w.key.env == cl.env {
			n++
		}
	}
	return n
}

// used is the share of this machine's CPUs in use. Slots that are only kept for
// an owner's next task do not count.
func (c *Core) used() float64 {
	if c.led.total.cpu == 0 {
		return 0
	}
	return float64(c.led.total.cpu-c.led.free.cpu-c.leasedCPU()) / float64(c.led.total.cpu)
}

func (c *Core) leasedCPU() raygo.Quantity {
	var q raygo.Quantity
	for _, cl := range c.leased {
		q += cl.demand.cpu * raygo.Quantity(len(cl.lease))
	}
	return q
}

// takeSlot takes resources for a task of the class: a slot that is kept for its
// owner, else what is free. The caller has asked hasSlot.
func (c *Core) takeSlot(cl *class) grant {
	if n := len(cl.lease); n > 0 {
		g := cl.lease[n-1]
		c.cutLease(cl, n-1)
		return g
	}
	if n := len(cl.reserved); n > 0 {
		g := cl.reserved[n-1]
		cl.reserved = cl.reserved[:n-1]
		return g
	}
	return c.led.take(&cl.demand)
}

// hasSlot reports whether a task of the class could start now, and which
// resource is short if not. Slots kept for nobody's need give way.
func (c *Core) hasSlot(cl *class) (bool, string) {
	if len(cl.lease)+len(cl.reserved) > 0 {
		return true, ""
	}
	ok, short := c.led.fits(&cl.demand)
	if !ok && len(c.leased) > 0 && c.revoke(cl) {
		return c.led.fits(&cl.demand)
	}
	return ok, short
}

// keep holds a slot whose task ended for the owner's next one, if nobody else
// waits for it or the owner's turn is not over.
func (c *Core) keep(cl *class, g *grant) bool {
	if cl.job.owner == nil || cl.job.ended || !g.held || g.cpu != cl.demand.cpu || cl.queue.n > 0 || c.draining || cl.opts.MaxCalls > 0 {
		return false
	}
	for _, o := range c.ready {
		if o == cl || !overlap(&cl.demand, &o.demand) || o.queue.n == 0 && !c.calls(o) {
			continue
		}
		if o.opts.Priority > cl.opts.Priority || c.now.Sub(cl.leaseSince) > leaseTurn {
			return false
		}
	}
	if len(cl.lease) == 0 {
		c.leased = append(c.leased, cl)
	}
	cl.lease = append(cl.lease, *g)
	*g = grant{}
	cl.leaseUntil = c.now.Add(leaseIdle)
	if !cl.leaseTimed {
		cl.leaseTimed = true
		c.after(leaseIdle, timer{kind: timerLease, class: cl})
	}
	return true
}

// cutLease leaves a class the first n of its kept slots.
func (c *Core) cutLease(cl *class, n int) {
	cl.lease = cl.lease[:n]
	if n == 0 {
		c.leased = slices.DeleteFunc(c.leased, func(o *class) bool { return o == cl })
	}
}

// revoke gives kept slots back that are in the way of a class, and tells their
// owners.
func (c *Core) revoke(for_ *class) bool {
	any := false
	for _, cl := range slices.Clone(c.leased) {
		if cl == for_ || !overlap(&cl.demand, &for_.demand) {
			continue
		}
		c.endLease(cl)
		c.stands(cl)
		any = true
	}
	return any
}

func (c *Core) endLease(cl *class) {
	for i := range cl.lease {
		c.led.give(&cl.demand, &cl.lease[i])
	}
	c.cutLease(cl, 0)
}

func (c *Core) leaseDue(cl *class) {
	cl.leaseTimed = false
	if len(cl.lease) == 0 {
		return
	}
	if rest := cl.leaseUntil.Sub(c.now); rest > 0 {
		cl.leaseTimed = true
		c.after(rest, timer{kind: timerLease, class: cl})
		return
	}
	c.endLease(cl)
}

// unreserve gives offered slots back that their owner did not use.
func (c *Core) unreserve(cl *class) {
	for i := range cl.reserved {
		c.led.give(&cl.demand, &cl.reserved[i])
	}
	cl.reserved = cl.reserved[:0]
}

func (c *Core) reserveDue(cl *class) {
	if len(cl.reserved) > 0 && !c.now.Before(cl.reservedUntil) {
		c.unreserve(cl)
		c.stands(cl)
	}
}

// freed is an owner's answer to slots it has no use for.
func (c *Core) freed(from *peer, m *Free) {
	if cl := from.theirs[m.Class]; cl != nil && cl.job.owner == from {
		cl.want = 0
		c.unreserve(cl)
	}
}

// stands notes that the owner of a class is to be told how it stands.
func (c *Core) stands(cl *class) {
	if p := cl.job.owner; p != nil && !cl.standing && !cl.job.ended {
		cl.standing = true
		p.stands = append(p.stands, cl)
		c.touch(p)
	}
}

func (cl *class) stand() Stand {
	return Stand{Class: cl.ownerID, Slots: len(cl.lease), Running: cl.active, Seen: cl.seen}
}

// recallTasks hands back tasks that have not begun.
func (c *Core) recallTasks(from *peer, m *RecallTasks) {
	cl := from.theirs[m.Class]
	if cl == nil || cl.job.owner != from {
		return
	}
	for n := 0; n < m.N; n++ {
		t := cl.queue.tail()
		if t == nil {
			break
		}
		c.handBack(t)
	}
	c.stands(cl)
}

// handBack returns an assigned task that has not begun to its owner.
func (c *Core) handBack(t *task) {
	c.unqueue(t)
	c.foreignEnd(t, TaskResult{Status: StatusNotStarted})
}

// returnDue hands back assigned tasks that have found no room for too long:
// their owner may know a better place.
func (c *Core) returnDue(cl *class) {
	cl.returnTimed = false
	if cl.job.ended || cl.owned() || cl.queue.n == 0 {
		return
	}
	limit := max(returnAfter, 2*cl.mean)
	for cl.queue.n > 0 {
		t := cl.queue.head()
		if t == nil {
			return
		}
		if waited := time.Duration(c.now.UnixNano() - t.readySince); waited < limit {
			cl.returnTimed = true
			c.after(limit-waited, timer{kind: timerReturn, class: cl})
			return
		}
		c.handBack(t)
	}
}

// leaving notes that a peer drains: nothing more is placed there, and what only
// it holds is copied to others.
func (c *Core) leaving(p *peer) {
	p.draining = true // its advert may have said so already
	if p.leaving {
		return
	}
	p.leaving = true
	c.topologyChanged()
	c.rescueOf(p)
}

// drain makes this peer a leaving one.
func (c *Core) drain() {
	if c.draining {
		return
	}
	c.draining = true
	for _, p := range c.peerOrder {
		c.send(p, &Leaving{})
	}
	c.rescueOwn()
	for _, cl := range c.sortedClasses() {
		if cl.owned() {
			continue
		}
		cl.want = 0
		c.unreserve(cl)
		c.endLease(cl)
		for t := cl.queue.tail(); t != nil; t = cl.queue.tail() {
			c.handBack(t)
		}
	}
}
