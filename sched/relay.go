package sched

import (
	"fmt"
	"slices"

	raygo "github.com/raygo/raygo"
)

// A process is attached to one peer, its job is owned by one: where they differ,
// the core it is attached to passes on what it asks, and the owner's answers.

// tellOwner passes an event of a process on if its job is owned elsewhere.
func (c *Core) tellOwner(ev Event) bool {
	var id raygo.ProcID
	var m FromProc
	held := 0
	switch e := ev.(type) {
	case *Submit:
		id, m.Submit, held = e.Proc, e, 1
	case *Put:
		id, m.Put, held = e.Proc, e, 1
	case *Want:
		id, m.Want = e.Proc, e
	case *Borrow:
		id, m.Borrow, held = e.Proc, e, len(e.Objects)
	case *Release:
		id, m.Release, held = e.Proc, e, -len(e.Objects)
	case *Cancel:
		id, m.Cancel = e.Proc, e
	case *StreamOpen:
		id, m.StreamOpen = e.Proc, e
	case *StreamTaken:
		id, m.StreamTaken = e.Proc, e
	case *StreamClose:
		id, m.StreamClose, held = e.Proc, e, -1
	case *FetchLost:
		id, m.Lost = e.Proc, e
	case *Replicate:
		id, m.Replicate = e.Proc, e
	default:
		return false
	}
	p := c.procs[id]
	if p == nil || p.job.owner == nil || p.peer != nil {
		return false
	}
	watched := p.job.watched != nil
	if watched {
		p.holding(ev)
	} else {
		p.held = max(0, p.held+held)
	}
	if m.Submit != nil {
		cl := c.classes[m.Submit.Class]
		if cl == nil || cl.job != p.job {
			return true
		}
		c.introduce(p.job.owner, cl)
		if watched {
			p.submits(m.Submit, cl)
		}
	}
	c.toOwner(p.job, &m)
	return true
}

// fromProc does for a process elsewhere what it asked its own peer for.
func (c *Core) fromProc(from *peer, m *FromProc) {
	if c.tooEarlyFrom(from, m) {
		return
	}
	mine := func(id raygo.ProcID) bool {
		p := c.procs[id]
		return p != nil && p.peer == from
	}
	switch {
	case m.Submit != nil && mine(m.Submit.Proc):
		cl := from.theirs[m.Submit.Class]
		if m.Submit.Task.Proc() != m.Submit.Proc {
			return
		}
		if cl == nil { // the bound of classes was met: whoever waits is told
			f := raygo.Fail(raygo.CodeQueueFull, "its peer has told of more than %d classes: define one per function and set of options, not per call", maxTheirs)
			id := m.Submit.Task.Object(0)
			c.tell(m.Submit.Proc, &Notify{Proc: m.Submit.Proc, Object: id, Value: failed(f)})
			return
		}
		e := *m.Submit
		e.Class = cl.id
		c.submit(&e)
	case m.Put != nil && mine(m.Put.Proc) && m.Put.Object.Task().Proc() == m.Put.Proc:
		c.put(m.Put)
	case m.Want != nil && mine(m.Want.Proc):
		c.want(m.Want)
	case m.Borrow != nil && mine(m.Borrow.Proc):
		c.borrow(m.Borrow)
	case m.Release != nil && mine(m.Release.Proc):
		c.release(m.Release)
	case m.Cancel != nil && mine(m.Cancel.Proc):
		c.cancel(m.Cancel)
	case m.StreamOpen != nil && mine(m.StreamOpen.Proc):
		c.streamOpen(m.StreamOpen)
	case m.StreamTaken != nil && mine(m.StreamTaken.Proc):
		c.streamTaken(m.StreamTaken)
	case m.StreamClose != nil && mine(m.StreamClose.Proc):
		c.streamClose(m.StreamClose)
	case m.Lost != nil && mine(m.Lost.Proc):
		c.fetchLost(m.Lost)
	case m.Replicate != nil && mine(m.Replicate.Proc):
		c.replicate(m.Replicate)
	default:
		c.unattached(from, m)
	}
}

