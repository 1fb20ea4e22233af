package sched

import (
	"fmt"
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
)

// Bounds of what is remembered to make lost objects again.
const (
	lineageBytes = 256 << 20 // arguments kept for it, of a job
	fetchTries   = 10        // times that a task's arguments are looked for anew

	deniedMost = 8                // objects that a peer made and denies to have, within
	deniedIn   = 10 * time.Second // this time, before it gets no more tasks

	fetchFirst = 100 * time.Millisecond // before that, if their holders were not reached; doubles
	fetchMost  = 5 * time.Second
)

// lineage is how the stored results of a finished task can be made again. It
// lives as long as one of them has a record, and keeps the records of what the
// task was given: their values if they are small, else how they are made.
type lineage struct {
	class    *class
	args     []byte
	deps     []raygo.ObjectID
	pins     []raygo.ObjectID
	parent   raygo.TaskID
	depth    int32
	attempt  uint32
	award    uint32
	rebuilds int
	live     int // records of its results
	stream   bool
	items    uint32 // that it yielded
	cut      bool   // it did not end by itself: to run again it needs to get no further
	created  int64
}

// remember keeps a finished task's lineage if its results could be lost: large
// ones, in a cluster. Of a generator that was cut short those are the items it
// has yielded.
func (c *Core) remember(t *task, stored, cut bool) {
	j := t.job
	if old := j.lineage[t.id]; old != nil {
		old.attempt, old.award = t.attempt, t.award
		c.markTask(j, t.id)
		return
	}
	if !stored || !c.shares || t.class.opts.MaxRetries == 0 {
		return
	}
	if j.lineageBytes += len(t.args) + 24*len(t.deps); j.lineageBytes > lineageBytes {
		j.lineageBytes -= len(t.args) + 24*len(t.deps)
		j.lineageFull = true
		return
	}
	ln := &lineage{
		class: t.class, args: t.args, deps: t.deps, pins: t.pins, parent: t.parentID, depth: t.depth,
		attempt: t.attempt, award: t.award, stream: t.stream != nil, created: t.created,
	}
	if j.lineage == nil {
		j.lineage = map[raygo.TaskID]*lineage{}
	}
	n := uint32(t.class.opts.NumReturns)
	if t.stream != nil {
		n = t.stream.produced
		ln.items, ln.cut = n, cut
	}
	for i := range n + 1 {
		if j.objects.get(t.id.Object(i)) != nil {
			ln.live++
		}
	}
	for _, i := range [...]uint32{raygo.StreamIndex, raygo.CompletedIndex} {
		if j.objects.get(t.id.Object(i)) != nil {
			ln.live++
		}
	}
	if ln.live == 0 {
		j.lineageBytes -= len(t.args) + 24*len(t.deps)
		return
	}
	j.lineage[t.id] = ln
	c.markTask(j, t.id)
	for _, id := range slices.Concat(ln.deps, ln.pins) {
		if o := j.objects.get(id); o != nil {
			o.lineagePins++
		}
	}
}

// unremember drops a lineage that nothing can need any more.
func (c *Core) unremember(j *job, id raygo.TaskID) {
	ln := j.lineage[id]
	if ln == nil || ln.live > 0 {
		return
	}
	delete(j.lineage, id)
	c.markTask(j, id)
	j.lineageBytes -= len(ln.args) + 24*len(ln.deps)
	for _, id := range slices.Concat(ln.deps, ln.pins) {
		if o := j.objects.get(id); o != nil {
			o.lineagePins--
			c.look(o)
		}
	}
}

// lostDep finds an argument of a task whose bytes are nowhere, or that has failed
// for that since the task became ready.
func (c *Core) lostDep(t *task) bool {
	if !c.shares {
		return false
	}
	for _, id := range t.deps {
		o := t.job.objects.get(id)
		if o == nil {
			continue
		}
		if o.value.Kind == None || o.value.Kind == Failed { // it is being made again already, or cannot be
			return true
		}
		if s := c.stored(o); o.value.Kind == Stored && (s == nil || s.lost()) {
			return true
		}
		if o.value.Kind == Composite {
			for i := range o.value.Parts {
				if part := t.job.objects.get(id.Task().Object(i + 1)); part != nil && (part.lost() || part.value.Kind == None) {
					return true
				}
			}
		}
	}
	return false
}

// rebuildDeps has a task wait for arguments that have to be made again. It may
// settle the task.
func (c *Core) rebuildDeps(t *task) {
	c.unqueue(t)
	t.waiting = 0
	t.state = raygo.PendingArgsAvail
	c.awaitDeps(t)
}

