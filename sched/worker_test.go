package sched

import (
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
)

// aheadSim is a machine with one CPU whose class is known to be short, so that
// n tasks are sent to its worker at once.
func aheadSim(t *testing.T, n int) (*sim, []raygo.TaskID) {
	s := newSim(t, 1)
	cl := s.define(opts())
	first := s.submit(cl)
	e := s.exec(first)
	var ts []raygo.TaskID
	for range n {
		ts = append(ts, s.submit(cl))
	}
	delete(s.running, first)
	s.one(&Result{Worker: e.Worker, Task: first, Award: e.Award, Run: 10 * time.Microsecond, Outcomes: []Outcome{{Value: inline("v")}}})
	for _, id := range ts {
		s.exec(id)
	}
	return s, ts
}

// Tasks sent ahead: in order, given back when the first is long, without blame
// when the process dies.
func TestSentAhead(t *testing.T) {
	s, ts := aheadSim(t, 6)
	s.expect("running", s.state(ts[0]), raygo.Running)
	s.expect("ahead", s.state(ts[1]), raygo.SubmittedToWorker)
	s.ok(ts[0], "v")
	s.expect("next", s.state(ts[1]), raygo.Running)
	e := s.exec(ts[1])
	s.tick(6 * time.Millisecond)
	s.expect("recall", len(find[*Recall](s.all)), 1)
	s.one(&Returned{Worker: e.Worker, Tasks: []Mark{{ts[2], s.exec(ts[2]).Award}, {ts[3], s.exec(ts[3]).Award}, {ts[4], 99}}})
	s.expect("the one that has begun stays", s.state(ts[1]), raygo.Running)
	s.expect("given back", s.state(ts[2]), raygo.PendingNodeAssignment)
	delete(s.running, ts[2])
	delete(s.running, ts[3])
	s.crash(e.Worker, "signal 11")
	attempts := map[raygo.TaskID]uint32{}
	for _, id := range ts[1:] {
		v, _ := s.c.Task(id)
		attempts[id] = v.Attempt
	}
	s.expect("attempts", attempts, map[raygo.TaskID]uint32{ts[1]: 1, ts[2]: 0, ts[3]: 0, ts[4]: 0, ts[5]: 0})
	for range 5 {
		for _, id := range ts[1:] {
			if s.running[id] != nil {
				s.ok(id, "v")
			}
		}
	}
	s.free()
}

// behaviour 22
func TestMaxCalls(t *testing.T) {
	s := newSim(t, 1)
	cl := s.define(opts(func(o *raygo.Options) { o.MaxCalls = 2 }))
	on := map[WorkerID]int{}
	for range 6 {
		a := s.submit(cl)
		on[s.exec(a).Worker]++
		s.ok(a, "v")
		s.value(a.Object(0), "v")
	}
	s.expect("workers", len(on), 3)
	s.expect("finished", s.c.Jobs()[0].Finished, 6)
	s.free()
}

// behaviour 237: idle workers beyond the CPUs go in a second, the others later,
// those that hold refs stay
func TestIdle(t *testing.T) {
	s := newSim(t, 2, func(c *Config) { c.WorkerIdle = time.Minute })
	none := s.define(opts(func(o *raygo.Options) { o.CPU = 0 }))
	var ts []raygo.TaskID
	for range 6 {
		ts = append(ts, s.submit(none))
	}
	s.expect("workers", len(s.procs), 6)
	keeper := s.exec(ts[0]).Worker
	s.one(&Put{Object: raygo.NewTaskID(s.job, s.procs[keeper], 1).Object(0), Proc: s.procs[keeper], Value: inline("v")})
	for _, id := range ts {
		s.ok(id, "v")
	}
	for range 6 {
		s.tick(500 * time.Millisecond)
	}
	s.expect("workers", len(s.procs), 2)
	for range 100 {
		s.tick(time.Second)
	}
	s.expect("workers", len(s.procs), 1)
	if s.procs[keeper] == 0 {
		t.Fatal("the one that holds a ref is gone")
	}
	if n := len(s.c.timers); n > 10 {
		t.Fatalf("%d timers", n)
	}
}

// A peer that is given a task of another's job starts workers for the next ones,
// up to its CPUs, and keeps them until they have been idle for a minute.
func TestWorkersAheadOfNeedAtAnExecutor(t *testing.T) {
	tw := newTown(t, 2, 4)
	a, b := tw.sites[0].start(), tw.sites[1]
	x := a.submit(a.define("f", &kind{run: 10 * time.Millisecond}, onPeer(b)))
	tw.run(30 * time.Second)
	a.all([]raygo.ObjectID{x})
	if n := len(b.c.order); n != 4 {
		t.Fatalf("after a task of a job there are %d workers for it on 4 CPUs", n)
	}
	tw.run(2 * time.Minute)
	if n := len(b.c.order); n != 0 {
		t.Fatalf("%d workers were idle for two minutes", n)
	}
}

// Workers that are started ahead of need have a bound over all jobs.
func TestWarmWorkersOfManyJobsAreBounded(t *testing.T) {
	tw := newTown(t, 9, 4)
	b := tw.sites[0]
	for _, a := range tw.sites[1:] {
		a.start()
		a.submit(a.define("f", &kind{run: 10 * time.Millisecond}, onPeer(b)))
	}
	tw.run(3 * time.Second)
	if n, most := len(b.c.order), b.c.keptWarm(); n < 4 || n > most {
		t.Fatalf("%d workers are idle for 8 jobs, want at most %d", n, most)
	}
}

