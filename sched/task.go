package sched

import (
	"fmt"
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
)

// class is a function with its options: what its tasks share for placement.
type class struct {
	id       ClassID
	job      *job
	function string
	opts     raygo.Options
	demand   demand
	env      string
	selector string   // of labels, in force; see chooseSelector
	others   []string // all, if there is a choice
	chosenAt uint64   // topology when it was
	refused  string   // why it can run nowhere as this peer stands
	never    bool     // and no peer that joins could change that

	queue        queue
	listed       bool      // in Core.ready
	served       uint64    // when it was last given a place
	skip         uint64    // the turn in which its head did not fit
	blockedSince time.Time // its head has been ready and did not fit since
	patientUntil time.Time // SPREAD: a timer is set for this moment
	short        string    // for want of this resource
	mean         time.Duration
	workers      []*worker // executing it now, not blocked
	warned       bool
	pending      int
	runs         int
	def          []byte
	active       int // tasks that hold resources here

	// At an executor, for a class of another peer's job.
	ownerID       ClassID // the owner's number
	reserved      []grant // offered
	reservedUntil time.Time
	lease         []grant // kept for the owner's next task
	leaseUntil    time.Time
	leaseSince    time.Time
	leaseTimed    bool
	returnTimed   bool
	standing      bool // in peer.stands
	want          int  // slots that its call still asks for
	round         uint64
	callUntil     time.Time
	callDepth     int32
	offer         int // reserved in this step
	mustBid       bool
	seen          uint64

	// At the owner.
	seats       map[*peer]*seat
	open        []*seat // with room
	asking      *round
	lookedAt    uint64 // topology when peers was made
	peers       []*peer
	placedHere  int
	seekTimed   bool
	nextSeek    time.Time
	seekWait    time.Duration
	aheadListed bool
}

// task is one call. Its record goes when it is settled.
type task struct {
	id       raygo.TaskID
	job      *job
	class    *class
	parent   *task
	parentID raygo.TaskID
	args     []byte
	deps     []raygo.ObjectID
	pins     []raygo.ObjectID // nested refs and streams
	waiting  int32            // deps without a value
	depth    int32
	attempt  uint32
	award    uint32
	state    raygo.TaskState

	worker  *worker
	grant   grant
	fetched []raygo.ObjectID // what a Fetch of this award is for
	memo    memoState

	settled    bool // its outcome is decided
	queued     bool
	backingOff bool
	cancelled  bool
	spares     bool // cancelled without its children
	closed     bool // cancelled only because nobody wants more of its items

	sysRetries, appRetries, oomRetries uint32

	created, readySince, startedAt int64 // unix nanoseconds, 0: not yet

	stream *stream

	foreign    *foreign      // another peer's task
	at         *peer         // the peer that has it; nil: none, or this one
	last       *peer         // the peer that had it, for the record of the attempt
	estimate   time.Duration // when it was assigned there
	fetchTries int
	regen      bool   // a generator that runs again for lost items, after its end
	redo       bool   // likewise, before its end
	reached    uint32 // items that this attempt has yielded
	floor      uint32 // no award up to this one is given again
	until      uint32 // regen: it ends here, if it did not end by itself the first time; 0: by itself

	child, next, prev *task // unfinished children, for recursive cancel
}

