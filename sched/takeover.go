package sched

import (
	"fmt"
	"maps"
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
)

// A guardian becomes the owner of a job in two steps. It makes the job's records
// from its copies, and tells every peer; then executors say again what the last
// owner may not have passed on, and what they run, hold and wait for. When all
// have, or are taken to have nothing, what is unfinished goes on: where it runs
// already, or in a new attempt.

// adoptMost is how long executors may take to say what they have.
const adoptMost = 10 * time.Second

// adoption is a job between two owners.
type adoption struct {
	from    string
	waiting map[*peer]bool                    // have not said all
	there   map[*peer]map[raygo.TaskID]uint32 // what executors run, by award
	holds   []ProcHolds
	failed  map[raygo.TaskID]bool // tasks that went with their executor
	early   []Event               // calls and results that executors say again
	late    []Event               // what came since
	closing bool
}

// lateMost bounds what is put off while executors are waited for: then they are
// waited for no more.
const lateMost = 1 << 20

// takeOver makes this peer the owner of a job.
func (c *Core) takeOver(w *ward) {
	j := c.jobs[w.job]
	if j == nil || j.ended || j.owner != w.owner || c.draining {
		return
	}
	c.dropWard(w)
	watched := j.watched
	j.epoch, j.owner, j.watched = max(w.epoch, watched.epoch)+1+uint32(w.rank), nil, nil
	j.detached, j.driver, j.info, j.builds = true, w.driver, w.info, w.builds
	j.finished, j.failed = w.finished, w.failed
	j.byDef = map[string]*class{}
	j.adopting = &adoption{from: w.owner.id, waiting: map[*peer]bool{}, there: map[*peer]map[raygo.TaskID]uint32{}, failed: map[raygo.TaskID]bool{}}
	c.emit(&JobTook{Job: j.id, From: w.owner.id, Epoch: j.epoch, Driver: w.driver})
	c.warn(j, fmt.Sprintf("peer %s, which owned this job, is gone: this peer goes on with it (epoch %d)", w.owner.id, j.epoch))
	c.ownProcs(j)
	local := c.ownTasks(j)
	classes := c.adoptClasses(j, w)
	c.adoptTasks(j, w, classes, local)
	c.adoptObjects(j, w)
	for _, t := range sortedTasks(j.tasks) {
		t.deps, t.pins = c.pin(j, t.deps), c.pin(j, t.pins)
	}
	for _, m := range watched.log {
		c.repeat(j, m)
	}
	j.guards = newGuards()
	for _, p := range c.peerOrder {
		c.claim(p, j)
	}
	c.after(adoptMost, timer{kind: timerAdopt, job: j, mark: j.epoch})
	c.adopted(j)
}

