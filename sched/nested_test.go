package sched

import (
	"fmt"
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
)

func (s *sim) freeOf(name string) float64 {
	_, free := s.c.Capacity()
	return free[name]
}

// behaviours 50, 52, 54, 213
func TestBlockedGivesItsCPUBack(t *testing.T) {
	s := newSim(t, 1, func(c *Config) {
		c.Resources.GPUIDs = []string{"0"}
		c.Resources.Custom = map[string]raygo.Quantity{"x": q(1)}
	})
	parent := s.define(opts(func(o *raygo.Options) {
		o.CPU, o.GPU, o.Memory, o.Custom = q(0.75), q(0.5), 1<<20, map[string]raygo.Quantity{"x": q(0.3)}
	}))
	kid := s.define(opts())
	p := s.submit(parent)
	k := s.submit(kid, s.child(p))
	s.expect("child", s.state(k), raygo.PendingNodeAssignment)
	s.block(p)
	s.expect("parent", s.state(p), raygo.RunningInGet)
	s.expect("child", s.state(k), raygo.Running)
	s.expect("GPU stays held", s.freeOf(raygo.GPU), 0.5)
	s.expect("x stays held", s.freeOf("x"), 0.7)
	s.expect("memory stays held", s.freeOf(raygo.Memory), float64(1<<30-1<<20))
	s.expect("CPU", s.freeOf(raygo.CPU), 0.0)
	s.unblock(p)
	s.unblock(p)
	s.expect("no CPU, no resume", len(find[*Resume](s.all)), 0)
	s.expect("parent", s.state(p), raygo.RunningInGet)
	other := s.submit(kid)
	s.ok(k, "v")
	s.expect("resumed before a new task", len(find[*Resume](s.all)), 1)
	s.expect("parent", s.state(p), raygo.Running)
	s.expect("other", s.state(other), raygo.PendingNodeAssignment)
	s.ok(p, "v")
	s.ok(other, "v")
	s.free()

	w := s.submit(parent)
	x := s.exec(w)
	s.one(&Blocked{Worker: x.Worker, Task: w, Award: x.Award, InWait: true})
	s.expect("in wait", s.state(w), raygo.RunningInWait)
	s.crash(x.Worker, "signal 9") // behaviour 70: back once
	s.ok(w, "v")
	s.free()
}

// A blocked task with much to take back is not starved by small ones.
func TestResumeIsNotStarved(t *testing.T) {
	s := newSim(t, 2)
	big, small := s.define(opts(func(o *raygo.Options) { o.CPU = q(2) })), s.define(opts(func(o *raygo.Options) { o.CPU = q(0.5) }))
	p := s.submit(big)
	s.block(p)
	var ks []raygo.TaskID
	for range 8 {
		ks = append(ks, s.submit(small))
	}
	s.unblock(p)
	for i, k := range ks[:4] {
		s.expect(fmt.Sprint("resumed after ", i), len(find[*Resume](s.all)), 0)
		s.ok(k, "v")
	}
	s.expect("resumed", len(find[*Resume](s.all)), 1)
	s.expect("others wait", s.state(ks[4]), raygo.PendingNodeAssignment)
}

// drive plays a program: plan says what a task submits when it begins; it then
// blocks for its children and ends when all have.
func (s *sim) drive(plan func(raygo.TaskID) int, cl ClassID, level map[raygo.TaskID]int) {
	s.t.Helper()
	waits, parent := map[raygo.TaskID]int{}, map[raygo.TaskID]raygo.TaskID{}
	begun := map[raygo.TaskID]bool{}
	for steps := 0; len(s.running) > 0; steps++ {
		if steps > 2_000_000 {
			s.t.Fatal("no end")
		}
		moved := false
		for len(s.order) > 0 {
			id := s.order[0]
			s.order = s.order[1:]
			if begun[id] || s.running[id] == nil {
				continue
			}
			begun[id], moved = true, true
			n := plan(id)
			for range n {
				k := s.submit(cl, func(e *Submit) { level[e.Task] = level[id] - 1; parent[e.Task] = id }, s.child(id))
				_ = k
			}
			if waits[id] = n; n > 0 {
				s.block(id)
				continue
			}
			s.end(id, waits, parent)
		}
		for _, e := range find[*Resume](s.take()) {
			if waits[e.Task] == 0 && s.running[e.Task] != nil {
				s.end(e.Task, waits, parent)
				moved = true
			}
		}
		if !moved {
			s.t.Fatalf("%d tasks run and nothing moves", len(s.running))
		}
	}
}