// tell tells a process something, wherever it is attached.
func (c *Core) tell(id raygo.ProcID, e Effect) {
	if len(c.peers) == 0 {
		c.emit(e)
		return
	}
	p := c.procs[id]
	if p == nil || p.peer == nil {
		c.emit(e)
		return
	}
	m := &ToProc{}
	switch e := e.(type) {
	case *Notify:
		m.Notify = e
	case *StreamState:
		m.State = e
	case *Cancelled:
		m.Cancelled = e
	}
	c.send(p.peer, m)
}

// toProc hands an owner's answer to the process.
func (c *Core) toProc(from *peer, m *ToProc) {
	mine := func(id raygo.ProcID) bool {
		p := c.procs[id]
		if p == nil || p.peer != nil || p.job.owner != from {
			return false
		}
		p.heardBack(m)
		return true
	}
	switch {
	case m.Notify != nil && mine(m.Notify.Proc):
		c.emit(m.Notify)
	case m.State != nil && mine(m.State.Proc):
		c.emit(m.State)
	case m.Cancelled != nil && mine(m.Cancelled.Proc):
		c.emit(m.Cancelled)
	}
}

// notify tells a process of an object's value, and where its bytes are.
func (c *Core) notify(id raygo.ProcID, o *object, wanted bool, mode uint8) {
	n := &Notify{Proc: id, Object: o.id, Value: o.value, Wanted: wanted, Mode: mode}
	if o.value.Kind == Stored && len(c.peers) > 0 {
		p := c.procs[id]
		if s := c.stored(o); s != nil && (!s.here || p != nil && p.peer != nil) {
			src := c.source(s)
			n.Source = &src
		}
	}
	c.tell(id, n)
}

// procJoined attaches a process of another peer to a job of ours.
func (c *Core) procJoined(from *peer, m *ProcJoined) {
	j := c.jobs[m.Job]
	if j == nil || j.ended || j.owner != nil || raygo.PeerTag(m.Proc) != from.tag || c.procs[m.Proc] != nil || !from.opened[m.Job] {
		return
	}
	if from.procs >= maxTheirProcs { // it is told when it asks for something: see unattached
		c.pastBound++
		return
	}
	c.addProc(m.Proc, j)
	c.procs[m.Proc].peer = from
	from.procs++
}

// unattached answers a process for which there was no room.
func (c *Core) unattached(from *peer, m *FromProc) {
	id, ok := asker(m.asEvent())
	if !ok || c.procs[id] != nil || raygo.PeerTag(id) != from.tag {
		return
	}
	mine := func(id raygo.JobID) bool {
		j := c.jobs[id]
		return j != nil && !j.ended && j.owner == nil
	}
	why := failed(raygo.Fail(raygo.CodeQueueFull, "peer %s has %d processes attached to jobs of this one, the limit, or had when this one came", from.id, maxTheirProcs))
	notify := func(o raygo.ObjectID, wanted bool, mode uint8) {
		if mine(o.Job()) {
			c.send(from, &ToProc{Notify: &Notify{Proc: id, Object: o, Value: why, Wanted: wanted, Mode: mode}})
		}
	}
	ended := func(t raygo.TaskID) {
		if mine(t.Job()) {
			c.send(from, &ToProc{State: &StreamState{Proc: id, Task: t, Ended: true, Failure: why}})
		}
	}
	switch {
	case m.Submit != nil:
		if cl := from.theirs[m.Submit.Class]; cl != nil && cl.opts.Generator {
			ended(m.Submit.Task)
			return
		}
		notify(m.Submit.Task.Object(0), false, 0)
	case m.Want != nil:
		for _, o := range m.Want.Objects {
			notify(o, true, m.Want.Mode)
		}
	case m.Lost != nil:
		notify(m.Lost.Object, true, m.Lost.Mode)
	case m.StreamOpen != nil:
		ended(m.StreamOpen.Task)
	case m.Cancel != nil && mine(m.Cancel.Task.Job()):
		c.send(from, &ToProc{Cancelled: &Cancelled{Proc: id, Request: m.Cancel.Request, Outcome: Unreachable}})
	}
}

