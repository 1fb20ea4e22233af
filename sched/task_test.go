package sched

import (
	"strings"
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
)

// behaviours 1, 5, 101, 143, 212
func TestChain(t *testing.T) {
	s := newSim(t, 2)
	cl := s.define(opts())
	a := s.submit(cl)
	b := s.submit(cl, deps(a))
	s.expect("b before a", s.state(b), raygo.PendingArgsAvail)
	s.ok(a, "x")
	s.value(a.Object(0), "x")
	e := s.exec(b)
	if len(e.Values) != 1 || string(e.Values[0].Value.Bytes) != "x" {
		t.Fatalf("b got %+v", e.Values)
	}
	s.ok(b, "y")
	s.value(b.Object(0), "y")
	s.expect("told", s.told[b.Object(0)], 1)
	s.release(a.Object(0), b.Object(0))
	s.expect("objects", s.objects(), 0)
	s.free()
}

// behaviours 98, 101, 143: dependents of a failure are not run, transitively,
// and their arguments are let go
func TestFailurePropagates(t *testing.T) {
	s := newSim(t, 2)
	cl := s.define(opts())
	a, other := s.submit(cl), s.submit(cl)
	b := s.submit(cl, deps(a, other))
	c := s.submit(cl, deps(b))
	s.fail(a, "boom")
	for _, id := range []raygo.TaskID{a, b, c} {
		if v := s.failed(id.Object(0), raygo.CodeApp); string(v.Bytes) != "boom" {
			t.Fatalf("task %d: %+v", id.Seq(), v)
		}
	}
	late := s.submit(cl, deps(c))
	s.failed(late.Object(0), raygo.CodeApp)
	s.ok(other, "fine")
	s.expect("runs", len(s.order), 2)
	s.release(a.Object(0), b.Object(0), c.Object(0), other.Object(0), late.Object(0))
	s.expect("objects", s.objects(), 0)
	s.free()
}

// A chain of any length may fail: no recursion.
func TestLongChainFails(t *testing.T) {
	s := newSim(t, 1)
	s.nocheck = true
	cl := s.define(opts())
	first := s.submit(cl)
	last := first
	for range 100_000 {
		last = s.submit(cl, deps(last))
	}
	s.fail(first, "boom")
	s.failed(last.Object(0), raygo.CodeApp)
	s.nocheck = false
	s.tick(0)
	s.free()
}

// behaviours 7, 100
func TestParts(t *testing.T) {
	s := newSim(t, 2)
	cl := s.define(opts(func(o *raygo.Options) { o.NumReturns = 3 }))
	none := s.define(opts(func(o *raygo.Options) { o.NumReturns = 0 }))

	a := s.submit(cl)
	s.borrow(a.Object(1), a.Object(2), a.Object(3))
	s.result(a, StatusOK, Value{Kind: Composite, Parts: 3}, inline("1"), inline("2"), inline("3"))
	s.value(a.Object(1), "1")
	s.value(a.Object(3), "3")
	s.expect("composite", s.values[a.Object(0)].Kind, Composite)
	// The parts live as long as the composite, and go one by one.
	s.release(a.Object(1))
	s.expect("objects", s.objects(), 4)
	s.release(a.Object(0))
	s.expect("objects", s.objects(), 2)
	s.release(a.Object(2), a.Object(3))

	b := s.submit(cl) // behaviour 100
	s.borrow(b.Object(1), b.Object(2), b.Object(3))
	s.fail(b, "boom")
	for i := range uint32(4) {
		s.failed(b.Object(i), raygo.CodeApp)
	}
	s.release(b.Object(0), b.Object(1), b.Object(2), b.Object(3))

	late := s.submit(cl) // behaviour 100: parts that are asked for when it has failed
	s.fail(late, "boom")
	s.borrow(late.Object(1), late.Object(2))
	s.want(late.Object(1), late.Object(2), late.Object(3))
	for i := range uint32(4) {
		s.failed(late.Object(i), raygo.CodeApp)
	}
	s.release(late.Object(0), late.Object(1), late.Object(2))

	for _, vs := range [][]Value{ // behaviour 7: another count, or rubbish
		{{Kind: Composite, Parts: 2}, inline("1"), inline("2")},
		{{Kind: Composite, Parts: 1 << 31}, inline("1"), inline("2"), inline("3")},
		{inline("1")}, {},
	} {
		d := s.submit(cl)
		s.borrow(d.Object(2))
		s.result(d, StatusOK, vs...)
		v := s.failed(d.Object(2), raygo.CodeCountMismatch)
		s.expect("want", v.Failure.Want, 3)
		s.failed(d.Object(0), raygo.CodeCountMismatch)
		s.release(d.Object(0), d.Object(2))
	}
	n := s.submit(none)
	s.result(n, StatusOK)
	s.expect("objects", s.objects(), 0)

	single := s.define(opts(func(o *raygo.Options) { o.OnePart = true })) // behaviour 7: one part is a part
	o := s.submit(single)
	s.borrow(o.Object(1))
	s.result(o, StatusOK, Value{Kind: Composite, Parts: 1}, inline("1"))
	s.expect("composite", s.values[o.Object(0)].Kind, Composite)
	s.value(o.Object(1), "1")
	s.release(o.Object(0))
	s.value(o.Object(1), "1")
	s.release(o.Object(1))
	for _, vs := range [][]Value{{inline("1")}, {{Kind: Composite, Parts: 2}, inline("1"), inline("2")}} {
		o := s.submit(single)
		s.borrow(o.Object(1))
		s.result(o, StatusOK, vs...)
		s.failed(o.Object(1), raygo.CodeCountMismatch)
		s.release(o.Object(0), o.Object(1))
	}
	s.free()
}

