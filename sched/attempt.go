package sched

import (
	"fmt"
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
)

// current finds a task that a worker holds by the award it was given: law 2. A
// task that is settled but still runs is found too.
func (c *Core) current(id WorkerID, task raygo.TaskID, award uint32) (*worker, *task) {
	w := c.workers[id]
	if w == nil {
		return nil, nil
	}
	for _, t := range w.queue {
		if t.id == task && t.award == award {
			return w, t
		}
	}
	return nil, nil
}

func (c *Core) result(e *Result) {
	w, t := c.current(e.Worker, e.Task, e.Award)
	if w == nil {
		c.dropOutcomes(e.Task, e.Outcomes)
		return
	}
	c.offWorker(t, w, e)
	if t.foreign != nil {
		c.foreignResult(t, e)
		c.nextOn(w)
		return
	}
	switch {
	case e.Status == StatusNotStarted:
		c.backToQueue(t)
	case t.settled:
		c.dropOutcomes(e.Task, e.Outcomes)
		c.answerCancels(t, Stopped)
	case t.cancelled:
		c.dropOutcomes(e.Task, e.Outcomes)
		c.finishFailed(t, raygo.Fail(raygo.CodeCancelled, "cancelled while it ran"))
		c.answerCancels(t, Stopped)
	case e.Status == StatusOK:
		c.succeed(t, e)
	default:
		c.appFailed(t, e)
	}
	c.nextOn(w)
}

// dropOutcomes frees what an attempt that nobody believes has stored.
func (c *Core) dropOutcomes(task raygo.TaskID, outs []Outcome) {
	j := c.jobs[task.Job()]
	for _, out := range outs {
		id := task.Object(out.Index)
		if out.Value.Kind != Stored {
			continue
		}
		if j != nil {
			if o := j.objects.get(id); o != nil && o.value.Kind == Stored {
				c.held(o) // one copy more of what there is
				continue
			}
		}
		c.dropBytes(id)
	}
}

// offWorker takes an ended task off its worker and learns how long it took.
func (c *Core) offWorker(t *task, w *worker, e *Result) {
	if e.Status != StatusNotStarted && w.queue[0] == t {
		ran := time.Duration(c.now.UnixNano() - t.startedAt)
		if e.Run > 0 && (e.Run < ran || ran < recallAfter) {
			ran = e.Run // results come in batches: the worker knows better
		}
		t.class.measure(ran)
		c.adviseOnSize(t.class)
	}
	c.detach(t, w)
}

// detach takes a task off a worker and gives back what it holds. The next one
// that was sent ahead is of the same class and takes the resources over.
func (c *Core) detach(t *task, w *worker) {
	i := slices.Index(w.queue, t)
	if i == 0 && len(w.queue) > 1 {
		next := w.queue[1]
		next.grant, t.grant = t.grant, grant{}
	} else if i == 0 {
		c.leaveClass(w)
	}
	w.queue = slices.Delete(w.queue, i, i+1)
	c.release1(t)
	if i == 0 && len(w.queue) > 0 && w.queue[0].state == raygo.SubmittedToWorker {
		c.begin(w.queue[0], w)
	}
}

// measure learns how long tasks of the class take.
func (cl *class) measure(d time.Duration) {
	if d = max(d, time.Microsecond); cl.mean == 0 || d > 8*cl.mean {
		cl.mean = d
		return
	}
	cl.mean += (d - cl.mean) / 8
}

// adviseOnSize tells a program once whose tasks are over before they pay for
// their way.
func (c *Core) adviseOnSize(cl *class) {
	if cl.runs++; cl.runs == hintRuns && cl.mean < hintMean && !cl.job.advised {
		cl.job.advised = true
		c.emit(&Warn{Job: cl.job.id, Hint: true, Text: fmt.Sprintf(
			"%d calls of %s took about %s each, less than to have them run elsewhere: let one call do many", cl.runs, cl.function, cl.mean.Round(time.Microsecond))})
	}
}

// adviseOnBlocking tells a program once whose tasks mostly wait for tasks.
func (c *Core) adviseOnBlocking(j *job) {
	limit := hintBlocked * max(1, int(c.led.total.cpu/raygo.Unit))
	if j.advisedBlocked || len(c.order) < limit {
		return
	}
	n := 0
	for _, w := range c.order {
		if w.state == blockedState && w.job == j {
			n++
		}
	}
	if n >= limit {
		j.advisedBlocked = true
		c.emit(&Warn{Job: j.id, Hint: true, Text: fmt.Sprintf(
			"%d worker processes only wait for results of other tasks: pass refs on as arguments, or recurse less deep", n)})
	}
}

