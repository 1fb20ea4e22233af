package sched

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
)

// endJob ends every task of a job, kills its workers and forgets its objects.
// Resources come back as the workers are gone, JobDone follows the last one.
func (c *Core) endJob(j *job, reason string) {
	if j == nil || j.ended {
		return
	}
	j.ended = true
	j.guards, j.adopting = nil, nil
	if w := c.wards[j.id]; w != nil {
		c.dropWard(w)
	}
	for _, cl := range c.sortedClasses() {
		if cl.job == j && cl.job.owner != nil {
			cl.want = 0
			c.unreserve(cl)
			c.endLease(cl)
		}
	}
	why := failed(raygo.Fail(raygo.CodeJobEnded, "job finished: %s", reason))
	c.out = slices.Grow(c.out, j.tasks.n)
	for _, t := range sortedTasks(j.tasks) {
		c.unqueue(t)
		if t.worker == nil {
			c.dropFetch(t)
		}
		t.settled = true
		j.failed++
		c.tasks--
		c.record(t, raygo.Failed, why, true)
		if t.worker == nil {
			c.answerCancels(t, t.unstarted())
		}
		t.state = raygo.Failed
	}
	j.tasks, j.streams = newIndex[*task](j.id), map[raygo.TaskID]*stream{}
	j.objects = newIndex[*object](j.id)
	j.lineage, j.lineageBytes, j.short = nil, 0, nil
	for _, w := range slices.Clone(c.order) {
		if w.key.job == j.id {
			c.stopWorker(w, true)
		}
	}
	c.forgetJobAt(j, reason)
	for id, p := range c.procs {
		if p.job == j {
			if delete(c.procs, id); p.peer != nil {
				p.peer.procs--
			}
		}
	}
	for id, cl := range c.classes {
		if cl.job == j {
			delete(c.classes, id)
		}
	}
	c.ready = slices.DeleteFunc(c.ready, func(cl *class) bool { return cl.job == j })
	c.resume = slices.DeleteFunc(c.resume, func(t *task) bool { return t.job == j })
	c.jobMayBeDone(j)
}

func (c *Core) jobMayBeDone(j *job) {
	if j.ended && j.workers == 0 && c.jobs[j.id] == j {
		delete(c.jobs, j.id)
		for key := range c.startFails {
			if key.job == j.id {
				delete(c.startFails, key)
			}
		}
		c.emit(&JobDone{Job: j.id, Finished: j.finished, Failed: j.failed})
	}
}

// record emits the row of an attempt that is over.
func (c *Core) record(t *task, state raygo.TaskState, v Value, final bool) {
	e := &Ended{
		Task: t.id, Parent: t.parentID, Job: t.job.id, Function: t.class.function, Class: t.class.id, Attempt: t.attempt, Depth: int(t.depth),
		State: state, Failure: v, Created: when(t.created), Started: when(t.startedAt), Ended: c.now, Final: final, Args: t.args,
	}
	switch {
	case t.worker != nil:
		e.PID, e.Worker = t.worker.pid, t.worker.id
	case t.last != nil:
		e.Peer = t.last.id
	case t.at != nil: // it ends while that peer has it
		e.Peer = t.at.id
	}
	t.last = nil
	if len(t.deps) > 0 && t.waiting == 0 {
		e.Values, _ = c.values(t)
	}
	c.emit(e)
}

// sortedTasks are a job's tasks in the order of their IDs.
func sortedTasks(x *index[*task]) []*task {
	type entry struct {
		proc uint64
		seq  uint32
		task *task
	}
	es := make([]entry, 0, x.n)
	for _, t := range x.all() {
		es = append(es, entry{uint64(t.id.Proc()), t.id.Seq(), t})
	}
	slices.SortFunc(es, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.proc, b.proc), cmp.Compare(a.seq, b.seq))
	})
	ts := make([]*task, len(es))
	for i := range es {
		ts[i] = es[i].task
	}
	return ts
}

