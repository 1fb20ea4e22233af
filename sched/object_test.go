package sched

import (
	"testing"

	raygo "github.com/raygo/raygo"
)

func (s *sim) put(v Value, nested ...raygo.ObjectID) raygo.ObjectID {
	id := s.taskID().Object(0)
	if v.Kind == Stored {
		v.Store = id
	}
	s.one(&Put{Object: id, Proc: s.driver, Value: v, Nested: nested})
	return id
}

var stored = Value{Kind: Stored, Size: 1 << 20}

// behaviours 134, 135: counts add up, the last release frees
func TestRelease(t *testing.T) {
	s := newSim(t, 1)
	id := s.put(stored)
	s.borrow(id)
	s.release(id)
	s.expect("deleted", s.deleted[id], 0)
	s.release(id)
	s.expect("deleted", s.deleted[id], 1)
	s.release(id, id)
	s.expect("objects", s.objects(), 0)
	s.want(id) // behaviour 147
	s.failed(id, raygo.CodeObjectFreed)
}

// behaviours 136, 143: an argument lives until its task ends or fails
func TestArgumentOfPendingTask(t *testing.T) {
	s := newSim(t, 1)
	cl := s.define(opts(func(o *raygo.Options) { o.MaxRetries = 0 }))
	busy := s.submit(cl)
	id, nested := s.put(stored), s.put(stored)
	user := s.submit(cl, func(e *Submit) { e.Deps = []raygo.ObjectID{id}; e.Nested = []raygo.ObjectID{nested} })
	s.release(id, nested)
	s.ok(busy, "v")
	f := find[*Fetch](s.last)
	if len(f) != 1 || f[0].Task != user || f[0].Objects[0] != id {
		t.Fatalf("fetch: %+v", f)
	}
	s.expect("state", s.state(user), raygo.PendingArgsFetch)
	s.one(&ArgsReady{Task: user, Award: f[0].Award + 1})
	s.expect("another award", s.running[user] == nil, true)
	s.one(&ArgsReady{Task: user, Award: f[0].Award})
	s.one(&ArgsReady{Task: user, Award: f[0].Award})
	s.expect("deleted", len(s.deleted), 0)
	s.crash(s.exec(user).Worker, "signal 9")
	s.failed(user.Object(0), raygo.CodeWorkerCrashed)
	s.expect("unpinned", len(find[*Unpin](s.all)), 1)
	s.expect("deleted", s.deleted[id]+s.deleted[nested], 2)
	s.free()
}

// behaviour 37: bytes that cannot be brought fail the task; the worker goes on.
func TestFetchFails(t *testing.T) {
	s := newSim(t, 1)
	cl := s.define(opts())
	id := s.put(stored)
	a := s.submit(cl, func(e *Submit) { e.Deps = []raygo.ObjectID{id, id} })
	b := s.submit(cl)
	s.one(&ArgsFailed{Task: a, Award: 1, Failure: raygo.Fail(raygo.CodeStoreFull, "no room")})
	s.failed(a.Object(0), raygo.CodeStoreFull)
	s.ok(b, "v")
	s.one(&ObjectLost{Object: id})
	s.want(id)
	s.failed(id, raygo.CodeObjectLost)
	s.free()
}

// behaviour 138: the inner lives while the outer does
func TestContainment(t *testing.T) {
	s := newSim(t, 1)
	cl := s.define(opts())
	in := s.put(stored)
	mid := s.put(inline("m"), in)
	a := s.submit(cl)
	e := s.exec(a)
	s.one(&Result{Worker: e.Worker, Task: a, Award: e.Award, Outcomes: []Outcome{{Value: inline("out"), Nested: []raygo.ObjectID{mid, mid}}}})
	s.release(in, mid)
	s.expect("objects", s.objects(), 3)
	s.borrow(in)
	s.release(a.Object(0))
	s.expect("objects", s.objects(), 1)
	s.release(in)
	s.expect("deleted", s.deleted[in], 1)
}

// behaviour 140: a borrower that crashes, 141: a retry leaves the counts right
func TestBorrowerCrashes(t *testing.T) {
	s := newSim(t, 1)
	cl := s.define(opts())
	id := s.put(stored)
	a := s.submit(cl, func(e *Submit) { e.Nested = []raygo.ObjectID{id} })
	for range 2 {
		e := s.exec(a)
		p := s.procs[e.Worker]
		s.one(&Borrow{Proc: p, Objects: []raygo.ObjectID{id, id}})
		own := raygo.NewTaskID(s.job, p, 1).Object(0)
		s.one(&Put{Object: own, Proc: p, Value: stored})
		s.crash(e.Worker, "signal 9")
		s.expect("its own put is gone", s.objects(), 2)
	}
	s.release(id)
	s.expect("the task still needs it", s.deleted[id], 0)
	s.ok(a, "v")
	s.expect("deleted", s.deleted[id], 1)
}

