package sched

import (
	"maps"
	"slices"

	raygo "github.com/raygo/raygo"
)

// What a guardian makes of the records that it has kept, and of what executors hold.

// ownProcs sets what this peer's own processes hold aside: it is taken into account
// with everybody else's.
func (c *Core) ownProcs(j *job) {
	for _, id := range c.sortedProcs() {
		p := c.procs[id]
		if p.job != j || p.peer != nil {
			continue
		}
		p.tell(func(h ProcHolds) { j.adopting.holds = append(j.adopting.holds, h) })
		p.refs, p.awaits, p.streams, p.cancels, p.held = newIndex[int32](j.id), nil, nil, nil, 0
	}
	c.procs[j.driver] = &proc{id: j.driver, job: j, refs: newIndex[int32](j.id)}
}

// ownTasks takes the executions that this peer has out of the tables, to be found
// again in the records.
func (c *Core) ownTasks(j *job) map[raygo.TaskID]*task {
	local := map[raygo.TaskID]*task{}
	for _, t := range sortedTasks(j.tasks) {
		c.unqueue(t)
		c.tasks--
		t.class.pending--
		t.floor = t.foreign.award
		local[t.id] = t
	}
	j.tasks = newIndex[*task](j.id)
	for _, cl := range c.sortedClasses() {
		if cl.job == j {
			c.forgetOwner(cl)
		}
	}
	return local
}

// adoptClasses finds or makes the classes of the records, by the last owner's
// number.
func (c *Core) adoptClasses(j *job, w *records) map[ClassID]*class {
	byNumber := map[ClassID]*class{}
	for _, cl := range c.sortedClasses() {
		cl.chosenAt = 0
		if cl.job == j && len(cl.def) > 0 && j.byDef[string(cl.def)] == nil {
			j.byDef[string(cl.def)] = cl
		}
	}
	for _, n := range slices.Sorted(maps.Keys(w.classes)) {
		r := w.classes[n]
		if cl := j.byDef[string(r.Def)]; cl != nil && len(r.Def) > 0 {
			byNumber[n] = cl
			continue
		}
		c.nextClass++
		id := c.nextClass | ownClass
		c.emit(&ClassKnown{Class: id, Job: j.id, Def: r.Def})
		c.defineClass(&ClassDefined{Class: id, Job: j.id, Function: r.Function, Options: r.Options, Def: r.Def})
		byNumber[n] = c.classes[id]
	}
	return byNumber
}

