package sched

import (
	"fmt"
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
)

// enqueue makes a task ready for a place.
func (c *Core) enqueue(t *task, front bool) {
	if t.settled || t.queued || t.job.adopting != nil {
		return
	}
	cl := t.class
	c.chooseSelector(cl)
	if cl.opts.Memoize && t.memo == memoUnasked && t.stream == nil && cl.opts.NumReturns == 1 && !cl.opts.OnePart {
		vs, _ := c.values(t)
		t.memo = memoAsked
		c.emit(&Memo{Task: t.id, Award: t.award, Class: cl.id, Args: t.args, Values: vs})
		return
	}
	t.state = raygo.PendingNodeAssignment
	if t.readySince == 0 {
		t.readySince = c.now.UnixNano()
		if d := cl.opts.PendingTimeout; d > 0 && t.foreign == nil {
			c.after(d, timer{kind: timerPending, task: t, mark: t.attempt})
		}
	}
	cl.queue.push(t, front)
	if !cl.listed {
		cl.listed = true
		c.ready = append(c.ready, cl)
	}
	if c.affineToNobody(cl) {
		c.finishFailed(t, raygo.Fail(raygo.CodeUnschedulable, "%s", cl.refused))
		return
	}
	if cl.refused != "" && !cl.warned && cl.owned() && !c.shared(cl) {
		cl.warned = true
		c.warn(cl.job, fmt.Sprintf("%s cannot run as the cluster stands: %s; it waits until a peer joins that can", cl.function, c.cannot(cl)))
	}
}

func (c *Core) unqueue(t *task) { t.class.queue.remove(t) }

func (c *Core) memoAnswer(e *MemoAnswer) {
	j := c.jobs[e.Task.Job()]
	if j == nil {
		return
	}
	t := j.tasks.task(e.Task)
	if t == nil || t.award != e.Award || t.memo != memoAsked {
		return
	}
	t.memo = memoAnswered
	stored := j.objects.get(e.Value.Store)
	if k := e.Value.Kind; k != Inline && (k != Stored || stored == nil || stored.value.Kind != Stored) {
		c.enqueue(t, false)
		return
	}
	t.startedAt = c.now.UnixNano()
	c.settle(t, raygo.Finished, Value{})
	c.bequeath(t)
	j.finished++
	var nested []raygo.ObjectID
	if e.Value.Kind == Stored {
		nested = []raygo.ObjectID{e.Value.Store}
	}
	c.resolve(j, t.id.Object(0), e.Value, nested)
}

// schedule starts what can be started: first blocked tasks that can go on, then
// ready tasks by rank, then tasks ahead of need.
func (c *Core) schedule() {
	c.resumeBlocked()
	for c.scheduleOnce() {
	}
	c.tidyReady()
}

// scheduleOnce reports whether more may fit now than when it looked: tasks sent
// ahead may have been those for which others were held back.
func (c *Core) scheduleOnce() bool {
	c.turn++
	reserve := c.reserved()
	for {
		cl := c.bestClass(reserve)
		if cl == nil {
			break
		}
		c.keptFor = nil
		if depth, _ := c.depthOf(cl); reserve != nil && reserve != cl && c.yields(cl, depth, reserve) {
			c.keptFor = reserve // it may go where the other cannot
		}
		ok, short := c.placeOne(cl, cl.queue.head())
		c.keptFor = nil
		if !ok {
			cl.skip = c.turn
			cl.short = short
			if cl.blockedSince.IsZero() {
				cl.blockedSince = c.now
				c.after(starveAfter, timer{kind: timerStarve})
			}
			continue
		}
		cl.blockedSince = time.Time{}
		if cl == reserve {
			reserve = c.reserved()
		}
	}
	return c.sendAhead(reserve) && reserve != nil
}

