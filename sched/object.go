package sched

import (
	"slices"

	raygo "github.com/raygo/raygo"
)

// object is a ref's record on its owner: the value once there is one, and who
// still needs it. It goes when nobody does (law 6).
type object struct {
	id        raygo.ObjectID
	job       *job
	value     Value
	submitter raygo.ProcID // told unasked when the value is there

	refs        int32 // held by processes, counted
	taskPins    int32 // needed by unfinished tasks
	contained   int32 // nested in live objects
	streamHold  bool  // an item that no consumer has taken
	here        bool  // stored: the bytes are on this peer
	orphan      bool  // its copies were at its owner, which died
	lineagePins int32 // tasks that would need it to run again
	away        *away
	listed      bool // in Core.free

	nested     []raygo.ObjectID
	dependents []*task
	waiters    []waiter
}

type waiter struct {
	proc raygo.ProcID
	mode uint8
}

func (o *object) needed() bool {
	return o.refs > 0 || o.taskPins > 0 || o.contained > 0 || o.streamHold
}

func (c *Core) newObject(j *job, id raygo.ObjectID) *object {
	o := &object{id: id, job: j}
	j.objects.set(id, o)
	if ln := j.lineage[id.Task()]; ln != nil {
		ln.live++
	}
	return o
}

// object is the record of id. A record is made for a result that is still to
// come; nil means that the object is gone or never was.
func (c *Core) object(j *job, id raygo.ObjectID) *object {
	if o := j.objects.get(id); o != nil {
		return o
	}
	t := j.tasks.task(id.Task())
	if t == nil {
		if s := j.streams[id.Task()]; s != nil && s.ended {
			return c.late(j, s, id)
		}
		return c.latePart(j, id)
	}
	if !t.makes(id.Index()) {
		return nil
	}
	o := c.newObject(j, id)
	if t.stream != nil {
		c.expectItem(t.stream, o)
	}
	return o
}

// latePart makes the record of a part of a result that has failed already: who asks
// for it then is told the same as who asked before.
func (c *Core) latePart(j *job, id raygo.ObjectID) *object {
	whole := j.objects.get(id.Task().Object(0))
	if i := id.Index(); i == 0 || i >= raygo.StreamIndex || whole == nil || whole.value.Kind != Failed {
		return nil
	}
	o := c.newObject(j, id)
	o.value = whole.value
	c.markObject(j, id)
	c.look(o)
	return o
}

// makes reports whether an object with that index is still to come of a task.
func (t *task) makes(index uint32) bool {
	n := uint32(t.class.opts.NumReturns)
	switch {
	case t.stream == nil:
		return index == 0 && n > 0 || index > 0 && index <= uint32(t.class.opts.Parts())
	case t.stream.fixed:
		return index < n || index == raygo.CompletedIndex
	case index < t.stream.produced:
		return false // it was there and is gone
	default:
		return index < raygo.MaxYields || index == raygo.CompletedIndex
	}
}

func (c *Core) hold(p *proc, o *object) {
	o.refs++
	p.refs.set(o.id, p.refs.get(o.id)+1)
	if p.id == o.job.driver {
		c.markObject(o.job, o.id)
	}
}

// look puts an object on the worklist of those that may have to go.
func (c *Core) look(o *object) {
	if !o.listed && !o.needed() && o.job.adopting == nil {
		o.listed = true
		c.free = append(c.free, o)
	}
}