// nextOn decides what becomes of a worker that ended a task.
func (c *Core) nextOn(w *worker) {
	if len(w.queue) > 0 || w.state == stopping {
		return
	}
	if w.state == starting {
		return
	}
	w.state = idle
	if w.maxCalls > 0 && w.calls >= w.maxCalls {
		c.stopWorker(w, false)
		return
	}
	c.rest(w)
}

func (c *Core) succeed(t *task, e *Result) {
	if f := t.mismatch(e); f != nil {
		c.dropOutcomes(t.id, e.Outcomes)
		c.finishFailed(t, f)
		return
	}
	stored := t.stream != nil || slices.ContainsFunc(e.Outcomes, func(o Outcome) bool { return o.Value.Kind == Stored })
	c.remember(t, stored, false)
	c.settle(t, raygo.Finished, Value{})
	t.job.finished++
	c.bequeath(t)
	t.worker = nil
	switch {
	case t.regen:
		c.endRegen(t, Value{})
		return
	case t.stream != nil:
		c.endStream(t.stream, Value{})
		return
	}
	c.keepMemo(t, e)
	// Parts first: when the composite is announced its parts must be there.
	for i := len(e.Outcomes) - 1; i >= 0; i-- {
		out := e.Outcomes[i]
		if out.Value.Kind != Composite || out.Index != 0 {
			out.Value = sound(out.Value)
		}
		if out.Index > 0 && t.job.objects.get(t.id.Object(0)) != nil && t.job.objects.get(t.id.Object(out.Index)) == nil {
			c.newObject(t.job, t.id.Object(out.Index)) // the composite will contain it
		}
		nested := out.Nested
		if out.Value.Kind == Composite {
			for k := range out.Value.Parts {
				nested = append(nested, t.id.Object(k+1))
			}
		}
		c.resolve(t.job, t.id.Object(out.Index), out.Value, nested)
	}
}

// mismatch is the failure of a result that has not one value for each object
// that the task makes, in order.
func (t *task) mismatch(e *Result) *raygo.Failure {
	if t.stream != nil || t.regen {
		return nil
	}
	want, parts := t.class.opts.NumReturns, t.class.opts.Parts()
	got := len(e.Outcomes)
	if parts > 0 || got > 1 {
		got-- // the composite itself
	}
	ok := got == want
	for i := range e.Outcomes {
		out := &e.Outcomes[i]
		ok = ok && int(out.Index) == i && (out.Value.Kind != Composite || i == 0 && parts > 0 && int(out.Value.Parts) == parts)
	}
	if ok {
		return nil
	}
	return &raygo.Failure{Code: raygo.CodeCountMismatch, Want: want, Got: got, Message: "the worker sent other results than NumReturns says"}
}

func (c *Core) keepMemo(t *task, e *Result) {
	if t.class.opts.Memoize && len(e.Outcomes) == 1 && len(e.Outcomes[0].Nested) == 0 {
		c.emit(&MemoKeep{Task: t.id, Value: e.Outcomes[0].Value})
	}
}

// appFailed handles a failure that the program itself made.
func (c *Core) appFailed(t *task, e *Result) {
	if len(e.Outcomes) == 0 {
		c.finishFailed(t, raygo.Fail(raygo.CodeWorkerCrashed, "its worker reported a failure without saying which"))
		return
	}
	v := sound(e.Outcomes[0].Value)
	if v.Kind != Failed {
		c.dropOutcomes(t.id, e.Outcomes)
		v = failed(raygo.Fail(raygo.CodeRefused, "its worker reported a failure and a value"))
	}
	limit := t.class.opts.MaxRetries
	if e.Status == StatusRetry && (limit < 0 || int(t.appRetries) < limit) {
		t.appRetries++
		c.again(t, v, c.backoff(t.class.opts.RetryBase, t.class.opts.RetryMax, int(t.appRetries)))
		return
	}
	c.finish(t, v)
}

// retryOrFail handles a failure of the system's: budgets for crashes and for
// kills by the memory guard are apart.
func (c *Core) retryOrFail(t *task, f *raygo.Failure, v Value) {
	if t.foreign != nil {
		c.foreignFailed(t, f)
		return
	}
	o := &t.class.opts
	limit := o.MaxRetries
	switch {
	case f.Code == raygo.CodeOutOfMemory && limit != 0 && (limit < 0 || t.oomRetries < oomRetries):
		t.oomRetries++
		c.again(t, v, c.backoff(oomBackoff, oomBackoffMax, int(t.oomRetries)))
	case (f.Code == raygo.CodeWorkerCrashed || f.Code == raygo.CodePeerDied || f.Code == raygo.CodeObjectLost) && (limit < 0 || int(t.sysRetries) < limit):
		t.sysRetries++
		c.again(t, v, c.backoff(o.RetryBase, o.RetryMax, int(t.sysRetries)))
	case f.Code == raygo.CodeTaskTimeout && o.RetryExceptions && (limit < 0 || int(t.appRetries) < limit):
		t.appRetries++
		c.again(t, v, c.backoff(o.RetryBase, o.RetryMax, int(t.appRetries)))
	default:
		c.finishFailed(t, f)
		c.answerCancels(t, Stopped)
	}
}