// placeOne gives the head of a class's queue its place, or offers a slot to the
// owner of the class if that calls for one.
func (c *Core) placeOne(cl *class, t *task) (ok bool, short string) {
	if t != nil && cl.owned() && c.lostDep(t) {
		c.rebuildDeps(t)
		return true, ""
	}
	if t != nil && c.shared(cl) {
		return c.placeShared(cl, t)
	}
	if t != nil {
		ok, short = c.hasSlot(cl)
	} else if ok, short = c.led.fits(&cl.demand); !ok && c.revoke(cl) {
		ok, short = c.led.fits(&cl.demand)
	}
	switch {
	case ok && len(c.resume) > 0 && cl.demand.cpu > 0:
		return false, "CPU (tasks that were blocked go on first)"
	case ok && t == nil:
		c.reserve(cl)
	case ok && !c.place(t):
		return false, "a worker process (limit reached)"
	}
	return ok, short
}

func (c *Core) tidyReady() {
	kept := c.ready[:0]
	for _, cl := range c.ready {
		if cl.queue.n > 0 || c.calls(cl) {
			kept = append(kept, cl)
		} else {
			cl.listed = false
			cl.blockedSince = time.Time{}
		}
	}
	clear(c.ready[len(kept):])
	c.ready = kept
}

// reserved is the class that has been passed over longest, if that is too long:
// what it needs is then not given to others of its rank.
func (c *Core) reserved() *class {
	var worst *class
	for _, cl := range c.ready {
		if cl.queue.n > 0 && cl.refused == "" && !cl.blockedSince.IsZero() && c.now.Sub(cl.blockedSince) >= starveAfter {
			if worst == nil || cl.blockedSince.Before(worst.blockedSince) {
				worst = cl
			}
		}
	}
	return worst
}

// bestClass ranks the heads of the queues: priority, then depth, then the job
// with the least running, then the class served longest ago.
func (c *Core) bestClass(reserve *class) *class {
	var best *class
	var bestDepth int32
	for _, cl := range c.ready {
		if cl.skip == c.turn || cl.refused != "" && !c.shared(cl) {
			continue
		}
		depth, ok := c.depthOf(cl)
		if !ok || reserve != nil && reserve != cl && c.yields(cl, depth, reserve) && c.covers(reserve, cl) {
			continue
		}
		if best == nil || outranks(cl, depth, best, bestDepth) {
			best, bestDepth = cl, depth
		}
	}
	return best
}

// yields reports whether a class must wait for the reserved one: same
// resources wanted, and no higher rank. Deeper tasks never yield, since running
// parents wait for them.
func (c *Core) yields(cl *class, depth int32, reserve *class) bool {
	rd, ok := c.depthOf(reserve)
	if !ok || cl.opts.Priority > reserve.opts.Priority || depth > rd {
		return false
	}
	return overlap(&cl.demand, &reserve.demand) && exceeds(&reserve.demand, &cl.demand)
}

// covers reports whether the reserved class could use every place that cl could.
func (c *Core) covers(reserve, cl *class) bool {
	if !c.shared(cl) || !reserve.owned() {
		return !c.shared(cl) // what another peer's class waits for is room here
	}
	if c.atHome(cl) && !c.atHome(reserve) {
		return false
	}
	theirs := c.feasible(reserve)
	for _, p := range c.feasible(cl) {
		if _, ok := slices.BinarySearchFunc(theirs, p, byPeer); !ok {
			return false
		}
	}
	return true
}

// kept reports whether the room of a peer (nil: this one) is set aside from the
// class that is being placed.
func (c *Core) kept(p *peer) bool {
	r := c.keptFor
	switch {
	case r == nil:
		return false
	case p == nil:
		return c.atHome(r)
	case !r.owned():
		return false
	}
	_, ok := slices.BinarySearchFunc(c.feasible(r), p, byPeer)
	return ok
}