// sweep frees what nothing needs. Freeing an outer object can free inner ones.
func (c *Core) sweep() {
	for len(c.free) > 0 || len(c.doomed) > 0 {
		if n := len(c.doomed); n > 0 {
			d := c.doomed[n-1]
			c.doomed = c.doomed[:n-1]
			c.finish(d.task, d.why)
			continue
		}
		o := c.free[len(c.free)-1]
		c.free = c.free[:len(c.free)-1]
		o.listed = false
		if o.needed() || o.job.objects.get(o.id) != o {
			continue
		}
		if o.lineagePins > 0 && o.value.Kind != None {
			if o.value.Kind == Stored && o.value.Store == o.id {
				c.freeBytes(o) // it can be made again
			}
			continue
		}
		o.job.objects.drop(o.id)
		delete(o.job.short, o.id)
		c.markObject(o.job, o.id)
		if ln := o.job.lineage[o.id.Task()]; ln != nil {
			ln.live--
			c.unremember(o.job, o.id.Task())
		}
		for _, w := range o.waiters { // released while somebody waits in Get
			f := raygo.Fail(raygo.CodeObjectFreed, "object %s was released", o.id)
			c.tell(w.proc, &Notify{Proc: w.proc, Object: o.id, Value: failed(f), Wanted: true, Mode: w.mode})
		}
		switch {
		case o.id.Index() == raygo.StreamIndex:
			c.streamUnheld(o.job, o.id.Task())
		case o.value.Kind == None:
			c.unexpectItem(o)
		case o.value.Kind == Stored && o.value.Store == o.id:
			c.freeBytes(o)
		}
		for _, id := range o.nested {
			if in := o.job.objects.get(id); in != nil {
				in.contained--
				c.look(in)
			}
		}
	}
}

// resolve gives an object its value, once: law 1. With no record nobody needs
// it and stored bytes go.
func (c *Core) resolve(j *job, id raygo.ObjectID, v Value, nested []raygo.ObjectID) {
	o := j.objects.get(id)
	if o == nil {
		if v.Kind == Stored && v.Store == id {
			c.dropBytes(id)
		}
		return
	}
	if o.value.Kind != None {
		if v.Kind == Stored && v.Store == id && o.value.Kind != Stored {
			c.dropBytes(id)
		} else if v.Kind == Stored && o.value.Kind == Stored && o.value.Size == v.Size {
			c.held(o) // its task ran again for another part
		}
		return
	}
	o.value = v
	c.markObject(j, id)
	c.held(o)
	c.contain(o, nested)
	c.announce(o)
	c.wake(o)
	c.look(o)
}

// doom is a task that is to fail as its argument did.
type doom struct {
	task *task
	why  Value
}

// wake tells the tasks that wait for an object.
func (c *Core) wake(o *object) {
	deps := o.dependents
	o.dependents = nil
	for _, t := range deps {
		if t.waiting--; t.settled {
			continue
		}
		if o.value.Kind == Failed {
			c.doomed = append(c.doomed, doom{t, o.value})
		} else if t.waiting == 0 {
			c.enqueue(t, false)
		}
	}
}

func (c *Core) contain(o *object, nested []raygo.ObjectID) {
	for _, id := range nested {
		if in := c.object(o.job, id); in != nil && in != o {
			in.contained++
			o.nested = append(o.nested, id)
		}
	}
}

// announce tells the submitter and everybody who asked.
func (c *Core) announce(o *object) {
	told := false
	for _, w := range o.waiters {
		c.notify(w.proc, o, true, w.mode)
		told = told || w.proc == o.submitter
	}
	o.waiters = nil
	if told || o.submitter == 0 {
		return
	}
	if p := c.procs[o.submitter]; p != nil && p.refs.get(o.id) > 0 {
		c.notify(p.id, o, false, 0)
	}
}

func (c *Core) put(e *Put) {
	p := c.procs[e.Proc]
	if p == nil || e.Object.Job() != p.job.id || p.job.made(e.Object.Task()) || p.job.objects.get(e.Object) != nil {
		return
	}
	o := c.newObject(p.job, e.Object)
	o.value = sound(e.Value)
	c.markObject(o.job, o.id)
	c.held(o)
	c.contain(o, e.Nested)
	c.hold(p, o)
}

