package sched

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
)

// chaos is a machine for the property test: workers that keep the protocol but
// do what they like within it, and a record of what the outside was told.
type chaos struct {
	c       *Core
	cfg     Config
	now     time.Time
	history []timed // for the replay
	fatal   func(format string, args ...any)

	jobs    []raygo.JobID
	procs   []*chaosProc // drivers
	classes []ClassID
	gens    map[ClassID]bool
	tasks   []raygo.TaskID
	seq     uint32
	proc    raygo.ProcID
	request uint32

	backlog  []Event
	starting []WorkerID
	workers  []*chaosWorker
	fetches  []*Fetch
	memos    []*Memo
	stale    []Mark // awards that are over
	staleOn  []WorkerID

	values  map[raygo.ObjectID]Value
	lost    map[raygo.ObjectID]bool
	dead    map[raygo.TaskID]bool // a cancel said that it runs nowhere
	asked   map[uint32]raygo.TaskID
	answers map[uint32]int
	final   map[raygo.TaskID]int
	done    map[raygo.JobID]bool
}

type timed struct {
	at  time.Time
	ev  Event
	out []Effect
}

type chaosProc struct {
	id   raygo.ProcID
	job  raygo.JobID
	held map[raygo.ObjectID]int
}

type chaosWorker struct {
	id      WorkerID
	p       chaosProc
	queue   []*Execute
	blocked bool
	recall  bool
}

func newChaos(cfg Config, fatal func(string, ...any)) *chaos {
	return &chaos{
		c: New(cfg), cfg: cfg, now: time.Unix(1000, 0), fatal: fatal, gens: map[ClassID]bool{}, proc: 1000,
		values: map[raygo.ObjectID]Value{}, lost: map[raygo.ObjectID]bool{}, dead: map[raygo.TaskID]bool{}, asked: map[uint32]raygo.TaskID{},
		answers: map[uint32]int{}, final: map[raygo.TaskID]int{}, done: map[raygo.JobID]bool{},
	}
}

// step lets ev happen and checks the laws.
func (w *chaos) step(ev Event) []Effect {
	out := append([]Effect(nil), w.c.Step(w.now, ev)...)
	w.history = append(w.history, timed{w.now, ev, out})
	if err := w.c.Check(); err != nil {
		w.fatal("after %T %+v: %v", ev, ev, err)
	}
	if err := w.c.idleWork(); err != nil {
		w.fatal("law 4 after %T %+v: %v", ev, ev, err)
	}
	for _, e := range out {
		w.see(e)
	}
	return out
}

func (w *chaos) see(e Effect) {
	switch e := e.(type) {
	case *StartWorker:
		w.starting = append(w.starting, e.Worker)
	case *StopWorker:
		if k := w.worker(e.Worker); k != nil && e.Kill {
			w.gone(k)
		} else if k != nil && len(k.queue) > 0 {
			w.fatal("worker %d with %d tasks was asked to end", k.id, len(k.queue))
		} else if k != nil {
			w.gone(k)
		}
	case *Execute:
		w.execute(e)
	case *Fetch:
		w.fetches = append(w.fetches, e)
	case *Memo:
		w.memos = append(w.memos, e)
	case *Recall:
		if k := w.worker(e.Worker); k != nil {
			k.recall = true
		}
	case *Resume:
		if k := w.worker(e.Worker); k != nil {
			k.blocked = false
		}
	case *Stop:
		w.stopped(e)
	case *Notify:
		w.told(e)
	case *Cancelled:
		w.cancelled(e)
	case *Ended:
		if e.Final {
			if w.final[e.Task]++; w.final[e.Task] > 1 {
				w.fatal("task %d was settled twice", e.Task.Seq())
			}
		}
	case *JobDone:
		w.done[e.Job] = true
	}
}

func (w *chaos) execute(e *Execute) {
	k := w.worker(e.Worker)
	switch {
	case k == nil:
		w.fatal("Execute on worker %d, which is not there", e.Worker)
	case w.dead[e.Task]:
		w.fatal("law 8: task %d was cancelled for certain and is executed", e.Task.Seq())
	case k.blocked:
		w.fatal("Execute on blocked worker %d", k.id)
	case w.final[e.Task] > 0:
		w.fatal("task %d is settled and is executed", e.Task.Seq())
	case e.Task.Job() != k.p.job:
		w.fatal("a task of another job on worker %d", k.id)
	}
	x := *e // its From is counted on here
	k.queue = append(k.queue, &x)
}