// exceeds reports whether a wants more of something than b: what falls free after
// b is then not enough, and has to be set aside.
func exceeds(a, b *demand) bool {
	if a.cpu > b.cpu || a.gpu > b.gpu || a.memory > b.memory {
		return true
	}
	for _, x := range a.custom {
		if !slices.ContainsFunc(b.custom, func(y amount) bool { return y.index == x.index && y.q >= x.q }) {
			return true
		}
	}
	return false
}

// overlap reports whether two demands want some of the same resource.
func overlap(a, b *demand) bool {
	if a.cpu > 0 && b.cpu > 0 || a.gpu > 0 && b.gpu > 0 || a.memory > 0 && b.memory > 0 {
		return true
	}
	for _, x := range a.custom {
		for _, y := range b.custom {
			if x.index == y.index {
				return true
			}
		}
	}
	return false
}

// depthOf is the depth of what a class wants a place for: the head of its queue,
// or what its owner called for.
func (c *Core) depthOf(cl *class) (int32, bool) {
	if h := cl.queue.head(); h != nil {
		return h.depth, true
	}
	return cl.callDepth, c.calls(cl)
}

func outranks(a *class, ad int32, b *class, bd int32) bool {
	switch {
	case a.opts.Priority != b.opts.Priority:
		return a.opts.Priority > b.opts.Priority
	case ad != bd:
		return ad > bd
	case a.job != b.job && a.job.running != b.job.running:
		return a.job.running < b.job.running
	default:
		return a.served < b.served
	}
}

// place starts t on this machine: the caller has asked fits. It fails only when
// no worker may be started.
func (c *Core) place(t *task) bool {
	cl := t.class
	g := c.takeSlot(cl)
	gpus := c.led.gpuNames(&g)
	key := poolKey{job: cl.job.id, env: cl.env, gpus: gpuKey(gpus)}
	w := c.findWorker(key)
	if w == nil && !c.canStartWorker(t) {
		c.led.give(&cl.demand, &g)
		return false
	}
	cl.queue.pop()
	t.grant = g
	cl.active++
	cl.job.running++
	c.places++
	cl.served = c.places
	switch {
	case w == nil:
		c.startWorker(key, cl.job, cl, gpus, t)
	case w.state == starting:
		w.bound = t
	default:
		c.give(t, w)
	}
	return true
}

// unbind takes a task off the worker that is being started for it, if there is
// one.
func (c *Core) unbind(t *task) {
	for _, w := range c.order {
		if w.bound == t {
			w.bound = nil
			c.dropBound(t)
		}
	}
}

// findWorker prefers the worker that was idle last, then one that is about to
// be.
func (c *Core) findWorker(key poolKey) *worker {
	var found *worker
	for _, w := range c.order {
		if w.key != key {
			continue
		}
		switch {
		case w.state == idle && (found == nil || found.state == starting || w.idleSince.After(found.idleSince)):
			found = w
		case w.state == starting && w.bound == nil && found == nil:
			found = w
		}
	}
	return found
}

// canStartWorker bounds processes. Past the bound an idle worker of another
// pool makes room, one without refs rather. Else a task may start one only if
// it is deeper than every task that has begun, or if every process is blocked:
// so progress is possible however many parents wait.
func (c *Core) canStartWorker(t *task) bool {
	live, deepest, stuck := 0, int32(-1), true
	var spare *worker
	for _, w := range c.order {
		if w.state == stopping {
			continue
		}
		live++
		stuck = stuck && w.state == blockedState
		if w.state == idle && (spare == nil || c.owns(spare) && !c.owns(w)) {
			spare = w
		}
		for _, q := range w.queue {
			deepest = max(deepest, q.depth)
		}
		if w.bound != nil {
			deepest = max(deepest, w.bound.depth)
		}
	}
	if live < c.cfg.MaxWorkers {
		return true
	}
	if spare != nil {
		c.stopWorker(spare, false)
		return true
	}
	return t.depth > deepest || stuck && len(c.resume) == 0
}