// again records the failed attempt and makes the task ready for the next one
// after the delay. Children of the attempt go: nobody can get their results.
func (c *Core) again(t *task, v Value, delay time.Duration) {
	if v.Failure != nil {
		v.Failure.TaskID, v.Failure.Function, v.Failure.Attempt = t.id.String(), t.class.function, int(t.attempt)
	}
	c.record(t, raygo.Failed, v, false)
	if t.child != nil {
		c.cancelChildren(t, raygo.Fail(raygo.CodeCancelled, "attempt %d of its parent %s failed", t.attempt, t.class.function), false)
	}
	t.worker = nil
	t.attempt++
	c.markTask(t.job, t.id)
	t.readySince = 0
	if s := t.stream; s != nil && s.fixed {
		c.discard(s.id, s.held)
		s.held, s.produced = nil, 0
	}
	if delay <= 0 {
		c.enqueue(t, true)
		return
	}
	t.backingOff = true
	t.state = raygo.PendingNodeAssignment
	c.after(delay, timer{kind: timerRetry, task: t, mark: t.attempt})
}

// backoff doubles from base up to limit, with jitter over the upper half.
func (c *Core) backoff(base, limit time.Duration, n int) time.Duration {
	if base <= 0 {
		return 0
	}
	d := base << min(n-1, 30)
	if d <= 0 || limit > 0 && d > limit {
		d = max(limit, base)
	}
	return d/2 + time.Duration(c.rng.Int64N(int64(d/2)+1))
}

// backToQueue takes a task that its worker has not begun back, without blame.
func (c *Core) backToQueue(t *task) {
	t.worker, t.last = nil, nil
	switch {
	case t.settled:
		c.answerCancels(t, t.unstarted())
		return
	case t.cancelled:
		c.finishFailed(t, raygo.Fail(raygo.CodeCancelled, "cancelled before it ran"))
		c.answerCancels(t, t.unstarted())
		return
	}
	c.enqueue(t, true)
}

func (c *Core) started(e *Started) {
	if w, t := c.current(e.Worker, e.Task, e.Award); w != nil && w.queue[0] == t {
		t.startedAt, w.began = c.now.UnixNano(), c.now
	}
}

// blocked gives the CPU of a waiting task back. What was sent ahead of need is
// placed anew: the worker has dropped it.
func (c *Core) blocked(e *Blocked) {
	w, t := c.current(e.Worker, e.Task, e.Award)
	if w == nil || w.queue[0] != t || w.state != busy || !t.settled && t.state < raygo.Running {
		return
	}
	c.takeBack(w)
	c.leaveClass(w)
	c.led.lend(&t.grant)
	w.state = blockedState
	c.adviseOnBlocking(w.job)
	if t.settled {
		return
	}
	t.state = raygo.RunningInGet
	if e.InWait {
		t.state = raygo.RunningInWait
	}
}

func (c *Core) takeBack(w *worker) {
	ahead := slices.Clone(w.queue[1:])
	w.queue = w.queue[:1]
	for i := len(ahead) - 1; i >= 0; i-- {
		w.calls--
		c.release1(ahead[i])
		c.backToQueue(ahead[i])
	}
}

func (c *Core) unblocked(e *Unblocked) {
	w, t := c.current(e.Worker, e.Task, e.Award)
	if w == nil || w.state != blockedState || slices.Contains(c.resume, t) {
		return
	}
	c.resume = append(c.resume, t)
}

// resumeBlocked lets unblocked tasks go on, in order, as CPUs are free. While one
// waits, schedule gives no CPU to new tasks.
func (c *Core) resumeBlocked() {
	for len(c.resume) > 0 {
		t := c.resume[0]
		if t.worker == nil || t.worker.state != blockedState {
			c.resume = c.resume[1:]
			continue
		}
		if !c.led.reclaim(&t.class.demand, &t.grant) {
			return
		}
		c.resume = c.resume[1:]
		w := t.worker
		w.state = busy
		w.noAhead = true
		if !t.settled {
			t.state = raygo.Running
		}
		t.class.workers = append(t.class.workers, w)
		c.emit(&Resume{Worker: w.id, Task: t.id, Award: t.award})
	}
}