// Parts given to a task come with the composite.
func TestPartsAsArgument(t *testing.T) {
	s := newSim(t, 1)
	many, one := s.define(opts(func(o *raygo.Options) { o.NumReturns = 2 })), s.define(opts())
	a := s.submit(many)
	b := s.submit(one, deps(a))
	s.release(a.Object(0))
	s.result(a, StatusOK, Value{Kind: Composite, Parts: 2}, inline("1"), inline("2"))
	s.expect("values", len(s.exec(b).Values), 3)
	s.ok(b, "")
	s.release(b.Object(0))
	s.expect("objects", s.objects(), 0)
}

// behaviour 108, law 2: a result with an old award changes nothing
func TestStaleAward(t *testing.T) {
	s := newSim(t, 1)
	cl := s.define(opts())
	a := s.submit(cl)
	e := *s.exec(a)
	s.crash(e.Worker, "signal 9")
	x := s.exec(a)
	s.expect("attempt", x.Attempt, uint32(1))
	late := &Result{Worker: e.Worker, Task: a, Award: e.Award, Outcomes: []Outcome{{Value: inline("old")}}}
	s.one(late)
	late.Worker = x.Worker
	s.one(late)
	s.one(&Blocked{Worker: x.Worker, Task: a, Award: e.Award})
	s.one(&Returned{Worker: x.Worker, Tasks: []Mark{{Task: a, Award: e.Award}}})
	s.expect("effects", len(find[*Notify](s.all)), 0)
	late.Outcomes[0].Value = Value{Kind: Stored, Store: a.Object(0), Size: 1 << 20}
	s.one(late)
	s.expect("deleted", s.deleted[a.Object(0)], 1)
	s.expect("state", s.state(a), raygo.Running)
	s.ok(a, "new")
	s.value(a.Object(0), "new")
}

// behaviours 84, 87: a place that cannot be, and one that may come
func TestStrategies(t *testing.T) {
	s := newSim(t, 1, func(c *Config) { c.Labels = map[string]string{"zone": "eu"} })
	at := func(st raygo.Strategy) raygo.TaskID {
		return s.submit(s.define(opts(func(o *raygo.Options) { o.Strategy = st; o.CPU = 0 })))
	}
	hard := at(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: "other"})
	s.failed(hard.Object(0), raygo.CodeUnschedulable)
	s.exec(at(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: "self"}))
	s.exec(at(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: "other", Soft: true}))
	s.exec(at(raygo.Strategy{Kind: raygo.StrategySpread}))
	for sel, runs := range map[string]bool{
		"zone=eu": true, "zone!=us": true, "zone in (eu,us)": true, "zone !in (us)": true, "disk!=hdd": true,
		"zone=us": false, "disk=ssd": false, "zone in (us)": false,
	} {
		id := at(raygo.Strategy{Kind: raygo.StrategyLabels, Selector: sel})
		s.expect(sel, s.running[id] != nil, runs)
	}
	s.failed(at(raygo.Strategy{Kind: raygo.StrategyLabels, Selector: "zone"}).Object(0), raygo.CodeUnschedulable)
}

// behaviours 67, 228: an infeasible shape is warned about once and stays
func TestInfeasible(t *testing.T) {
	s := newSim(t, 1)
	cl := s.define(opts(func(o *raygo.Options) { o.CPU = q(4); o.Custom = map[string]raygo.Quantity{"x": q(1)} }))
	a := s.submit(cl)
	s.submit(cl)
	s.expect("warnings", len(s.warns), 1)
	if !strings.Contains(s.warns[0], "CPU 4 of 1") || !strings.Contains(s.warns[0], `"x"`) {
		t.Fatal(s.warns[0])
	}
	s.expect("state", s.state(a), raygo.PendingNodeAssignment)
	d := s.c.Demands()
	if len(d) != 1 || d[0].Count != 2 || d[0].Infeasible == "" {
		t.Fatalf("%+v", d)
	}
	s.exec(s.submit(s.define(opts())))
}

func TestPendingTimeout(t *testing.T) {
	s := newSim(t, 1)
	cl := s.define(opts(func(o *raygo.Options) { o.PendingTimeout = 3 * time.Second }))
	a, b := s.submit(cl), s.submit(cl)
	s.tick(4 * time.Second)
	s.failed(b.Object(0), raygo.CodePendingTimeout)
	s.ok(a, "")
	s.held = true // a worker that does not come: the place it was to have is free again
	other := s.define(opts(func(o *raygo.Options) { o.PendingTimeout = time.Second; o.Env = map[string]string{"A": "1"} }))
	d := s.submit(other)
	s.tick(2 * time.Second)
	s.failed(d.Object(0), raygo.CodePendingTimeout)
	s.free()
	s.started(find[*StartWorker](s.all)[len(find[*StartWorker](s.all))-1].Worker)
	s.free()
}

// Drain refuses new tasks, not those of running ones. Behaviour 96.
func TestDrain(t *testing.T) {
	s := newSim(t, 2)
	cl := s.define(opts())
	a := s.submit(cl)
	s.one(&Drain{})
	s.one(&Drain{})
	s.failed(s.submit(cl).Object(0), raygo.CodeUnschedulable)
	k := s.submit(cl, s.child(a))
	s.ok(k, "")
	s.ok(a, "")
	s.free()
}

// Law 9: the bound on unfinished tasks is said.
func TestMaxTasks(t *testing.T) {
	s := newSim(t, 1, func(c *Config) { c.MaxTasks = 3 })
	cl := s.define(opts())
	a := s.submit(cl)
	s.submit(cl)
	s.submit(cl)
	s.failed(s.submit(cl).Object(0), raygo.CodeQueueFull)
	s.ok(a, "")
	s.submit(cl)
	s.expect("unfinished", s.c.Counts().Unfinished, 3)
}
