package sched

import (
	"slices"

	raygo "github.com/raygo/raygo"
)

func (c *Core) cancel(e *Cancel) {
	j := c.jobs[e.Task.Job()]
	if j == nil || j.tasks.task(e.Task) == nil {
		c.cancelSettled(e)
		return
	}
	t := j.tasks.task(e.Task)
	t.spares = !e.Recursive
	c.cancelTask(t, e, raygo.Fail(raygo.CodeCancelled, "it was cancelled"), e.Force, e.Recursive)
}

// cancelSettled answers for a task whose outcome is decided. One that ignored
// an earlier cancel may still run; force ends it.
func (c *Core) cancelSettled(e *Cancel) {
	for _, w := range c.order {
		for i, t := range w.queue {
			if t.id != e.Task {
				continue
			}
			switch {
			case e.Force && i == 0:
				c.cancels[t] = append(c.cancels[t], e)
				c.stopWorker(w, true)
			case w.state == stopping:
				c.cancels[t] = append(c.cancels[t], e)
			default:
				c.tell(e.Proc, &Cancelled{Proc: e.Proc, Request: e.Request, Outcome: Unreachable})
			}
			return
		}
	}
	for _, p := range c.peerOrder {
		if t := p.running[e.Task]; t != nil {
			if !e.Force {
				c.tell(e.Proc, &Cancelled{Proc: e.Proc, Request: e.Request, Outcome: Unreachable})
				return
			}
			c.cancels[t] = append(c.cancels[t], e)
			c.send(p, &StopTask{Task: t.id, Award: t.award, Force: true})
			return
		}
	}
	c.tell(e.Proc, &Cancelled{Proc: e.Proc, Request: e.Request, Outcome: AlreadyDone})
}

// unstarted is what a cancel came to if the task is on no worker.
func (t *task) unstarted() CancelOutcome {
	if t.attempt > 0 {
		return Stopped
	}
	return NeverStarted
}

// cancelTask cancels a task and, if recursive, what it submitted. The request
// is answered when it is certain what came of it (law 8).
func (c *Core) cancelTask(t *task, req *Cancel, why *raygo.Failure, force, recursive bool) {
	t.closed = t.closed && req == nil
	if recursive {
		c.cancelChildren(t, why, force)
	}
	if req != nil {
		c.cancels[t] = append(c.cancels[t], req)
	}
	w := t.worker
	switch {
	case t.at != nil:
		t.cancelled = true
		c.markTask(t.job, t.id)
		c.send(t.at, &StopTask{Task: t.id, Award: t.award, Force: force})
		c.after(2*cancelGrace, timer{kind: timerCancel, task: t, mark: t.award})
	case w == nil:
		c.cancelUnplaced(t, why)
	case t.state == raygo.PendingArgsFetch:
		c.withdraw(t)
		c.cancelUnplaced(t, why)
		c.nextOn(w)
	default:
		t.cancelled = true
		c.markTask(t.job, t.id)
		if force && w.queue[0] == t {
			c.stopWorker(w, true)
			return
		}
		c.emit(&Stop{Worker: w.id, Task: t.id, Award: t.award})
		c.after(cancelGrace, timer{kind: timerCancel, task: t, mark: t.award})
	}
}

// cancelUnplaced settles a task that no worker has.
func (c *Core) cancelUnplaced(t *task, why *raygo.Failure) {
	if !t.queued {
		c.unbind(t)
	}
	c.finishFailed(t, why)
	c.answerCancels(t, t.unstarted())
}

// cancelOverdue is called when a running task has ignored its context: its refs
// are settled, what it still computes will be discarded.
func (c *Core) cancelOverdue(t *task, award uint32) {
	if t.award != award || t.foreign != nil || t.at == nil && (t.worker == nil || t.worker.state == stopping) {
		return
	}
	if !t.settled {
		c.finishFailed(t, raygo.Fail(raygo.CodeCancelled, "it was cancelled; it ignores its context and still runs, its result will be discarded (Force ends its process)"))
	}
	c.answerCancels(t, Unreachable)
}

func (c *Core) answerCancels(t *task, outcome CancelOutcome) {
	for _, r := range c.cancels[t] {
		c.tell(r.Proc, &Cancelled{Proc: r.Proc, Request: r.Request, Outcome: outcome})
	}
	delete(c.cancels, t)
}

// cancelChildren cancels what a task submitted, deepest last come first.
func (c *Core) cancelChildren(t *task, why *raygo.Failure, force bool) {
	var kids []*task
	for k := t.child; k != nil; k = k.next {
		kids = append(kids, k)
	}
	slices.Reverse(kids)
	for _, k := range kids {
		if !k.settled {
			c.cancelTask(k, nil, why, force, true)
		}
	}
}
