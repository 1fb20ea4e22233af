package sched

import (
	raygo "github.com/raygo/raygo"
)

// foreign is what an executor keeps of a task that another peer owns: what the
// owner resolved for it, and the award under which it may report.
type foreign struct {
	owner   *peer
	award   uint32
	values  []Resolved
	stored  []raygo.ObjectID
	sources []Source
	from    uint32
	taken   uint32
	stream  bool
}

// assigned takes tasks over from their owner. They are tasks like any other from
// then on, but that their end is reported instead of settled.
func (c *Core) assigned(from *peer, m *Assign) {
	cl := from.theirs[m.Class]
	for i := range m.Tasks {
		a := &m.Tasks[i]
		if cl == nil || cl.job.owner != from || cl.job.ended || a.Task.Job() != cl.job.id || cl.job.tasks.task(a.Task) != nil || c.tasks >= c.cfg.MaxTasks {
			c.report(from, TaskResult{Task: a.Task, Award: a.Award, Status: StatusNotStarted})
			continue
		}
		cl.seen++
		if cl.active == 0 && len(cl.lease) == 0 {
			cl.leaseSince = c.now
		}
		t := &task{
			id: a.Task, job: cl.job, class: cl, args: a.Args, depth: a.Depth, attempt: a.Attempt, parentID: a.Parent,
			state: raygo.PendingNodeAssignment, created: a.Created, memo: memoAnswered,
			foreign: &foreign{owner: from, award: a.Award, values: a.Values, sources: a.Sources, from: a.From, taken: a.Taken, stream: a.Stream},
		}
		for _, r := range a.Values {
			if r.Value.Kind == Stored {
				t.foreign.stored = append(t.foreign.stored, r.Value.Store)
			}
		}
		cl.job.tasks.set(t.id.Object(0), t)
		c.tasks++
		cl.pending++
		if c.draining {
			c.foreignEnd(t, TaskResult{Status: StatusNotStarted})
			continue
		}
		c.enqueue(t, false)
		c.warmUp(cl)
		if !cl.returnTimed {
			cl.returnTimed = true
			c.after(returnAfter, timer{kind: timerReturn, class: cl})
		}
	}
	if cl != nil && cl.job.owner == from {
		if !m.More {
			cl.want = 0
		}
	}
}

// foreignEnd reports the end of an execution to the task's owner, once.
func (c *Core) foreignEnd(t *task, r TaskResult) {
	if t.settled {
		return
	}
	f := t.foreign
	r.Task, r.Award = t.id, f.award
	switch v := (Value{}); r.Status {
	case StatusOK:
		c.settle(t, raygo.Finished, v)
		t.job.finished++
	case StatusNotStarted:
		c.withdrawn(t)
	default:
		if r.Failure != nil {
			v = failed(r.Failure)
		} else if len(r.Outcomes) > 0 {
			v = r.Outcomes[0].Value
		} else if r.Status == StatusCancelled {
			v = failed(raygo.Fail(raygo.CodeCancelled, "it was cancelled"))
		}
		c.settle(t, raygo.Failed, v)
		t.job.failed++
	}
	c.report(f.owner, r)
	c.stands(t.class)
}

// withdrawn takes a task that has not begun out of the tables, without a trace:
// it was never this peer's to tell of.
func (c *Core) withdrawn(t *task) {
	t.settled = true
	c.unqueue(t)
	c.tasks--
	t.class.pending--
	t.job.tasks.drop(t.id.Object(0))
}

// foreignResult reports what a worker made of a task.
func (c *Core) foreignResult(t *task, e *Result) {
	switch {
	case e.Status == StatusNotStarted:
		c.backToQueue(t)
	case t.settled:
		c.dropOutcomes(e.Task, e.Outcomes)
	case t.cancelled:
		c.dropOutcomes(e.Task, e.Outcomes)
		c.foreignEnd(t, TaskResult{Status: StatusCancelled, Cancel: Stopped})
	default:
		c.foreignEnd(t, TaskResult{Status: e.Status, Run: e.Run, Items: e.Items, Outcomes: e.Outcomes})
	}
}

// foreignFailed reports a failure that this peer met, not the program.
func (c *Core) foreignFailed(t *task, f *raygo.Failure) {
	if f == nil {
		f = raygo.Fail(raygo.CodeWorkerCrashed, "its execution failed")
	}
	if f.Code == raygo.CodeCancelled {
		out := NeverStarted
		if t.startedAt != 0 {
			out = Stopped
		}
		c.foreignEnd(t, TaskResult{Status: StatusCancelled, Cancel: out})
		return
	}
	c.foreignEnd(t, TaskResult{Status: StatusDied, Failure: f})
}

// foreignArgsFailed reports that a task's arguments could not be brought, and
// who was asked.
func (c *Core) foreignArgsFailed(t *task, e *ArgsFailed) {
	f := e.Failure
	if f == nil {
		f = raygo.Fail(raygo.CodeObjectLost, "its arguments could not be brought")
	}
	c.foreignEnd(t, TaskResult{Status: StatusDied, Failure: f, Missing: e.Missing, Denied: e.Denied})
}