// behaviours 24, 111, 114: starts that fail are tried again, then every task of
// that environment fails; others go on
func TestSetupFails(t *testing.T) {
	s := newSim(t, 4)
	s.held = true
	bad := s.define(opts(func(o *raygo.Options) { o.Env = map[string]string{"A": "1"} }))
	good := s.define(opts())
	a, b, queued := s.submit(bad), s.submit(bad), s.submit(bad)
	g := s.submit(good)
	tries := 0
	for range 20 {
		for _, e := range find[*StartWorker](s.take()) {
			if e.Env != nil {
				tries++
				s.one(&WorkerFailed{Worker: e.Worker, Reason: "no such file"})
			} else {
				s.started(e.Worker)
			}
		}
	}
	for _, id := range []raygo.TaskID{a, b, queued} {
		v := s.failed(id.Object(0), raygo.CodeSetup)
		s.expect("says why", v.Failure.Message, "its worker could not be set up: no such file")
	}
	if tries < 3 || tries > 12 || len(s.warns) == 0 {
		t.Fatalf("%d tries, warnings %v", tries, s.warns)
	}
	s.ok(g, "v")
	s.free()
}

// behaviour 24: a process that ends before it registered
func TestEndsBeforeRegistering(t *testing.T) {
	s := newSim(t, 1)
	s.held = true
	a := s.submit(s.define(opts()))
	for range 3 {
		for _, e := range find[*StartWorker](s.take()) {
			s.one(&WorkerGone{Worker: e.Worker, Reason: "exit code 2"})
		}
	}
	s.failed(a.Object(0), raygo.CodeSetup)
	s.free()
}

// behaviour 238: no worker serves two environments
func TestEnvironments(t *testing.T) {
	s := newSim(t, 1, func(c *Config) { c.MaxWorkers = 2 })
	seen := map[WorkerID]string{}
	for i := range 12 {
		env := string(rune('a' + i%4))
		a := s.submit(s.define(opts(func(o *raygo.Options) { o.Env = map[string]string{"A": env} })))
		w := s.exec(a).Worker
		if seen[w] != "" && seen[w] != env {
			t.Fatalf("worker %d served %s and %s", w, seen[w], env)
		}
		seen[w] = env
		s.ok(a, "v")
	}
	if s.peak > 2 {
		t.Fatalf("%d workers", s.peak)
	}
}

// behaviours 231, 216, 69: the end of a job
func TestJobEnds(t *testing.T) {
	s := newSim(t, 2)
	s.held = true
	cl := s.define(opts())
	for _, e := range find[*StartWorker](s.take()) {
		s.started(e.Worker)
	}
	a, b, queued := s.submit(cl), s.submit(cl), s.submit(cl)
	s.ok(a, "v")
	s.cancel(1, b, false, true)
	gone := s.procs
	s.procs = map[WorkerID]raygo.ProcID{} // the processes take their time to die
	s.one(&ProcGone{Proc: s.driver})
	s.expect("still held", s.freeOf(raygo.CPU), 0.0)
	s.expect("not said to be stopped yet", len(s.outcome), 0)
	s.expect("not done", len(find[*JobDone](s.all)), 0)
	states := map[raygo.TaskID]raygo.TaskState{}
	for _, e := range s.ended {
		states[e.Task] = e.State
	}
	s.expect("rows", states, map[raygo.TaskID]raygo.TaskState{a: raygo.Finished, b: raygo.Failed, queued: raygo.Failed})
	for _, w := range []WorkerID{1, 2} {
		if gone[w] != 0 {
			s.one(&WorkerGone{Worker: w, Reason: "killed"})
		}
	}
	s.expect("stopped", s.outcome[1], Stopped)
	s.expect("done", len(find[*JobDone](s.all)), 1)
	s.free()
	s.expect("left", len(s.c.jobs)+len(s.c.classes)+len(s.c.procs)+len(s.c.workers), 0)
}

// A detached job outlives its driver; another can go on with it.
func TestDetached(t *testing.T) {
	s := newSim(t, 1)
	s.job, s.driver = raygo.JobID{2}, 2
	s.one(&JobStarted{Job: s.job, Driver: 2, Detached: true})
	cl := s.define(opts())
	a := s.submit(cl)
	s.want(a.Object(0))
	s.one(&ProcGone{Proc: 2})
	s.ok(a, "v")
	s.one(&JobAttached{Job: s.job, Driver: 3})
	s.driver = 3
	s.borrow(a.Object(0))
	s.told = map[raygo.ObjectID]int{}
	s.want(a.Object(0))
	s.expect("told", s.told[a.Object(0)], 1)
	b := s.submit(cl)
	s.ok(b, "w")
	s.one(&ProcGone{Proc: 3})
	s.expect("the job keeps its first driver's refs", s.objects(), 1)
	s.one(&JobEnded{Job: s.job, Reason: "cancelled"})
	s.expect("done", len(find[*JobDone](s.all)), 1)
	s.free()
}