// take is what was done since it was last called.
func (s *sim) take() []Effect {
	all := s.all
	s.all = nil
	return all
}

func (s *sim) end(id raygo.TaskID, waits map[raygo.TaskID]int, parent map[raygo.TaskID]raygo.TaskID) {
	s.ok(id, "v")
	if p, ok := parent[id]; ok {
		if waits[p]--; waits[p] == 0 {
			s.unblock(p)
		}
	}
}

// behaviours 50, 54, 55: 1000 parents of 3 children on 2 CPUs
func TestManyParents(t *testing.T) {
	s := newSim(t, 2, func(c *Config) { c.MaxWorkers = 16 })
	s.nocheck = true // 4000 tasks: the laws are checked at the end
	cl := s.define(opts())
	level := map[raygo.TaskID]int{}
	for range 1000 {
		level[s.submit(cl)] = 1
	}
	s.drive(func(id raygo.TaskID) int { return 3 * level[id] }, cl, level)
	s.nocheck = false
	s.tick(0)
	s.free()
	s.expect("finished", s.c.Jobs()[0].Finished, 4000)
	if s.peak > 6 {
		t.Fatalf("%d workers: parents were started before children", s.peak)
	}
}

// behaviours 9, 58, 240: fib on 2 CPUs with fewer workers than levels
func TestFib(t *testing.T) {
	s := newSim(t, 2, func(c *Config) { c.MaxWorkers = 4 })
	s.nocheck = true
	cl := s.define(opts())
	level := map[raygo.TaskID]int{}
	level[s.submit(cl)] = 12
	s.drive(func(id raygo.TaskID) int {
		if level[id] <= 0 {
			return 0
		}
		return 2
	}, cl, level)
	s.nocheck = false
	s.tick(0)
	s.free()
	s.expect("finished", s.c.Jobs()[0].Finished, 1<<13-1)
	if s.peak > 40 {
		t.Fatalf("%d workers for 13 levels on 2 CPUs", s.peak)
	}
}

// behaviour 55: all processes blocked on something that is not their child
func TestBlockedOnShallowTask(t *testing.T) {
	s := newSim(t, 1, func(c *Config) { c.MaxWorkers = 2 })
	cl := s.define(opts())
	a := s.submit(cl)
	b := s.submit(cl, s.child(a))
	s.block(a)
	s.block(b)
	u := s.submit(cl) // what b waits for; not deeper than anything
	s.ok(u, "v")
	s.unblock(b)
	s.ok(b, "v")
	s.unblock(a)
	s.ok(a, "v")
	s.free()
}

// behaviour 56
func TestChildOutlivesParent(t *testing.T) {
	s := newSim(t, 1)
	cl := s.define(opts())
	p := s.submit(cl)
	k := s.submit(cl, s.child(p))
	proc := s.procs[s.exec(p).Worker]
	s.one(&Release{Proc: proc, Objects: []raygo.ObjectID{k.Object(0)}})
	s.ok(p, "v")
	s.result(k, StatusOK, Value{Kind: Stored, Store: k.Object(0), Size: 1 << 20})
	s.expect("its result is freed", s.deleted[k.Object(0)], 1)
	s.expect("parent in the record", s.ended[len(s.ended)-1].Parent, p)
	s.release(p.Object(0))
	s.expect("objects", s.objects(), 0)
}

// behaviours 59, 217: a parent that is gone for good takes its children along
func TestParentFails(t *testing.T) {
	s := newSim(t, 4)
	cl := s.define(opts(func(o *raygo.Options) { o.MaxRetries = 0 }))
	p := s.submit(cl)
	k := s.submit(cl, s.child(p))
	g := s.submit(cl, s.child(k))
	queued := s.submit(s.define(opts(func(o *raygo.Options) { o.CPU = q(4) })), s.child(g))
	s.crash(s.exec(p).Worker, "exit code 3")
	s.failed(p.Object(0), raygo.CodeWorkerCrashed)
	s.expect("queued grandchild", s.state(queued), raygo.Finished)
	s.expect("stops", len(find[*Stop](s.all)), 2)
	s.result(k, StatusCancelled)
	s.result(g, StatusCancelled)
	n := 0
	for _, e := range s.ended {
		if e.Final && e.State == raygo.Failed {
			n++
		}
	}
	s.expect("failed rows", n, 4)
	s.free()
	_ = time.Second
}