func sortedRefs(x *index[int32]) []raygo.ObjectID {
	ids := make([]raygo.ObjectID, 0, x.n)
	for id := range x.all() {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b raygo.ObjectID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

// timer is a moment at which something is to be looked at again. What it is
// about may have changed meanwhile: fire checks.
type timer struct {
	at    time.Time
	kind  timerKind
	task  *task
	mark  uint32 // the award, attempt or turn it was set for
	work  *worker
	class *class
	job   *job
}

type timerKind uint8

const (
	timerRetry   timerKind = iota // a backoff is over
	timerPending                  // PendingTimeout
	timerTimeout                  // Timeout and its grace
	timerCancel                   // cancelGrace
	timerRecall                   // recallAfter
	timerIdle                     // a worker may have been idle long enough
	timerStarve                   // starveAfter: only a reason to schedule
	timerReserve                  // offered slots were not used
	timerLease                    // kept slots were not used
	timerReturn                   // assigned tasks have waited long
	timerRound                    // bids are no longer waited for
	timerSeek                     // calls for bids have run out
	timerRoll                     // a roll call is due
	timerGuard                    // guardians are to be told of changes
	timerTake                     // nobody has taken a dead owner's job over
	timerOrphan                   // likewise, at an executor
	timerAdopt                    // executors have had their time to say what they have
	timerCopies                   // peers have had their time to make copies
)

// timerHeap is a binary heap by time.
type timerHeap []timer

func (c *Core) after(d time.Duration, t timer) {
	t.at = c.now.Add(d)
	if len(c.timers) >= max(c.compactAt, 1024) {
		c.compact()
	}
	c.push(t)
}

func (c *Core) push(t timer) {
	h := append(c.timers, t)
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].at.Before(h[up].at) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
	c.timers = h
}

// compact drops timers about what is over, so that a long Timeout does not keep
// millions of finished tasks.
func (c *Core) compact() {
	old := c.timers
	c.timers = make(timerHeap, 0, len(old)/2)
	for _, tm := range old {
		t := tm.task
		switch tm.kind {
		case timerRetry, timerPending:
			if t.settled || t.attempt != tm.mark {
				continue
			}
		case timerTimeout:
			if t.settled || t.award != tm.mark {
				continue
			}
		}
		c.push(tm)
	}
	c.compactAt = 2 * len(c.timers)
}

func (c *Core) pop() timer {
	h := c.timers
	top := h[0]
	last := len(h) - 1
	h[0], h[last] = h[last], timer{}
	h = h[:last]
	for i := 0; ; {
		least := i
		for _, k := range [2]int{2*i + 1, 2*i + 2} {
			if k < len(h) && h[k].at.Before(h[least].at) {
				least = k
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	c.timers = h
	return top
}

// fire handles the timers that are due.
func (c *Core) fire() {
	for len(c.timers) > 0 && !c.timers[0].at.After(c.now) {
		tm := c.pop()
		t := tm.task
		switch tm.kind {
		case timerRetry:
			if !t.settled && t.backingOff && t.attempt == tm.mark {
				t.backingOff = false
				c.enqueue(t, false)
			}
		case timerPending:
			if !t.settled && t.worker == nil && t.at == nil && t.attempt == tm.mark && t.readySince != 0 {
				why := raygo.Fail(raygo.CodePendingTimeout, "no place was found within %s: %s", t.class.opts.PendingTimeout, c.whyPending(t))
				c.unbind(t)
				c.finishFailed(t, why)
				c.answerCancels(t, t.unstarted())
			}
		case timerTimeout:
			if !t.settled && t.award == tm.mark && t.worker != nil && t.state >= raygo.Running {
				t.worker.killedFor = raygo.Fail(raygo.CodeTaskTimeout, "ran longer than %s and ignored its context", t.class.opts.Timeout)
				c.stopWorker(t.worker, true)
			}
		case timerCancel:
			c.cancelOverdue(t, tm.mark)
		case timerRecall:
			c.recallDue(tm.work)
		case timerIdle:
			c.reap(tm.work)
		case timerStarve:
		case timerRoll:
			c.rollDue()
		case timerGuard, timerTake, timerOrphan, timerAdopt, timerCopies:
			c.fireJob(&tm)
		default:
			c.fireClass(&tm)
		}
	}
}

// fireJob handles the timers of jobs, most of them of those that outlive their owner.
func (c *Core) fireJob(tm *timer) {
	switch j := tm.job; tm.kind {
	case timerGuard:
		c.guardDue(j)
	case timerTake:
		c.takeDue(j)
	case timerOrphan:
		c.orphanDue(j, tm.mark)
	case timerAdopt:
		if j.adopting != nil && j.adopting.began == tm.mark {
			clear(j.adopting.waiting)
			c.adopted(j)
		}
	case timerCopies:
		j.copiesTimed = false
		c.spreadShort(j)
	}
}

// fireClass handles the timers of classes that other peers have to do with.
func (c *Core) fireClass(tm *timer) {
	cl := tm.class
	if cl.job.ended {
		return
	}
	switch tm.kind {
	case timerReserve:
		c.reserveDue(cl)
	case timerLease:
		c.leaseDue(cl)
	case timerReturn:
		c.returnDue(cl)
	case timerRound:
		c.roundDue(cl, tm.mark)
	case timerSeek:
		cl.seekTimed = false
		if cl.queue.n > 0 {
			c.list(cl)
		}
	}
}
