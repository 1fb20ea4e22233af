package sched

import (
	"slices"
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
	"pgregory.net/rapid"
)

// Laws 1 to 6 and 8 of the design under random events, and that the same
// events have the same effects.
func TestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newChaos(Config{
			Self: "self", Seed: 7, MaxWorkers: rapid.IntRange(2, 6).Draw(t, "workers"), MaxTasks: 60,
			Resources: Resources{
				CPU: raygo.Unit * 2, Memory: 1000, GPUIDs: []string{"a", "b"}, Custom: map[string]raygo.Quantity{"x": raygo.Unit},
			},
		}, t.Fatalf)
		w.begin(t)
		t.Repeat(map[string]func(*rapid.T){
			"submit": w.submit, "submit2": w.submit, "submit3": w.submit, "start": w.startOne, "start2": w.startOne, "finish": w.finish, "finish2": w.finish, "finish3": w.finish, "fail": w.failTask,
			"crash": w.crash, "block": w.block, "unblock": w.unblock, "unblock2": w.unblock, "yield": w.yieldItem, "yield2": w.yieldItem, "return": w.giveBack,
			"fetched": w.fetched, "memo": w.memo, "cancel": w.cancel, "release": w.releaseSome, "borrow": w.borrowSome, "want": w.wantSome,
			"put": w.putOne, "stream": w.streamOp, "time": w.time, "stale": w.staleEvent, "rubbish": w.rubbish, "lost": w.lose, "memory": w.memory, "end": w.end,
		})
		w.settleAll()
		w.replay()
	})
}

func pick[T any](t *rapid.T, xs []T, what string) (x T, ok bool) {
	if len(xs) == 0 {
		return x, false
	}
	return xs[rapid.IntRange(0, len(xs)-1).Draw(t, what)], true
}

func chance(t *rapid.T, percent int) bool { return rapid.IntRange(0, 99).Draw(t, "chance") < percent }

func (w *chaos) begin(t *rapid.T) {
	for i := range 2 {
		job, driver := raygo.JobID{byte(i + 1)}, raygo.ProcID(i+1)
		w.jobs = append(w.jobs, job)
		w.procs = append(w.procs, &chaosProc{driver, job, map[raygo.ObjectID]int{}})
		w.do(&JobStarted{Job: job, Driver: driver, Detached: i == 1})
		for range rapid.IntRange(1, 4).Draw(t, "classes") {
			o := drawOptions(t)
			id := ClassID(len(w.classes) + 1)
			w.classes = append(w.classes, id)
			w.gens[id] = o.Generator
			w.do(&ClassDefined{Class: id, Job: job, Function: "f", Options: o})
		}
	}
}

func drawOptions(t *rapid.T) raygo.Options {
	o := raygo.DefaultOptions()
	o.CPU = rapid.SampledFrom([]raygo.Quantity{0, 5000, raygo.Unit, raygo.Unit, raygo.Unit, 2 * raygo.Unit}).Draw(t, "cpu")
	switch rapid.IntRange(0, 9).Draw(t, "resource") {
	case 0:
		o.GPU = rapid.SampledFrom([]raygo.Quantity{3000, raygo.Unit, 2 * raygo.Unit}).Draw(t, "gpu")
	case 1:
		o.Memory = int64(rapid.SampledFrom([]int{400, 1000}).Draw(t, "memory"))
	case 2:
		o.Custom = map[string]raygo.Quantity{"x": 4000}
	}
	o.MaxRetries = rapid.IntRange(-1, 2).Draw(t, "retries")
	o.Priority = rapid.IntRange(0, 1).Draw(t, "priority")
	switch rapid.IntRange(0, 7).Draw(t, "extra") {
	case 0:
		o.RetryBase = time.Second
	case 1:
		o.Timeout = 3 * time.Second
	case 2:
		o.PendingTimeout = 2 * time.Second
	case 3:
		o.MaxCalls = 2
	case 4:
		o.Memoize = true
	case 5:
		o.Env = map[string]string{"A": "1"}
	}
	switch rapid.IntRange(0, 4).Draw(t, "returns") {
	case 0:
		o.NumReturns = rapid.SampledFrom([]int{0, 2}).Draw(t, "n")
	case 1:
		o.Generator = true
		o.FixedYields = chance(t, 40)
		o.NumReturns = 2
	}
	return o
}

