package sched

import (
	"cmp"
	"maps"
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
)

// The executor's side of jobs that outlive their owner: what is kept so that a new
// owner can be told what the last one may not have passed on, and what happens
// between the two.

const (
	orphanFor  = 30 * time.Second // an executor waits so long for a new owner
	logMost    = 1 << 16          // messages kept for one, of a job
	logBytes   = 64 << 20
	rejoinMost = 4096        // refs, awaits and tasks in one Rejoin
	rivalEvery = time.Second // others are asked so often about who says that it is the owner
)

// watched is what an executor keeps of a job that has guardians.
type watched struct {
	guardians []string
	yields    bool // the owner gives it up
	epoch     uint32
	claim     *JobTaken // of a guardian, while the owner is there
	claimant  *peer

	holds map[raygo.ObjectID]struct{} // bytes that are here

	log   []Message // of those that count, what may not be safe yet
	base  uint64    // messages before them
	bytes int
	over  bool // some were dropped
}

// keep adds a message to the log; at the bound the oldest go.
func (w *watched) keep(m Message) {
	w.log = append(w.log, m)
	w.bytes += weight(m)
	for len(w.log) > logMost || w.bytes > logBytes && len(w.log) > 1 {
		w.over = true
		w.trim(w.base + 1)
	}
}

// trim drops the messages below n.
func (w *watched) trim(n uint64) {
	for w.base < n && len(w.log) > 0 {
		w.bytes -= weight(w.log[0])
		w.log[0] = nil
		w.log = w.log[1:]
		w.base++
	}
}

// weight is about how many bytes a message takes.
func weight(m Message) int {
	outs := func(outs []Outcome) (n int) {
		for i := range outs {
			n += len(outs[i].Value.Bytes)
		}
		return n
	}
	switch m := m.(type) {
	case *FromProc:
		if m.Submit != nil {
			return 256 + len(m.Submit.Args)
		} else if m.Put != nil {
			return 256 + len(m.Put.Value.Bytes)
		}
	case *Yielded:
		return 256 + len(m.Outcome.Value.Bytes)
	case *Done:
		return 256 + outs(m.Results[0].Outcomes)
	}
	return 256
}

// toOwner says something to the owner of a job, and keeps it if the next owner may
// have to be told.
func (c *Core) toOwner(j *job, m Message) {
	if j.watched != nil {
		j.watched.note(m)
		if _, ok := counts(m); ok {
			if f, ok := m.(*FromProc); ok && f.Submit != nil {
				e := *f.Submit // the caller's memory
				j.watched.keep(&FromProc{Submit: &e})
			} else {
				j.watched.keep(m)
			}
		}
	}
	c.send(j.owner, m)
}

// report tells the owner of a task of its end, at the end of the step.
func (c *Core) report(p *peer, r TaskResult) {
	if j := c.jobs[r.Task.Job()]; j != nil && j.watched != nil && j.owner == p {
		kept := r
		kept.Outcomes = slices.Clone(r.Outcomes) // the caller's memory
		done := &Done{Results: []TaskResult{kept}}
		j.watched.note(done)
		j.watched.keep(done)
	}
	if p.down {
		return
	}
	p.results = append(p.results, r)
	c.touch(p)
}

// note keeps the list of the bytes that are here.
func (w *watched) note(m Message) {
	made := func(id raygo.ObjectID, v *Value) {
		if v.Kind == Stored && v.Store == id {
			w.holds[id] = struct{}{}
		}
	}
	switch m := m.(type) {
	case *Done:
		r := &m.Results[0]
		for i := range r.Outcomes {
			made(r.Task.Object(r.Outcomes[i].Index), &r.Outcomes[i].Value)
		}
	case *Yielded:
		made(m.Task.Object(m.Outcome.Index), &m.Outcome.Value)
	case *FromProc:
		if m.Put != nil {
			made(m.Put.Object, &m.Put.Value)
		}
	case *Holds:
		w.holds[m.Objects[0]] = struct{}{}
	case *Drops:
		delete(w.holds, m.Objects[0])
	}
}

