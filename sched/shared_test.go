package sched

import (
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
)

func strategy(s raygo.Strategy) func(*raygo.Options) {
	return func(o *raygo.Options) { o.Strategy = s }
}

// all fails the test unless every object has a value.
func (s *site) all(ids []raygo.ObjectID) {
	s.tw.t.Helper()
	for i, id := range ids {
		if v := s.values[id]; v.Kind != Inline && v.Kind != Stored {
			view, _ := s.c.Task(id.Task())
			s.tw.t.Fatalf("object %d of %d has no value: %+v, task %+v", i, len(ids), v, view)
		}
	}
}

func TestTwoPeersShare(t *testing.T) {
	tw := newTown(t, 2, 4)
	a := tw.sites[0].start()
	cl := a.define("f", &kind{run: 100 * time.Millisecond}, opts())
	var ids []raygo.ObjectID
	for range 8 {
		ids = append(ids, a.submit(cl))
	}
	tw.run(5 * time.Second)
	a.all(ids)
	if n := tw.counts(); n[0] != 4 || n[1] != 4 {
		t.Fatalf("8 tasks on two peers of 4 CPUs landed %v", n)
	}
	t.Log(tw.sent)
}

// behaviour 74
func TestThreePeersShare(t *testing.T) {
	tw := newTown(t, 3, 2)
	a := tw.sites[0].start()
	cl := a.define("f", &kind{run: 20 * time.Millisecond}, opts())
	var ids []raygo.ObjectID
	for range 1000 {
		ids = append(ids, a.submit(cl))
	}
	tw.run(20 * time.Second)
	a.all(ids)
	n := tw.counts()
	for _, k := range n {
		if k < 100 {
			t.Fatalf("1000 tasks landed %v", n)
		}
	}
	t.Log(n, tw.sent)
}

// behaviour 80
func TestSpread(t *testing.T) {
	for _, n := range []int{2, 5, 9} {
		tw := newTown(t, n, 2)
		a := tw.sites[0].start()
		cl := a.define("f", &kind{run: 50 * time.Millisecond}, opts(strategy(raygo.Strategy{Kind: raygo.StrategySpread})))
		var ids []raygo.ObjectID
		for range 10 * n {
			ids = append(ids, a.submit(cl))
		}
		tw.run(20 * time.Second)
		a.all(ids)
		least, most := 1<<30, 0
		for _, k := range tw.counts() {
			least, most = min(least, k), max(most, k)
		}
		if most-least > 2 {
			t.Fatalf("%d peers: SPREAD landed %v", n, tw.counts())
		}
	}
}

func TestPack(t *testing.T) {
	tw := newTown(t, 4, 4)
	a := tw.sites[0].start()
	cl := a.define("f", &kind{run: time.Second}, opts(strategy(raygo.Strategy{Kind: raygo.StrategyPack})))
	var ids []raygo.ObjectID
	for range 8 {
		ids = append(ids, a.submit(cl))
	}
	tw.run(5 * time.Second)
	a.all(ids)
	used := 0
	for _, k := range tw.counts() {
		if k > 0 {
			used++
		}
	}
	if used != 2 {
		t.Fatalf("8 tasks were packed onto %v", tw.counts())
	}
}

// behaviour 81
func TestArgumentDrawsTask(t *testing.T) {
	tw := newTown(t, 3, 2)
	a, b := tw.sites[0].start(), tw.sites[1]
	make := a.define("make", &kind{run: 10 * time.Millisecond, big: 64 << 20}, opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: b.id})))
	use := a.define("use", &kind{run: 10 * time.Millisecond}, opts())
	x := a.submit(make)
	tw.run(time.Second)
	y := a.submit(use, x)
	tw.run(time.Second)
	a.all([]raygo.ObjectID{x, y})
	if tw.where[y.Task()] != b {
		d, _ := a.c.Explain(y.Task())
		t.Fatalf("the task ran on %s: %+v", tw.where[y.Task()].id, d)
	}
}

// behaviour 84
func TestHardAffinity(t *testing.T) {
	tw := newTown(t, 2, 1)
	a, b := tw.sites[0].start(), tw.sites[1]
	cl := a.define("f", &kind{run: 50 * time.Millisecond}, opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: b.id})))
	var ids []raygo.ObjectID
	for range 20 {
		ids = append(ids, a.submit(cl))
	}
	tw.run(5 * time.Second)
	a.all(ids)
	if n := tw.counts(); n[0] != 0 || n[1] != 20 {
		t.Fatalf("landed %v", n)
	}
	t.Log(tw.sent)
	long := a.define("long", &kind{run: time.Hour}, opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: b.id})))
	x, y := a.submit(long), a.submit(long)
	tw.run(time.Second)
	tw.kill(b)
	tw.run(10 * time.Second)
	for _, id := range []raygo.ObjectID{x, y} {
		if v := a.values[id]; v.Kind != Failed || v.Code != raygo.CodeUnschedulable {
			t.Fatalf("with its peer dead: %+v", v)
		}
	}
}