// when is a moment kept as nanoseconds.
func when(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

// memoState says how far the question for a known result is.
type memoState uint8

const (
	memoUnasked memoState = iota
	memoAsked
	memoAnswered
)

func (c *Core) defineClass(e *ClassDefined) {
	j := c.jobs[e.Job]
	if j == nil || j.ended || c.classes[e.Class] != nil {
		return
	}
	cl := &class{id: e.Class, job: j, function: e.Function, opts: e.Options, env: raygo.EnvKey(e.Options.Env), def: e.Def}
	if j.byDef != nil && len(e.Def) > 0 && j.byDef[string(e.Def)] == nil {
		j.byDef[string(e.Def)] = cl
	}
	if e.Options.Name != "" {
		cl.function = e.Options.Name
	}
	cl.demand = c.led.demandOf(&e.Options)
	cl.selector, cl.others = raygo.Selectors(&e.Options.Strategy)
	cl.refused, cl.never = c.refusal(cl)
	c.chooseSelector(cl)
	c.classes[e.Class] = cl
	if j.owner == nil {
		c.warmUp(cl)
	}
}

// refusal says why a class cannot run on this peer, and whether that is final.
func (c *Core) refusal(cl *class) (string, bool) {
	if why := c.led.impossible(&cl.demand); why != "" {
		return "it asks for " + why, false
	}
	if g := cl.demand.gpu; g > raygo.Unit && g%raygo.Unit != 0 {
		return fmt.Sprintf("it asks for GPU %s: above 1 only whole ones are given", g), true
	}
	switch s := cl.opts.Strategy; s.Kind {
	case raygo.StrategyAffinity:
		if s.Peer != c.cfg.Self && !s.Soft {
			return "its affinity is to peer " + s.Peer + ", which is not there", false
		}
	case raygo.StrategyLabels:
		ok, err := Match(cl.selector, c.cfg.Labels)
		if err != nil {
			return err.Error(), true
		}
		if !ok {
			return "no peer has labels that match " + s.Selector, false
		}
	}
	return "", false
}

func (c *Core) submit(e *Submit) {
	cl, p := c.classes[e.Class], c.procs[e.Proc]
	if cl == nil || p == nil || p.job != cl.job || e.Task.Job() != cl.job.id || cl.job.made(e.Task) {
		return
	}
	j := cl.job
	t := &task{
		id: e.Task, job: j, class: cl, args: e.Args, deps: e.Deps, pins: e.Nested, created: c.now.UnixNano(),
		state: raygo.PendingArgsAvail, parentID: e.Parent,
	}
	j.tasks.set(t.id.Object(0), t)
	c.tasks++
	cl.pending++
	if parent := j.tasks.task(e.Parent); parent != nil {
		c.adopt(parent, t)
		t.depth = parent.depth + 1
	} else if !e.Parent.IsZero() {
		t.depth = 1
	}
	c.expect(t, p)
	for _, s := range e.Streams {
		t.pins = append(t.pins[:len(t.pins):len(t.pins)], s.Object(raygo.StreamIndex))
	}
	t.deps, t.pins = c.pin(j, t.deps), c.pin(j, t.pins)
	if why := c.unacceptable(t); why != nil {
		c.finishFailed(t, why)
		return
	}
	if len(t.deps) < len(e.Deps) {
		c.finishFailed(t, raygo.Fail(raygo.CodeObjectFreed, "an argument of the call was released before it"))
		return
	}
	c.markTask(j, t.id)
	c.awaitDeps(t)
}

// pin keeps objects for a task and returns those that are there to be kept.
func (c *Core) pin(j *job, ids []raygo.ObjectID) []raygo.ObjectID {
	for i, id := range ids {
		if o := c.object(j, id); o != nil {
			o.taskPins++
			continue
		}
		kept := slices.Clone(ids[:i])
		for _, id := range ids[i+1:] {
			if o := c.object(j, id); o != nil {
				o.taskPins++
				kept = append(kept, id)
			}
		}
		return kept
	}
	return ids
}

// unacceptable is the answer at a bound or after the end.
func (c *Core) unacceptable(t *task) *raygo.Failure {
	switch {
	case c.tasks > c.cfg.MaxTasks:
		return raygo.Fail(raygo.CodeQueueFull, "the peer already has %d unfinished tasks, its limit: get some results before submitting more", c.cfg.MaxTasks)
	case c.draining && t.parent == nil:
		return raygo.Fail(raygo.CodeUnschedulable, "the peer is draining and takes no new tasks")
	case t.class.never:
		return raygo.Fail(raygo.CodeUnschedulable, "%s", t.class.refused)
	case c.affineToNobody(t.class):
		return raygo.Fail(raygo.CodeUnschedulable, "%s", t.class.refused)
	}
	return nil
}

// expect makes the objects that the submitter holds from the start.
func (c *Core) expect(t *task, p *proc) {
	if t.class.opts.Generator {
		t.stream = &stream{id: t.id, task: t, fixed: t.class.opts.FixedYields, limit: t.class.opts.NumReturns, consumers: []raygo.ProcID{p.id}}
		t.job.streams[t.id] = t.stream
		o := c.newObject(t.job, t.id.Object(raygo.StreamIndex))
		o.value = Value{Kind: Inline}
		c.markObject(t.job, o.id)
		c.hold(p, o)
		return
	}
	if t.class.opts.NumReturns != 0 {
		o := c.newObject(t.job, t.id.Object(0))
		o.submitter = p.id
		c.hold(p, o)
	}
}

// awaitDeps counts the arguments without a value; one that failed fails the
// task.
func (c *Core) awaitDeps(t *task) {
	for _, id := range t.deps {
		o := t.job.objects.get(id)
		if c.shares {
			c.rebuildLost(o)
		}
		switch {
		case id.Task() == t.id:
			c.finishFailed(t, raygo.Fail(raygo.CodeRefused, "its argument %s is its own result", id))
			return
		case o.value.Kind == Failed:
			c.finish(t, o.value)
			return
		case o.value.Kind == None:
			t.waiting++
			o.dependents = append(o.dependents, t)
		}
	}
	if t.waiting == 0 {
		c.enqueue(t, false)
	}
}

// made reports whether a task or a put of that ID is known already.
func (j *job) made(id raygo.TaskID) bool {
	return j.tasks.task(id) != nil || j.objects.get(id.Object(0)) != nil || j.streams[id] != nil
}

// adopt links child under parent, for recursive cancel.
func (c *Core) adopt(parent, child *task) {
	child.parent = parent
	child.next, child.prev = parent.child, nil
	if parent.child != nil {
		parent.child.prev = child
	}
	parent.child = child
}

func (c *Core) orphan(t *task) {
	if t.parent == nil {
		return
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		t.parent.child = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.next, t.prev, t.parent = nil, nil, nil
}

// finishFailed settles a task with a failure of the system's making.
func (c *Core) finishFailed(t *task, why *raygo.Failure) {
	f := *why // the one given may be shared
	f.TaskID, f.Function, f.Attempt, f.Peer = t.id.String(), t.class.function, int(t.attempt), c.cfg.Self
	c.finish(t, failed(&f))
}

// finish settles a task that failed: every object it was to make fails.
func (c *Core) finish(t *task, v Value) {
	if t.settled {
		return
	}
	if t.foreign != nil {
		c.foreignFailed(t, v.Failure)
		return
	}
	if t.stream != nil && t.stream.produced > 0 && !t.stream.fixed && (t.closed || v.Code != raygo.CodeCancelled) {
		c.remember(t, true, true) // its items stay readable, also if they are lost; what was cancelled runs no more (law 8)
	}
	c.settle(t, raygo.Failed, v)
	c.failObjects(t, v)
	if t.child != nil && !t.spares {
		c.cancelChildren(t, raygo.Fail(raygo.CodeCancelled, "its parent %s failed", t.class.function), false)
	}
	c.bequeath(t)
	t.job.failed++
}

// settle takes a task out of every table; its outcome is decided. What it holds
// of a running worker stays with the worker until that answers.
func (c *Core) settle(t *task, state raygo.TaskState, v Value) {
	t.settled = true
	c.unqueue(t)
	c.record(t, state, v, t.foreign == nil || state == raygo.Finished)
	t.state = state
	c.tasks--
	t.class.pending--
	t.job.tasks.drop(t.id.Object(0))
	c.markTask(t.job, t.id)
	for _, id := range t.deps {
		c.unpinObject(t.job, id)
	}
	for _, id := range t.pins {
		c.unpinObject(t.job, id)
	}
}

// bequeath hands unfinished children to the grandparent and leaves the tree.
func (c *Core) bequeath(t *task) {
	up := t.parent
	for t.child != nil {
		k := t.child
		c.orphan(k)
		if up != nil {
			c.adopt(up, k)
		}
	}
	c.orphan(t)
}

func (c *Core) unpinObject(j *job, id raygo.ObjectID) {
	if o := j.objects.get(id); o != nil {
		o.taskPins--
		c.look(o)
	}
}

// affineToNobody reports whether a class can run on one peer only, and that is
// not there.
func (c *Core) affineToNobody(cl *class) bool {
	s := &cl.opts.Strategy
	return cl.owned() && s.Kind == raygo.StrategyAffinity && !s.Soft && s.Peer != c.cfg.Self && c.peers[s.Peer] == nil
}

// rebuildLost has a lost object made again, or the lost parts of a composite.
func (c *Core) rebuildLost(o *object) {
	switch o.value.Kind {
	case Stored:
		if s := c.stored(o); s != nil && s.lost() {
			c.rebuild(s)
		}
	case Composite:
		for i := range o.value.Parts {
			part := o.job.objects.get(o.id.Task().Object(i + 1))
			if part != nil && part.lost() {
				c.rebuild(part)
			}
			if part != nil && part.value.Kind == None {
				o.value = Value{} // the task that makes the part makes the whole
			}
		}
	}
}