// procOf is a process of the job: its driver or a worker.
func (w *chaos) procOf(t *rapid.T, job raygo.JobID) *chaosProc {
	var ps []*chaosProc
	for _, p := range w.procs {
		if p.job == job {
			ps = append(ps, p, p)
		}
	}
	for _, k := range w.workers {
		if k.p.job == job {
			ps = append(ps, &k.p)
		}
	}
	p, _ := pick(t, ps, "proc")
	return p
}

// ids draws some objects of a job, held or not.
func (w *chaos) ids(t *rapid.T, job raygo.JobID, most int) []raygo.ObjectID {
	var ids []raygo.ObjectID
	var of []raygo.TaskID
	for _, id := range w.tasks[max(0, len(w.tasks)-12):] {
		if id.Job() == job {
			of = append(of, id)
		}
	}
	for range rapid.IntRange(0, most).Draw(t, "n") {
		if task, ok := pick(t, of, "of"); ok {
			ids = append(ids, task.Object(rapid.SampledFrom([]uint32{0, 0, 0, 1, 2, raygo.CompletedIndex}).Draw(t, "index")))
		}
	}
	return ids
}

// inner draws refs for a value of a task to contain. Those that came later are
// left out: a cycle of refs is kept until the job ends.
func (w *chaos) inner(t *rapid.T, of raygo.TaskID) []raygo.ObjectID {
	return slices.DeleteFunc(w.ids(t, of.Job(), 1), func(id raygo.ObjectID) bool { return id.Task().Seq() >= of.Seq() })
}

func (w *chaos) newID(job raygo.JobID, p raygo.ProcID) raygo.TaskID {
	w.seq++
	id := raygo.NewTaskID(job, p, w.seq)
	w.tasks = append(w.tasks, id)
	return id
}

func (w *chaos) submit(t *rapid.T) {
	cl, _ := pick(t, w.classes, "class")
	def := w.c.classes[cl]
	if def == nil {
		return
	}
	p := w.procOf(t, def.job.id)
	e := &Submit{Class: cl, Proc: p.id, Deps: w.ids(t, p.job, 2), Nested: w.ids(t, p.job, 1), Args: []byte{byte(w.seq)}}
	for _, k := range w.workers {
		if &k.p == p && len(k.queue) > 0 {
			e.Parent = k.queue[0].Task
		}
	}
	if len(w.tasks) > 0 && chance(t, 10) {
		if s := w.tasks[len(w.tasks)-1]; s.Job() == p.job {
			e.Streams = []raygo.TaskID{s}
		}
	}
	e.Task = w.newID(p.job, p.id)
	p.held[e.Task.Object(0)]++
	if def.opts.Generator {
		p.held[e.Task.Object(raygo.StreamIndex)]++
	}
	w.do(e)
}

func (w *chaos) startOne(t *rapid.T) {
	if id, ok := pick(t, w.starting, "worker"); ok {
		w.start(id, chance(t, 92))
	}
}

// busy draws a worker that executes something and is not blocked.
func (w *chaos) busy(t *rapid.T) *chaosWorker {
	var ks []*chaosWorker
	for _, k := range w.workers {
		if len(k.queue) > 0 && !k.blocked {
			ks = append(ks, k)
		}
	}
	k, _ := pick(t, ks, "busy")
	return k
}

func (w *chaos) someValue(t *rapid.T, id raygo.ObjectID) Value {
	switch rapid.IntRange(0, 9).Draw(t, "kind") {
	case 0, 1:
		return Value{Kind: Stored, Size: 1 << 20, Store: id}
	case 2:
		return failure("item")
	default:
		return inline("v")
	}
}

func (w *chaos) finish(t *rapid.T) {
	k := w.busy(t)
	if k == nil {
		return
	}
	w.complete(k, w.someValue(t, k.queue[0].Task.Object(0)), w.inner(t, k.queue[0].Task))
}