// guardedBy notes who may take a job over.
func (c *Core) guardedBy(from *peer, m *GuardedBy) {
	if j := c.jobs[m.Job]; j != nil && j.owner == from && j.watched != nil {
		w := j.watched
		w.guardians, w.yields = m.Guardians, m.Yields
		if ward := c.wards[m.Job]; ward != nil && !w.yields && !slices.Contains(w.guardians, c.cfg.Self) {
			c.dropWard(ward)
		}
		if w.claim != nil && w.yields {
			c.taken(w.claimant, w.claim)
		}
	}
}

func (c *Core) safe(from *peer, m *Safe) {
	if j := c.jobs[m.Job]; j != nil && j.owner == from && j.watched != nil {
		j.watched.trim(m.N)
	}
}

// holding tracks what a process here holds and waits for of a job that another peer
// owns: that peer's word for it would be gone with the peer.
func (p *proc) holding(ev Event) {
	add := func(id raygo.ObjectID, n int32) {
		n += p.refs.get(id)
		p.refs.set(id, max(0, n))
		if n <= 0 {
			maps.DeleteFunc(p.awaits, func(a Await, _ struct{}) bool { return a.Object == id && !a.Asked })
		}
	}
	switch e := ev.(type) {
	case *Put:
		add(e.Object, 1)
	case *Borrow:
		for _, id := range e.Objects {
			add(id, 1)
			p.await(Await{Object: id})
		}
	case *Release:
		for _, id := range e.Objects {
			add(id, -1)
		}
	case *Want:
		for _, id := range e.Objects {
			p.await(Await{Object: id, Asked: true, Mode: e.Mode})
		}
	case *Cancel:
		if p.cancels == nil {
			p.cancels = map[uint32]Cancel{}
		}
		p.cancels[e.Request] = *e
	case *StreamOpen:
		p.open(e.Task, 0)
	case *StreamTaken:
		p.open(e.Task, e.N)
	case *StreamClose:
		id := e.Task.Object(raygo.StreamIndex)
		add(id, -p.refs.get(id))
		delete(p.streams, e.Task)
	}
}

// submits is holding for a call, whose results the caller holds.
func (p *proc) submits(e *Submit, cl *class) {
	id := e.Task.Object(0)
	switch {
	case cl.opts.Generator:
		id = e.Task.Object(raygo.StreamIndex)
		p.open(e.Task, 0)
	case cl.opts.NumReturns == 0:
		return
	default:
		p.await(Await{Object: id})
	}
	p.refs.set(id, p.refs.get(id)+1)
}

func (p *proc) await(a Await) {
	if p.awaits == nil {
		p.awaits = map[Await]struct{}{}
	}
	p.awaits[a] = struct{}{}
}

func (p *proc) open(id raygo.TaskID, n uint32) {
	if p.streams == nil {
		p.streams = map[raygo.TaskID]uint32{}
	}
	p.streams[id] = max(p.streams[id], n)
}

// heardBack forgets what a process waited for.
func (p *proc) heardBack(m *ToProc) {
	switch {
	case m.Notify != nil:
		delete(p.awaits, Await{Object: m.Notify.Object})
		if m.Notify.Wanted {
			delete(p.awaits, Await{Object: m.Notify.Object, Asked: true, Mode: m.Notify.Mode})
		}
	case m.Cancelled != nil:
		delete(p.cancels, m.Cancelled.Request)
	}
}

// orphaned has a job wait for a new owner. What runs goes on.
func (c *Core) orphaned(j *job) {
	for _, cl := range c.sortedClasses() {
		if cl.job == j {
			c.forgetOwner(cl)
		}
	}
	c.after(orphanFor, timer{kind: timerOrphan, job: j, mark: j.watched.epoch})
	if w := j.watched; w.claim != nil && !w.claimant.down {
		c.taken(w.claimant, w.claim)
	}
}

