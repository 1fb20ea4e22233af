package world

import (
	"fmt"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

// Job is one run of a simulated driver.
type Job struct {
	ID      raygo.JobID
	Program *Program
	Void    bool // its owner's peer went down: what becomes of it is not judged

	w        *World
	n        int
	owner    *Peer
	proc     raygo.ProcID
	begun    time.Duration
	lastAt   time.Duration // when the last task is submitted
	nodes    []node
	users    []int // of each call: dependents not yet submitted
	sums     []uint64
	shaky    []bool
	open     int // calls and values that are not over
	sent     bool
	over     bool
	started  bool
	asked    map[uint32]int // cancels by request
	requests uint32
	gone     bool          // its driver has left in the middle of it
	detached bool          // it outlives its driver and its owner
	life     uint32        // of its owner
	readAt   time.Duration // a detached job's values, not before that
	reader   *reader
}

// node is what the driver knows of one of its calls.
type node struct {
	sent, done bool
	failed     raygo.Code
	parts      int // that are still to come
	taken      uint32
	items      map[uint32]bool
	held       bool
	At         time.Duration
}

// Start has a driver attach to a peer and run a program.
func (w *World) Start(peer int, at time.Duration, g *Program) *Job {
	j := &Job{Program: g, w: w, n: len(w.jobs), owner: w.peers[peer], nodes: make([]node, len(g.Tasks)), users: make([]int, len(g.Tasks)), asked: map[uint32]int{}}
	j.ID = raygo.JobID{'j', byte(j.n >> 8), byte(j.n), byte(w.cfg.Seed >> 24), byte(w.cfg.Seed >> 16), byte(w.cfg.Seed >> 8), byte(w.cfg.Seed), 1}
	j.owner.drives = true
	j.sums, j.shaky = g.sums(), g.shaky()
	for i := range g.Tasks {
		t := &g.Tasks[i]
		if t.Child {
			continue
		}
		j.open++
		j.lastAt = max(j.lastAt, at+t.At)
		for _, d := range t.Deps {
			j.users[d]++
		}
	}
	w.jobs = append(w.jobs, j)
	w.byJob[j.ID] = j
	w.At(at, func() {
		j.started = true
		j.owner.always(j.begin, j.dead)
	})
	return j
}

// always runs f at the peer, or no if it is down by then.
func (p *Peer) always(f, no func()) {
	if !p.up {
		no()
		return
	}
	p.run(f)
}

// dead is called when the peer that the driver is attached to goes down.
func (j *Job) dead() {
	if !j.over {
		j.Void, j.over = true, true
	}
}

func (j *Job) begin() {
	p := j.owner
	if j.over {
		return
	}
	j.begun, j.life = j.w.now, p.inc
	j.proc = p.proc()
	p.attached[j.proc] = j
	p.step(&sched.JobStarted{Job: j.ID, Driver: j.proc, Detached: j.detached, Info: []byte(fmt.Sprint("program of job ", j.n))})
	for i := range j.Program.Classes {
		p.classID(j, i)
	}
	for i := range j.Program.Tasks {
		if t := &j.Program.Tasks[i]; !t.Child {
			p.at(t.At, func() { j.submit(i) })
			if t.CancelAt > 0 {
				p.at(t.At+t.CancelAt, func() { j.cancel(i) })
			}
		}
	}
	if j.open == 0 {
		j.end()
	}
}

// id names the driver's call number i.
func (j *Job) id(i int) raygo.TaskID { return raygo.NewTaskID(j.ID, j.proc, uint32(i+1)) }

// function names a class in a way that only this job's has.
func (j *Job) function(class int) string { return fmt.Sprintf("j%d.c%d", j.n, class) }

func (j *Job) submit(i int) {
	t := &j.Program.Tasks[i]
	n := &j.nodes[i]
	if j.over || j.gone || n.sent {
		return
	}
	n.sent, n.held, n.At = true, true, j.w.now
	if t.Put {
		j.put(i)
		return
	}
	e := &sched.Submit{Task: j.id(i), Class: j.owner.classID(j, t.Class), Proc: j.proc, Args: args(j.Program.base(i))}
	for _, d := range t.Deps {
		e.Deps = append(e.Deps, j.id(d).Object(0))
	}
	j.owner.step(e)
	for _, d := range t.Deps {
		j.users[d]--
		j.letGo(d)
	}
	if j.Program.Classes[t.Class].Options.NumReturns == 0 {
		j.settle(i)
	}
	if t.Get {
		j.owner.step(&sched.Want{Proc: j.proc, Objects: []raygo.ObjectID{j.id(i).Object(0)}})
	}
}

// put stores a value of the driver's own.
func (j *Job) put(i int) {
	t := &j.Program.Tasks[i]
	id, c := j.id(i).Object(0), content{sum: j.sums[i]}
	v := inline(c)
	if t.Size > raygo.InlineLimit {
		v = j.owner.keep(id, t.Size, c)
	}
	j.owner.step(&sched.Put{Object: id, Proc: j.proc, Value: v})
	j.owner.replicate(j.proc, id, t.Copies)
	switch {
	case t.Hold > 0:
		j.owner.at(t.Hold, func() { j.settle(i) })
	case t.Get:
		j.owner.step(&sched.Want{Proc: j.proc, Objects: []raygo.ObjectID{id}})
	default:
		j.settle(i)
	}
}

// replicate asks for copies of what a process has just put.
func (p *Peer) replicate(proc raygo.ProcID, id raygo.ObjectID, n int) {
	if o := p.has(id); n > 0 && o != nil {
		p.w.laws.copies = append(p.w.laws.copies, &replicated{id: id, n: n})
		p.step(&sched.Replicate{Proc: proc, Object: id, Copies: n})
	}
}

func (j *Job) cancel(i int) {
	if j.over || !j.nodes[i].sent {
		return
	}
	j.requests++
	req := j.requests
	j.asked[req] = i
	j.owner.step(&sched.Cancel{Request: req, Proc: j.proc, Task: j.id(i), Force: j.Program.Tasks[i].Force, Recursive: true})
}

// letGo releases a call's ref when nothing of the driver's needs it.
func (j *Job) letGo(i int) {
	n := &j.nodes[i]
	if !n.held || !n.done || j.users[i] > 0 || j.over || j.detached {
		return
	}
	n.held = false
	j.owner.step(&sched.Release{Proc: j.proc, Objects: []raygo.ObjectID{j.id(i).Object(0)}})
}

// settle notes that a call has come to what it will come to.
func (j *Job) settle(i int) {
	n := &j.nodes[i]
	if n.done {
		return
	}
	n.done = true
	j.letGo(i)
	if j.open--; j.open == 0 && !j.over {
		j.end()
	}
}

// end is the driver's.
func (j *Job) end() {
	if len(j.asked) > 0 || j.sent || j.gone {
		return
	}
	j.sent = true
	j.owner.at(10*time.Millisecond, func() {
		delete(j.owner.attached, j.proc)
		j.owner.step(&sched.ProcGone{Proc: j.proc})
	})
}

// ended is called with the core's JobDone.
func (j *Job) ended(p *Peer) {
	if !j.over {
		if j.open > 0 && !j.gone {
			j.w.Fail("job %d ended by itself on %s: %s", j.n, p.Name, j.left())
		}
		j.over = true
	}
}

func (j *Job) left() string {
	text, count := "", 0
	for i := range j.nodes {
		n := &j.nodes[i]
		if j.Program.Tasks[i].Child || n.done {
			continue
		}
		if count++; count <= 3 {
			why := "not submitted"
			if n.sent {
				why = "no record"
				if v, ok := j.owner.core.Task(j.id(i)); ok {
					why = fmt.Sprintf("%s, %s", v.State, v.Reason)
				} else if o, ok := j.owner.core.Object(j.id(i).Object(0)); ok {
					why = "object " + show(o)
				}
			}
			text += fmt.Sprintf("task %d (%s): %s; ", i, show(j.id(i)), why)
		}
	}
	return fmt.Sprintf("%d not done, %d cancels without an answer: %s", count, len(j.asked), text)
}

// Ended reports whether the driver has got all its values and the job is over.
func (j *Job) Ended() bool { return j.over }

// Failed is the code that a call failed with, if it did.
func (j *Job) Failed(i int) raygo.Code { return j.nodes[i].failed }

// Object is the result of a call.
func (j *Job) Object(i int) raygo.ObjectID { return j.id(i).Object(0) }

// Places are the executions of a call, in order.
func (j *Job) Places(i int) []Place { return j.w.laws.places[j.id(i)] }

// Waited is how long a call that began waited for its first execution.
func (j *Job) Waited(i int) time.Duration {
	ps := j.Places(i)
	if len(ps) == 0 {
		return -1
	}
	return ps[0].At - j.nodes[i].At
}
