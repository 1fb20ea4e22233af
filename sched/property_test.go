package sched

import (
	"flag"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
	"pgregory.net/rapid"
)

// dice draws evenly; rapid draws its seeds, one an action, so that a failure
// shrinks to few actions.
type dice struct{ rng *rand.Rand }

func roll(t *rapid.T) *dice {
	return &dice{rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "dice"), 1))}
}

func (d *dice) n(low, high int) int { return low + d.rng.IntN(high-low+1) }

func one[T any](t *dice, xs []T) T { return xs[t.n(0, len(xs)-1)] }

func pick[T any](t *dice, xs []T, _ string) (x T, ok bool) {
	if len(xs) == 0 {
		return x, false
	}
	return one(t, xs), true
}

func chance(t *dice, percent int) bool { return t.n(0, 99) < percent }

// Laws 1 to 6 and 8 of the design under random events, and that the same
// events have the same effects.
func TestLaws(t *testing.T) {
	for name, value := range map[string]string{"rapid.checks": "1500", "rapid.steps": "120"} {
		if f := flag.Lookup(name); f.Value.String() == f.DefValue { // -rapid.checks and its like come first
			if err := f.Value.Set(value); err != nil {
				t.Fatal(err)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := roll(t)
		w := newChaos(Config{
			Self: "self", Seed: 7, MaxWorkers: d.n(2, 6), MaxTasks: 60,
			Resources: Resources{
				CPU: raygo.Unit * 2, Memory: 1000, GPUIDs: []string{"a", "b"}, Custom: map[string]raygo.Quantity{"x": raygo.Unit},
			},
		}, t.Fatalf)
		w.begin(d)
		actions := map[string]func(*rapid.T){}
		for name, a := range w.actions() {
			for i := range a.weight {
				actions[name+strings.Repeat("'", i)] = func(t *rapid.T) { a.do(roll(t)) }
			}
		}
		t.Repeat(actions)
		w.settleAll()
		w.replay()
	})
}

type action struct {
	weight int
	do     func(*dice)
}

func (w *chaos) actions() map[string]action {
	return map[string]action{
		"submit": {6, w.submit}, "start": {4, w.startOne}, "finish": {5, w.finish}, "fail": {1, w.failTask}, "crash": {1, w.crash},
		"block": {2, w.block}, "unblock": {2, w.unblock}, "yield": {3, w.yieldItem}, "return": {1, w.giveBack}, "fetched": {2, w.fetched},
		"memo": {1, w.memo}, "cancel": {1, w.cancel}, "release": {2, w.releaseSome}, "borrow": {1, w.borrowSome}, "want": {1, w.wantSome},
		"put": {1, w.putOne}, "stream": {2, w.streamOp}, "time": {1, w.time}, "stale": {1, w.staleEvent}, "rubbish": {1, w.rubbish},
		"lost": {1, w.lose}, "memory": {1, w.memory}, "end": {1, w.end},
	}
}

func (w *chaos) begin(t *dice) {
	for i := range 2 {
		job, driver := raygo.JobID{byte(i + 1)}, raygo.ProcID(i+1)
		w.jobs = append(w.jobs, job)
		w.procs = append(w.procs, &chaosProc{driver, job, map[raygo.ObjectID]int{}})
		w.do(&JobStarted{Job: job, Driver: driver, Detached: i == 1})
		for range t.n(1, 4) {
			o := drawOptions(t)
			id := ClassID(len(w.classes) + 1)
			w.classes = append(w.classes, id)
			w.gens[id] = o.Generator
			w.do(&ClassDefined{Class: id, Job: job, Function: "f", Options: o})
		}
	}
}

func drawOptions(t *dice) raygo.Options {
	o := raygo.DefaultOptions()
	o.CPU = one(t, []raygo.Quantity{0, 5000, raygo.Unit, raygo.Unit, raygo.Unit, 2 * raygo.Unit})
	switch t.n(0, 9) {
	case 0:
		o.GPU = one(t, []raygo.Quantity{3000, raygo.Unit, 2 * raygo.Unit})
	case 1:
		o.Memory = int64(one(t, []int{400, 1000}))
	case 2:
		o.Custom = map[string]raygo.Quantity{"x": 4000}
	}
	o.MaxRetries = t.n(-1, 2)
	o.Priority = t.n(0, 1)
	switch t.n(0, 7) {
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
	switch t.n(0, 4) {
	case 0:
		o.NumReturns = one(t, []int{0, 1, 2})
		o.OnePart = o.NumReturns == 1
	case 1:
		o.Generator = true
		o.FixedYields = chance(t, 40)
		o.NumReturns = 2
	}
	return o
}

// procOf is a process of the job: its driver or a worker.
func (w *chaos) procOf(t *dice, job raygo.JobID) *chaosProc {
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
func (w *chaos) ids(t *dice, job raygo.JobID, most int) []raygo.ObjectID {
	var ids []raygo.ObjectID
	var of []raygo.TaskID
	for _, id := range w.tasks[max(0, len(w.tasks)-12):] {
		if id.Job() == job {
			of = append(of, id)
		}
	}
	for range t.n(0, most) {
		if task, ok := pick(t, of, "of"); ok {
			ids = append(ids, task.Object(one(t, []uint32{0, 0, 0, 1, 2, raygo.CompletedIndex})))
		}
	}
	return ids
}

// inner draws refs for a value of a task to contain. Those that came later are
// left out: a cycle of refs is kept until the job ends.
func (w *chaos) inner(t *dice, of raygo.TaskID) []raygo.ObjectID {
	return slices.DeleteFunc(w.ids(t, of.Job(), 1), func(id raygo.ObjectID) bool { return id.Task().Seq() >= of.Seq() })
}

func (w *chaos) newID(job raygo.JobID, p raygo.ProcID) raygo.TaskID {
	w.seq++
	id := raygo.NewTaskID(job, p, w.seq)
	w.tasks = append(w.tasks, id)
	return id
}

func (w *chaos) submit(t *dice) {
	cl, _ := pick(t, w.classes, "class")
	def := w.c.classes[cl]
	if def == nil {
		return
	}
	p := w.procOf(t, def.job.id)
	e := &Submit{Class: cl, Proc: p.id, Deps: w.ids(t, p.job, 2), Nested: w.ids(t, p.job, 1), Args: []byte{byte(w.seq)}}
	for _, k := range w.workers {
		if &k.p == p && len(k.queue) > 0 && !k.blocked {
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

func (w *chaos) startOne(t *dice) {
	if id, ok := pick(t, w.starting, "worker"); ok {
		w.start(id, chance(t, 92))
	}
}

// busy draws a worker that executes something and is not blocked.
func (w *chaos) busy(t *dice) *chaosWorker {
	var ks []*chaosWorker
	for _, k := range w.workers {
		if len(k.queue) > 0 && !k.blocked {
			ks = append(ks, k)
		}
	}
	k, _ := pick(t, ks, "busy")
	return k
}

func (w *chaos) someValue(t *dice, id raygo.ObjectID) Value {
	switch t.n(0, 9) {
	case 0, 1:
		return Value{Kind: Stored, Size: 1 << 20, Store: id}
	case 2:
		return failure("item")
	default:
		return inline("v")
	}
}

func (w *chaos) finish(t *dice) {
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
	if parts := o.Parts(); !o.Generator && parts > 0 {
		outs = append(outs, Outcome{Value: Value{Kind: Composite, Parts: uint32(parts)}})
		for i := range parts {
			outs = append(outs, Outcome{Index: uint32(i + 1), Value: inline("p")})
		}
	} else if !o.Generator && o.NumReturns == 1 {
		outs = []Outcome{{Value: v, Nested: nested}}
	}
	w.result(k, StatusOK, outs, 100*time.Microsecond)
}

func (w *chaos) failTask(t *dice) {
	if k := w.busy(t); k != nil {
		status := one(t, []Status{StatusFailed, StatusRetry, StatusCancelled, StatusNotStarted})
		w.result(k, status, []Outcome{{Value: failure("boom")}}, time.Millisecond)
	}
}

func (w *chaos) crash(t *dice) {
	if k, ok := pick(t, w.workers, "worker"); ok && chance(t, 30) {
		w.gone(k)
		w.do(&Tick{})
	}
}

func (w *chaos) block(t *dice) {
	if k := w.busy(t); k != nil {
		k.blocked = true
		for len(k.queue) > 1 {
			w.drop(k, 1)
		}
		w.do(&Blocked{Worker: k.id, Task: k.queue[0].Task, Award: k.queue[0].Award, InWait: chance(t, 30)})
	}
}

func (w *chaos) unblock(t *dice) {
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

func (w *chaos) yieldItem(t *dice) {
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

func (w *chaos) giveBack(t *dice) {
	for _, k := range w.workers {
		if !k.recall {
			continue
		}
		k.recall = false
		e := &Returned{Worker: k.id}
		keep := 1
		if !k.blocked && len(k.queue) > 0 && chance(t, 30) {
			keep = 0 // it was between two tasks
		}
		for len(k.queue) > keep {
			e.Tasks = append(e.Tasks, Mark{k.queue[keep].Task, k.queue[keep].Award})
			w.drop(k, keep)
		}
		w.do(e)
		return
	}
}

func (w *chaos) fetched(t *dice) {
	if f, ok := pick(t, w.fetches, "fetch"); ok {
		w.fetches = slices.DeleteFunc(w.fetches, func(o *Fetch) bool { return o == f })
		if chance(t, 80) {
			w.do(&ArgsReady{Task: f.Task, Award: f.Award})
		} else {
			w.do(&ArgsFailed{Task: f.Task, Award: f.Award, Failure: raygo.Fail(raygo.CodeObjectLost, "lost")})
		}
	}
}

func (w *chaos) memo(t *dice) {
	if m, ok := pick(t, w.memos, "memo"); ok {
		w.memos = slices.DeleteFunc(w.memos, func(o *Memo) bool { return o == m })
		e := &MemoAnswer{Task: m.Task, Award: m.Award}
		if chance(t, 50) {
			e.Value = inline("known")
		}
		w.do(e)
	}
}
