package sched

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
)

// sim drives a core by hand: it answers starts and ends of workers at once
// unless told otherwise, and keeps what it was told. Every step is checked.
type sim struct {
	t      testing.TB
	c      *Core
	now    time.Time
	job    raygo.JobID
	driver raygo.ProcID

	seq, proc uint32
	class     ClassID
	held      bool // workers are started by hand
	nocheck   bool

	all     []Effect
	last    []Effect
	procs   map[WorkerID]raygo.ProcID
	running map[raygo.TaskID]*Execute
	order   []raygo.TaskID // of Execute
	values  map[raygo.ObjectID]Value
	told    map[raygo.ObjectID]int
	outcome map[uint32]CancelOutcome
	deleted map[raygo.ObjectID]int
	ended   []*Ended
	warns   []string
	streams map[raygo.TaskID]*StreamState
	peak    int // workers at once
}

func newSim(t testing.TB, cpus float64, more ...func(*Config)) *sim {
	t.Helper()
	cfg := Config{Self: "self", Seed: 1, Resources: Resources{CPU: q(cpus), Memory: 1 << 30}}
	for _, f := range more {
		f(&cfg)
	}
	s := &sim{
		t: t, c: New(cfg), now: time.Unix(1000, 0), job: raygo.JobID{1}, driver: 1, proc: 100,
		procs: map[WorkerID]raygo.ProcID{}, running: map[raygo.TaskID]*Execute{}, values: map[raygo.ObjectID]Value{},
		told: map[raygo.ObjectID]int{}, outcome: map[uint32]CancelOutcome{}, deleted: map[raygo.ObjectID]int{},
		streams: map[raygo.TaskID]*StreamState{},
	}
	s.step(&JobStarted{Job: s.job, Driver: s.driver})
	return s
}

func q(v float64) raygo.Quantity { return raygo.Quantity(v * float64(raygo.Unit)) }

func opts(set ...func(*raygo.Options)) raygo.Options {
	o := raygo.DefaultOptions()
	for _, f := range set {
		f(&o)
	}
	return o
}

// step lets ev happen, and then what the fake workers answer.
func (s *sim) step(ev Event) []Effect {
	s.t.Helper()
	out := s.one(ev)
	return out
}

func (s *sim) one(ev Event) []Effect {
	s.t.Helper()
	effects := append([]Effect(nil), s.c.Step(s.now, ev)...)
	if !s.nocheck {
		if err := s.c.Check(); err != nil {
			s.t.Fatalf("after %T: %v", ev, err)
		}
		if err := s.c.idleWork(); err != nil {
			s.t.Fatalf("after %T: %v", ev, err)
		}
	}
	s.all = append(s.all, effects...)
	s.last = effects
	for _, e := range effects {
		s.see(e)
	}
	for _, e := range effects {
		s.react(e)
	}
	return effects
}

func (s *sim) see(e Effect) {
	switch e := e.(type) {
	case *Execute:
		if s.procs[e.Worker] == 0 {
			s.t.Fatalf("Execute to worker %d, which is not there", e.Worker)
		}
		s.running[e.Task] = e
		s.order = append(s.order, e.Task)
	case *Notify:
		if old, ok := s.values[e.Object]; ok && !reflect.DeepEqual(old, e.Value) && e.Value.Code != raygo.CodeObjectFreed && e.Value.Code != raygo.CodeObjectLost {
			s.t.Fatalf("object %s resolved twice: %v, %v", e.Object, old, e.Value)
		}
		s.values[e.Object] = e.Value
		s.told[e.Object]++
	case *Cancelled:
		s.outcome[e.Request] = e.Outcome
	case *Delete:
		s.deleted[e.Object]++
	case *Ended:
		s.ended = append(s.ended, e)
	case *Warn:
		s.warns = append(s.warns, e.Text)
	case *StreamState:
		s.streams[e.Task] = e
	}
}

func (s *sim) react(e Effect) {
	switch e := e.(type) {
	case *StartWorker:
		if !s.held {
			s.started(e.Worker)
		}
	case *StopWorker:
		if s.procs[e.Worker] != 0 {
			s.crash(e.Worker, "stopped")
		}
	}
}

func (s *sim) started(w WorkerID) {
	s.proc++
	s.procs[w] = raygo.ProcID(s.proc)
	s.peak = max(s.peak, len(s.procs))
	s.one(&WorkerStarted{Worker: w, Proc: raygo.ProcID(s.proc), PID: int(s.proc)})
}

func (s *sim) crash(w WorkerID, reason string) {
	delete(s.procs, w)
	for id, e := range s.running {
		if e.Worker == w {
			delete(s.running, id)
		}
	}
	s.one(&WorkerGone{Worker: w, Reason: reason})
}

func (s *sim) tick(d time.Duration) {
	s.t.Helper()
	s.now = s.now.Add(d)
	s.one(&Tick{})
}

func (s *sim) define(o raygo.Options) ClassID {
	s.class++
	s.one(&ClassDefined{Class: s.class, Job: s.job, Function: fmt.Sprint("f", s.class), Options: o})
	return s.class
}

func (s *sim) taskID() raygo.TaskID {
	s.seq++
	return raygo.NewTaskID(s.job, s.driver, s.seq)
}

// submit is a call by the driver; set changes the event.
func (s *sim) submit(cl ClassID, set ...func(*Submit)) raygo.TaskID {
	s.t.Helper()
	e := &Submit{Task: s.taskID(), Class: cl, Proc: s.driver}
	for _, f := range set {
		f(e)
	}
	s.one(e)
	return e.Task
}

