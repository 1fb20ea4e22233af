package sched

import (
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
)

// onPeer are the options of tasks that can run on one peer only.
func onPeer(s *site) raygo.Options {
	return opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: s.id}))
}

// behaviour 58
func TestTreeOverPeers(t *testing.T) {
	for _, n := range []int{2, 5} {
		tw := newTown(t, n, 1)
		a := tw.sites[0].start()
		ids := map[string]ClassID{} // by site: the worker's own number of the class
		var cl ClassID
		k := &kind{}
		k.do = func(s *site, e *Execute) {
			level := e.Args[0]
			if level == 0 {
				tw.after(5*time.Millisecond, func() { s.finish(e, Value{Kind: Inline, Bytes: []byte{1}}) })
				return
			}
			own := cl
			if s != a {
				if ids[s.id] == 0 {
					s.nextC++
					ids[s.id] = s.nextC
					s.names[s.nextC] = "fib"
					s.step(&ClassDefined{Class: s.nextC, Job: a.job, Function: "fib", Options: opts(), Def: []byte("fib")})
				}
				own = ids[s.id]
			}
			var kids []raygo.ObjectID
			for range 2 {
				s.seq++
				id := raygo.NewTaskID(a.job, s.procs[e.Worker], s.seq)
				s.step(&Submit{Task: id, Class: own, Proc: s.procs[e.Worker], Parent: e.Task, Args: []byte{level - 1}})
				kids = append(kids, id.Object(0))
			}
			s.await(e, kids, func() {
				s.step(&Release{Proc: s.procs[e.Worker], Objects: kids})
				s.finish(e, Value{Kind: Inline, Bytes: []byte{level}})
			})
		}
		cl = a.define("fib", k, opts())
		root := raygo.NewTaskID(a.job, a.driver, 1)
		a.step(&Submit{Task: root, Class: cl, Proc: a.driver, Args: []byte{6}})
		tw.run(60 * time.Second)
		a.all([]raygo.ObjectID{root.Object(0)})
		busy := 0
		for _, s := range tw.sites {
			if s.ran > 0 {
				busy++
			}
			if s.c.led.free != s.c.led.total {
				t.Fatalf("%s: free %v of %v after the end", s.id, s.c.led.free, s.c.led.total)
			}
		}
		if busy < 2 {
			t.Fatalf("a tree of 127 tasks ran on %v", tw.counts())
		}
		if j := a.c.jobs[a.job]; j.objects.n != 1 {
			t.Fatalf("%d records are left", j.objects.n)
		}
	}
}

// behaviours 181, 172, 174
func TestCancelElsewhere(t *testing.T) {
	tw := newTown(t, 2, 1)
	a, b := tw.sites[0].start(), tw.sites[1]
	cl := a.define("f", &kind{run: time.Hour}, onPeer(b))
	x, y := a.submit(cl), a.submit(cl)
	tw.run(time.Second)
	a.step(&Cancel{Request: 1, Proc: a.driver, Task: x.Task(), Recursive: true})
	a.step(&Cancel{Request: 2, Proc: a.driver, Task: y.Task(), Recursive: true})
	tw.run(time.Second)
	if o, ok := a.outcome[1]; !ok || o != Stopped {
		t.Fatalf("cancel of the running one: %v %v", o, ok)
	}
	if o, ok := a.outcome[2]; !ok || o != NeverStarted {
		t.Fatalf("cancel of the waiting one: %v %v", o, ok)
	}
	for _, id := range []raygo.ObjectID{x, y} {
		if v := a.values[id]; v.Code != raygo.CodeCancelled {
			t.Fatalf("%+v", v)
		}
	}
	if b.c.led.free != b.c.led.total || tw.runs[y.Task()] != 0 {
		t.Fatal("something still runs")
	}
}

