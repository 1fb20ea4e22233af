package sched

import (
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
)

// behaviours 172, 177, 183
func TestCancelQueued(t *testing.T) {
	s := newSim(t, 1)
	cl := s.define(opts())
	a, b := s.submit(cl), s.submit(cl)
	s.cancel(1, b, false, true)
	s.expect("outcome", s.outcome[1], NeverStarted)
	s.failed(b.Object(0), raygo.CodeCancelled)
	s.ok(a, "v")
	s.cancel(2, a, true, true)
	s.expect("outcome", s.outcome[2], AlreadyDone)
	s.value(a.Object(0), "v")
	s.expect("runs", len(s.order), 1)
	s.free()
}

// behaviour 173: what it waits for goes on
func TestCancelWaitingForArgument(t *testing.T) {
	s := newSim(t, 1)
	cl := s.define(opts())
	a := s.submit(cl)
	b := s.submit(cl, deps(a))
	s.cancel(1, b, false, true)
	s.expect("outcome", s.outcome[1], NeverStarted)
	s.ok(a, "v")
	s.value(a.Object(0), "v")
	s.expect("runs", len(s.order), 1)
}

// behaviours 174, 183: a running task is asked to stop; not retried
func TestCancelRunning(t *testing.T) {
	for _, status := range []Status{StatusCancelled, StatusFailed, StatusRetry, StatusOK} {
		s := newSim(t, 1)
		a := s.submit(s.define(opts(func(o *raygo.Options) { o.MaxRetries = -1; o.RetryExceptions = true })))
		s.cancel(1, a, false, true)
		if len(find[*Stop](s.last)) != 1 || len(s.outcome) != 0 {
			t.Fatal("not asked to stop, or answered too early")
		}
		s.result(a, status, failure("context canceled"))
		s.expect("outcome", s.outcome[1], Stopped)
		s.failed(a.Object(0), raygo.CodeCancelled)
		s.free()
	}
}

// behaviour 175: one that ignores its context is said to; its result is
// discarded; force ends it
func TestCancelIgnored(t *testing.T) {
	s := newSim(t, 1)
	cl := s.define(opts())
	a := s.submit(cl)
	s.cancel(1, a, false, true)
	s.tick(cancelGrace + time.Millisecond)
	s.expect("outcome", s.outcome[1], Unreachable)
	s.failed(a.Object(0), raygo.CodeCancelled)
	s.expect("its CPU is not free", s.freeOf(raygo.CPU), 0.0)
	s.cancel(2, a, false, true)
	s.expect("still there", s.outcome[2], Unreachable)
	b := s.submit(cl)
	s.cancel(3, a, true, true)
	s.expect("ended", s.outcome[3], Stopped)
	s.ok(b, "v")
	c := s.submit(cl)
	s.cancel(4, c, false, true)
	s.tick(cancelGrace + time.Millisecond)
	s.result(c, StatusOK, Value{Kind: Stored, Store: c.Object(0), Size: 9})
	s.expect("late bytes go", s.deleted[c.Object(0)], 1)
	s.failed(c.Object(0), raygo.CodeCancelled)
	s.cancel(5, c, true, true)
	s.expect("over", s.outcome[5], AlreadyDone)
	s.free()
}

// behaviour 176
func TestCancelForce(t *testing.T) {
	s := newSim(t, 1)
	cl := s.define(opts(func(o *raygo.Options) { o.MaxRetries = 5 }))
	a := s.submit(cl)
	s.block(a)
	s.unblock(a)
	s.cancel(1, a, true, true)
	s.expect("outcome", s.outcome[1], Stopped)
	s.failed(a.Object(0), raygo.CodeCancelled)
	s.expect("runs", len(s.order), 1)
	s.ok(s.submit(cl), "v")
	s.free()
}

// behaviour 179: with its children, or without
func TestCancelRecursive(t *testing.T) {
	for _, recursive := range []bool{true, false} {
		s := newSim(t, 4)
		cl := s.define(opts())
		p := s.submit(cl)
		k := s.submit(cl, s.child(p))
		g := s.submit(cl, s.child(k))
		late := s.submit(cl, deps(g), s.child(p))
		s.cancel(1, p, false, recursive)
		s.expect("stops", len(find[*Stop](s.all)), map[bool]int{true: 3, false: 1}[recursive])
		s.result(p, StatusCancelled)
		s.expect("outcome", s.outcome[1], Stopped)
		if recursive {
			s.result(k, StatusCancelled)
			s.result(g, StatusCancelled)
			s.exec(s.submit(s.define(opts(func(o *raygo.Options) { o.CPU = q(4) })))) // all 4 CPUs are back
			s.expect("late", s.state(late), raygo.Finished)
			continue
		}
		s.expect("child", s.state(k), raygo.Running)
		s.ok(g, "v")
		s.ok(k, "v")
		s.ok(late, "v")
		s.free()
	}
}

// behaviour 182: sent ahead and not begun
func TestCancelSentAhead(t *testing.T) {
	s, ts := aheadSim(t, 6)
	s.cancel(1, ts[3], false, true)
	if len(s.outcome) != 0 || len(find[*Stop](s.last)) != 1 {
		t.Fatal("answered before the worker did")
	}
	s.result(ts[3], StatusNotStarted)
	s.expect("outcome", s.outcome[1], NeverStarted)
	s.cancel(2, ts[4], true, true)
	s.block(ts[0]) // the worker drops what it has not begun
	s.expect("outcome", s.outcome[2], NeverStarted)
	s.unblock(ts[0])
	for _, id := range []raygo.TaskID{ts[0], ts[1], ts[2], ts[5]} {
		if s.running[id] == nil {
			s.tick(time.Second)
		}
		s.ok(id, "v")
	}
	s.free()
}

// behaviour 184: while its arguments are brought
func TestCancelDuringFetch(t *testing.T) {
	s := newSim(t, 1)
	cl := s.define(opts())
	id := s.put(stored)
	a := s.submit(cl, func(e *Submit) { e.Deps = []raygo.ObjectID{id} })
	s.cancel(1, a, false, true)
	s.expect("outcome", s.outcome[1], NeverStarted)
	s.expect("unpinned", len(find[*Unpin](s.all)), 1)
	s.one(&ArgsReady{Task: a, Award: 1})
	s.ok(s.submit(cl), "v")
	s.expect("runs", len(s.order), 1)
	s.free()
}

// Cancelled while its worker process starts, and while it backs off.
func TestCancelUnplaced(t *testing.T) {
	s := newSim(t, 1)
	s.held = true
	cl := s.define(opts(func(o *raygo.Options) { o.RetryBase = time.Minute }))
	a := s.submit(cl)
	s.cancel(1, a, true, true)
	s.expect("outcome", s.outcome[1], NeverStarted)
	s.free()
	s.held = false
	for _, e := range find[*StartWorker](s.take()) {
		s.started(e.Worker)
	}
	b := s.submit(cl)
	s.crash(s.exec(b).Worker, "signal 9")
	s.expect("backs off", s.state(b), raygo.PendingNodeAssignment)
	s.cancel(2, b, false, true)
	s.expect("an earlier attempt ran", s.outcome[2], Stopped)
	s.tick(2 * time.Minute)
	s.expect("runs", len(s.order), 1)
	s.free()
}
