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

// How long executors may take to say what they have.
const (
	adoptMost  = 10 * time.Second
	behindMost = 16 * places // epochs that an executor may know of and the new owner does not
)

// adoption is a job between two owners.
type adoption struct {
	from    string
	began   uint32                            // the epoch at first
	behind  int                               // how often others knew of a later one
	waiting map[*peer]bool                    // have not said all
	there   map[*peer]map[raygo.TaskID]uint32 // what executors run, by award
	holds   []ProcHolds
	bytes   map[*peer][]raygo.ObjectID // that executors have
	failed  map[raygo.TaskID]bool      // tasks that went with their executor
	early   []Event                    // calls and results that executors say again
	late    []Event                    // what came since
	closing bool
}

// takeOver makes this peer the owner of a job.
func (c *Core) takeOver(w *ward) {
	j := c.jobs[w.job]
	if j == nil || j.ended || j.owner != w.owner || c.draining {
		return
	}
	r, from := w.best(), w.owner.id
	watched := j.watched
	j.epoch, j.owner, j.watched = max(w.epoch, watched.epoch)+places-uint32(w.place()), nil, nil
	c.dropWard(w)
	j.detached, j.driver, j.info, j.builds = true, r.driver, r.info, r.builds
	j.finished, j.failed = r.finished, r.failed
	j.byDef = map[string]*class{}
	j.adopting = &adoption{from: from, began: j.epoch, waiting: map[*peer]bool{}, there: map[*peer]map[raygo.TaskID]uint32{}, bytes: map[*peer][]raygo.ObjectID{}, failed: map[raygo.TaskID]bool{}}
	c.emit(&JobTook{Job: j.id, From: from, Epoch: j.epoch, Driver: r.driver})
	c.warn(j, fmt.Sprintf("peer %s, which owned this job, is gone: this peer goes on with it (epoch %d)", from, j.epoch))
	c.ownProcs(j)
	local := c.ownTasks(j)
	classes := c.adoptClasses(j, r)
	c.adoptTasks(j, r, classes, local)
	c.adoptObjects(j, r, watched.holds)
	for _, t := range sortedTasks(j.tasks) {
		t.deps, t.pins = c.pin(j, t.deps), c.pin(j, t.pins)
		if id := t.id.Object(0); t.stream == nil && !t.regen && t.class.opts.NumReturns != 0 && j.objects.get(id) == nil {
			c.newObject(j, id) // who holds it is still to be told
		}
	}
	for _, m := range watched.log {
		c.repeat(j, m)
	}
	for _, id := range sortedKeys(watched.holds) {
		j.adopting.late = append(j.adopting.late, &Copied{Object: id})
	}
	j.guards = newGuards()
	for _, id := range slices.Concat(w.others, watched.guardians) { // they may take it as well, if they do not hear of this one
		if j.guards.named[id] {
			continue
		}
		j.guards.named[id] = true
		if id != c.cfg.Self {
			j.guards.old = append(j.guards.old, id)
		}
	}
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
	if len(j.guards.told) > 0 {
		c.send(p, &GuardedBy{Job: j.id, Guardians: j.guards.told})
	}
}

func (*ownWord) event() {}

// rejoined takes what an executor has.
func (c *Core) rejoined(p *peer, m *Rejoin) {
	j := c.jobs[m.Job]
	if j == nil || j.ended || j.owner != nil || j.guards == nil || m.Epoch != j.epoch {
		return
	}
	if m.Unknown {
		delete(p.opened, j.id)
	}
	a := j.adopting
	if m.Behind >= j.epoch && m.Behind-j.epoch < behindMost && a != nil && a.waiting[p] && a.behind < guardians {
		// An owner has come and gone of which this one has not heard. Those who have
		// said what they have keep to what they know.
		a.behind++
		j.epoch = m.Behind + 1
		for _, p := range c.peerOrder {
			if a.waiting[p] {
				c.claim(p, j)
			}
		}
		return
	}
	if m.Owner != "" { // that one is to say so itself: until then this executor may come yet
		gs := j.guards
		gs.says[p] = m.Owner
		if r := gs.rival; r != nil && r.id == m.Owner && !r.down {
			c.takenFrom(j, r, gs.claim)
		}
		return
	}
	if a == nil || !a.waiting[p] { // too late, or it came back: what it runs runs elsewhere
		for _, h := range m.Tasks {
			if t := p.running[h.Task]; t == nil || t.award != h.Award {
				c.send(p, &StopTask{Task: h.Task, Award: h.Award, Force: true})
			}
		}
		for i := range m.Procs {
			c.adoptHolds(j, p, m.Procs[i:i+1])
		}
		c.holds(p, &Holds{Objects: m.Holds})
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
	a.bytes[p] = append(a.bytes[p], m.Holds...)
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
	for _, p := range c.peerOrder {
		c.from = p
		c.holds(p, &Holds{Objects: a.bytes[p]})
	}
	c.from = nil
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
	c.spreadShort(j) // what the last owner had is gone, and whom it asked is not known
	c.chooseGuardians(j)
}

// HasHeir reports whether a job of this peer goes on elsewhere when it ends here.
func (c *Core) HasHeir(id raygo.JobID) bool {
	j := c.jobs[id]
	return j != nil && !j.ended && j.owner == nil && j.guards != nil && j.guards.slots[0] != nil
}

// jobShown makes a job of ours known to a peer where a program attaches to it.
func (c *Core) jobShown(e *JobShown) {
	if j, p := c.jobs[e.Job], c.peers[e.Peer]; j != nil && p != nil && !j.ended && j.owner == nil && j.detached {
		c.openJobAt(p, j)
	}
}

// metAgain tells a peer of the jobs that were taken over while it was away, and
// sees to those of its own that this one guards.
func (c *Core) metAgain(p *peer) {
	for _, j := range c.sortedJobs() {
		switch {
		case j.ended:
		case j.owner == nil && j.epoch > 0:
			c.claim(p, j)
		case j.owner != nil && j.owner.down && j.owner.id == p.id && j.owner.incarnation == p.incarnation:
			c.endJob(j, "its owner, peer "+p.id+", was out of reach: what it had here runs anew")
		}
	}
	c.wardsOf(p)
}

// yieldJobs gives the jobs that outlive this peer to their first guardians.
func (c *Core) yieldJobs() {
	for _, j := range c.sortedJobs() {
		if j.guards == nil || j.ended || j.guards.slots[0] == nil {
			continue
		}
		c.tellGuardians(j, true)
		for rank, g := range j.guards.slots {
			for g != nil && (g.first || len(g.objects.order)+len(g.tasks.order) > 0) {
				c.sendGuard(j, rank, g)
			}
		}
		c.send(j.guards.slots[0].peer, &TakeNow{Job: j.id})
	}
}
