package world

import (
	"math/rand/v2"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

// depart adds jobs whose driver leaves in the middle of them: a detached one, whose
// owner may die after that, and one that ends with its driver.
func (d *plan) depart(w *World) {
	rng := d.latest
	if rng.IntN(2) > 0 {
		return
	}
	w.outlives = true
	at := time.Second + time.Duration(rng.Int64N(int64(time.Second)))
	gone := time.Duration(100+rng.IntN(900)) * time.Millisecond
	j := w.Start(rng.IntN(len(w.peers)), at, departing(rng))
	j.detached = true
	j.leaves(at + gone)
	k := w.Start(rng.IntN(len(w.peers)), at, departing(rng))
	k.leaves(at + gone)
	died := at + gone + time.Duration(300+rng.IntN(1500))*time.Millisecond
	for range rng.IntN(3) {
		machine := rng.IntN(2) > 0
		w.At(died, func() {
			p := j.owner
			if j.over || !p.up {
				return
			}
			w.Crash(p, machine)
			w.after(5*time.Second, func() { w.Restart(p) })
		})
		died += time.Duration(6+rng.IntN(3)) * time.Second
	}
	j.readAt = died - time.Duration(rng.Int64N(int64(6*time.Second)))
}

// departing is a program of ordinary calls that go on after its driver.
func departing(rng *rand.Rand) *Program {
	g := &Program{Classes: []Class{Ordinary(func(o *raygo.Options) { o.MaxRetries = -1 })}}
	for i := range 10 + rng.IntN(30) {
		t := Task{At: time.Duration(i) * time.Millisecond, Run: time.Duration(rng.Int64N(int64(2 * time.Second)))}
		if rng.IntN(4) == 0 {
			t.Size = uint64(200<<10 + rng.IntN(1<<20))
		}
		if i > 0 && rng.IntN(2) == 0 {
			t.Deps = []int{rng.IntN(i)}
		}
		g.Tasks = append(g.Tasks, t)
	}
	return g
}

// leaves has the driver go at a moment, whatever is still to be done.
func (j *Job) leaves(at time.Duration) {
	j.w.At(at, func() {
		if j.over || j.sent || !j.owner.up {
			return
		}
		j.gone = true
		delete(j.owner.attached, j.proc)
		j.owner.step(&sched.ProcGone{Proc: j.proc})
		if !j.detached {
			j.w.after(goneAfter, j.stays)
		}
	})
}

// stays is law 6 for jobs that end with their driver: nobody has anything of them.
func (j *Job) stays() {
	w := j.w
	if w.faulty && w.now-w.lastFault < 2*w.cfg.Detect {
		w.after(goneAfter, j.stays)
		return
	}
	for _, p := range w.peers {
		if !p.answers() || p != j.owner && !w.linked(p, j.owner) {
			continue
		}
		for _, v := range p.core.Jobs() {
			if v.ID == j.ID {
				w.Fail("law 6: the driver of job %d is gone since %s, and %s still has %+v", j.n, goneAfter, p.Name, v)
			}
		}
	}
}

// life is the number of a peer's life, where others have to know.
func (p *Peer) life() uint64 {
	if p.w.outlives {
		return uint64(p.inc)
	}
	return 0
}

// surely has everybody learn that a peer is dead, not only out of reach.
func (w *World) surely(p *Peer) {
	for _, q := range w.peers {
		if q != p {
			q.at(2*w.cfg.Detect, func() {
				if !w.linked(p, q) {
					q.step(&sched.PeerDead{Peer: p.Name, Reason: "crashed"})
				}
			})
		}
	}
}

// took notes that a job has a new owner.
func (w *World) took(p *Peer, e *sched.JobTook) {
	j := w.byJob[e.Job]
	if !j.detached || j.owner.up && j.life == j.owner.inc {
		w.Fail("%s takes job %d over from %s", p.Name, j.n, e.From)
		return
	}
	w.trace.note(w.now, "%s takes job %d over", p.Name, j.n)
	w.lastFault = max(w.lastFault, w.now)
	w.Stats.Taken++
	j.owner, j.life, j.reader = p, p.inc, nil
}

// outlive has somebody read the values of detached jobs, at whoever owns them.
func (l *laws) outlive() {
	for _, j := range l.w.jobs {
		if j.detached && j.gone && !j.over && j.reader == nil && l.w.now >= j.readAt && j.owner.answers() && j.life == j.owner.inc {
			j.read()
		}
	}
}

// reader is a program that attaches to a detached job at its owner, for the value of
// every call: the right one is the promise.
type reader struct {
	j    *Job
	p    *Peer
	proc raygo.ProcID
	left map[raygo.ObjectID]int // calls without a value
}

func (j *Job) read() {
	p := j.owner
	r := &reader{j: j, p: p, proc: p.proc(), left: map[raygo.ObjectID]int{}}
	j.reader = r
	p.attached[r.proc] = r
	var ids []raygo.ObjectID
	for i := range j.nodes {
		if id := j.Object(i); j.nodes[i].sent {
			ids = append(ids, id)
			r.left[id] = i
		}
	}
	p.step(&sched.JobAttached{Job: j.ID, Driver: r.proc})
	p.step(&sched.Borrow{Proc: r.proc, Objects: ids})
	p.step(&sched.Want{Proc: r.proc, Objects: ids})
}

func (r *reader) notify(n *sched.Notify) {
	if n.Value.Kind == sched.Stored && !n.Wanted {
		return
	}
	r.p.value(n, r.proc, func(c content, failed bool) {
		i, ok := r.left[n.Object]
		if !ok || r.j.reader != r || r.j.over {
			return
		}
		if want := r.j.sums[i]; failed || c.sum != want {
			r.j.w.Fail("detached job %d: %s has %s for task %d (%s), want %x", r.j.n, r.p.Name, show(n.Value), i, show(n.Object), want)
		}
		r.j.nodes[i].done = true
		if delete(r.left, n.Object); len(r.left) > 0 {
			return
		}
		delete(r.p.attached, r.proc)
		r.p.step(&sched.ProcGone{Proc: r.proc})
		r.p.step(&sched.JobEnded{Job: r.j.ID, Reason: "its values have been read"})
	})
}

func (r *reader) stream(*sched.StreamState)  {}
func (r *reader) cancelled(*sched.Cancelled) {}
