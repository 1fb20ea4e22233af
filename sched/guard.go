package sched

import (
	"bytes"
	"maps"
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
)

// A detached job outlives its owner. The owner keeps copies of the job's records
// at two guardians: other peers, chosen by rendezvous hashing of the job and kept
// while they live. Changes are noted as they happen and sent in batches, behind
// whatever is going on. Jobs that end with their driver have no guardians: their
// driver is attached to their owner and ends with it.

const (
	guardians    = 2
	guardEvery   = 20 * time.Millisecond  // changes are collected so long
	guardMost    = 2000                   // records in a batch
	guardBytes   = 1 << 20                // in a batch, about
	guardFlights = 4                      // batches that a guardian has not confirmed
	safeEvery    = 100 * time.Millisecond // executors are told so often what is safe
)

// guards is what an owner knows of a job's guardians.
type guards struct {
	slots    [guardians]*guardian // nil where there is no peer for it
	chosen   uint64               // topology when they were
	old      []string             // the last owner's, which keep their copies until these have theirs
	told     []string             // the IDs of all, as executors were last told them
	named    map[string]bool      // all that have ever been
	says     map[*peer]string     // whom executors have as owner instead of this peer
	rival    *peer                // who says that it is the owner, and is not believed yet
	claim    *JobTaken            // its word
	askAgain time.Time            // others may be asked about it
	refused  map[*peer]bool       // had no room
	heard    map[*peer]uint64     // messages about the job that count, by executor: see counts
	saidSafe map[*peer]uint64
	safeAt   time.Time
	timed    bool
}

// guardian is one that keeps copies.
type guardian struct {
	peer    *peer
	first   bool // it has nothing yet
	seq     uint64
	acked   uint64
	objects marks[raygo.ObjectID]
	tasks   marks[raygo.TaskID]
	classes map[ClassID]bool            // sent
	whole   map[uint64]map[*peer]uint64 // by batch: it left nothing out, and what had been heard by then
	safe    map[*peer]uint64            // of the last whole batch that was confirmed
}

// marks is a set in the order of its making.
type marks[K comparable] struct {
	in    map[K]struct{}
	order []K
}

func (m *marks[K]) add(k K) {
	if _, have := m.in[k]; have {
		return
	}
	if m.in == nil {
		m.in = map[K]struct{}{}
	}
	m.in[k] = struct{}{}
	m.order = append(m.order, k)
}

// take removes the oldest.
func (m *marks[K]) take() K {
	k := m.order[0]
	m.order = m.order[1:]
	delete(m.in, k)
	return k
}

// markObject notes that an object's record has changed.
func (c *Core) markObject(j *job, id raygo.ObjectID) {
	if j.guards == nil {
		return
	}
	for _, g := range j.guards.slots {
		if g != nil {
			g.objects.add(id)
		}
	}
	c.guardLater(j)
}

// markTask notes that a task, its lineage or its stream has changed.
func (c *Core) markTask(j *job, id raygo.TaskID) {
	if j.guards == nil {
		return
	}
	for _, g := range j.guards.slots {
		if g != nil {
			g.tasks.add(id)
		}
	}
	c.guardLater(j)
}

func (c *Core) guardLater(j *job) {
	if !j.guards.timed {
		j.guards.timed = true
		c.after(guardEvery, timer{kind: timerGuard, job: j})
	}
}

func newGuards() *guards {
	return &guards{named: map[string]bool{}, says: map[*peer]string{}, refused: map[*peer]bool{}, heard: map[*peer]uint64{}, saidSafe: map[*peer]uint64{}}
}

// guard gives a job of ours guardians from now on.
func (c *Core) guard(j *job) {
	j.guards = newGuards()
	c.chooseGuardians(j)
}

// forget drops what is known of a peer that is gone.
func (gs *guards) forget(p *peer) {
	delete(gs.refused, p)
	delete(gs.heard, p)
	delete(gs.saidSafe, p)
	delete(gs.says, p)
	if gs.rival == p {
		gs.rival, gs.claim = nil, nil
	}
}