// missing handles a task whose arguments could not be brought: the holders that
// deny having them are believed, and the task waits until they are there again.
func (c *Core) missing(t *task, ids []raygo.ObjectID, denied []string, f *raygo.Failure) {
	for _, id := range ids {
		c.deny(t.job.objects.get(id), denied)
	}
	if t.fetchTries++; t.fetchTries > fetchTries {
		c.finishFailed(t, f)
		return
	}
	t.waiting = 0
	if len(denied) == 0 { // holders were not reached: they will be, or turn out to be dead
		t.backingOff, t.state = true, raygo.PendingNodeAssignment
		c.after(c.backoff(fetchFirst, fetchMost, t.fetchTries), timer{kind: timerRetry, task: t, mark: t.attempt})
		return
	}
	t.state = raygo.PendingArgsAvail
	c.awaitDeps(t)
}

// noRoom has a task whose arguments found no room in a peer's store (nil: this
// one's) tried again after a while, where there may be some. It reports false when
// that was done often enough.
func (c *Core) noRoom(t *task, p *peer) bool {
	if t.fetchTries++; t.fetchTries > fetchTries || !c.shared(t.class) {
		return false
	}
	if s := t.class.seats[p]; p != nil && s != nil {
		s.bid.Stored = 1 // it counts against the peer until it says otherwise
	}
	t.waiting = 0
	t.backingOff, t.state = true, raygo.PendingNodeAssignment
	c.after(c.backoff(fetchFirst, fetchMost, t.fetchTries), timer{kind: timerRetry, task: t, mark: t.attempt})
	return true
}

// deny drops the holders of an object that say they do not have it.
func (c *Core) deny(o *object, denied []string) {
	if o == nil || o.value.Kind != Stored {
		return
	}
	if s := c.stored(o); s != nil {
		o = s
	}
	for _, id := range denied {
		if id == c.cfg.Self {
			o.here = false
		} else if p := c.peers[id]; p != nil {
			if o.away != nil && len(o.away.holders) > 0 && o.away.holders[0] == p {
				c.deniesOwn(o.job, p)
			}
			c.unholdBy(o, p)
		}
	}
}

// deniesOwn counts objects that a peer has made and does not have. One that goes on
// like that would have them made again for ever.
func (c *Core) deniesOwn(j *job, p *peer) {
	if c.now.Sub(p.deniedSince) > deniedIn {
		p.denied, p.deniedSince = 0, c.now
	}
	if p.denied++; p.denied < deniedMost || p.useless {
		return
	}
	p.useless = true
	c.topologyChanged()
	c.warn(j, fmt.Sprintf("peer %s does not have %d objects that it has just made: it gets no more tasks until it has been started anew", p.id, p.denied))
}

// fetchLost answers a process that could not bring what it was told of.
func (c *Core) fetchLost(e *FetchLost) {
	o := c.owning(e.Object)
	if o == nil || c.procs[e.Proc] == nil {
		return
	}
	c.deny(o, e.Denied)
	c.want(&Want{Proc: e.Proc, Mode: e.Mode, Objects: []raygo.ObjectID{e.Object}})
}

// rebuild has a lost object made again, once however many wait for it. If that
// cannot be, the object fails.
func (c *Core) rebuild(o *object) {
	j, id := o.job, o.id.Task()
	if t := j.tasks.task(id); t != nil {
		o.value = Value{}
		c.restart(t, o)
		return
	}
	ln := j.lineage[id]
	if why := c.cannotRebuild(j, ln, o); why != nil {
		o.value = failed(why)
		c.markObject(j, o.id)
		c.announce(o)
		c.wake(o)
		return
	}
	ln.rebuilds++
	ln.attempt++
	t := &task{
		id: id, job: j, class: ln.class, args: ln.args, deps: ln.deps, pins: ln.pins, parentID: ln.parent, depth: ln.depth,
		attempt: ln.attempt, award: ln.award, created: ln.created, state: raygo.PendingArgsAvail,
		sysRetries: uint32(ln.rebuilds), regen: ln.stream, memo: memoAnswered,
	}
	j.tasks.set(id.Object(0), t)
	c.markTask(j, id)
	c.tasks++
	t.class.pending++
	t.deps, t.pins = c.pin(j, t.deps), c.pin(j, t.pins)
	n := uint32(t.class.opts.NumReturns)
	if ln.stream {
		n = ln.items
		if ln.cut {
			t.until = n
		}
	}
	o.value = Value{}
	c.markObject(j, o.id)
	for i := range n + 1 {
		if other := j.objects.get(id.Object(i)); other != nil && other.lost() {
			other.value = Value{}
			c.markObject(j, other.id)
		}
	}
	if len(t.deps) < len(ln.deps) {
		c.finishFailed(t, raygo.Fail(raygo.CodeObjectLost, "object %s was lost, and an argument of the task that made it is gone", o.id))
		return
	}
	c.awaitDeps(t)
}

