package sched

import (
	"testing"

	raygo "github.com/raygo/raygo"
)

func gen(set ...func(*raygo.Options)) raygo.Options {
	return opts(append([]func(*raygo.Options){func(o *raygo.Options) { o.Generator = true; o.NumReturns = 0 }}, set...)...)
}

func fixed(n int) raygo.Options {
	return gen(func(o *raygo.Options) { o.FixedYields = true; o.NumReturns = n })
}

func (s *sim) yield(t raygo.TaskID, i uint32, v Value, nested ...raygo.ObjectID) {
	s.t.Helper()
	e := s.exec(t)
	if v.Kind == Stored {
		v.Store = t.Object(i)
	}
	s.one(&Yield{Worker: e.Worker, Task: t, Award: e.Award, Outcome: Outcome{Index: i, Value: v, Nested: nested}})
}

func (s *sim) taken(t raygo.TaskID, n uint32) { s.one(&StreamTaken{Proc: s.driver, Task: t, N: n}) }

func (s *sim) credit() uint32 {
	cs := find[*Credit](s.all)
	if len(cs) == 0 {
		return 0
	}
	return cs[len(cs)-1].N
}

// behaviours 188, 199, 209
func TestStream(t *testing.T) {
	s := newSim(t, 1)
	cl := s.define(gen())
	g := s.submit(cl)
	for i := range uint32(3) {
		s.yield(g, i, stored)
		s.expect("readable before the end", s.values[g.Object(i)].Kind, Stored)
		s.expect("produced", s.streams[g].Produced, i+1)
	}
	s.borrow(g.Object(0))
	s.taken(g, 2)
	s.expect("untaken by ref goes at once", s.deleted[g.Object(1)], 1)
	s.expect("held by a ref stays", s.deleted[g.Object(0)], 0)
	s.release(g.Object(0))
	s.expect("goes with its ref", s.deleted[g.Object(0)], 1)
	s.result(g, StatusOK)
	s.expect("ended", s.streams[g].Ended, true)
	s.taken(g, 3)
	s.one(&StreamClose{Proc: s.driver, Task: g})
	empty := s.submit(cl)
	s.result(empty, StatusOK)
	s.expect("empty", [2]any{s.streams[empty].Ended, s.streams[empty].Failure.Kind}, [2]any{true, None})
	s.one(&StreamClose{Proc: s.driver, Task: empty})
	s.expect("objects", s.objects(), 0)
	s.free()
}

// behaviour 194: the mark moves as items are taken; 196: it is lifted when the
// stream is let go, and what nobody took is freed
func TestBackpressure(t *testing.T) {
	s := newSim(t, 1)
	cl := s.define(gen(func(o *raygo.Options) { o.BackpressureItems = 2 }))
	g := s.submit(cl)
	s.yield(g, 0, stored)
	s.yield(g, 1, stored)
	s.taken(g, 1<<31) // no more than there are
	s.expect("credit", s.credit(), uint32(2))
	s.yield(g, 2, stored)
	s.borrow(g.Object(5)) // somebody asks for an item by its ID: it must come
	s.expect("credit", s.credit(), uint32(6))
	s.release(g.Object(raygo.StreamIndex))
	s.expect("credit", s.credit(), raygo.StreamIndex)
	s.expect("freed", s.deleted[g.Object(2)], 1)
	s.expect("no stop while item 5 is wanted", len(find[*Stop](s.all)), 0)
	s.release(g.Object(5))
	s.expect("stop", len(find[*Stop](s.all)), 1)
	s.yield(g, 3, stored)
	s.expect("late items go", s.deleted[g.Object(3)], 1)
	s.result(g, StatusCancelled)
	s.expect("objects", s.objects(), 0)
	s.expect("streams", len(s.c.jobs[s.job].streams), 0)
	s.free()
}

// behaviours 189, 193, 201
func TestStreamFails(t *testing.T) {
	s := newSim(t, 1)
	cl, user := s.define(gen()), s.define(opts(func(o *raygo.Options) { o.CPU = 0 }))
	g := s.submit(cl)
	s.borrow(g.Object(raygo.CompletedIndex), g.Object(2), g.Object(1))
	on1 := s.submit(user, func(e *Submit) { e.Deps = []raygo.ObjectID{g.Object(1)} })
	on2 := s.submit(user, func(e *Submit) { e.Deps = []raygo.ObjectID{g.Object(2)} })
	s.yield(g, 0, inline("0"))
	s.yield(g, 1, failure("cannot be encoded"))
	s.failed(g.Object(1), raygo.CodeApp)
	s.failed(on1.Object(0), raygo.CodeApp)
	s.want(g.Object(raygo.CompletedIndex))
	s.expect("not complete", s.told[g.Object(raygo.CompletedIndex)], 0)
	s.fail(g, "boom")
	s.expect("state", [2]any{s.streams[g].Produced, s.streams[g].Failure.Code}, [2]any{uint32(2), raygo.CodeApp})
	s.failed(g.Object(raygo.CompletedIndex), raygo.CodeApp)
	s.failed(on2.Object(0), raygo.CodeApp)
	s.value(g.Object(0), "0")
	s.want(g.Object(9)) // asked for after the end
	s.failed(g.Object(9), raygo.CodeApp)
	s.want(g.Object(raygo.MaxYields + 5)) // no such item can be
	s.failed(g.Object(raygo.MaxYields+5), raygo.CodeApp)
	s.release(g.Object(raygo.CompletedIndex), g.Object(2), g.Object(1), g.Object(raygo.StreamIndex), on1.Object(0), on2.Object(0))
	s.expect("objects", s.objects(), 0)
	s.free()
}