// forgetOwner gives back what was offered to the owner of a class or kept for it.
func (c *Core) forgetOwner(cl *class) {
	cl.want, cl.ownerID = 0, 0
	c.unreserve(cl)
	c.endLease(cl)
}

func (c *Core) orphanDue(j *job, epoch uint32) {
	if !j.ended && j.owner != nil && j.owner.down && j.watched.epoch == epoch {
		c.endJob(j, "its owner, peer "+j.owner.id+", is gone, and nobody has taken it over")
	}
}

// taken handles the word of a peer that it owns a job now. It is believed of a
// guardian that the last owner has named, once that owner is gone from here too or
// has given the job up.
func (c *Core) taken(from *peer, m *JobTaken) {
	j := c.jobs[m.Job]
	if j == nil || j.ended || j.owner != nil && j.watched == nil {
		c.send(from, &Rejoin{Job: m.Job, Epoch: m.Epoch, Unknown: true, Last: true})
		return
	}
	if j.owner == nil {
		c.takenFrom(j, from, m)
		return
	}
	w := j.watched
	if m.Epoch <= w.epoch {
		switch {
		case j.owner == from:
		case j.owner.down:
			c.send(from, &Rejoin{Job: m.Job, Epoch: m.Epoch, Behind: w.epoch})
		default:
			c.send(from, &Rejoin{Job: m.Job, Epoch: m.Epoch, Owner: j.owner.id})
		}
		return
	}
	if !slices.Contains(w.guardians, from.id) || !j.owner.down && !w.yields {
		if w.claim == nil || w.claim.Epoch < m.Epoch { // the owner may name it yet, or go
			w.claim, w.claimant = m, from
		}
		if !j.owner.down {
			c.send(from, &Rejoin{Job: m.Job, Epoch: m.Epoch, Owner: j.owner.id})
		}
		return
	}
	c.rejoin(j, from, m.Epoch)
}

// takenFrom handles the word of a peer that it owns a job of this one. It is believed
// of one that was named a guardian, or for whom another peer vouches.
func (c *Core) takenFrom(j *job, from *peer, m *JobTaken) {
	gs := j.guards
	switch {
	case gs == nil:
	case !c.yieldsTo(j, from, m.Epoch):
		if j.epoch > 0 {
			c.send(from, &JobTaken{Job: j.id, Epoch: j.epoch}) // it may not have heard of this one
		}
	case !gs.named[from.id] && !c.vouched(j, from):
		gs.rival, gs.claim = from, m
		if j.epoch > 0 && !c.now.Before(gs.askAgain) { // who has it as owner says so
			gs.askAgain = c.now.Add(rivalEvery)
			for _, p := range c.peerOrder {
				if p != from {
					c.send(p, &JobTaken{Job: j.id, Epoch: j.epoch})
				}
			}
		}
	default:
		for _, p := range c.peerOrder {
			if p.opened[j.id] && p != from {
				c.send(p, &GuardedBy{Job: j.id, Guardians: []string{from.id}, Yields: true})
			}
			delete(p.opened, j.id) // it is not over for them
		}
		c.endJob(j, "peer "+from.id+" has taken it over: this peer was gone for it, or gave it up")
		c.send(from, &Rejoin{Job: m.Job, Epoch: m.Epoch, Unknown: true, Last: true})
	}
}

// vouched reports whether another peer has said that this one owns a job that was
// taken over, or there is nobody else who could.
func (c *Core) vouched(j *job, owner *peer) bool {
	for _, p := range c.peerOrder {
		if p != owner && j.guards.says[p] == owner.id {
			return true
		}
	}
	return j.epoch > 0 && len(c.peerOrder) == 1
}

