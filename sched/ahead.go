package sched

import (
	"math"
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
)

// sendAhead fills workers with tasks of the class they execute when those are
// so short that a round trip between two would cost more than they do.
func (c *Core) sendAhead(reserve *class) (sent bool) {
	if len(c.resume) > 0 {
		return false
	}
	for _, cl := range c.ready {
		if c.shared(cl) && cl.opts.Strategy.Kind == raygo.StrategySpread {
			continue
		}
		if cl.queue.n == 0 || cl.mean == 0 || cl.mean > aheadLongest || len(cl.workers) == 0 || cl.opts.MaxCalls > 0 || cl.opts.Generator || cl.opts.Timeout > 0 {
			continue
		}
		h := cl.queue.head()
		if h == nil || reserve != nil && reserve != cl && c.yields(cl, h.depth, reserve) {
			continue
		}
		turn := c.contended(cl, h)
		depth := min(aheadMax, max(1, int(aheadWork/cl.mean)))
		// Share what there is: the last few tasks should not pile up on one.
		depth = min(depth, 1+cl.queue.n/len(cl.workers))
		for _, w := range cl.workers {
			if w.noAhead || w.state != busy || w.queue[0].state != raygo.Running || len(w.queue)*2 > depth+1 || w.maxCalls > 0 || c.now.Sub(w.since) > turn {
				continue
			}
			for len(w.queue) <= depth && cl.queue.head() != nil && !c.hasStored(cl.queue.head()) && !c.lostDep(cl.queue.head()) {
				t := cl.queue.pop()
				cl.job.running++
				cl.active++
				c.give(t, w)
				sent = true
			}
			if len(w.queue) > 1 && !w.timed {
				w.timed = true
				c.after(recallAfter, timer{kind: timerRecall, work: w})
			}
		}
	}
	return sent
}

// contended is how long a worker may go on with a class before it has to ask for
// a place again: without end when nobody else waits for the same resources, not
// at all when somebody of a higher rank does.
func (c *Core) contended(cl *class, h *task) time.Duration {
	turn := time.Duration(math.MaxInt64)
	for _, o := range c.ready {
		if o == cl || o.skip != c.turn || !overlap(&cl.demand, &o.demand) {
			continue
		}
		oh := o.queue.head()
		switch {
		case oh == nil:
		case o.opts.Priority > cl.opts.Priority || o.opts.Priority == cl.opts.Priority && oh.depth > h.depth:
			return -1
		case o.opts.Priority == cl.opts.Priority && oh.depth == h.depth:
			turn = aheadTurn
		}
	}
	return turn
}

// hasStored reports whether bytes have to be brought before t can run; such a
// task is not sent ahead, so that a worker's tasks begin in the order sent.
func (c *Core) hasStored(t *task) bool {
	if len(t.deps) == 0 && t.foreign == nil {
		return false
	}
	_, stored := c.values(t)
	return len(stored) > 0
}

// recallDue asks for what waits behind a task that turned out to be long.
func (c *Core) recallDue(w *worker) {
	w.timed = false
	if len(w.queue) < 2 || w.state != busy {
		return
	}
	if ran := c.now.Sub(w.began); ran < recallAfter {
		w.timed = true
		c.after(recallAfter-ran, timer{kind: timerRecall, work: w})
		return
	}
	w.noAhead = true
	if !w.recalled {
		w.recalled = true
		c.emit(&Recall{Worker: w.id})
	}
}

// returned takes back what a worker has not begun: all that was sent ahead, and
// what followed a task that ended while the worker was asked.
func (c *Core) returned(e *Returned) {
	w := c.workers[e.Worker]
	if w == nil {
		return
	}
	for i := len(e.Tasks) - 1; i >= 0; i-- {
		m := e.Tasks[i]
		k := slices.IndexFunc(w.queue, func(t *task) bool { return t.id == m.Task && t.award == m.Award })
		if k < 0 {
			continue // not this worker's
		}
		t := w.queue[k]
		c.detach(t, w)
		w.calls--
		c.backToQueue(t)
		if len(w.queue) == 0 {
			c.nextOn(w)
		}
	}
}