// stopped is a worker's answer to Stop: what it has not begun it never begins.
func (w *chaos) stopped(e *Stop) {
	k := w.worker(e.Worker)
	if k == nil {
		return
	}
	for i, x := range k.queue {
		if i > 0 && x.Task == e.Task && x.Award == e.Award {
			w.drop(k, i)
			w.later(&Result{Worker: k.id, Task: x.Task, Award: x.Award, Status: StatusNotStarted})
			return
		}
	}
}

// told is law 1.
func (w *chaos) told(e *Notify) {
	if e.Value.Code == raygo.CodeObjectFreed {
		return
	}
	old, ok := w.values[e.Object]
	if ok && !reflect.DeepEqual(old, e.Value) && !w.lost[e.Object] {
		w.fatal("law 1: object %d/%d was %+v and is %+v", e.Object.Task().Seq(), e.Object.Index(), old, e.Value)
	}
	w.values[e.Object] = e.Value
}

// cancelled is law 8.
func (w *chaos) cancelled(e *Cancelled) {
	task, ok := w.asked[e.Request]
	if w.answers[e.Request]++; !ok || w.answers[e.Request] > 1 {
		w.fatal("cancel %d was answered %d times", e.Request, w.answers[e.Request])
	}
	if e.Outcome != NeverStarted && e.Outcome != Stopped {
		return
	}
	w.dead[task] = true
	for _, k := range w.workers {
		for _, x := range k.queue {
			if x.Task == task {
				w.fatal("law 8: cancel said %d and task %d is on worker %d", e.Outcome, task.Seq(), k.id)
			}
		}
	}
}

// later queues an event: what an effect causes comes after the whole step.
func (w *chaos) later(ev Event) { w.backlog = append(w.backlog, ev) }

// do lets ev happen and all that follows at once.
func (w *chaos) do(ev Event) []Effect {
	out := w.step(ev)
	for len(w.backlog) > 0 {
		next := w.backlog[0]
		w.backlog = w.backlog[1:]
		w.step(next)
	}
	return out
}

func (w *chaos) worker(id WorkerID) *chaosWorker {
	for _, k := range w.workers {
		if k.id == id {
			return k
		}
	}
	return nil
}

// drop takes an execution off a worker and keeps its award for stale events.
func (w *chaos) drop(k *chaosWorker, i int) {
	x := k.queue[i]
	w.stale, w.staleOn = append(w.stale, Mark{x.Task, x.Award}), append(w.staleOn, k.id)
	k.queue = slices.Delete(k.queue, i, i+1)
}

func (w *chaos) gone(k *chaosWorker) {
	for len(k.queue) > 0 {
		w.drop(k, 0)
	}
	w.workers = slices.DeleteFunc(w.workers, func(o *chaosWorker) bool { return o == k })
	w.later(&WorkerGone{Worker: k.id, Reason: "signal 9"})
}

func (w *chaos) start(id WorkerID, ok bool) {
	w.starting = slices.DeleteFunc(w.starting, func(o WorkerID) bool { return o == id })
	if !ok {
		w.do(&WorkerFailed{Worker: id, Reason: "it did not start"})
		return
	}
	core := w.c.workers[id]
	if core == nil {
		return
	}
	if core.state == stopping {
		w.do(&WorkerGone{Worker: id, Reason: "stopped"})
		return
	}
	w.proc++
	k := &chaosWorker{id: id, p: chaosProc{id: w.proc, job: core.key.job, held: map[raygo.ObjectID]int{}}}
	w.workers = append(w.workers, k)
	w.do(&WorkerStarted{Worker: id, Proc: w.proc, PID: int(w.proc)})
}

func (w *chaos) result(k *chaosWorker, status Status, outs []Outcome, run time.Duration) {
	x := k.queue[0]
	w.drop(k, 0)
	k.blocked = false
	w.do(&Result{Worker: k.id, Task: x.Task, Award: x.Award, Status: status, Outcomes: outs, Run: run})
}

// replay is determinism: the same events give the same effects.
func (w *chaos) replay() {
	c := New(w.cfg)
	for i, h := range w.history {
		out := c.Step(h.at, h.ev)
		if len(out) != len(h.out) {
			w.fatal("replay of event %d, %T: %d effects, were %d", i, h.ev, len(out), len(h.out))
		}
		for k := range out {
			if !reflect.DeepEqual(out[k], h.out[k]) {
				w.fatal("replay of event %d, %T: %s, was %s", i, h.ev, fmt.Sprintf("%T%+v", out[k], out[k]), fmt.Sprintf("%T%+v", h.out[k], h.out[k]))
			}
		}
	}
}
