package sched

import (
	"slices"

	raygo "github.com/raygo/raygo"
)

// placeShared places one task on another peer or this one. It reports false when the
// task has to wait.
func (c *Core) placeShared(cl *class, t *task) (ok bool, short string) {
	home := c.atHome(cl) && !c.kept(nil)
	var fits bool
	if home {
		if fits, short = c.hasSlot(cl); fits && len(c.resume) > 0 && cl.demand.cpu > 0 {
			fits, short = false, "CPU (tasks that were blocked go on first)"
		}
	}
	if fits && c.startsHere(cl, t) {
		return c.placeHere(cl, t)
	}
	if cl.asking == nil && c.shouldAsk(cl, t) {
		c.seek(cl)
	}
	if cl.asking == nil {
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
	t.award = max(t.award, t.floor) + 1
	c.markTask(t.job, t.id)
	t.at = p
	t.state = raygo.SubmittedToWorker
	t.startedAt = c.now.UnixNano()
	p.running[t.id] = t
	t.reached = 0
	c.rollLater()
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
		if cl.job.ended || cl.asking != nil {
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