func (c *Core) borrow(e *Borrow) {
	p := c.procs[e.Proc]
	if p == nil {
		return
	}
	for _, id := range e.Objects {
		if o := c.object(p.job, id); o != nil {
			if o.submitter == 0 && o.value.Kind == None {
				o.submitter = p.id
			}
			c.hold(p, o)
		}
	}
}

func (c *Core) release(e *Release) {
	p := c.procs[e.Proc]
	if p == nil {
		return
	}
	for _, id := range e.Objects {
		n := p.refs.get(id)
		if n == 0 {
			continue
		}
		p.refs.set(id, n-1)
		if id.Job() == p.job.id && p.id == p.job.driver {
			c.markObject(p.job, id)
		}
		if o := p.job.objects.get(id); o != nil {
			o.refs--
			c.look(o)
		}
	}
}

func (c *Core) want(e *Want) {
	p := c.procs[e.Proc]
	if p == nil {
		return
	}
	for _, id := range e.Objects {
		o := c.object(p.job, id)
		if o != nil && c.shares {
			c.rebuildLost(o)
		}
		switch {
		case o == nil:
			f := raygo.Fail(raygo.CodeObjectFreed, "object %s was released, or is of another job", id)
			c.tell(p.id, &Notify{Proc: p.id, Object: id, Value: failed(f), Wanted: true, Mode: e.Mode})
		case o.value.Kind != None:
			c.notify(p.id, o, true, e.Mode)
		case !slices.Contains(o.waiters, waiter{p.id, e.Mode}):
			o.waiters = append(o.waiters, waiter{p.id, e.Mode})
		}
	}
}

// dropWaiter forgets what a process that is gone was waiting for.
func (c *Core) dropWaiter(p *proc) {
	for _, id := range sortedRefs(p.refs) {
		if o := p.job.objects.get(id); o != nil && len(o.waiters) > 0 {
			o.waiters = slices.DeleteFunc(o.waiters, func(w waiter) bool { return w.proc == p.id })
		}
	}
}

// objectLost turns a stored object whose bytes are gone into a failed one.
func (c *Core) objectLost(e *ObjectLost) {
	j := c.jobs[e.Object.Job()]
	if j == nil {
		return
	}
	if o := j.objects.get(e.Object); o != nil && o.value.Kind == Stored {
		if o.here = false; c.shares && o.value.Store == o.id && (!o.lost() || j.lineage[o.id.Task()] != nil) {
			return
		}
		f := e.Failure
		if f == nil {
			f = raygo.Fail(raygo.CodeObjectLost, "the bytes of object %s are gone", e.Object)
		}
		o.value = failed(f)
		c.markObject(j, o.id)
	}
}

// failObjects gives a failed task's objects their value. Parts and items that
// nobody has asked for yet have no record; they are answered as released.
func (c *Core) failObjects(t *task, v Value) {
	j := t.job
	switch {
	case t.regen:
		c.endRegen(t, v)
		return
	case t.stream != nil:
		c.endStream(t.stream, v)
		return
	}
	for i := range t.class.opts.Parts() + 1 {
		if j.objects.get(t.id.Object(uint32(i))) != nil || i == 0 {
			c.resolve(j, t.id.Object(uint32(i)), v, nil)
		}
	}
}

// values are the values of a task's arguments, parts of composites included,
// and the stored objects among them.
func (c *Core) values(t *task) (vs []Resolved, stored []raygo.ObjectID) {
	if t.foreign != nil {
		return t.foreign.values, t.foreign.stored
	}
	add := func(id raygo.ObjectID) {
		o := t.job.objects.get(id)
		if o == nil {
			return
		}
		vs = append(vs, Resolved{ID: id, Value: o.value})
		if o.value.Kind == Stored {
			stored = append(stored, o.value.Store)
		}
	}
	for _, id := range t.deps {
		add(id)
		if o := t.job.objects.get(id); o != nil && o.value.Kind == Composite {
			for i := range o.value.Parts {
				add(id.Task().Object(i + 1))
			}
		}
	}
	return vs, stored
}