// yieldsTo reports whether this owner of a job gives way to another one: two
// guardians have taken the job that did not hear of each other. The one that comes
// first among them has the higher epoch.
func (c *Core) yieldsTo(j *job, p *peer, epoch uint32) bool {
	return epoch > j.epoch || epoch == j.epoch && p.id > c.cfg.Self
}

// rejoin attaches what is here of a job to its new owner.
func (c *Core) rejoin(j *job, p *peer, epoch uint32) {
	w := j.watched
	if !j.owner.down {
		for _, cl := range c.sortedClasses() {
			if cl.job == j {
				c.forgetOwner(cl)
			}
		}
	}
	if ward := c.wards[j.id]; ward != nil {
		c.moveWard(ward, p, epoch)
	}
	if w.claim != nil && w.claimant != p && !w.claimant.down {
		c.send(w.claimant, &Rejoin{Job: j.id, Epoch: w.claim.Epoch, Owner: p.id})
	}
	j.owner, w.epoch, w.claim, w.claimant, w.yields, w.base = p, epoch, nil, nil, false, 0
	c.emit(&JobMoved{Job: j.id, Owner: p.id})
	m := &Rejoin{Job: j.id, Epoch: epoch}
	n := 0
	next := func() {
		if n++; n >= rejoinMost {
			c.send(p, m)
			m, n = &Rejoin{Job: j.id, Epoch: epoch}, 0
		}
	}
	for _, id := range c.sortedProcs() {
		if pr := c.procs[id]; pr.job == j && pr.peer == nil {
			c.send(p, &ProcJoined{Proc: id, Job: j.id})
		}
	}
	for _, msg := range w.log {
		if fp, ok := msg.(*FromProc); ok && fp.Submit != nil {
			if cl := c.classes[fp.Submit.Class]; cl != nil && cl.job == j {
				c.introduce(p, cl)
			}
		}
		c.send(p, msg)
	}
	for _, t := range sortedTasks(j.tasks) {
		t.foreign.owner = p
		m.Tasks = append(m.Tasks, HeldTask{Task: t.id, Award: t.foreign.award})
		next()
	}
	for _, id := range c.sortedProcs() {
		if pr := c.procs[id]; pr.job == j && pr.peer == nil {
			pr.tell(func(h ProcHolds) {
				m.Procs = append(m.Procs, h)
				n += rejoinMost / 4
				next()
			})
		}
	}
	for part := range slices.Chunk(sortedKeys(w.holds), rejoinMost) {
		c.send(p, &Rejoin{Job: j.id, Epoch: epoch, Holds: part})
	}
	m.Last = true
	c.send(p, m)
}

// tell gives f what a process holds and waits for, in parts.
func (p *proc) tell(f func(ProcHolds)) {
	const most = rejoinMost / 4
	refs := sortedRefs(p.refs)
	awaits := slices.SortedFunc(maps.Keys(p.awaits), func(a, b Await) int {
		return cmp.Or(slices.Compare(a.Object[:], b.Object[:]), cmp.Compare(a.Mode, b.Mode), compareBool(a.Asked, b.Asked))
	})
	for part := range slices.Chunk(refs, most) {
		h := ProcHolds{Proc: p.id}
		for _, id := range part {
			h.Refs = append(h.Refs, HeldRef{Object: id, N: p.refs.get(id)})
		}
		f(h)
	}
	for part := range slices.Chunk(awaits, most) {
		f(ProcHolds{Proc: p.id, Awaits: part})
	}
	h := ProcHolds{Proc: p.id}
	for _, id := range slices.SortedFunc(maps.Keys(p.streams), func(a, b raygo.TaskID) int { return slices.Compare(a[:], b[:]) }) {
		h.Streams = append(h.Streams, StreamTaken{Proc: p.id, Task: id, N: p.streams[id]})
	}
	for _, r := range slices.Sorted(maps.Keys(p.cancels)) {
		h.Cancels = append(h.Cancels, p.cancels[r])
	}
	if len(h.Streams)+len(h.Cancels) > 0 {
		f(h)
	}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