// generate yields items of a big value each, as credit allows, and ends.
func generate(n uint32, pause time.Duration) func(s *site, e *Execute) {
	return func(s *site, e *Execute) {
		taken := e.Taken
		var next func(i uint32)
		next = func(i uint32) {
			if s.dead || s.execs[e.Task] != e {
				return
			}
			if i == n {
				s.over(&Result{Worker: e.Worker, Task: e.Task, Award: e.Award, Items: n})
				return
			}
			if c := max(taken, s.credits[e.Task]); uint64(i) >= uint64(c)+4 {
				s.tw.after(time.Millisecond, func() { next(i) })
				return
			}
			id := e.Task.Object(i)
			s.store[id] = true
			s.step(&Yield{Worker: e.Worker, Task: e.Task, Award: e.Award, Outcome: Outcome{Index: i, Value: Value{Kind: Stored, Size: 1 << 20, Store: id}}})
			s.tw.after(pause, func() { next(i + 1) })
		}
		s.tw.after(pause, func() { next(e.From) })
	}
}

func generator(o raygo.Options) raygo.Options {
	o.Generator, o.BackpressureItems = true, 4
	return o
}

// behaviours 188, 190, 194, 203
func TestGeneratorElsewhere(t *testing.T) {
	tw := newTown(t, 3, 2)
	a, b := tw.sites[0].start(), tw.sites[1]
	soft := opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: b.id, Soft: true}))
	cl := a.define("gen", &kind{do: generate(20, 5*time.Millisecond)}, generator(soft))
	id := a.submit(cl).Task()
	tw.run(time.Second)
	if st := a.streams[id]; st == nil || st.Produced != 4 {
		t.Fatalf("without a consumer: %+v", st)
	}
	a.step(&StreamTaken{Proc: a.driver, Task: id, N: 4})
	tw.run(time.Second)
	if st := a.streams[id]; st.Produced != 8 {
		t.Fatalf("4 taken: %+v", st)
	}
	var refs []raygo.ObjectID
	for i := range uint32(20) {
		refs = append(refs, id.Object(i))
	}
	a.step(&Borrow{Proc: a.driver, Objects: refs[4:]})
	tw.run(time.Second)
	if st := a.streams[id]; st.Produced != 20 || !st.Ended {
		t.Fatalf("all asked for: %+v", st)
	}
	tw.kill(b)
	tw.run(3 * time.Second)
	a.want(refs[12], refs[15])
	tw.run(5 * time.Second)
	a.all([]raygo.ObjectID{refs[12], refs[15]})
	if tw.runs[id] != 2 {
		t.Fatalf("the generator ran %d times", tw.runs[id])
	}
}

// behaviour 204
func TestItemLostWhileProducing(t *testing.T) {
	tw := newTown(t, 3, 2)
	a, b := tw.sites[0].start(), tw.sites[1]
	soft := opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: b.id, Soft: true}))
	cl := a.define("gen", &kind{do: generate(20, 50*time.Millisecond)}, generator(soft))
	id := a.submit(cl).Task()
	a.step(&Borrow{Proc: a.driver, Objects: []raygo.ObjectID{id.Object(19), id.Object(0)}})
	tw.run(500 * time.Millisecond)
	tw.kill(b)
	tw.run(2 * time.Second)
	a.want(id.Object(0))
	tw.run(10 * time.Second)
	a.all([]raygo.ObjectID{id.Object(0)})
	if st := a.streams[id]; st.Produced != 20 || !st.Ended || st.Failure.Kind != None {
		t.Fatalf("%+v", st)
	}
}

// behaviours 118, 126
func TestLostForGood(t *testing.T) {
	tw := newTown(t, 4, 2)
	a := tw.sites[0].start()
	o := opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: "p1", Soft: true}), func(o *raygo.Options) { o.MaxRetries = 0 })
	x := a.submit(a.define("f", &kind{run: time.Millisecond, big: 1 << 20}, o))
	tw.run(time.Second)
	tw.kill(tw.sites[1])
	tw.run(2 * time.Second)
	a.want(x)
	tw.run(time.Second)
	if v := a.values[x]; v.Kind != Failed || v.Code != raygo.CodeObjectLost {
		t.Fatalf("max retries 0: %+v", v)
	}
}