// behaviours 190, 191, 192: the next attempt goes on where the last one ended
func TestStreamRetries(t *testing.T) {
	s := newSim(t, 1)
	g := s.submit(s.define(gen(func(o *raygo.Options) { o.MaxRetries = 2; o.RetryExceptions = true })))
	s.expect("from", s.exec(g).From, uint32(0))
	s.yield(g, 0, inline("0"))
	s.yield(g, 1, inline("1"))
	s.taken(g, 1)
	s.crash(s.exec(g).Worker, "signal 9")
	s.expect("from", [2]uint32{s.exec(g).From, s.exec(g).Taken}, [2]uint32{2, 1})
	s.yield(g, 1, inline("other")) // a worker that yields again what is there
	s.yield(g, 2, inline("2"))
	s.result(g, StatusRetry, failure("boom"))
	s.expect("from", s.exec(g).From, uint32(3))
	s.expect("consumers", s.streams[g].Ended, false)
	s.yield(g, 3, inline("3"))
	s.result(g, StatusOK)
	for i, want := range []string{"0", "1", "2", "3"} {
		s.value(g.Object(uint32(i)), want)
		s.expect("told once", s.told[g.Object(uint32(i))], 1)
	}
	h := s.submit(s.define(gen(func(o *raygo.Options) { o.MaxRetries = 0 })))
	s.yield(h, 0, inline("0"))
	s.crash(s.exec(h).Worker, "signal 9")
	s.expect("failure", s.streams[h].Failure.Code, raygo.CodeWorkerCrashed)
	s.free()
}

// behaviours 185, 198: items stay readable after a cancel
func TestStreamCancel(t *testing.T) {
	s := newSim(t, 1)
	g := s.submit(s.define(gen()))
	s.borrow(g.Object(raygo.CompletedIndex))
	s.yield(g, 0, inline("0"))
	s.cancel(1, g, false, true)
	s.result(g, StatusCancelled)
	s.expect("outcome", s.outcome[1], Stopped)
	s.expect("failure", s.streams[g].Failure.Code, raygo.CodeCancelled)
	s.want(g.Object(0), g.Object(raygo.CompletedIndex))
	s.value(g.Object(0), "0")
	s.failed(g.Object(raygo.CompletedIndex), raygo.CodeCancelled)
	s.free()
}

// behaviour 201: the list of all items, asked for at the start, midway, after
func TestCompleted(t *testing.T) {
	for _, at := range []int{0, 1, 2} {
		s := newSim(t, 1)
		g := s.submit(s.define(gen()))
		all := g.Object(raygo.CompletedIndex)
		for i := range 3 {
			if i == at {
				s.borrow(all)
				s.expect("it must not wait", s.credit(), raygo.StreamIndex)
			}
			if i < 2 {
				s.yield(g, uint32(i), stored)
			}
		}
		s.result(g, StatusOK)
		s.want(all)
		b := s.values[all].Bytes
		s.expect("list", len(b), 5+2*26)
		s.taken(g, 2)
		s.one(&StreamClose{Proc: s.driver, Task: g})
		s.expect("the list keeps its items", len(s.deleted), 0)
		s.release(all)
		s.expect("freed", len(s.deleted), 2)
		s.expect("objects", s.objects(), 0)
	}
}

// behaviours 206, 208: fixed numbers of items are ready together, or all fail
func TestFixedYields(t *testing.T) {
	s := newSim(t, 1)
	cl := s.define(fixed(2))
	g := s.submit(cl)
	s.borrow(g.Object(0), g.Object(1))
	s.yield(g, 0, inline("0"))
	s.expect("not before the end", len(s.values), 0)
	s.crash(s.exec(g).Worker, "signal 9")
	s.expect("from the start", s.exec(g).From, uint32(0))
	s.yield(g, 0, inline("a"))
	s.yield(g, 1, inline("b"))
	s.result(g, StatusOK)
	s.value(g.Object(0), "a")
	s.value(g.Object(1), "b")
	for _, n := range []uint32{1, 3} {
		h := s.submit(cl)
		s.borrow(h.Object(0), h.Object(1))
		for i := range n {
			s.yield(h, i, stored)
		}
		s.result(h, StatusOK)
		for i := range uint32(2) {
			v := s.failed(h.Object(i), raygo.CodeCountMismatch)
			s.expect("counts", [2]int{v.Failure.Want, v.Failure.Got}, [2]int{2, int(n)})
		}
		s.expect("bytes go", len(s.deleted), int(n))
		s.deleted = map[raygo.ObjectID]int{}
	}
	skip := s.submit(s.define(gen()))
	s.yield(skip, 7, inline("v"))
	s.expect("a gap", s.streams[skip].Failure.Code, raygo.CodeApp)
	s.result(skip, StatusCancelled)
	s.free()
}

// behaviour 207: a stream that is passed on lives with its consumer
func TestStreamPassedOn(t *testing.T) {
	s := newSim(t, 2)
	g := s.submit(s.define(gen()))
	c := s.submit(s.define(opts()), func(e *Submit) { e.Streams = []raygo.TaskID{g} })
	s.release(g.Object(raygo.StreamIndex))
	s.expect("no stop", len(find[*Stop](s.all)), 0)
	p := s.procs[s.exec(c).Worker]
	s.yield(g, 0, inline("0"))
	s.one(&StreamOpen{Proc: p, Task: g})
	s.expect("state to the consumer", s.streams[g].Proc, p)
	s.one(&StreamTaken{Proc: p, Task: g, N: 1})
	s.expect("credit", s.credit(), uint32(1))
	s.ok(c, "v")
	s.expect("stop", len(find[*Stop](s.all)), 1)
	s.result(g, StatusCancelled)
	s.one(&StreamOpen{Proc: s.driver, Task: g})
	s.expect("closed", s.streams[g].Failure.Code, raygo.CodeObjectFreed)
	s.free()
}
