package world

import (
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

const (
	lawEvery  = 250 * time.Millisecond // laws that are about time are looked at so often
	goneAfter = 5 * time.Second        // law 6
)

// laws is what was seen of a world, to hold it against the laws of the design.
type laws struct {
	w        *World
	told     map[raygo.ObjectID]told
	final    map[raygo.TaskID]int
	begun    map[raygo.TaskID]int
	running  map[raygo.TaskID][]*run
	dead     map[raygo.TaskID]bool // a cancel said that it runs nowhere
	gifts    map[gift]bool         // what was assigned to liars
	fits     map[chance]*waiting
	known    map[raygo.TaskID]bool // settled with a result that was known
	copies   []*replicated
	inMemos  map[raygo.ObjectID][]parting // what memoized calls have put
	progress map[string]int               // starts by class and by peer
	places   map[raygo.TaskID][]Place
	off      bool // nothing is kept: for worlds that measure
	waits    func(r *run)
}

type told struct {
	failed bool
	code   raygo.Code
	sum    uint64
	inline bool
}

// Place is where and when an execution began.
type Place struct {
	Peer int
	At   time.Duration
}

type gift struct {
	peer *Peer
	task raygo.TaskID
}

func (l *laws) init(w *World) {
	*l = laws{
		w: w, told: map[raygo.ObjectID]told{}, final: map[raygo.TaskID]int{}, begun: map[raygo.TaskID]int{}, running: map[raygo.TaskID][]*run{},
		dead: map[raygo.TaskID]bool{}, gifts: map[gift]bool{}, fits: map[chance]*waiting{}, progress: map[string]int{}, known: map[raygo.TaskID]bool{}, places: map[raygo.TaskID][]Place{}, inMemos: map[raygo.ObjectID][]parting{},
	}
}

func (l *laws) given(p *Peer, t raygo.TaskID)         { l.gifts[gift{p, t}] = true }
func (l *laws) wasGiven(p *Peer, t raygo.TaskID) bool { return l.gifts[gift{p, t}] }

// see looks at an effect.
func (l *laws) see(p *Peer, e sched.Effect) {
	switch e := e.(type) {
	case *sched.Notify:
		if !l.off {
			l.resolved(p, e)
		}
	case *sched.Ended:
		l.ended(p, e)
	}
}

// ended is one half of law 2: the owner accepts one completion of a task.
func (l *laws) ended(p *Peer, e *sched.Ended) {
	j := l.w.byJob[e.Job]
	if !e.Final || j == nil || j.owner != p || l.off {
		return
	}
	if l.final[e.Task]++; l.final[e.Task] > 1 && !l.remade(e.Task) {
		l.w.Fail("law 2: task %s was settled %d times", show(e.Task), l.final[e.Task])
	}
}

// remade reports whether a task may have been run again after its end, because
// bytes that it had made were lost.
func (l *laws) remade(raygo.TaskID) bool { return l.w.faulty || l.w.hides }

// resolved is law 1: every getter on every peer is told the same.
func (l *laws) resolved(p *Peer, e *sched.Notify) {
	v := &e.Value
	if v.Kind == sched.Failed && v.Code == raygo.CodeObjectFreed {
		return
	}
	now := told{failed: v.Kind == sched.Failed, code: v.Code, inline: v.Kind == sched.Inline}
	if now.inline {
		now.sum = l.w.parse(v).sum
	}
	old, ok := l.told[e.Object]
	l.told[e.Object] = now
	lost := now.failed && (l.w.faulty || l.w.hides) // a value that was there, and nobody has it any more
	if j := l.w.byJob[e.Object.Job()]; ok && old != now && !lost && (j == nil || !j.Void) {
		l.w.Fail("law 1: %s tells of object %s %+v, it was %+v", p.Name, show(e.Object), now, old)
	}
}

// begins notes that a worker begins a task.
func (l *laws) begins(r *run) {
	if l.waits != nil {
		l.waits(r)
	}
	if l.off {
		return
	}
	t := r.x.Task
	l.begun[t]++
	l.places[t] = append(l.places[t], Place{r.k.p.index, l.w.now})
	l.running[t] = append(l.running[t], r)
	l.progress[r.k.p.Name]++
	l.progress[r.k.job.function(r.task.Class)]++
	if l.known[t] {
		l.w.Fail("law 1: the result of task %s was known, and it begins on %s", show(t), r.k.p.Name)
	}
	if l.dead[t] && l.counts(r) {
		l.w.Fail("law 8: task %s was cancelled for certain and begins on %s", show(t), r.k.p.Name)
	}
}

// ran notes that an execution is over.
func (l *laws) ran(r *run) {
	if l.off {
		return
	}
	t := r.x.Task
	rest := slices.DeleteFunc(l.running[t], func(o *run) bool { return o == r })
	if len(rest) == 0 {
		delete(l.running, t)
		return
	}
	l.running[t] = rest
}

// counts reports whether the owner of a run's task could know of it: who is cut
// off ends what he runs for others when he learns that he is.
func (l *laws) counts(r *run) bool {
	p, owner := r.k.p, r.k.job.owner
	return p.up && (p == owner || l.w.linked(p, owner) && !l.w.blocked(p.index, owner.index))
}

// cancelled is law 8 at the moment of the answer.
func (l *laws) cancelled(j *Job, i int, o sched.CancelOutcome) {
	if o != sched.NeverStarted && o != sched.Stopped || l.off {
		return
	}
	t := j.id(i)
	l.dead[t] = true
	for _, r := range l.running[t] {
		if l.counts(r) {
			l.w.Fail("law 8: the cancel of %s came to %d and it runs on %s", show(t), o, r.k.p.Name)
		}
	}
}

// notFound is half of law 6: what nothing took away can be found.
func (l *laws) notFound(p *Peer, ids []raygo.ObjectID) {
	if l.off || l.w.faulty || l.w.hides {
		return
	}
	for _, id := range ids {
		j := l.w.byJob[id.Job()]
		if j == nil || j.over || !j.owner.up {
			continue
		}
		if _, needed := j.owner.core.Object(id); needed {
			l.w.Fail("law 6: %s does not find object %s, which is needed", p.Name, show(id))
		}
	}
}

// sweep looks at the laws that are about time, and again after a while.
func (l *laws) sweep() {
	if l.off || l.w.err != nil {
		return
	}
	l.starving()
	l.leftovers()
	l.spread()
	l.memos()
	l.outlive()
	l.w.after(lawEvery, l.sweep)
}

// leftovers is the other half of law 6: what nobody needs goes from every store.
func (l *laws) leftovers() {
	for _, p := range l.w.peers {
		if !p.up {
			continue
		}
		for id, o := range p.store {
			j := l.w.byJob[id.Job()]
			if o.pins > 0 || !l.unneeded(p, j, id) {
				o.idle = 0
				continue
			}
			if o.idle == 0 {
				o.idle = l.w.now
			}
			if l.w.now-o.idle > goneAfter {
				l.w.Fail("law 6: %s still has object %s, needed by nobody for %s", p.Name, show(id), l.w.now-o.idle)
				return
			}
		}
	}
}

// unneeded reports whether an object is kept for nothing although its owner
// could say so.
func (l *laws) unneeded(p *Peer, j *Job, id raygo.ObjectID) bool {
	if !p.answers() || l.w.now-l.w.lastFault < 2*l.w.cfg.Detect {
		return false
	}
	if j.over {
		return true
	}
	if p != j.owner && !l.w.linked(p, j.owner) || p.m.Lie.Hide > 0 {
		return false
	}
	if !j.owner.answers() {
		return false
	}
	_, needed := j.owner.core.Object(id)
	return !needed
}
