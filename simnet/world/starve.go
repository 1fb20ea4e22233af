package world

import (
	"fmt"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

// chance is a class that waits and a peer that has room for it.
type chance struct {
	class string
	peer  *Peer
}

// waiting is since when, and how many tasks had begun of the class and on the
// peer by then: whoever moves is not starved.
type waiting struct {
	since         time.Duration
	class, onPeer int
	seen          time.Duration
}

// starving is law 4: what waits at its owner and fits a live peer starts within
// 2 s. Only classes that stand alone are judged: two that compete for the same
// room may wait for each other on purpose.
func (l *laws) starving() {
	w := l.w
	if w.now-w.lastFault < 3*w.cfg.Detect && w.faulty {
		clear(l.fits)
		return
	}
	for _, j := range w.jobs {
		if j.over || !j.owner.answers() || j.begun == 0 {
			continue
		}
		for _, d := range j.owner.core.Demands() {
			class := j.classNamed(d.Function)
			if class < 0 || d.Infeasible != "" {
				continue
			}
			for _, p := range w.peers {
				if o := &j.Program.Classes[class].Options; l.room(j, p, o) && !l.setAside(p, o) {
					l.waits1(chance{d.Function, p})
				}
			}
		}
	}
	for k, x := range l.fits {
		if x.seen != w.now {
			delete(l.fits, k)
		}
	}
}

// setAside reports whether a peer's room may be kept from a class on purpose: for
// one that waits, could run there, and wants more than what tasks of the class
// would leave.
func (l *laws) setAside(p *Peer, o *raygo.Options) bool {
	total, free := p.core.Capacity()
	mine := sched.Shape(o)
	for _, j := range l.w.jobs {
		if j.over || !j.owner.answers() || j.begun == 0 {
			continue
		}
		for _, d := range j.owner.core.Demands() {
			if class := j.classNamed(d.Function); class < 0 || !l.suits(p, &j.Program.Classes[class].Options) {
				continue
			}
			more, fits, ever := false, true, true
			for name, q := range d.Shape {
				more = more || q > mine[name]
				fits = fits && q <= free[name]
				ever = ever && q <= total[name]
			}
			if more && ever && !fits {
				return true
			}
		}
	}
	return false
}

func (l *laws) waits1(k chance) {
	now := l.w.now
	x := l.fits[k]
	class, onPeer := l.progress[k.class], l.progress[k.peer.Name]
	if x == nil || x.class != class || x.onPeer != onPeer {
		l.fits[k] = &waiting{since: now, class: class, onPeer: onPeer, seen: now}
		return
	}
	x.seen = now
	if now-x.since > l.w.cfg.StarveAfter+lawEvery {
		l.w.Fail("law 4: a task of %s fits %s and has not begun for %s; waiting are: %s", k.class, k.peer.Name, now-x.since, l.demands())
	}
}

// demands is what waits at the owners, for people.
func (l *laws) demands() string {
	text := ""
	for _, j := range l.w.jobs {
		if !j.over && j.owner.answers() && j.begun > 0 {
			for _, d := range j.owner.core.Demands() {
				if class := j.classNamed(d.Function); class >= 0 {
					text += fmt.Sprintf("%d of %s wanting %v by %v; ", d.Count, d.Function, d.Shape, j.Program.Classes[class].Options.Strategy)
				}
			}
		}
	}
	return text
}

// room reports whether a peer could take a task at this moment.
func (l *laws) room(j *Job, p *Peer, o *raygo.Options) bool {
	if !p.answers() || p.draining || p.m.Lie.any() || p != j.owner && !l.w.linked(p, j.owner) {
		return false
	}
	_, free := p.core.Capacity()
	for name, q := range sched.Shape(o) {
		if free[name] < q {
			return false
		}
	}
	return l.suits(p, o)
}

// suits reports whether a class's strategy allows a peer.
func (l *laws) suits(p *Peer, o *raygo.Options) bool {
	switch s := &o.Strategy; s.Kind {
	case raygo.StrategyAffinity:
		if want := l.w.byName[s.Peer]; s.Peer != p.Name && (!s.Soft || want.up) {
			return false
		}
	case raygo.StrategyLabels:
		if ok, err := sched.Match(s.Selector, p.m.Labels); !ok || err != nil {
			return false
		}
	}
	return true
}

func (j *Job) classNamed(function string) int {
	for i := range j.Program.Classes {
		if j.function(i) == function {
			return i
		}
	}
	return -1
}

// rest is what must be so when every job is over: laws 3, 5 and 6.
func (l *laws) rest() {
	w := l.w
	for _, p := range w.peers {
		if !p.answers() {
			continue
		}
		if err := p.core.Check(); err != nil {
			w.Fail("%s at rest: %v", p.Name, err)
		}
		total, free := p.core.Capacity()
		for name, q := range total {
			if free[name] != q {
				w.Fail("law 3: at rest %s has %v of %v %s free", p.Name, free[name], q, name)
			}
		}
		if n := p.core.Counts(); n.Unfinished != 0 || n.Ready != 0 || n.Running != 0 {
			w.Fail("law 5: at rest %s has %+v", p.Name, n)
		}
		if jobs := p.core.Jobs(); len(jobs) > 0 {
			w.Fail("at rest %s still has job %+v", p.Name, jobs[0])
		}
		for id := range p.store {
			w.Fail("law 6: at rest %s has object %s", p.Name, show(id))
		}
		if len(p.workers) > 0 {
			w.Fail("at rest %s has %d workers", p.Name, len(p.workers))
		}
	}
	if !w.faulty {
		l.once()
	}
}

// once is law 5: without faults each task runs exactly once, or as often as it
// asks for by failing.
func (l *laws) once() {
	for _, j := range l.w.jobs {
		for i := range j.nodes {
			t := &j.Program.Tasks[i]
			if j.Void || j.gone || t.Child || t.Put || t.Same > 0 || j.shaky[i] || l.lies() || j.Program.Classes[t.Class].Options.NumReturns == 0 {
				continue
			}
			if n, want := l.begun[j.id(i)], 1+max(t.CrashFirst, t.FailFirst); n != want {
				l.w.Fail("law 5: task %d of job %d ran %d times, want %d", i, j.n, n, want)
			}
		}
	}
}

func (l *laws) lies() bool {
	for _, p := range l.w.peers {
		if p.m.Lie.any() {
			return true
		}
	}
	return false
}

// Runs is how many executions of a call have begun.
func (j *Job) Runs(i int) int { return j.w.laws.begun[j.id(i)] }