// stopTask cancels a task for its owner.
func (c *Core) stopTask(from *peer, m *StopTask) {
	j := c.jobs[m.Task.Job()]
	if j == nil || j.owner != from {
		return
	}
	t := j.tasks.task(m.Task)
	if t == nil {
		if m.Force {
			c.killZombie(m)
		}
		return
	}
	if t.foreign.award == m.Award {
		c.cancelTask(t, nil, raygo.Fail(raygo.CodeCancelled, "it was cancelled"), m.Force, false)
	}
}

// killZombie ends the worker of a task whose end was reported and which still
// runs.
func (c *Core) killZombie(m *StopTask) {
	for _, w := range c.order {
		if len(w.queue) > 0 && w.queue[0].id == m.Task && w.queue[0].foreign != nil && w.queue[0].foreign.award == m.Award {
			c.stopWorker(w, true)
		}
	}
}

func (c *Core) creditTask(from *peer, m *CreditTask) {
	j := c.jobs[m.Task.Job()]
	if j == nil || j.owner != from {
		return
	}
	if t := j.tasks.task(m.Task); t != nil {
		t.foreign.taken = max(t.foreign.taken, m.N)
		if t.worker != nil {
			c.emit(&Credit{Worker: t.worker.id, Task: t.id, N: m.N})
		}
	}
}

// The owner's side of an execution elsewhere.

// doneAt handles what an executor reports.
func (c *Core) doneAt(p *peer, m *Done) {
	for i := range m.Results {
		c.resultAt(p, &m.Results[i])
	}
	for _, s := range m.Stands {
		if cl := c.classes[s.Class]; cl != nil && cl.owned() {
			c.standAt(cl, p, s)
		}
	}
}

// resultAt handles the end of one execution elsewhere: law 2.
func (c *Core) resultAt(p *peer, r *TaskResult) {
	if j := c.jobs[r.Task.Job()]; j != nil && j.adopting != nil && c.unknownYet(p, j, r.Task, r.Award, &Done{Results: []TaskResult{*r}}) {
		return
	}
	t := p.running[r.Task]
	if t == nil || t.at != p || t.award != r.Award {
		c.dropOutcomes(r.Task, r.Outcomes)
		return
	}
	c.leavePeer(t)
	c.judge(t, p, r)
	c.endedAt(t, p, r)
}

// endedAt settles a task as an executor says, or has it tried again.
func (c *Core) endedAt(t *task, p *peer, r *TaskResult) {
	e := &Result{Task: r.Task, Award: r.Award, Status: r.Status, Run: r.Run, Items: r.Items, Outcomes: r.Outcomes}
	switch {
	case r.Status == StatusNotStarted:
		c.backToQueue(t)
	case t.settled:
		c.dropOutcomes(r.Task, r.Outcomes)
		c.answerCancels(t, cancelOutcome(r))
	case r.Status == StatusCancelled && !t.cancelled:
		c.backToQueue(t)
	case t.cancelled:
		c.dropOutcomes(r.Task, r.Outcomes)
		c.finishFailed(t, raygo.Fail(raygo.CodeCancelled, "cancelled while it ran"))
		c.answerCancels(t, cancelOutcome(r))
	case r.Status == StatusDied:
		c.diedAt(t, p, r)
	case r.Status == StatusOK:
		t.class.measure(max(r.Run, 0))
		c.succeed(t, e)
	default:
		c.appFailed(t, e)
	}
}

// cancelOutcome is what a cancel came to, by what the executor says.
func cancelOutcome(r *TaskResult) CancelOutcome {
	if r.Status == StatusCancelled {
		return r.Cancel
	}
	return Stopped
}

// diedAt handles an execution that failed by no fault of the program's.
func (c *Core) diedAt(t *task, p *peer, r *TaskResult) {
	f := r.Failure
	if f == nil {
		f = raygo.Fail(raygo.CodeWorkerCrashed, "peer %s reported its end without saying why", p.id)
	}
	if len(r.Missing) > 0 {
		c.missing(t, r.Missing, r.Denied, f)
		return
	}
	if f.Code == raygo.CodeStoreFull && c.noRoom(t, p) {
		return
	}
	if f.Code.Retriable() || f.Code == raygo.CodeTaskTimeout {
		c.retryOrFail(t, f, failed(f))
		return
	}
	c.finishFailed(t, f)
}

// yieldedAt handles a generator's item from elsewhere.
func (c *Core) yieldedAt(p *peer, m *Yielded) {
	if j := c.jobs[m.Task.Job()]; j != nil && j.adopting != nil && c.unknownYet(p, j, m.Task, m.Award, m) {
		return
	}
	t := p.running[m.Task]
	if t == nil || t.at != p || t.award != m.Award {
		c.dropOutcomes(m.Task, []Outcome{m.Outcome})
		return
	}
	c.takeItem(t, m.Outcome)
}