func deps(ts ...raygo.TaskID) func(*Submit) {
	return func(e *Submit) {
		for _, t := range ts {
			e.Deps = append(e.Deps, t.Object(0))
		}
	}
}

// child is a call by a running task.
func (s *sim) child(parent raygo.TaskID) func(*Submit) {
	return func(e *Submit) {
		e.Parent = parent
		if x := s.running[parent]; x != nil {
			e.Proc = s.procs[x.Worker]
		}
	}
}

func inline(text string) Value { return Value{Kind: Inline, Bytes: []byte(text)} }

func failure(text string) Value {
	return Value{Kind: Failed, Code: raygo.CodeApp, Bytes: []byte(text)}
}

func (s *sim) exec(t raygo.TaskID) *Execute {
	s.t.Helper()
	e := s.running[t]
	if e == nil {
		s.t.Fatalf("task %d does not run", t.Seq())
	}
	return e
}

func (s *sim) result(t raygo.TaskID, status Status, vs ...Value) {
	s.t.Helper()
	e := s.exec(t)
	delete(s.running, t)
	r := &Result{Worker: e.Worker, Task: t, Award: e.Award, Status: status, Run: 10 * time.Millisecond}
	for i, v := range vs {
		r.Outcomes = append(r.Outcomes, Outcome{Index: uint32(i), Value: v})
	}
	s.one(r)
}

func (s *sim) ok(t raygo.TaskID, text string) { s.t.Helper(); s.result(t, StatusOK, inline(text)) }
func (s *sim) fail(t raygo.TaskID, text string) {
	s.t.Helper()
	s.result(t, StatusFailed, failure(text))
}

func (s *sim) block(t raygo.TaskID) {
	e := s.exec(t)
	s.one(&Blocked{Worker: e.Worker, Task: t, Award: e.Award})
}

func (s *sim) unblock(t raygo.TaskID) {
	e := s.exec(t)
	s.one(&Unblocked{Worker: e.Worker, Task: t, Award: e.Award})
}

func (s *sim) release(ids ...raygo.ObjectID) { s.one(&Release{Proc: s.driver, Objects: ids}) }
func (s *sim) borrow(ids ...raygo.ObjectID)  { s.one(&Borrow{Proc: s.driver, Objects: ids}) }
func (s *sim) want(ids ...raygo.ObjectID)    { s.one(&Want{Proc: s.driver, Objects: ids}) }

func (s *sim) cancel(req uint32, t raygo.TaskID, force, recursive bool) {
	s.one(&Cancel{Request: req, Proc: s.driver, Task: t, Force: force, Recursive: recursive})
}

func (s *sim) value(id raygo.ObjectID, want string) {
	s.t.Helper()
	if v := s.values[id]; v.Kind != Inline || string(v.Bytes) != want {
		s.t.Fatalf("object %d/%d is %+v, want %q", id.Task().Seq(), id.Index(), v, want)
	}
}

func (s *sim) failed(id raygo.ObjectID, code raygo.Code) Value {
	s.t.Helper()
	v := s.values[id]
	if v.Kind != Failed || v.Code != code {
		s.t.Fatalf("object %d/%d is %+v (%v), want failure %s", id.Task().Seq(), id.Index(), v, v.Failure, code)
	}
	return v
}

func (s *sim) state(t raygo.TaskID) raygo.TaskState {
	v, ok := s.c.Task(t)
	if !ok {
		return raygo.Finished
	}
	return v.State
}

// free checks law 3 at rest: everything is back and nothing is left.
func (s *sim) free() {
	s.t.Helper()
	total, free := s.c.Capacity()
	if !reflect.DeepEqual(total, free) {
		s.t.Fatalf("free %v of %v", free, total)
	}
	if n := s.c.Counts(); n.Unfinished != 0 || n.Ready != 0 || n.Running != 0 {
		s.t.Fatalf("at rest: %+v", n)
	}
}

func (s *sim) objects() int {
	n := 0
	for _, j := range s.c.jobs {
		n += j.objects.n
	}
	return n
}

func (s *sim) expect(what string, got, want any) {
	s.t.Helper()
	if !reflect.DeepEqual(got, want) {
		s.t.Fatalf("%s: have %v, want %v", what, got, want)
	}
}

func find[E Effect](effects []Effect) []E {
	var found []E
	for _, e := range effects {
		if e, ok := e.(E); ok {
			found = append(found, e)
		}
	}
	return found
}

// idleWork is law 4 for one step: no task waits that could be placed.
func (c *Core) idleWork() error {
	reserve := c.reserved()
	for _, cl := range c.ready {
		h := cl.queue.head()
		if h == nil || cl.refused != "" || reserve != nil && reserve != cl && c.yields(cl, h.depth, reserve) || cl.demand.cpu > 0 && len(c.resume) > 0 {
			continue
		}
		if fits, _ := c.led.fits(&cl.demand); !fits {
			continue
		}
		live := 0
		for _, w := range c.order {
			if w.state != stopping {
				live++
			}
			if w.state == idle && w.key.job == cl.job.id && w.key.env == cl.env && cl.demand.gpu == 0 {
				return fmt.Errorf("class %d has a ready task that fits, and worker %d is idle", cl.id, w.id)
			}
		}
		if live < c.cfg.MaxWorkers {
			return fmt.Errorf("class %d has a ready task that fits, and a worker may be started", cl.id)
		}
	}
	return nil
}