// complete ends what a worker executes with as many values as there must be.
func (w *chaos) complete(k *chaosWorker, v Value, nested []raygo.ObjectID) {
	x := k.queue[0]
	var outs []Outcome
	o := &w.c.classes[x.Class].opts
	if !o.Generator && o.NumReturns == 1 {
		outs = []Outcome{{Value: v, Nested: nested}}
	} else if !o.Generator && o.NumReturns > 1 {
		outs = append(outs, Outcome{Value: Value{Kind: Composite, Parts: uint32(o.NumReturns)}})
		for i := range o.NumReturns {
			outs = append(outs, Outcome{Index: uint32(i + 1), Value: inline("p")})
		}
	}
	w.result(k, StatusOK, outs, 100*time.Microsecond)
}

func (w *chaos) failTask(t *rapid.T) {
	if k := w.busy(t); k != nil {
		status := rapid.SampledFrom([]Status{StatusFailed, StatusRetry, StatusCancelled, StatusNotStarted}).Draw(t, "status")
		w.result(k, status, []Outcome{{Value: failure("boom")}}, time.Millisecond)
	}
}

func (w *chaos) crash(t *rapid.T) {
	if k, ok := pick(t, w.workers, "worker"); ok && chance(t, 50) {
		w.gone(k)
		w.do(&Tick{})
	}
}

func (w *chaos) block(t *rapid.T) {
	if k := w.busy(t); k != nil {
		k.blocked = true
		for len(k.queue) > 1 {
			w.drop(k, 1)
		}
		w.do(&Blocked{Worker: k.id, Task: k.queue[0].Task, Award: k.queue[0].Award, InWait: chance(t, 30)})
	}
}

func (w *chaos) unblock(t *rapid.T) {
	var ks []*chaosWorker
	for _, k := range w.workers {
		if k.blocked {
			ks = append(ks, k)
		}
	}
	if k, ok := pick(t, ks, "blocked"); ok {
		w.do(&Unblocked{Worker: k.id, Task: k.queue[0].Task, Award: k.queue[0].Award})
	}
}

func (w *chaos) yieldItem(t *rapid.T) {
	var ks []*chaosWorker
	for _, k := range w.workers {
		if len(k.queue) > 0 && !k.blocked && k.queue[0].Stream {
			ks = append(ks, k)
		}
	}
	if k, ok := pick(t, ks, "generator"); ok {
		x := k.queue[0]
		i := x.From
		x.From++ // the worker's own count
		w.do(&Yield{Worker: k.id, Task: x.Task, Award: x.Award, Outcome: Outcome{Index: i, Value: w.someValue(t, x.Task.Object(i)), Nested: w.inner(t, x.Task)}})
	}
}

func (w *chaos) giveBack(t *rapid.T) {
	for _, k := range w.workers {
		if !k.recall {
			continue
		}
		k.recall = false
		e := &Returned{Worker: k.id}
		for len(k.queue) > 1 {
			e.Tasks = append(e.Tasks, Mark{k.queue[1].Task, k.queue[1].Award})
			w.drop(k, 1)
		}
		w.do(e)
		return
	}
}

func (w *chaos) fetched(t *rapid.T) {
	if f, ok := pick(t, w.fetches, "fetch"); ok {
		w.fetches = slices.DeleteFunc(w.fetches, func(o *Fetch) bool { return o == f })
		if chance(t, 80) {
			w.do(&ArgsReady{Task: f.Task, Award: f.Award})
		} else {
			w.do(&ArgsFailed{Task: f.Task, Award: f.Award, Failure: raygo.Fail(raygo.CodeObjectLost, "lost")})
		}
	}
}

func (w *chaos) memo(t *rapid.T) {
	if m, ok := pick(t, w.memos, "memo"); ok {
		w.memos = slices.DeleteFunc(w.memos, func(o *Memo) bool { return o == m })
		e := &MemoAnswer{Task: m.Task, Award: m.Award}
		if chance(t, 50) {
			e.Value = inline("known")
		}
		w.do(e)
	}
}