// guardAll looks at the guardians of all jobs again: a peer has come or gone.
func (c *Core) guardAll() {
	for _, j := range c.sortedJobs() {
		if j.guards != nil && !j.ended {
			c.chooseGuardians(j)
		}
	}
}

// chooseGuardians fills the places of guardians that are gone or leave.
func (c *Core) chooseGuardians(j *job) {
	gs := j.guards
	if gs.chosen == c.topology || j.adopting != nil {
		return
	}
	gs.chosen = c.topology
	for i, g := range gs.slots {
		if g != nil && (g.peer.down || g.peer.draining || gs.refused[g.peer]) {
			gs.slots[i] = nil
			c.send(g.peer, &Guard{Job: j.id, Over: true})
		}
	}
	if gs.slots[0] == nil { // the next one moves up
		copy(gs.slots[:], gs.slots[1:])
		gs.slots[guardians-1] = nil
	}
	for i, g := range gs.slots {
		if g == nil {
			if p := c.bestGuardian(j); p != nil {
				gs.slots[i] = &guardian{peer: p, first: true, classes: map[ClassID]bool{}, whole: map[uint64]map[*peer]uint64{}}
				c.markAll(j, gs.slots[i])
			}
		}
	}
	c.tellGuardians(j, false)
	c.guardLater(j)
}

// bestGuardian is the peer with the highest weight that is not one yet.
func (c *Core) bestGuardian(j *job) *peer {
	var best *peer
	var most uint64
	for _, p := range c.peerOrder {
		if p.draining || p.useless || p.totals[raygo.CPU] == 0 || j.guards.refused[p] ||
			slices.ContainsFunc(j.guards.slots[:], func(g *guardian) bool { return g != nil && g.peer == p }) {
			continue
		}
		if w := rendezvous(j.id, p.id); best == nil || w > most {
			best, most = p, w
		}
	}
	return best
}

