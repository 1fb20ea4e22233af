package world

import (
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

// worker is a simulated worker process. queue[0] is what it executes.
type worker struct {
	p       *Peer
	id      sched.WorkerID
	job     *Job
	proc    raygo.ProcID
	alive   bool
	leaving bool // it ends when it is idle
	waiting bool // it said Blocked and was not resumed: what is sent meanwhile it drops
	queue   []*run
	seq     uint32 // of its calls and puts
}

// run is one execution of a task.
type run struct {
	k     *worker
	x     *sched.Execute
	i     int // which task of the program
	task  *Task
	began time.Duration
	over  bool

	children []raygo.TaskID
	values   []uint64
	left     int  // children without a value
	unlucky  bool // one of them failed
	items    uint32
	taken    uint32
	stalled  bool // waits for its consumer
}

func (p *Peer) startWorker(e *sched.StartWorker) {
	k := &worker{p: p, id: e.Worker, job: p.w.byJob[e.Job]}
	p.workers[e.Worker] = k
	begin := func() {
		start := p.m.Start
		if start == 0 {
			start = 50 * time.Millisecond
		}
		p.at(start, func() {
			if p.workers[e.Worker] != k {
				return
			}
			if k.leaving {
				k.end("stopped")
				return
			}
			k.alive, k.proc = true, p.proc()
			p.attached[k.proc] = k
			p.step(&sched.WorkerStarted{Worker: k.id, Proc: k.proc, PID: int(k.proc & 0xffffff)})
		})
	}
	if pr := p.programs[e.Job]; pr != nil && !pr.here {
		pr.waiting = append(pr.waiting, begin)
		return
	}
	begin()
}

func (p *Peer) stopWorker(e *sched.StopWorker) {
	k := p.workers[e.Worker]
	if k == nil {
		return
	}
	if k.leaving = true; k.alive && (e.Kill || len(k.queue) == 0) {
		k.end("stopped")
	}
}

// end is the end of the process: at once for what it runs, a little later for
// its peer.
func (k *worker) end(reason string) {
	if k.p.workers[k.id] != k {
		return
	}
	delete(k.p.workers, k.id)
	delete(k.p.attached, k.proc)
	k.alive = false
	for _, r := range k.queue {
		k.p.w.laws.ran(r)
		r.over = true
	}
	k.queue = nil
	k.p.at(k.p.w.between(0, 2*time.Millisecond), func() { k.p.step(&sched.WorkerGone{Worker: k.id, Reason: reason}) })
}

func (k *worker) execute(e *sched.Execute) {
	if k.waiting {
		return
	}
	i := number(e.Args)
	r := &run{k: k, x: e, i: i, task: &k.job.Program.Tasks[i], items: e.From, taken: e.Taken}
	if k.queue = append(k.queue, r); len(k.queue) == 1 {
		k.begin(false)
	}
}

// begin starts the first task of the queue.
func (k *worker) begin(ahead bool) {
	r := k.queue[0]
	r.began = k.p.w.now
	k.p.w.laws.begins(r)
	if ahead {
		k.p.step(&sched.Started{Worker: k.id, Task: r.x.Task, Award: r.x.Award})
	}
	long := r.length()
	if int(r.x.Attempt) < r.task.CrashFirst || k.p.w.chance(r.task.Crash) {
		r.later(time.Duration(float64(long)*k.p.w.rng.Float64()), func() { k.end("signal 9") })
	}
	switch {
	case len(r.task.Children) > 0:
		r.later(long/2, r.call)
	case r.x.Stream:
		r.produce()
	default:
		r.later(long, r.finish)
	}
}

func (r *run) length() time.Duration {
	if s := r.k.p.m.Slow; s > 0 {
		return time.Duration(float64(r.task.Run) * s)
	}
	return r.task.Run
}

// later goes on with a run unless it is over by then.
func (r *run) later(d time.Duration, f func()) {
	r.k.p.at(d, func() {
		if !r.over && r.k.alive {
			f()
		}
	})
}

// call submits the task's children and waits for them.
func (r *run) call() {
	k := r.k
	var want []raygo.ObjectID
	for _, c := range r.task.Children {
		k.seq++
		id := raygo.NewTaskID(k.job.ID, k.proc, k.seq)
		r.children = append(r.children, id)
		want = append(want, id.Object(0))
		class := k.p.classID(k.job, k.job.Program.Tasks[c].Class)
		k.p.step(&sched.Submit{Task: id, Class: class, Proc: k.proc, Parent: r.x.Task, Args: args(k.job.Program.base(c))})
	}
	r.values, r.left = make([]uint64, len(want)), len(want)
	k.p.step(&sched.Want{Proc: k.proc, Objects: want})
	k.waiting = true
	k.dropAhead()
	k.p.step(&sched.Blocked{Worker: k.id, Task: r.x.Task, Award: r.x.Award})
}

func (k *worker) dropAhead() {
	if len(k.queue) > 1 {
		k.queue = k.queue[:1]
	}
}

// notify is told of a child's value.
func (k *worker) notify(n *sched.Notify) {
	if len(k.queue) == 0 || !n.Wanted {
		return
	}
	r := k.queue[0]
	c := slices.IndexFunc(r.children, func(t raygo.TaskID) bool { return t.Object(0) == n.Object })
	if c < 0 {
		return
	}
	k.p.value(n, k.proc, func(v content, failed bool) {
		if r.over || r.values[c] != 0 {
			return
		}
		r.values[c], r.unlucky = v.sum|1, r.unlucky || failed
		if !failed {
			r.values[c] = v.sum
		}
		if r.left--; r.left == 0 {
			k.p.step(&sched.Unblocked{Worker: k.id, Task: r.x.Task, Award: r.x.Award})
		}
	})
}

func (k *worker) resume(e *sched.Resume) {
	if len(k.queue) == 0 || !k.waiting || k.queue[0].x.Task != e.Task || k.queue[0].x.Award != e.Award {
		return
	}
	k.waiting = false
	r := k.queue[0]
	r.later(r.length()/2, r.finish)
}

// recall gives back what has not begun.
func (k *worker) recall() {
	e := &sched.Returned{Worker: k.id}
	for len(k.queue) > 1 {
		last := k.queue[len(k.queue)-1]
		e.Tasks = append(e.Tasks, sched.Mark{Task: last.x.Task, Award: last.x.Award})
		k.queue = k.queue[:len(k.queue)-1]
	}
	slices.Reverse(e.Tasks)
	k.p.step(e)
}

// stop cancels what runs, or keeps it from starting.
func (k *worker) stop(e *sched.Stop) {
	i := slices.IndexFunc(k.queue, func(r *run) bool { return r.x.Task == e.Task && r.x.Award == e.Award })
	switch {
	case i < 0:
	case i > 0:
		k.queue = slices.Delete(k.queue, i, i+1)
		k.p.step(&sched.Result{Worker: k.id, Task: e.Task, Award: e.Award, Status: sched.StatusNotStarted})
	case !k.queue[0].task.Deaf:
		r := k.queue[0]
		r.later(time.Millisecond, func() {
			f := raygo.Fail(raygo.CodeCancelled, "its context was cancelled")
			r.report(sched.StatusCancelled, []sched.Outcome{{Value: sched.Value{Kind: sched.Failed, Code: f.Code, Failure: f}}})
		})
	}
}

func (k *worker) stream(*sched.StreamState)  {}
func (k *worker) cancelled(*sched.Cancelled) {}

// next goes on with what was sent ahead, or ends.
func (k *worker) next() {
	switch {
	case !k.alive:
	case len(k.queue) > 0:
		k.begin(true)
	case k.leaving:
		k.end("stopped")
	}
}