// behaviour 108
func TestFalseDeath(t *testing.T) {
	tw := newTown(t, 2, 2)
	a, b := tw.sites[0].start(), tw.sites[1]
	o := opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: b.id, Soft: true}))
	cl := a.define("f", &kind{run: 500 * time.Millisecond}, o)
	x := a.submit(cl)
	tw.run(100 * time.Millisecond)
	a.step(&PeerDown{Peer: b.id, Reason: "paused"})
	tw.run(100 * time.Millisecond)
	// b goes on as if nothing had happened: its result comes from a peer that is not there.
	tw.run(2 * time.Second)
	a.all([]raygo.ObjectID{x})
	if tw.where[x.Task()] != a || tw.runs[x.Task()] != 2 {
		t.Fatalf("ran %d times, last on %s", tw.runs[x.Task()], tw.where[x.Task()].id)
	}
	b.step(&PeerDown{Peer: a.id, Reason: "the link broke"})
	a.step(b.up(b.c.cfg))
	b.step(a.up(a.c.cfg))
	y := a.submit(cl)
	tw.run(2 * time.Second)
	a.all([]raygo.ObjectID{y})
	if tw.where[y.Task()] != b {
		t.Fatal("the peer that came back was not used")
	}
}

func TestReplicas(t *testing.T) {
	tw := newTown(t, 4, 2)
	a := tw.sites[0].start()
	a.seq++
	id := raygo.NewTaskID(a.job, a.driver, a.seq).Object(0)
	a.store[id] = true
	a.step(&Put{Object: id, Proc: a.driver, Value: Value{Kind: Stored, Size: 1 << 20, Store: id}})
	a.step(&Replicate{Proc: a.driver, Object: id, Copies: 3})
	count := func() (n int) {
		for _, s := range tw.sites {
			if !s.dead && s.store[id] {
				n++
			}
		}
		return n
	}
	tw.run(time.Second)
	if count() != 3 {
		t.Fatalf("%d copies", count())
	}
	for _, s := range tw.sites[1:] {
		if s.store[id] {
			tw.kill(s)
			break
		}
	}
	tw.run(5 * time.Second)
	if count() != 3 {
		t.Fatalf("%d copies after a holder died", count())
	}
	a.step(&Release{Proc: a.driver, Objects: []raygo.ObjectID{id}})
	tw.run(time.Second)
	if count() != 0 {
		t.Fatalf("%d copies after the release", count())
	}
}

// behaviour 88: selectors are tried in order, as peers come and go.
func TestFallbackSelectors(t *testing.T) {
	tw := newTown(t, 1, 0) // the owner has no CPUs
	a := tw.sites[0].start()
	slow := tw.add("slow", 2, map[string]string{"tier": "slow"})
	cl := a.define("f", &kind{run: time.Millisecond}, opts(strategy(raygo.Strategy{Kind: raygo.StrategyLabels, Selector: "tier=fast;tier=slow"})))
	on := func(want *site) {
		t.Helper()
		before := want.ran
		ids := []raygo.ObjectID{a.submit(cl), a.submit(cl), a.submit(cl)}
		tw.run(time.Second)
		a.all(ids)
		if want.ran != before+3 {
			t.Fatalf("%d of 3 tasks ran on %s", want.ran-before, want.id)
		}
	}
	on(slow)
	fast := tw.add("fast", 1, map[string]string{"tier": "fast"})
	on(fast)
	tw.kill(fast)
	tw.run(2 * time.Second)
	on(slow)
	tw.kill(slow)
	tw.run(2 * time.Second)
	id := a.submit(cl)
	tw.run(5 * time.Second)
	if v := a.values[id]; v.Kind != None {
		t.Fatalf("with nobody there: %+v", v)
	}
	tw.add("again", 1, map[string]string{"tier": "slow"})
	tw.run(2 * time.Second)
	a.all([]raygo.ObjectID{id})
}