// behaviour 116
func TestPeerDies(t *testing.T) {
	tw := newTown(t, 3, 2)
	a, b := tw.sites[0].start(), tw.sites[1]
	cl := a.define("f", &kind{run: 100 * time.Millisecond, big: 1 << 20}, opts())
	var ids []raygo.ObjectID
	for range 30 {
		ids = append(ids, a.submit(cl))
	}
	tw.run(300 * time.Millisecond)
	tw.kill(b)
	tw.run(10 * time.Second)
	a.want(ids...)
	tw.run(10 * time.Second)
	a.all(ids)
	again := 0
	for _, n := range tw.runs {
		if n > 1 {
			again++
		}
	}
	if again == 0 {
		t.Fatal("nothing was made again, though a peer died with results")
	}
	t.Log(again, "ran again;", tw.counts(), tw.sent)
}

// behaviours 119, 128
func TestLostChain(t *testing.T) {
	tw := newTown(t, 3, 2)
	a, b := tw.sites[0].start(), tw.sites[1]
	at := opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: b.id, Soft: true}))
	cl := a.define("f", &kind{run: 10 * time.Millisecond, big: 1 << 20}, at)
	var ids []raygo.ObjectID
	x := a.submit(cl)
	ids = append(ids, x)
	for range 19 {
		x = a.submit(cl, x)
		ids = append(ids, x)
	}
	tw.run(3 * time.Second)
	a.all(ids)
	for _, id := range ids[:19] { // only the last is still held: the others can go
		a.step(&Release{Proc: a.driver, Objects: []raygo.ObjectID{id}})
	}
	tw.run(time.Second)
	tw.kill(b)
	tw.run(5 * time.Second)
	a.want(x)
	tw.run(10 * time.Second)
	a.all([]raygo.ObjectID{x})
	for i, id := range ids {
		if n := tw.runs[id.Task()]; n != 2 {
			t.Fatalf("task %d of the chain ran %d times", i, n)
		}
	}
}

func TestNothingIsLeft(t *testing.T) {
	tw := newTown(t, 3, 2)
	a := tw.sites[0].start()
	cl := a.define("f", &kind{run: 10 * time.Millisecond, big: 1 << 20}, opts())
	var ids []raygo.ObjectID
	for range 50 {
		ids = append(ids, a.submit(cl))
	}
	tw.run(5 * time.Second)
	a.all(ids)
	a.step(&Release{Proc: a.driver, Objects: ids})
	tw.run(5 * time.Second)
	for _, s := range tw.sites {
		if len(s.store) > 0 || s.c.led.free != s.c.led.total {
			t.Fatalf("%s still has %d objects, free %v", s.id, len(s.store), s.c.led.free)
		}
		if j := s.c.jobs[a.job]; s == a && (j.objects.n > 0 || len(j.lineage) > 0) {
			t.Fatalf("%d records, %d lineages", j.objects.n, len(j.lineage))
		}
	}
	a.step(&ProcGone{Proc: a.driver})
	tw.run(time.Second)
	for _, s := range tw.sites {
		if len(s.c.jobs) > 0 || len(s.c.workers) > 0 || len(s.c.classes) > 0 {
			t.Fatalf("%s: %d jobs, %d workers, %d classes after the end", s.id, len(s.c.jobs), len(s.c.workers), len(s.c.classes))
		}
	}
}

// behaviour 95
func TestPeerJoinsDuringBacklog(t *testing.T) {
	tw := newTown(t, 2, 1)
	a := tw.sites[0].start()
	cl := a.define("f", &kind{run: 100 * time.Millisecond}, opts())
	for range 200 {
		a.submit(cl)
	}
	tw.run(2 * time.Second)
	late := tw.add("late", 2, nil)
	tw.run(time.Second)
	if late.ran == 0 {
		t.Fatal("the peer that joined has no work after a second")
	}
}

// behaviour 87
func TestLabels(t *testing.T) {
	tw := newTown(t, 2, 2)
	a := tw.sites[0].start()
	cl := a.define("f", &kind{run: 10 * time.Millisecond}, opts(strategy(raygo.Strategy{Kind: raygo.StrategyLabels, Selector: "zone=eu"})))
	x := a.submit(cl)
	tw.run(time.Second)
	if a.values[x].Kind != None {
		t.Fatal("it ran without a peer that matches")
	}
	eu := tw.add("eu", 2, map[string]string{"zone": "eu"})
	tw.run(time.Second)
	a.all([]raygo.ObjectID{x})
	if tw.where[x.Task()] != eu {
		t.Fatal("it ran elsewhere")
	}
}

// behaviour 96
func TestDrainingPeer(t *testing.T) {
	tw := newTown(t, 2, 2)
	a, b := tw.sites[0].start(), tw.sites[1]
	cl := a.define("f", &kind{run: 100 * time.Millisecond, big: 1 << 20}, opts())
	var ids []raygo.ObjectID
	for range 40 {
		ids = append(ids, a.submit(cl))
	}
	tw.run(500 * time.Millisecond)
	up := b.up(b.c.cfg) // its advert comes before its word
	up.Draining = true
	a.step(up)
	b.step(&Drain{})
	b.step(&Drain{})
	tw.run(200 * time.Millisecond)
	n := b.ran
	tw.run(5 * time.Second)
	a.all(ids)
	if b.ran > n {
		t.Fatalf("%d tasks began on a draining peer", b.ran-n)
	}
	for id := range b.store {
		if !a.store[id] {
			t.Fatalf("object %s is on the draining peer only", id)
		}
	}
}