// jobOpen makes another peer's job known here.
func (c *Core) jobOpen(from *peer, m *JobOpen) {
	if j := c.jobs[m.Job]; j != nil {
		if j.owner != from || j.ended { // of another owner, or its last run here is not over
			c.send(from, &JobOver{Job: m.Job, Reason: "it cannot be opened yet"})
		}
		return
	}
	if c.jobsOf(from) >= maxTheirJobs {
		c.pastBound++
		c.send(from, &JobOver{Job: m.Job, Reason: fmt.Sprintf("%d jobs of its owner are open here, the limit", maxTheirJobs), Full: true})
		return
	}
	j := &job{
		id: m.Job, owner: from,
		tasks: newIndex[*task](m.Job), objects: newIndex[*object](m.Job), streams: map[raygo.TaskID]*stream{},
	}
	if m.Guarded {
		j.watched = &watched{holds: map[raygo.ObjectID]struct{}{}}
	}
	c.jobs[m.Job] = j
	c.emit(&JobOpened{Job: m.Job, Owner: from.id, Info: m.Info})
}

// jobsOf counts a peer's jobs that are kept here, those of its earlier lives too.
func (c *Core) jobsOf(p *peer) int {
	n := 0
	for _, j := range c.jobs {
		if j.owner != nil && j.owner.id == p.id {
			n++
		}
	}
	return n
}

// introduce tells a peer of a class, and of its job, before it is first spoken
// of.
func (c *Core) introduce(p *peer, cl *class) {
	if p.defined[cl.id] {
		return
	}
	p.defined[cl.id] = true
	if cl.job.owner == nil {
		c.openJobAt(p, cl.job)
	}
	c.send(p, &ClassOf{Class: cl.id, Job: cl.job.id, Function: cl.function, Options: cl.opts, Def: cl.def})
}

// classOf makes a peer's class known. The same class of one job has one record,
// whoever spoke of it first.
func (c *Core) classOf(from *peer, m *ClassOf) {
	j := c.jobs[m.Job]
	if j == nil || j.ended || from.theirs[m.Class] != nil || j.owner != from && (j.owner != nil || !from.opened[m.Job]) {
		return
	}
	if len(from.theirs) >= maxTheirs {
		return
	}
	if len(m.Def) > 0 && j.owner == nil {
		if cl := j.byDef[string(m.Def)]; cl != nil {
			from.theirs[m.Class] = cl
			return
		}
	}
	c.nextClass++
	id := c.nextClass | ownClass
	c.emit(&ClassKnown{Class: id, Job: m.Job, Def: m.Def})
	c.defineClass(&ClassDefined{Class: id, Job: m.Job, Function: m.Function, Options: m.Options, Def: m.Def})
	from.theirs[m.Class] = c.classes[id]
	if cl := c.classes[id]; cl != nil {
		cl.ownerID = m.Class
	}
}

// ownClass is set in the numbers of classes that this core made, so that they
// never meet the caller's.
const ownClass ClassID = 1 << 31

// What a peer may have this one keep. Programs that may be attached to it are half as
// many, so that honest ones stay below.
const (
	maxTheirs     = 1 << 17 // classes that it tells of
	maxTheirJobs  = 1 << 13 // jobs of its own
	maxTheirProcs = 1 << 13 // processes there that are attached to jobs of ours
)

// owned reports whether the class is of a job that this peer owns.
func (cl *class) owned() bool { return cl.job.owner == nil }

// forgetJobAt tells everybody who was told of a job that it is over, and drops
// what peers call its classes.
func (c *Core) forgetJobAt(j *job, reason string) {
	for _, p := range c.peerOrder {
		if _, ok := p.opened[j.id]; ok {
			delete(p.opened, j.id)
			c.send(p, &JobOver{Job: j.id, Reason: reason})
		}
		for id, cl := range p.theirs {
			if cl == nil || cl.job == j {
				delete(p.theirs, id)
			}
		}
		for id, t := range p.running {
			if t.job == j {
				delete(p.running, id)
			}
		}
		for id := range p.objects {
			if id.Job() == j.id {
				delete(p.objects, id)
			}
		}
		p.results = slices.DeleteFunc(p.results, func(r TaskResult) bool { return r.Task.Job() == j.id })
		p.frees = slices.DeleteFunc(p.frees, func(id raygo.ObjectID) bool { return id.Job() == j.id })
		p.stands = slices.DeleteFunc(p.stands, func(cl *class) bool { return cl.job == j })
	}
	for id, cl := range c.classes {
		if cl.job == j {
			for _, p := range c.peerOrder {
				delete(p.defined, id)
			}
		}
	}
}
