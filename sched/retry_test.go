package sched

import (
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
)

// runs plays attempts until the task is settled and counts them.
func (s *sim) runs(id raygo.TaskID, end func(e *Execute)) int {
	n := 0
	for ; n < 50; n++ {
		if s.running[id] == nil {
			for range 40 {
				s.tick(time.Second)
			}
		}
		e := s.running[id]
		if e == nil {
			break
		}
		if e.Attempt != uint32(n) { // behaviour 106
			s.t.Fatalf("attempt %d is numbered %d", n, e.Attempt)
		}
		end(e)
	}
	return n
}

// behaviours 102, 103, 104, 106: how often a task runs. What the list of names
// says of a failure is the worker's doing: it answers StatusRetry or not.
func TestAttempts(t *testing.T) {
	retry := func(n int) func(*raygo.Options) {
		return func(o *raygo.Options) { o.MaxRetries = n; o.RetryExceptions = true }
	}
	for name, tt := range map[string]struct {
		max  int
		end  func(*sim) func(*Execute)
		want int
		code raygo.Code
	}{
		"fails, no retry": {3, func(s *sim) func(*Execute) { return func(e *Execute) { s.fail(e.Task, "boom") } }, 1, raygo.CodeApp},
		"fails, retry": {3, func(s *sim) func(*Execute) {
			return func(e *Execute) { s.result(e.Task, StatusRetry, failure("boom")) }
		}, 4, raygo.CodeApp},
		"fails, retry 0": {0, func(s *sim) func(*Execute) {
			return func(e *Execute) { s.result(e.Task, StatusRetry, failure("boom")) }
		}, 1, raygo.CodeApp},
		"crashes":              {2, func(s *sim) func(*Execute) { return func(e *Execute) { s.crash(e.Worker, "signal 9") } }, 3, raygo.CodeWorkerCrashed},
		"crashes, 0":           {0, func(s *sim) func(*Execute) { return func(e *Execute) { s.crash(e.Worker, "signal 9") } }, 1, raygo.CodeWorkerCrashed},
		"crashes, without end": {-1, func(s *sim) func(*Execute) { return func(e *Execute) { s.crash(e.Worker, "signal 9") } }, 50, raygo.CodeNone},
		"says nothing":         {3, func(s *sim) func(*Execute) { return func(e *Execute) { s.result(e.Task, StatusFailed) } }, 1, raygo.CodeWorkerCrashed},
		"fails with a value":   {3, func(s *sim) func(*Execute) { return func(e *Execute) { s.result(e.Task, StatusFailed, inline("v")) } }, 1, raygo.CodeRefused},
		"memory, retriable":    {1, func(s *sim) func(*Execute) { return func(*Execute) { s.one(&KillForMemory{Reason: "95 %"}) } }, 16, raygo.CodeOutOfMemory},
		"memory, not":          {0, func(s *sim) func(*Execute) { return func(*Execute) { s.one(&KillForMemory{Reason: "95 %"}) } }, 1, raygo.CodeOutOfMemory},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, 1)
			a := s.submit(s.define(opts(retry(tt.max))))
			s.expect("runs", s.runs(a, tt.end(s)), tt.want)
			if tt.code != raygo.CodeNone {
				s.failed(a.Object(0), tt.code)
				s.expect("rows", len(s.ended), tt.want)
				s.free()
			}
		})
	}
}

// behaviours 103, 214: crash once, then succeed; each attempt has its row
func TestCrashOnce(t *testing.T) {
	s := newSim(t, 1)
	a := s.submit(s.define(opts(func(o *raygo.Options) { o.MaxRetries = 1 })))
	s.crash(s.exec(a).Worker, "exit code 0") // behaviour 23: also a crash
	s.ok(a, "v")
	s.value(a.Object(0), "v")
	s.expect("rows", []raygo.TaskState{s.ended[0].State, s.ended[1].State}, []raygo.TaskState{raygo.Failed, raygo.Finished})
	s.expect("message", s.ended[0].Failure.Failure.Message, "its worker process 101 ended: exit code 0")
	s.expect("final", []bool{s.ended[0].Final, s.ended[1].Final}, []bool{false, true})
	s.free()
}