// rendezvous is a peer's weight as guardian of a job: FNV-1a of both, mixed as in
// MurmurHash3 since FNV leaves the high bits of short inputs alike.
func rendezvous(j raygo.JobID, peer string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for _, b := range slices.Concat(j[:], []byte(peer)) {
		h = (h ^ uint64(b)) * 0x100000001b3
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// markAll has everything of a job sent to a new guardian.
func (c *Core) markAll(j *job, g *guardian) {
	ids := map[raygo.TaskID]struct{}{}
	for _, t := range j.tasks.all() {
		ids[t.id] = struct{}{}
	}
	for id := range j.lineage {
		ids[id] = struct{}{}
	}
	for id := range j.streams {
		ids[id] = struct{}{}
	}
	for _, id := range slices.SortedFunc(maps.Keys(ids), func(a, b raygo.TaskID) int { return bytes.Compare(a[:], b[:]) }) {
		g.tasks.add(id)
	}
	objects := make([]raygo.ObjectID, 0, j.objects.n)
	for id := range j.objects.all() {
		objects = append(objects, id)
	}
	slices.SortFunc(objects, func(a, b raygo.ObjectID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range objects {
		g.objects.add(id)
	}
}

// tellGuardians tells the job's executors who may take it over, if that has
// changed.
func (c *Core) tellGuardians(j *job, yields bool) {
	gs := j.guards
	var ids []string
	for _, g := range gs.slots {
		if g != nil {
			ids = append(ids, g.peer.id)
			gs.named[g.peer.id] = true
			c.openJobAt(g.peer, j)
		}
	}
	for _, id := range gs.old {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if slices.Equal(ids, gs.told) && !yields {
		return
	}
	gs.told = ids
	for _, p := range c.peerOrder {
		if p.opened[j.id] {
			c.send(p, &GuardedBy{Job: j.id, Guardians: ids, Yields: yields})
		}
	}
	c.emit(&JobGuarded{Job: j.id, Epoch: j.epoch, Guardians: ids})
}

// guardDue sends what has changed to guardians that keep up.
func (c *Core) guardDue(j *job) {
	gs := j.guards
	if gs == nil || j.ended {
		return
	}
	gs.timed = false
	for rank, g := range gs.slots {
		for g != nil && g.seq-g.acked < guardFlights && (g.first || len(g.objects.order)+len(g.tasks.order) > 0) {
			c.sendGuard(j, rank, g)
		}
	}
}

// sendGuard sends one batch. Values go before the ends of the tasks that made them,
// so that no cut between two batches loses both.
func (c *Core) sendGuard(j *job, rank int, g *guardian) {
	g.seq++
	m := &Guard{Job: j.id, Seq: g.seq, First: g.first, Rank: rank, Others: j.guards.told, Epoch: j.epoch, Finished: j.finished, Failed: j.failed}
	if g.first {
		m.Driver, m.Builds, m.Info = j.driver, j.builds, j.info
	}
	g.first = false
	size := 0
	for n := 0; len(g.objects.order) > 0 && n < guardMost && size < guardBytes; n++ {
		size += c.recordObject(j, g.objects.take(), m)
	}
	for n := 0; len(g.objects.order) == 0 && len(g.tasks.order) > 0 && n < guardMost && size < guardBytes; n++ {
		size += c.recordTask(j, g.tasks.take(), m, g)
	}
	if len(g.objects.order)+len(g.tasks.order) == 0 {
		m.Whole = true
		g.whole[g.seq] = maps.Clone(j.guards.heard)
	}
	c.send(g.peer, m)
}

// recordObject adds an object's record and returns its size, about.
func (c *Core) recordObject(j *job, id raygo.ObjectID, m *Guard) int {
	o := j.objects.get(id)
	if o == nil {
		m.NoObject = append(m.NoObject, id)
		return len(id)
	}
	r := ObjectRecord{ID: id, Value: o.value, Nested: slices.Clone(o.nested), Untaken: o.streamHold}
	if o.value.Kind == Stored && o.value.Store == o.id {
		src := c.source(o)
		r.Holders, r.CID = src.Holders, src.CID
		if o.away != nil {
			r.Copies = o.away.copies
		}
	}
	if d := c.procs[j.driver]; d != nil {
		r.Refs = d.refs.get(id)
	}
	m.Objects = append(m.Objects, r)
	return 64 + len(r.Value.Bytes) + len(id)*len(r.Nested)
}

// recordTask adds the record of a task, with the class that it is of.
func (c *Core) recordTask(j *job, id raygo.TaskID, m *Guard, g *guardian) int {
	t, ln, s := j.tasks.task(id), j.lineage[id], j.streams[id]
	r := TaskRecord{ID: id}
	var cl *class
	if t != nil {
		cl = t.class
		r.Parent, r.Args, r.Deps, r.Pins, r.Depth, r.Attempt, r.Award, r.Created = t.parentID, t.args, slices.Clone(t.deps), slices.Clone(t.pins), t.depth, t.attempt, max(t.award, t.floor), t.created
		r.Pending = &PendingRecord{
			Sys: t.sysRetries, App: t.appRetries, OOM: t.oomRetries, Cancelled: t.cancelled, Spares: t.spares, Regen: t.regen, Redo: t.redo, Until: t.until,
		}
		if t.at != nil {
			r.Pending.At = t.at.id
		} else if t.worker != nil {
			r.Pending.At = c.cfg.Self
		}
	}
	if ln != nil {
		if t == nil {
			cl = ln.class
			r.Parent, r.Args, r.Deps, r.Pins, r.Depth, r.Attempt, r.Award, r.Created = ln.parent, ln.args, slices.Clone(ln.deps), slices.Clone(ln.pins), ln.depth, ln.attempt, ln.award, ln.created
		}
		r.Lineage = &LineageRecord{Rebuilds: ln.rebuilds, Items: ln.items, Cut: ln.cut, Stream: ln.stream}
	}
	if s != nil {
		r.Stream = &StreamRecord{
			Produced: s.produced, Taken: s.taken, Asked: s.asked, All: s.all, Unheld: s.unheld, Fixed: s.fixed, Limit: s.limit,
			Held: slices.Clone(s.held), Ended: s.ended, Failure: s.failure,
		}
	}
	if t == nil && ln == nil && s == nil {
		m.NoTask = append(m.NoTask, id)
		return len(id)
	}
	if cl != nil {
		r.Class = cl.id
		if !g.classes[cl.id] {
			g.classes[cl.id] = true
			m.Classes = append(m.Classes, ClassOf{Class: cl.id, Job: j.id, Function: cl.function, Options: cl.opts, Def: cl.def})
		}
	}
	m.Tasks = append(m.Tasks, r)
	return 128 + len(r.Args) + len(id)*(len(r.Deps)+len(r.Pins))
}

// guarded takes a guardian's confirmation.
func (c *Core) guarded(from *peer, m *Guarded) {
	j := c.jobs[m.Job]
	if j == nil || j.guards == nil {
		return
	}
	gs := j.guards
	i := slices.IndexFunc(gs.slots[:], func(g *guardian) bool { return g != nil && g.peer == from })
	if i < 0 {
		return
	}
	g := gs.slots[i]
	switch {
	case m.Refused:
		gs.refused[from], gs.chosen = true, 0
		c.warn(j, "peer "+from.id+" has no room for the records of this job: another one guards it, if there is one")
		c.chooseGuardians(j)
		return
	case m.Seq <= g.acked || m.Seq > g.seq:
		return
	}
	for n := g.acked + 1; n <= m.Seq; n++ {
		if heard := g.whole[n]; heard != nil {
			g.safe = heard
			delete(g.whole, n)
		}
	}
	g.acked = m.Seq
	if gs.old != nil && gs.copied() {
		gs.old = nil
		c.tellGuardians(j, false)
	}
	c.tellSafe(j)
	if len(g.objects.order)+len(g.tasks.order) > 0 {
		c.guardLater(j)
	}
}

// copied reports whether every guardian has had a whole copy.
func (gs *guards) copied() bool {
	for _, g := range gs.slots {
		if g != nil && g.safe == nil {
			return false
		}
	}
	return gs.slots[0] != nil
}

// tellSafe tells executors which of their messages need not be said again to a new
// owner: those whose effects every guardian has.
func (c *Core) tellSafe(j *job) {
	gs := j.guards
	if c.now.Sub(gs.safeAt) < safeEvery {
		return
	}
	gs.safeAt = c.now
	for _, p := range c.peerOrder {
		n, some := gs.heard[p], false
		for _, g := range gs.slots {
			if g != nil {
				some = true
				n = min(n, g.safe[p])
			}
		}
		if some && n > gs.saidSafe[p] {
			gs.saidSafe[p] = n
			c.send(p, &Safe{Job: j.id, N: n})
		}
	}
}

// counts reports whether a message is one of those that an executor says again to
// a new owner, and of which job. Both sides count them.
func counts(msg Message) (raygo.JobID, bool) {
	switch m := msg.(type) {
	case *FromProc:
		switch {
		case m.Submit != nil:
			return m.Submit.Task.Job(), true
		case m.Put != nil:
			return m.Put.Object.Job(), true
		case m.Replicate != nil:
			return m.Replicate.Object.Job(), true
		}
	case *Yielded:
		return m.Task.Job(), true
	case *Holds:
		return m.Objects[0].Job(), true
	case *Drops:
		return m.Objects[0].Job(), true
	case *NamedAs:
		return m.Object.Job(), true
	}
	return raygo.JobID{}, false
}

// hear counts what an executor says of guarded jobs.
func (c *Core) hear(from *peer, msg Message) {
	if from == nil {
		return
	}
	switch m := msg.(type) {
	case *Holds:
		if len(m.Objects) == 0 {
			return
		}
	case *Drops:
		if len(m.Objects) == 0 {
			return
		}
	case *Done:
		for i := range m.Results {
			c.heardOf(from, m.Results[i].Task.Job())
		}
		return
	}
	if id, ok := counts(msg); ok {
		c.heardOf(from, id)
	}
}

func (c *Core) heardOf(from *peer, id raygo.JobID) {
	if j := c.jobs[id]; j != nil && j.guards != nil {
		j.guards.heard[from]++
	}
}
