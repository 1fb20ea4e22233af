package sched

import (
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
)

// Law 9: what one peer may have another keep has a bound, and what is past it is said.

// A peer that has as many jobs open as it may is told so of the next; its tasks run
// elsewhere, and its program hears why. Where a job ends there is room for another.
func TestJobsPastTheBound(t *testing.T) {
	tw := newTown(t, 3, 1)
	tw.quick = true
	a, b, other := tw.sites[0], tw.sites[1], tw.sites[2]
	job := func(n int) raygo.JobID { return raygo.JobID{255, byte(n >> 8), byte(n)} }
	for n := range maxTheirJobs + 100 {
		b.step(&Received{From: a.id, Msg: &JobOpen{Job: job(n)}})
	}
	if n := len(b.c.jobs); n != maxTheirJobs {
		t.Fatalf("it keeps %d jobs of one peer", n)
	}
	if n := b.c.Counts().PastBound; n != 100 {
		t.Fatalf("%d were counted as past the bound", n)
	}
	a.start()
	cl := a.define("f", &kind{run: 10 * time.Millisecond}, opts(strategy(raygo.Strategy{Kind: raygo.StrategySpread})))
	var ids []raygo.ObjectID
	for range 20 {
		ids = append(ids, a.submit(cl))
		tw.run(300 * time.Millisecond)
	}
	a.all(ids)
	if b.ran > 0 || other.ran == 0 {
		t.Fatalf("%v tasks ran", tw.counts())
	}
	if n := b.c.Counts().PastBound; n < 102 || len(a.warns) != 1 {
		t.Fatalf("its program was told %q; %d were refused", a.warns, n)
	}
	other.start()
	other.submit(other.define("g", &kind{run: time.Millisecond}, onPeer(b)))
	tw.run(time.Second)
	if b.ran != 1 {
		t.Fatal("the jobs of one peer keep those of another out")
	}
	b.step(&Received{From: a.id, Msg: &JobOver{Job: job(0)}})
	ids = append(ids, a.submit(a.define("h", &kind{run: time.Millisecond}, onPeer(b))))
	tw.run(5 * time.Second)
	a.all(ids)
	if b.ran != 2 {
		t.Fatal("there is no room where a job ended")
	}
}

// The processes of a peer that are attached to jobs of another likewise: one past the
// bound gets answers, and the next can attach when one has left.
func TestProcsPastTheBound(t *testing.T) {
	tw := newTown(t, 2, 1)
	a, b := tw.sites[0].startDetached(), tw.sites[1]
	kept := a.submit(a.define("f", &kind{run: time.Millisecond}, opts()))
	tw.run(time.Second)
	b.attach(a.job)
	tw.quick = true
	proc := func(n int) raygo.ProcID { return raygo.ProcID(uint64(b.tag)<<32 | uint64(1<<20+n)) }
	for n := range maxTheirProcs + 99 {
		a.step(&Received{From: b.id, Msg: &ProcJoined{Proc: proc(n), Job: a.job}})
	}
	if n := len(a.c.procs); n > maxTheirProcs+2 {
		t.Fatalf("it keeps %d processes", n)
	}
	if n := a.c.Counts().PastBound; n != 100 {
		t.Fatalf("%d were counted as past the bound", n)
	}
	b.attach(a.job)
	tw.quick = false
	gen := b.define("gen", &kind{}, generator(opts()))
	cl := b.define("g", &kind{run: time.Millisecond}, opts())
	x, y := b.submit(cl), b.submit(gen).Task()
	b.take(kept)
	z := raygo.NewTaskID(a.job, a.driver, 77)
	b.step(&StreamOpen{Proc: b.driver, Task: z})
	b.outcome[5] = 99
	b.step(&Cancel{Request: 5, Proc: b.driver, Task: kept.Task()})
	tw.run(time.Second)
	for _, id := range []raygo.ObjectID{x, kept} {
		if v := b.values[id]; v.Kind != Failed || v.Code != raygo.CodeQueueFull {
			t.Errorf("%s: %+v", id, v)
		}
	}
	for _, id := range []raygo.TaskID{y, z} {
		if st := b.streams[id]; st == nil || !st.Ended || st.Failure.Code != raygo.CodeQueueFull {
			t.Errorf("stream of %s: %+v", id, st)
		}
	}
	if b.outcome[5] != Unreachable {
		t.Errorf("cancel: %v", b.outcome[5])
	}
	a.step(&Received{From: b.id, Msg: &ProcLeft{Proc: proc(0)}})
	b.attach(a.job)
	b.take(kept)
	x = b.submit(b.define("again", &kind{run: time.Millisecond}, opts()))
	tw.run(time.Second)
	b.all([]raygo.ObjectID{kept, x})
}
