package sched

import (
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
)

// The guardian's side: copies of the records of other peers' jobs, and when to
// take a job over.

const (
	wardsBytes = 1 << 30         // records kept for all jobs, about
	takeStep   = 2 * time.Second // a guardian gives those before it so long
)

// ward is a job that another peer owns, and this one may take over.
type ward struct {
	job         raygo.JobID
	owner       *peer // down, once it is gone
	incarnation uint64
	rank        int
	others      []string // all guardians
	epoch       uint32
	dead        bool // the owner, surely
	whole       bool // the copy lacks nothing but the last moments
	*records
	before *records // a whole copy from an earlier owner, until this one's is whole
}

// records is the copy that a guardian has of a job.
type records struct {
	driver   raygo.ProcID
	builds   []string
	info     []byte
	finished int
	failed   int
	bytes    int
	classes  map[ClassID]*ClassOf
	objects  map[raygo.ObjectID]*ObjectRecord
	tasks    map[raygo.TaskID]*TaskRecord
}

func newRecords(m *Guard) *records {
	return &records{
		driver: m.Driver, builds: m.Builds, info: m.Info,
		classes: map[ClassID]*ClassOf{}, objects: map[raygo.ObjectID]*ObjectRecord{}, tasks: map[raygo.TaskID]*TaskRecord{},
	}
}

// best is the copy to take the job over with.
func (w *ward) best() *records {
	if !w.whole && w.before != nil {
		return w.before
	}
	return w.records
}

// place is how many peers come before this one when the job is taken over: first
// those whose copy is whole, then those who have one from an earlier owner.
func (w *ward) place() int {
	switch {
	case w.whole:
		return w.rank
	case w.before != nil:
		return w.rank + guardians
	}
	return w.rank + 2*guardians
}

const places = 3 * guardians

// guardFor keeps what an owner says of its job.
func (c *Core) guardFor(from *peer, m *Guard) {
	j, w := c.jobs[m.Job], c.wards[m.Job]
	if m.Over {
		if w != nil && w.owner == from {
			c.dropWard(w)
		}
		return
	}
	if j == nil || j.ended || j.owner != from || w != nil && w.owner != from {
		return
	}
	if m.First {
		fresh := &ward{job: m.Job, owner: from, incarnation: from.incarnation, records: newRecords(m)}
		if w != nil {
			c.keepBefore(w)
			fresh.before = w.before
		}
		w = fresh
		c.wards[m.Job] = w
	}
	if w == nil || w.records == nil {
		return
	}
	w.rank, w.others, w.epoch, w.finished, w.failed = min(max(m.Rank, 0), guardians-1), m.Others, m.Epoch, m.Finished, m.Failed
	size := w.bytes
	w.take(m)
	c.wardBytes += w.bytes - size
	if m.Whole {
		w.whole = true
		c.forgetRecords(&w.before)
	}
	if c.wardBytes > wardsBytes {
		c.dropWard(w)
		c.send(from, &Guarded{Job: m.Job, Seq: m.Seq, Refused: true})
		return
	}
	c.send(from, &Guarded{Job: m.Job, Seq: m.Seq})
}

// keepBefore leaves a ward with nothing but a whole copy, if there is one.
func (c *Core) keepBefore(w *ward) {
	if w.whole {
		c.forgetRecords(&w.before)
		w.before, w.records = w.records, nil
	}
	w.whole = false
	c.forgetRecords(&w.records)
}

// moveWard keeps the copy of a job that has changed hands until there is one from
// its new owner, who may die before that.
func (c *Core) moveWard(w *ward, owner *peer, epoch uint32) {
	c.keepBefore(w)
	if w.before == nil {
		c.dropWard(w)
		return
	}
	w.owner, w.incarnation, w.epoch, w.dead = owner, owner.incarnation, epoch, false
	w.others = slices.DeleteFunc(slices.Clone(w.others), func(id string) bool { return id == owner.id })
	w.rank = min(max(slices.Index(w.others, c.cfg.Self), 0), guardians-1)
}

// take puts the records of a batch in the place of earlier ones.
func (w *records) take(m *Guard) {
	for i := range m.Classes {
		w.classes[m.Classes[i].Class] = &m.Classes[i]
		w.bytes += 256 + len(m.Classes[i].Def)
	}
	for i := range m.Objects {
		r := &m.Objects[i]
		w.bytes += r.size() - w.objects[r.ID].size()
		w.objects[r.ID] = r
	}
	for i := range m.Tasks {
		r := &m.Tasks[i]
		w.bytes += r.size() - w.tasks[r.ID].size()
		w.tasks[r.ID] = r
	}
	for _, id := range m.NoObject {
		w.bytes -= w.objects[id].size()
		delete(w.objects, id)
	}
	for _, id := range m.NoTask {
		w.bytes -= w.tasks[id].size()
		delete(w.tasks, id)
	}
}

// size is about what a record takes; nothing for none.
func (r *ObjectRecord) size() int {
	if r == nil {
		return 0
	}
	return 300 + len(r.Value.Bytes) + 24*len(r.Nested)
}

func (r *TaskRecord) size() int {
	if r == nil {
		return 0
	}
	return 400 + len(r.Args) + 24*(len(r.Deps)+len(r.Pins))
}

func (c *Core) dropWard(w *ward) {
	c.forgetRecords(&w.records)
	c.forgetRecords(&w.before)
	delete(c.wards, w.job)
}

func (c *Core) forgetRecords(r **records) {
	if *r != nil {
		c.wardBytes -= (*r).bytes
		*r = nil
	}
}

// ownerDead has the jobs of a dead owner taken over, by their first guardian at
// once, by the next ones if it does not.
func (c *Core) ownerDead(id string) {
	for _, w := range c.sortedWards() {
		if w.owner.id != id || !w.owner.down || w.dead {
			continue
		}
		w.dead = true
		if w.place() == 0 {
			c.takeOver(w)
			continue
		}
		c.after(time.Duration(w.place())*takeStep, timer{kind: timerTake, job: c.jobs[w.job]})
	}
}

// takeDue takes a job over that no guardian before this one has.
func (c *Core) takeDue(j *job) {
	if j == nil {
		return
	}
	if w := c.wards[j.id]; w != nil && w.dead {
		c.takeOver(w)
	}
}

// takeNow takes a job over that its owner gives up.
func (c *Core) takeNow(from *peer, m *TakeNow) {
	if w := c.wards[m.Job]; w != nil && w.owner == from {
		c.takeOver(w)
	}
}

// wardsOf looks at the wards of a peer that is there again: another incarnation
// means that the owner is dead.
func (c *Core) wardsOf(p *peer) {
	for _, w := range c.sortedWards() {
		if w.owner.id != p.id || w.owner == p {
			continue
		}
		if w.incarnation != p.incarnation {
			c.ownerDead(p.id)
			return
		}
	}
}

func (c *Core) sortedWards() []*ward {
	ws := make([]*ward, 0, len(c.wards))
	for _, w := range c.wards {
		ws = append(ws, w)
	}
	slices.SortFunc(ws, func(a, b *ward) int { return slices.Compare(a.job[:], b.job[:]) })
	return ws
}