// give puts t, whose resources are taken, at the end of w's queue.
func (c *Core) give(t *task, w *worker) {
	t.worker = w
	t.award = max(t.award, t.floor) + 1
	c.markTask(t.job, t.id)
	t.state = raygo.SubmittedToWorker
	w.queue = append(w.queue, t)
	w.calls++
	w.limitCalls(t.class.opts.MaxCalls)
	if len(w.queue) == 1 {
		w.state = busy
		w.since = c.now
		t.class.workers = append(t.class.workers, w)
	}
	vs, stored := c.values(t)
	if len(stored) > 0 {
		t.fetched = stored
		t.state = raygo.PendingArgsFetch
		f := &Fetch{Task: t.id, Award: t.award, Objects: stored}
		if t.foreign != nil {
			f.Sources = t.foreign.sources
		} else {
			f.Sources = c.sources(t.job, stored, false)
		}
		c.emit(f)
		return
	}
	if len(w.queue) == 1 {
		c.begin(t, w)
	}
	c.execute(t, vs)
}

// begin marks t as what w executes now.
func (c *Core) begin(t *task, w *worker) {
	t.startedAt, w.began = c.now.UnixNano(), c.now
	w.noAhead, w.recalled = false, false
	if t.state == raygo.SubmittedToWorker {
		t.state = raygo.Running
	}
	if d := t.class.opts.Timeout; d > 0 {
		c.after(d+timeoutGrace, timer{kind: timerTimeout, task: t, mark: t.award})
	}
}

func (c *Core) execute(t *task, vs []Resolved) {
	t.reached = 0
	e := &Execute{Worker: t.worker.id, Task: t.id, Attempt: t.attempt, Award: t.award, Class: t.class.id, Args: t.args, Values: vs}
	if s := t.stream; s != nil {
		e.Stream, e.From, e.Taken = true, s.produced, s.credit()
		if s.fixed {
			e.From = 0
		}
	}
	if t.redo || t.regen {
		e.Stream, e.From = true, 0
	}
	if t.regen {
		e.Taken = raygo.StreamIndex
	}
	if f := t.foreign; f != nil && f.stream {
		e.Stream, e.From, e.Taken = true, f.from, f.taken
	}
	c.emit(e)
}

func (c *Core) argsReady(e *ArgsReady) {
	t := c.awarded(e.Task, e.Award)
	if t == nil || t.state != raygo.PendingArgsFetch {
		return
	}
	t.state = raygo.SubmittedToWorker
	vs, _ := c.values(t)
	if t.worker.queue[0] == t {
		c.begin(t, t.worker)
	}
	c.execute(t, vs)
}

func (c *Core) argsFailed(e *ArgsFailed) {
	t := c.awarded(e.Task, e.Award)
	if t == nil || t.state != raygo.PendingArgsFetch {
		return
	}
	w := t.worker
	c.withdraw(t)
	if t.foreign != nil {
		c.foreignArgsFailed(t, e)
		c.nextOn(w)
		return
	}
	f := e.Failure
	if f == nil {
		f = raygo.Fail(raygo.CodeObjectLost, "its arguments could not be brought")
	}
	switch {
	case len(e.Missing) > 0:
		c.missing(t, e.Missing, e.Denied, f)
	case f.Code == raygo.CodeStoreFull && c.noRoom(t, nil):
	default:
		c.finishFailed(t, f)
	}
	c.nextOn(w)
}

// awarded finds an unsettled task by its current award.
func (c *Core) awarded(id raygo.TaskID, award uint32) *task {
	j := c.jobs[id.Job()]
	if j == nil {
		return nil
	}
	t := j.tasks.task(id)
	if t == nil || t.settled || t.award != award || t.worker == nil {
		return nil
	}
	return t
}

// withdraw takes a task that its worker has not been sent off that worker.
func (c *Core) withdraw(t *task) {
	w := t.worker
	t.worker = nil
	c.detach(t, w)
}