// claim tells a peer that a job is this one's now.
func (c *Core) claim(p *peer, j *job) {
	if j.adopting != nil {
		j.adopting.waiting[p] = true
	}
	p.opened[j.id] = true
	c.send(p, &JobTaken{Job: j.id, Epoch: j.epoch})
}

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
func (c *Core) adoptClasses(j *job, w *ward) map[ClassID]*class {
	byNumber := map[ClassID]*class{}
	for _, cl := range c.sortedClasses() {
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
func (c *Core) adoptTasks(j *job, w *ward, classes map[ClassID]*class, local map[raygo.TaskID]*task) {
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

// adoptObjects makes objects from their records.
func (c *Core) adoptObjects(j *job, w *ward) {
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
					o.here = true
				} else if p := c.peers[h]; p != nil {
					c.holdBy(o, p)
				}
			}
			a := o.awayRecord()
			a.cid, a.copies = r.CID, r.Copies
			o.orphan = o.lost()
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

// repeat takes what this peer itself had said to the last owner.
func (c *Core) repeat(j *job, msg Message) {
	a := j.adopting
	switch m := msg.(type) {
	case *FromProc:
		switch {
		case m.Submit != nil:
			a.early = append(a.early, m.Submit)
		case m.Put != nil:
			a.early = append(a.early, m.Put)
		case m.Replicate != nil:
			a.late = append(a.late, m.Replicate)
		}
	case *Done:
		a.early = append(a.early, &ownWord{m})
	case *Yielded:
		a.early = append(a.early, &ownWord{m})
	case *Holds:
		a.late = append(a.late, &Copied{Object: m.Objects[0]})
	case *Drops:
		a.late = append(a.late, &Evicted{Object: m.Objects[0]})
	case *NamedAs:
		a.late = append(a.late, &Named{Object: m.Object, CID: m.CID})
	}
}

// ownWord is what this peer said as the executor of a task that is its own now.
type ownWord struct{ msg Message }

func (*ownWord) event() {}

func (c *Core) ownWord(e *ownWord) {
	switch m := e.msg.(type) {
	case *Done:
		r := &m.Results[0]
		t := c.jobs[r.Task.Job()].tasks.task(r.Task)
		if t == nil || t.at != nil || t.worker != nil || r.Award < t.floor || r.Status == StatusNotStarted {
			c.dropOutcomes(r.Task, r.Outcomes)
			return
		}
		c.endedAt(t, nil, r)
	case *Yielded:
		if t := c.jobs[m.Task.Job()].tasks.task(m.Task); t != nil && m.Award >= t.floor {
			c.takeItem(t, m.Outcome)
			return
		}
		c.dropOutcomes(m.Task, []Outcome{m.Outcome})
	}
}

// tooEarly puts off what processes of this peer ask of a job that is between two
// owners.
func (c *Core) tooEarly(ev Event) bool {
	id, ok := asker(ev)
	if !ok {
		return false
	}
	if p := c.procs[id]; p != nil && p.job.adopting != nil && !p.job.adopting.closing {
		c.putOff(p.job, ev)
		return true
	}
	return false
}

// asker is the process that an event is from.
func asker(ev Event) (raygo.ProcID, bool) {
	switch e := ev.(type) {
	case *Submit:
		return e.Proc, true
	case *Put:
		return e.Proc, true
	case *Want:
		return e.Proc, true
	case *Borrow:
		return e.Proc, true
	case *Release:
		return e.Proc, true
	case *Cancel:
		return e.Proc, true
	case *StreamOpen:
		return e.Proc, true
	case *StreamTaken:
		return e.Proc, true
	case *StreamClose:
		return e.Proc, true
	case *FetchLost:
		return e.Proc, true
	case *Replicate:
		return e.Proc, true
	}
	return 0, false
}

// asEvent is what a process elsewhere asks for, as it would be here.
func (m *FromProc) asEvent() Event {
	switch {
	case m.Submit != nil:
		return m.Submit
	case m.Put != nil:
		return m.Put
	case m.Want != nil:
		return m.Want
	case m.Borrow != nil:
		return m.Borrow
	case m.Release != nil:
		return m.Release
	case m.Cancel != nil:
		return m.Cancel
	case m.StreamOpen != nil:
		return m.StreamOpen
	case m.StreamTaken != nil:
		return m.StreamTaken
	case m.StreamClose != nil:
		return m.StreamClose
	case m.Lost != nil:
		return m.Lost
	case m.Replicate != nil:
		return m.Replicate
	}
	return &Tick{}
}

func (c *Core) putOff(j *job, ev Event) {
	a := j.adopting
	if a.late = append(a.late, ev); len(a.late) > lateMost {
		clear(a.waiting)
		c.adopted(j)
	}
}

// tooEarlyFrom is tooEarly for processes elsewhere. What their peer says again comes
// before all else that it says.
func (c *Core) tooEarlyFrom(p *peer, m *FromProc) bool {
	id, ok := asker(m.asEvent())
	pr := c.procs[id]
	if !ok || pr == nil || pr.job.adopting == nil {
		return false
	}
	a := pr.job.adopting
	switch {
	case a.closing:
		return false
	case a.waiting[p] && (m.Submit != nil || m.Put != nil):
		a.early = append(a.early, &Received{From: p.id, Msg: m})
	default:
		c.putOff(pr.job, &Received{From: p.id, Msg: m})
	}
	return true
}

// unknownYet puts off what an executor says of a task that is not known: its
// submission may be in what another has to say.
func (c *Core) unknownYet(p *peer, j *job, id raygo.TaskID, award uint32, msg Message) bool {
	if j.tasks.task(id) != nil {
		c.believe(p, id, award)
		return false
	}
	if j.adopting.closing {
		return false
	}
	j.adopting.early = append(j.adopting.early, &Received{From: p.id, Msg: msg})
	return true
}

// believe brings the place of a task up to what an executor says of it while a job
// has a new owner: the last one may have given it there after it last spoke to its
// guardians.
func (c *Core) believe(p *peer, id raygo.TaskID, award uint32) {
	j := c.jobs[id.Job()]
	if j == nil || j.adopting == nil {
		return
	}
	t := j.tasks.task(id)
	if t == nil || t.worker != nil || award < t.floor || t.at == p && t.award >= award || t.at != nil && t.at != p && award <= t.award {
		return
	}
	if t.at != nil {
		c.leavePeer(t)
	}
	delete(j.adopting.failed, id)
	t.floor = max(t.floor, award)
	c.seatTask(t, p, award)
}

// rejoined takes what an executor has.
func (c *Core) rejoined(p *peer, m *Rejoin) {
	j := c.jobs[m.Job]
	if j == nil || j.owner != nil || m.Epoch != j.epoch {
		return
	}
	if m.Unknown {
		delete(p.opened, j.id)
	}
	a := j.adopting
	if a == nil || !a.waiting[p] { // too late, or it came back: what it runs runs elsewhere
		for _, h := range m.Tasks {
			if t := p.running[h.Task]; t == nil || t.award != h.Award {
				c.send(p, &StopTask{Task: h.Task, Award: h.Award, Force: true})
			}
		}
		for i := range m.Procs {
			c.adoptHolds(j, p, m.Procs[i:i+1])
		}
		return
	}
	if a.there[p] == nil {
		a.there[p] = map[raygo.TaskID]uint32{}
	}
	for _, h := range m.Tasks {
		a.there[p][h.Task] = h.Award
		c.believe(p, h.Task, h.Award)
	}
	for i := range m.Procs {
		if pr := c.procs[m.Procs[i].Proc]; pr != nil && pr.peer == p && pr.job == j {
			a.holds = append(a.holds, m.Procs[i])
		}
	}
	if m.Last {
		delete(a.waiting, p)
		c.adopted(j)
	}
}

// adopted ends the time between two owners once nobody has more to say.
func (c *Core) adopted(j *job) {
	a := j.adopting
	if a == nil || len(a.waiting) > 0 || j.ended || a.closing {
		return
	}
	a.closing = true
	from := c.from
	c.from = nil
	defer func() { c.from = from }()
	c.sayAgain(a.early)
	for _, p := range c.peerOrder {
		for _, id := range sortedTaskIDs(p.running) {
			if t := p.running[id]; t.job == j && t.at == p && a.there[p][id] != t.award {
				c.leavePeer(t) // it never came there, or was handed back
			}
		}
		there := a.there[p]
		for _, id := range slices.SortedFunc(maps.Keys(there), func(a, b raygo.TaskID) int { return slices.Compare(a[:], b[:]) }) {
			if t := p.running[id]; t == nil || t.award != there[id] {
				c.send(p, &StopTask{Task: id, Award: there[id], Force: true})
			}
		}
	}
	lost := raygo.Fail(raygo.CodePeerDied, "peer %s, which had it, is gone", a.from)
	c.adoptHolds(j, nil, a.holds)
	j.adopting = nil
	c.settleStreams(j)
	c.settleObjects(j)
	for _, t := range sortedTasks(j.tasks) {
		switch {
		case t.settled || t.at != nil || t.worker != nil || t.backingOff:
		case t.cancelled:
			c.finishFailed(t, raygo.Fail(raygo.CodeCancelled, "it was cancelled"))
		case a.failed[t.id]:
			c.retryOrFail(t, lost, failed(lost))
		default:
			t.waiting = 0
			c.awaitDeps(t)
		}
	}
	for _, o := range sortedObjects(j.objects) {
		c.look(o)
	}
	for _, ev := range a.late {
		c.hearAgain(ev)
	}
	c.chooseGuardians(j)
}

// sayAgain takes what was put off: calls before what they need has been said are
// tried after it, and ends of tasks last.
func (c *Core) sayAgain(early []Event) {
	var ends []Event
	for again := true; again; {
		var rest []Event
		again = false
		for _, ev := range early {
			switch e := submission(ev); {
			case e == nil:
				ends = append(ends, ev)
			case c.knowsAll(e):
				again = true
				c.hearAgain(ev)
			default:
				rest = append(rest, ev)
			}
		}
		early = rest
	}
	for _, ev := range slices.Concat(early, ends) {
		c.hearAgain(ev)
	}
}

// hearAgain lets something happen that was put off.
func (c *Core) hearAgain(ev Event) {
	if r, ok := ev.(*Received); ok {
		c.received(r) // it was counted when it came
		return
	}
	c.apply(ev)
}

// submission is the call that an event brings; a put is one that needs nothing.
func submission(ev Event) *Submit {
	if r, ok := ev.(*Received); ok {
		m, ok := r.Msg.(*FromProc)
		if !ok {
			return nil
		}
		ev = m.asEvent()
	}
	switch e := ev.(type) {
	case *Submit:
		return e
	case *Put:
		return &Submit{Task: e.Object.Task(), Deps: e.Nested}
	}
	return nil
}

func (c *Core) knowsAll(e *Submit) bool {
	j := c.jobs[e.Task.Job()]
	for _, id := range slices.Concat(e.Deps, e.Nested) {
		if j == nil || c.object(j, id) == nil {
			return false
		}
	}
	return true
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