// adoptTasks makes tasks, streams and lineage from their records.
func (c *Core) adoptTasks(j *job, w *records, classes map[ClassID]*class, local map[raygo.TaskID]*task) {
	ids := slices.SortedFunc(maps.Keys(w.tasks), func(a, b raygo.TaskID) int { return slices.Compare(a[:], b[:]) })
	for _, id := range ids {
		r := w.tasks[id]
		cl := classes[r.Class]
		if s := r.Stream; s != nil {
			j.streams[id] = &stream{
				id: id, fixed: s.Fixed, limit: s.Limit, produced: s.Produced, taken: s.Taken, asked: s.Asked, all: s.All, held: s.Held,
				unheld: s.Unheld, ended: s.Ended, failure: s.Failure,
			}
		}
		if cl == nil {
			continue
		}
		if r.Lineage != nil {
			c.adoptLineage(j, r, cl)
		}
		if r.Pending != nil {
			c.adoptTask(j, r, cl, local[id])
			delete(local, id)
		}
	}
	for _, id := range ids {
		if t := j.tasks.task(id); t != nil {
			if up := j.tasks.task(t.parentID); up != nil {
				c.adopt(up, t)
			}
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(local), func(a, b raygo.TaskID) int { return slices.Compare(a[:], b[:]) }) {
		c.abandon(local[id]) // its submission was lost with the owner, or comes from elsewhere
	}
}

// adoptTask makes one task. What this peer runs of it already goes on.
func (c *Core) adoptTask(j *job, r *TaskRecord, cl *class, t *task) {
	p := r.Pending
	if t != nil && (t.floor < r.Award || t.worker == nil) {
		c.abandon(t)
		t = nil
	}
	if t == nil {
		t = &task{id: r.ID, job: j, class: cl, attempt: r.Attempt, award: r.Award, state: raygo.PendingArgsAvail}
	} else {
		t.foreign = nil
	}
	t.parentID, t.args, t.deps, t.pins, t.depth, t.created, t.floor = r.Parent, r.Args, r.Deps, r.Pins, r.Depth, r.Created, max(t.floor, r.Award)
	t.sysRetries, t.appRetries, t.oomRetries = p.Sys, p.App, p.OOM
	t.cancelled, t.spares, t.regen, t.redo, t.until = t.cancelled || p.Cancelled, p.Spares, p.Regen, p.Redo, p.Until
	t.memo = memoAnswered
	if ln := j.lineage[r.ID]; t.regen && ln != nil {
		t.reached = ln.items // it may have got so far: what is lost then is made once more
	}
	if s := j.streams[r.ID]; s != nil && !s.ended && !t.regen {
		t.stream, s.task = s, t
	}
	j.tasks.set(r.ID.Object(0), t)
	c.tasks++
	t.class.pending++
	if t.worker != nil {
		return
	}
	switch at := c.peers[p.At]; {
	case p.At == "" || p.At == c.cfg.Self: // it waited, or its end has been said
	case at != nil:
		c.seatTask(t, at, r.Award)
	default: // it ran at a peer that is gone
		j.adopting.failed[r.ID] = true
	}
}

// seatTask notes that a peer has a task.
func (c *Core) seatTask(t *task, p *peer, award uint32) {
	t.at, t.award, t.state, t.startedAt = p, award, raygo.SubmittedToWorker, c.now.UnixNano()
	p.running[t.id] = t
	t.job.running++
	c.seatAt(t.class, p).inflight++
	c.rollLater()
}

// abandon ends an execution here that nobody wants.
func (c *Core) abandon(t *task) {
	t.settled = true
	c.unbind(t)
	if w := t.worker; w != nil {
		if t.state == raygo.PendingArgsFetch {
			c.withdraw(t)
			c.nextOn(w)
			return
		}
		c.stopWorker(w, true)
	}
}

func (c *Core) adoptLineage(j *job, r *TaskRecord, cl *class) {
	ln := &lineage{
		class: cl, args: r.Args, deps: r.Deps, pins: r.Pins, parent: r.Parent, depth: r.Depth, attempt: r.Attempt, award: r.Award, created: r.Created,
		rebuilds: r.Lineage.Rebuilds, items: r.Lineage.Items, cut: r.Lineage.Cut, stream: r.Lineage.Stream,
	}
	if j.lineage == nil {
		j.lineage = map[raygo.TaskID]*lineage{}
	}
	j.lineage[r.ID] = ln
	j.lineageBytes += len(ln.args) + 24*len(ln.deps)
}

// adoptObjects makes objects from their records. What is here this peer knows better
// than the last owner did.
func (c *Core) adoptObjects(j *job, w *records, here map[raygo.ObjectID]struct{}) {
	driver := c.procs[j.driver]
	ids := slices.SortedFunc(maps.Keys(w.objects), func(a, b raygo.ObjectID) int { return slices.Compare(a[:], b[:]) })
	for _, id := range ids {
		r := w.objects[id]
		o := c.newObject(j, id)
		o.value, o.streamHold = r.Value, r.Untaken
		if r.Refs > 0 {
			o.refs = r.Refs
			driver.refs.set(id, r.Refs)
		}
		if r.Value.Kind == Stored && r.Value.Store == id {
			for _, h := range r.Holders {
				if h == c.cfg.Self {
					_, o.here = here[id]
				} else if p := c.peers[h]; p != nil {
					c.holdBy(o, p)
				}
			}
			a := o.awayRecord()
			a.cid, a.copies = r.CID, r.Copies
			o.orphan = o.lost()
			c.recount(o)
		}
	}
	for _, id := range ids {
		if o, r := j.objects.get(id), w.objects[id]; o != nil {
			c.contain(o, r.Nested)
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(j.lineage), func(a, b raygo.TaskID) int { return slices.Compare(a[:], b[:]) }) {
		ln := j.lineage[id]
		for _, dep := range slices.Concat(ln.deps, ln.pins) {
			if o := j.objects.get(dep); o != nil {
				o.lineagePins++
			}
		}
	}
}

// adoptHolds gives processes what they hold and wait for.
func (c *Core) adoptHolds(j *job, from *peer, holds []ProcHolds) {
	mine := func(h *ProcHolds) *proc {
		if p := c.procs[h.Proc]; p != nil && p.job == j && (from == nil || p.peer == from) {
			return p
		}
		return nil
	}
	for i := range holds {
		p := mine(&holds[i])
		for _, r := range holds[i].Refs {
			if p == nil || r.N <= 0 {
				continue
			}
			o := c.object(j, r.Object)
			if o == nil { // nobody knows of it any more: every getter is told the same
				o = c.newObject(j, r.Object)
				o.value = failed(raygo.Fail(raygo.CodeOwnerDied, "object %s: its owner died, and what it was is not known", r.Object))
			}
			o.refs += r.N - p.refs.get(r.Object)
			p.refs.set(r.Object, r.N)
		}
	}
	for i := range holds {
		h := &holds[i]
		if mine(h) == nil {
			continue
		}
		for _, a := range h.Awaits {
			c.adoptAwait(j, h.Proc, a)
		}
		for k := range h.Streams {
			s := h.Streams[k]
			s.Proc = h.Proc
			c.streamOpen(&StreamOpen{Proc: h.Proc, Task: s.Task})
			c.streamTaken(&s)
		}
		for k := range h.Cancels {
			e := h.Cancels[k]
			e.Proc = h.Proc
			c.cancel(&e)
		}
	}
}

// adoptAwait tells a process what it waits for, now or when it is there.
func (c *Core) adoptAwait(j *job, id raygo.ProcID, a Await) {
	if a.Asked {
		c.want(&Want{Proc: id, Mode: a.Mode, Objects: []raygo.ObjectID{a.Object}})
		return
	}
	o := j.objects.get(a.Object)
	switch {
	case o == nil:
	case o.value.Kind == None:
		o.submitter = id
	default:
		c.notify(id, o, false, 0)
	}
}

// settleStreams counts again who waits for items that are still to come, and ends
// streams of which nothing more is known.
func (c *Core) settleStreams(j *job) {
	for _, s := range j.streams {
		s.expected = 0
	}
	for _, o := range sortedObjects(j.objects) {
		i := o.id.Index()
		if s := j.streams[o.id.Task()]; s != nil && !s.ended && o.value.Kind == None && (i >= s.produced && i < raygo.StreamIndex || i == raygo.CompletedIndex) {
			s.expected++
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(j.streams), func(a, b raygo.TaskID) int { return slices.Compare(a[:], b[:]) }) {
		s := j.streams[id]
		if !s.ended && s.task == nil {
			s.ended, s.failure = true, failed(raygo.Fail(raygo.CodeOwnerDied, "the generator's owner died, and what it did is not known"))
			c.tellConsumers(s)
		}
		if j.objects.get(id.Object(raygo.StreamIndex)) == nil && !s.unheld {
			c.streamUnheld(j, id)
		}
	}
}

// settleObjects has lost what nobody knows how to make fail, so that nobody waits.
func (c *Core) settleObjects(j *job) {
	for _, o := range sortedObjects(j.objects) {
		if o.value.Kind != None || j.tasks.task(o.id.Task()) != nil {
			continue
		}
		if s := j.streams[o.id.Task()]; s != nil && s.ended && o.id.Index() == raygo.CompletedIndex {
			c.resolve(j, o.id, s.list(), nil)
			continue
		}
		if j.lineage[o.id.Task()] != nil {
			c.rebuild(o)
			continue
		}
		c.resolve(j, o.id, failed(raygo.Fail(raygo.CodeOwnerDied, "object %s: its owner died before it had a value, and how it is made is not known", o.id)), nil)
	}
}

func sortedObjects(x *index[*object]) []*object {
	os := make([]*object, 0, x.n)
	for _, o := range x.all() {
		os = append(os, o)
	}
	slices.SortFunc(os, func(a, b *object) int { return slices.Compare(a.id[:], b.id[:]) })
	return os
}