// cannotRebuild says why a lost object stays lost, nil if it can be made again.
func (c *Core) cannotRebuild(j *job, ln *lineage, o *object) *raygo.Failure {
	switch {
	case ln == nil && o.orphan:
		return raygo.Fail(raygo.CodeOwnerDied, "object %s: the peer that owned it died with its only copy, and it cannot be made again: it was put, or its task has MaxRetries(0)", o.id)
	case ln == nil && j.lineageFull:
		return raygo.Fail(raygo.CodeObjectLost, "object %s was lost with the peers that held it, and how it was made is no longer remembered: the job's lineage passed its limit of %d MiB", o.id, lineageBytes>>20)
	case ln == nil:
		return raygo.Fail(raygo.CodeObjectLost, "object %s was lost with the peers that held it, and cannot be made again: it was put, or its task was cancelled or has MaxRetries(0)", o.id)
	case ln.class.opts.MaxRetries >= 0 && ln.rebuilds >= ln.class.opts.MaxRetries:
		return raygo.Fail(raygo.CodeObjectLost, "object %s was lost with the peers that held it for the %d. time; MaxRetries(%d) is used up (max attempts exceeded)", o.id, ln.rebuilds+1, ln.class.opts.MaxRetries)
	}
	return nil
}

// restart begins a running generator anew when an item it has made is lost: the
// items that are there stay what they are. Another task that is under way makes
// the object anyway.
func (c *Core) restart(t *task, o *object) {
	if t.stream == nil || o.id.Index() >= t.stream.produced || t.redo && o.id.Index() >= t.reached {
		return // it is still to come
	}
	if t.cancelled && (t.at != nil || t.worker != nil) {
		return // its items are made again once it has ended
	}
	c.markTask(t.job, t.id)
	p := t.at
	if p == nil {
		t.redo = true
		if w := t.worker; w != nil && w.state != stopping && t.state > raygo.PendingArgsFetch {
			w.killedFor = raygo.Fail(raygo.CodeWorkerCrashed, "item %d was lost while it ran: it begins anew", o.id.Index())
			c.stopWorker(w, true)
		}
		return
	}
	c.send(p, &StopTask{Task: t.id, Award: t.award, Force: true})
	c.leavePeer(t)
	t.redo = true
	t.sysRetries++
	t.attempt++
	if limit := t.class.opts.MaxRetries; limit >= 0 && int(t.sysRetries) > limit {
		c.finishFailed(t, raygo.Fail(raygo.CodeObjectLost, "item %d was lost and MaxRetries(%d) is used up (max attempts exceeded)", o.id.Index(), limit))
		return
	}
	c.enqueue(t, true)
}

// refill gives a lost item of a generator that runs again its value back. It
// reports whether the item was wanted.
func (c *Core) refill(t *task, out Outcome) bool {
	o := t.job.objects.get(t.id.Object(out.Index))
	if o == nil || o.value.Kind != None && !o.lost() {
		return false
	}
	o.value = sound(out.Value)
	c.markObject(o.job, o.id)
	c.held(o)
	c.contain(o, out.Nested)
	c.announce(o)
	c.wake(o)
	c.look(o)
	return true
}

// enoughOf ends a generator that ran again and has yielded all that it did before
// it was cut short.
func (c *Core) enoughOf(t *task) {
	if t.settled || t.cancelled { // who cancelled it is to hear what came of that
		return
	}
	worker, at := t.worker, t.at
	if at != nil {
		c.send(at, &StopTask{Task: t.id, Award: t.award})
		c.leavePeer(t) // it may have to run there once more
	}
	c.settle(t, raygo.Finished, Value{})
	c.bequeath(t)
	c.endRegen(t, Value{})
	if worker != nil {
		c.emit(&Stop{Worker: worker.id, Task: t.id, Award: t.award})
	}
}

// endRegen ends a generator that ran again: what it did not make is lost. What it
// made and was lost anew before its end is made once more.
func (c *Core) endRegen(t *task, v Value) {
	if ln := t.job.lineage[t.id]; ln != nil { // its next execution is not to be taken for this one
		ln.attempt, ln.award = t.attempt, max(t.award, t.floor)
		c.markTask(t.job, t.id)
	}
	ended := v.Kind == None
	if ended {
		v = failed(raygo.Fail(raygo.CodeObjectLost, "the generator ran again and yielded fewer items"))
	}
	ids := make([]raygo.ObjectID, 0, 8)
	for id, o := range t.job.objects.all() {
		if id.Task() == t.id && o.value.Kind == None && id.Index() < raygo.StreamIndex {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b raygo.ObjectID) int { return slices.Compare(a[:], b[:]) })
	for _, id := range ids {
		o := t.job.objects.get(id)
		if ended && id.Index() < t.reached && o != nil && o.value.Kind == None {
			c.rebuild(o)
			continue
		}
		c.resolve(t.job, id, v, nil)
	}
}