// A ref released while another goroutine of the process waits for it.
func TestReleaseWhileWaiting(t *testing.T) {
	s := newSim(t, 1)
	a := s.submit(s.define(opts()))
	s.want(a.Object(0))
	s.release(a.Object(0))
	s.failed(a.Object(0), raygo.CodeObjectFreed)
	s.result(a, StatusOK, Value{Kind: Stored, Store: a.Object(0), Size: 9})
	s.expect("its bytes go", s.deleted[a.Object(0)], 1)
	s.expect("objects", s.objects(), 0)
}

// behaviour 32: everybody who asked is told, once and the same
func TestManyGetters(t *testing.T) {
	s := newSim(t, 2)
	cl := s.define(opts())
	a := s.submit(cl)
	for i := range 100 {
		s.one(&JobAttached{Job: s.job, Driver: raygo.ProcID(1000 + i)})
		s.one(&Borrow{Proc: raygo.ProcID(1000 + i), Objects: []raygo.ObjectID{a.Object(0)}})
		s.one(&Want{Proc: raygo.ProcID(1000 + i), Objects: []raygo.ObjectID{a.Object(0)}})
	}
	s.ok(a, "v")
	s.expect("told", s.told[a.Object(0)], 101)
	for i := range 100 {
		s.one(&ProcGone{Proc: raygo.ProcID(1000 + i)})
	}
	s.release(a.Object(0))
	s.expect("objects", s.objects(), 0)
}

// A ref of a released object as an argument is an error, not a hang. A task
// that is given its own result likewise.
func TestReleasedArgument(t *testing.T) {
	s := newSim(t, 1)
	cl := s.define(opts())
	id, kept := s.put(inline("v")), s.put(inline("v"))
	s.release(id)
	a := s.submit(cl, func(e *Submit) { e.Deps = []raygo.ObjectID{kept, id, kept}; e.Nested = []raygo.ObjectID{id} })
	s.failed(a.Object(0), raygo.CodeObjectFreed)
	b := s.submit(cl, func(e *Submit) { e.Deps = []raygo.ObjectID{e.Task.Object(0)} })
	s.failed(b.Object(0), raygo.CodeRefused)
	s.release(kept, a.Object(0), b.Object(0))
	s.expect("objects", s.objects(), 0)
	s.free()
}

// behaviour 148, law 6: many tiny tasks with their refs dropped leave nothing
func TestFlat(t *testing.T) {
	s := newSim(t, 2)
	s.nocheck = true
	cl := s.define(opts(func(o *raygo.Options) { o.Timeout = 3600e9 }))
	for range 20_000 {
		a := s.submit(cl)
		s.ok(a, "v")
		s.release(a.Object(0))
		s.all, s.ended, s.order = nil, nil, nil
	}
	s.expect("objects", s.objects(), 0)
	if n := len(s.c.timers); n > 2100 {
		t.Fatalf("%d timers are kept", n)
	}
}

// Memoize: a known result settles without a run, an unknown one is offered.
func TestMemoize(t *testing.T) {
	s := newSim(t, 1)
	cl := s.define(opts(func(o *raygo.Options) { o.Memoize = true }))
	a := s.submit(cl)
	s.one(&MemoAnswer{Task: a})
	s.one(&MemoAnswer{Task: a, Value: inline("forged")})
	s.ok(a, "v")
	s.expect("offered", len(find[*MemoKeep](s.all)), 1)
	b := s.submit(cl)
	s.one(&MemoAnswer{Task: b, Value: inline("v")})
	s.value(b.Object(0), "v")
	gone := s.put(stored)
	s.release(gone)
	c := s.submit(cl) // what was known has been freed since: run it
	s.one(&MemoAnswer{Task: c, Value: Value{Kind: Stored, Store: gone, Size: 1}})
	s.ok(c, "v")
	keep := s.put(stored)
	d := s.submit(cl)
	s.one(&MemoAnswer{Task: d, Value: Value{Kind: Stored, Store: keep, Size: 1}})
	s.release(keep)
	s.expect("the value needs it", s.deleted[keep], 0)
	s.release(d.Object(0))
	s.expect("freed", s.deleted[keep], 1)
	s.expect("runs", len(s.order), 2)
	s.free()
}