// behaviour 168: kills for memory have a budget of their own, and their delay
// grows
func TestMemoryBudget(t *testing.T) {
	s := newSim(t, 1)
	a := s.submit(s.define(opts(func(o *raygo.Options) { o.MaxRetries = 1 })))
	var waits []time.Duration
	for range 5 {
		begin := s.now
		for s.running[a] == nil {
			s.tick(10 * time.Millisecond)
		}
		waits = append(waits, s.now.Sub(begin))
		s.one(&KillForMemory{Reason: "95 %"})
	}
	if waits[1] < 100*time.Millisecond || waits[4] < 4*waits[1] {
		t.Fatalf("waits %v", waits)
	}
	for s.running[a] == nil {
		s.tick(time.Second)
	}
	s.crash(s.exec(a).Worker, "signal 9") // the ordinary budget is whole
	s.ok(a, "v")
	s.value(a.Object(0), "v")
	s.expect("kills", s.c.Counts().OOMKills, 5)
}

// behaviours 165, 166, 167, 169, 170: who is killed for memory
func TestMemoryVictim(t *testing.T) {
	s := newSim(t, 3)
	retriable, not := s.define(opts()), s.define(opts(func(o *raygo.Options) { o.MaxRetries = 0 }))
	old := s.submit(retriable)
	s.tick(time.Second)
	newer := s.submit(retriable)
	s.tick(time.Second)
	newest := s.submit(not)
	kill := func() raygo.TaskID {
		s.one(&KillForMemory{Reason: "95 %"})
		kills := find[*OOMKill](s.all)
		return kills[len(kills)-1].Task
	}
	s.expect("victim", kill(), newer)
	s.tick(time.Second)
	s.ok(newer, "v")
	s.expect("victim", kill(), old)
	s.expect("victim", kill(), newest)
	s.failed(newest.Object(0), raygo.CodeOutOfMemory)
	s.expect("nobody", kill(), raygo.TaskID{})
	s.tick(time.Minute)
	s.ok(old, "v")
	s.free()
}

// behaviour 113: backoff doubles, has jitter over its upper half, and a limit
func TestBackoff(t *testing.T) {
	c := New(Config{Seed: 3})
	seen := map[time.Duration]bool{}
	for n := 1; n < 90; n++ {
		want := min(time.Second<<min(n-1, 30), 30*time.Second)
		d := c.backoff(time.Second, 30*time.Second, n)
		if d < want/2 || d > want {
			t.Fatalf("delay %d is %s, want %s to %s", n, d, want/2, want)
		}
		seen[d] = true
	}
	if len(seen) < 50 {
		t.Fatal("no jitter")
	}
	if c.backoff(0, time.Second, 3) != 0 || c.backoff(time.Minute, time.Second, 1) < 30*time.Second {
		t.Fatal("no base: at once; a base above the limit is itself the limit")
	}
}

// Timeout: the worker ends a task itself; one that ignores it is killed.
func TestTimeout(t *testing.T) {
	s := newSim(t, 1)
	cl := s.define(opts(func(o *raygo.Options) { o.Timeout = 5 * time.Second }))
	id := s.put(stored)
	a := s.submit(cl, func(e *Submit) { e.Deps = []raygo.ObjectID{id} })
	s.tick(20 * time.Second) // bringing arguments does not count
	s.one(&ArgsReady{Task: a, Award: 1})
	s.tick(5 * time.Second)
	s.exec(a)
	s.tick(2 * time.Second)
	s.failed(a.Object(0), raygo.CodeTaskTimeout)
	s.expect("rows", len(s.ended), 1)
	b := s.submit(cl)
	s.ok(b, "v")
	s.tick(time.Minute)
	s.value(b.Object(0), "v")
	again := s.define(opts(func(o *raygo.Options) { o.Timeout = time.Second; o.RetryExceptions = true; o.MaxRetries = 2 }))
	n := s.runs(s.submit(again), func(*Execute) { s.tick(3 * time.Second) })
	s.expect("runs", n, 3)
	s.free()
}
