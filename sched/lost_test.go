package sched

import (
	"strings"
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
)

// behaviour 124
func TestSlowRebuildIsWaitedFor(t *testing.T) {
	tw := newTown(t, 3, 2)
	a, b := tw.sites[0].start(), tw.sites[1]
	k := &kind{run: time.Millisecond, big: 1 << 20}
	x := a.submit(a.define("f", k, opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: b.id, Soft: true}))))
	tw.run(time.Second)
	k.run = 5 * time.Minute
	tw.kill(b)
	tw.run(2 * time.Second)
	a.want(x)
	tw.run(4 * time.Minute)
	if v := a.values[x]; v.Kind != None {
		t.Fatalf("while it is made again: %+v", v)
	}
	tw.run(2 * time.Minute)
	a.all([]raygo.ObjectID{x})
}

// behaviour 121
func TestLostPut(t *testing.T) {
	tw := newTown(t, 3, 2)
	a, b := tw.sites[0].start(), tw.sites[1]
	var put raygo.ObjectID
	there := a.define("putter", &kind{do: func(s *site, e *Execute) {
		s.seq++
		put = raygo.NewTaskID(a.job, s.procs[e.Worker], 1000+s.seq).Object(0)
		s.store[put] = true
		s.step(&Put{Object: put, Proc: s.procs[e.Worker], Value: Value{Kind: Stored, Size: 1 << 20, Store: put}})
		s.over(&Result{Worker: e.Worker, Task: e.Task, Award: e.Award, Outcomes: []Outcome{{Value: Value{Kind: Inline, Bytes: []byte{1}}, Nested: []raygo.ObjectID{put}}}})
	}}, onPeer(b))
	outer := a.submit(there)
	tw.run(time.Second)
	a.step(&Borrow{Proc: a.driver, Objects: []raygo.ObjectID{put}})
	use := a.define("use", &kind{run: time.Millisecond}, opts())
	made := a.submit(use, put)
	tw.run(time.Second)
	a.all([]raygo.ObjectID{outer, made})
	for _, s := range tw.sites { // no copy but the first
		if s != b {
			delete(s.store, put)
			s.step(&Evicted{Object: put})
		}
	}
	tw.run(time.Second)
	tw.kill(b)
	tw.run(2 * time.Second)
	late := a.submit(use, put)
	a.want(put)
	tw.run(2 * time.Second)
	for _, id := range []raygo.ObjectID{put, late} {
		if v := a.values[id]; v.Kind != Failed || v.Code != raygo.CodeObjectLost {
			t.Fatalf("%+v", v)
		}
	}
	a.all([]raygo.ObjectID{made})
}

// behaviour 125
func TestLineageHasALimit(t *testing.T) {
	tw := newTown(t, 3, 2)
	a, b := tw.sites[0].start(), tw.sites[1]
	cl := a.define("f", &kind{run: time.Millisecond, big: 1 << 20}, opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: b.id, Soft: true})))
	args := make([]byte, 1<<20)
	var ids []raygo.ObjectID
	for range lineageBytes>>20 + 10 {
		a.seq++
		id := raygo.NewTaskID(a.job, a.driver, a.seq)
		a.step(&Submit{Task: id, Class: cl, Proc: a.driver, Args: args})
		ids = append(ids, id.Object(0))
	}
	tw.run(10 * time.Second)
	a.all(ids)
	tw.kill(b)
	tw.run(2 * time.Second)
	a.want(ids...)
	tw.run(10 * time.Second)
	refused := 0
	for _, id := range ids {
		switch v := a.values[id]; {
		case v.Kind == Stored:
		case v.Kind == Failed && v.Code == raygo.CodeObjectLost && strings.Contains(v.Failure.Message, "limit"):
			refused++
		default:
			t.Fatalf("%+v", v)
		}
	}
	if refused != 10 {
		t.Fatalf("%d objects were refused for the limit of lineage", refused)
	}
}

// behaviour 109
func TestWarningOfADeath(t *testing.T) {
	tw := newTown(t, 4, 2)
	a := tw.sites[0].start()
	cl := a.define("f", &kind{run: time.Second}, opts(strategy(raygo.Strategy{Kind: raygo.StrategySpread})))
	for range 8 {
		a.submit(cl)
	}
	tw.run(500 * time.Millisecond)
	tw.sites[2].step(&Drain{})
	tw.run(100 * time.Millisecond)
	a.warns = nil
	tw.kill(tw.sites[1])
	tw.kill(tw.sites[2])
	tw.run(5 * time.Second)
	if len(a.warns) != 1 || !strings.Contains(a.warns[0], "p1") {
		t.Fatalf("of a dead peer and one that left: %q", a.warns)
	}
}

// A peer that takes a task and says nothing of it does not hang it.
func TestTasksThatAPeerLoses(t *testing.T) {
	tw := newTown(t, 3, 2)
	a, liar := tw.sites[0].start(), tw.sites[1]
	liar.loses = true
	cl := a.define("f", &kind{run: 100 * time.Millisecond}, opts(strategy(raygo.Strategy{Kind: raygo.StrategySpread})))
	var ids []raygo.ObjectID
	for range 12 {
		ids = append(ids, a.submit(cl))
	}
	tw.run(2 * time.Minute)
	a.all(ids)
	for id, n := range tw.runs {
		if n != 1 {
			t.Fatalf("task %s ran %d times", id, n)
		}
	}
}

// A peer that denies what it has made gets no more tasks, so that somebody else
// makes it.
func TestObjectsThatAPeerDenies(t *testing.T) {
	tw := newTown(t, 3, 2)
	a, liar := tw.sites[0].start(), tw.sites[1]
	liar.denies = true
	cl := a.define("f", &kind{run: time.Millisecond, big: 1 << 20}, opts(
		strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: liar.id, Soft: true}), func(o *raygo.Options) { o.MaxRetries = -1 }))
	x := a.submit(cl)
	use := a.submit(a.define("use", &kind{run: time.Millisecond}, onPeer(tw.sites[2])), a.submit(cl))
	tw.run(100 * time.Millisecond)
	a.want(x)
	tw.run(30 * time.Second)
	a.all([]raygo.ObjectID{x, use})
	if liar.ran > 2*deniedMost+2 {
		t.Fatalf("the peer that denies ran %d tasks", liar.ran)
	}
	if len(a.warns) != 1 || !strings.Contains(a.warns[0], liar.id) {
		t.Fatalf("%q", a.warns)
	}
}

// What only takes long is not taken for lost.
func TestLongTasksAreNotLost(t *testing.T) {
	tw := newTown(t, 2, 2)
	a, b := tw.sites[0].start(), tw.sites[1]
	cl := a.define("f", &kind{run: 10 * time.Minute}, onPeer(b))
	ids := []raygo.ObjectID{a.submit(cl), a.submit(cl), a.submit(cl)}
	tw.run(time.Hour)
	a.all(ids)
	if b.ran != 3 {
		t.Fatalf("3 tasks ran %d times", b.ran)
	}
}

// behaviour 203: items that are found to be lost one after the other while their
// generator, which had not ended, is tried again.
func TestItemsLostOneByOne(t *testing.T) {
	tw := newTown(t, 3, 2)
	a, b := tw.sites[0].start(), tw.sites[1]
	soft := opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: b.id, Soft: true}))
	made := generate(6, time.Millisecond)
	cl := a.define("gen", &kind{do: func(s *site, e *Execute) {
		if s == b { // all items, and no end
			for i := range uint32(6) {
				item := e.Task.Object(i)
				s.store[item] = true
				s.step(&Yield{Worker: e.Worker, Task: e.Task, Award: e.Award, Outcome: Outcome{Index: i, Value: Value{Kind: Stored, Size: 1 << 20, Store: item}}})
			}
			return
		}
		made(s, e)
	}}, generator(soft))
	id := a.submit(cl).Task()
	var refs []raygo.ObjectID
	for i := range uint32(6) {
		refs = append(refs, id.Object(i))
	}
	a.step(&Borrow{Proc: a.driver, Objects: refs})
	tw.run(200 * time.Millisecond)
	if st := a.streams[id]; st == nil || st.Produced != 6 || st.Ended {
		t.Fatalf("before the death: %+v", st)
	}
	tw.kill(b)
	for _, ref := range refs {
		a.want(ref)
		tw.run(300 * time.Millisecond)
	}
	tw.run(20 * time.Second)
	a.all(refs)
}

// behaviours 185, 203: items of a generator that was cut short stay readable when
// they are lost, and the generator runs no further for them than it did.
func TestLostItemsOfAClosedStream(t *testing.T) {
	for name, downFirst := range map[string]bool{"closed before the death is known": false, "closed after it": true} {
		t.Run(name, func(t *testing.T) { lostItemsOfAClosedStream(t, downFirst) })
	}
}

func lostItemsOfAClosedStream(t *testing.T, downFirst bool) {
	tw := newTown(t, 3, 2)
	a, b := tw.sites[0].start(), tw.sites[1]
	soft := opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: b.id, Soft: true}))
	const had, has = 6, 1000
	most := uint32(0)
	cl := a.define("gen", &kind{do: func(s *site, e *Execute) {
		n, next := uint32(has), func(uint32) {}
		if s == b { // and no end
			n = had
		}
		next = func(i uint32) {
			if q := s.queues[e.Worker]; i == n || len(q) == 0 || q[0] != e {
				return
			}
			item := e.Task.Object(i)
			s.store[item], most = true, max(most, i)
			s.step(&Yield{Worker: e.Worker, Task: e.Task, Award: e.Award, Outcome: Outcome{Index: i, Value: Value{Kind: Stored, Size: 1 << 20, Store: item}}})
			tw.after(10*time.Millisecond, func() { next(i + 1) })
		}
		next(0)
	}}, generator(soft))
	id := a.submit(cl).Task()
	var refs []raygo.ObjectID
	for i := range uint32(had) {
		refs = append(refs, id.Object(i))
	}
	a.step(&Borrow{Proc: a.driver, Objects: refs})
	tw.run(200 * time.Millisecond)
	tw.kill(b)
	if downFirst {
		tw.run(time.Second)
	}
	a.want(refs[0]) // it is tried again
	a.step(&StreamClose{Proc: a.driver, Task: id})
	for _, ref := range refs {
		a.want(ref)
		tw.run(300 * time.Millisecond)
	}
	tw.run(20 * time.Second)
	a.all(refs)
	if most > had { // it is told when it has made the last one
		t.Fatalf("it was made again up to item %d, of %d", most, had)
	}
}

// A task that waits for a place and whose argument is lost meanwhile fails as that did.
func TestArgumentLostWhileQueued(t *testing.T) {
	tw := newTown(t, 1, 0)
	a, b := tw.sites[0].start(), tw.add("b", 2, nil)
	x := a.submit(a.define("f", &kind{run: time.Millisecond, big: 1 << 20}, opts(func(o *raygo.Options) { o.MaxRetries = 0 })))
	tw.run(time.Second)
	use := &kind{run: time.Millisecond}
	y := a.submit(a.define("use", use, opts(strategy(raygo.Strategy{Kind: raygo.StrategyLabels, Selector: "zone=z"}))), x)
	tw.run(time.Second)
	tw.kill(b)
	tw.run(2 * time.Second)
	a.want(x)
	tw.run(time.Second)
	z := tw.add("z", 2, map[string]string{"zone": "z"})
	a.want(y)
	tw.run(5 * time.Second)
	if v := a.values[y]; v.Kind != Failed || v.Code != raygo.CodeObjectLost || z.ran != 0 {
		t.Fatalf("%+v, and z ran %d tasks", v, z.ran)
	}
}

// behaviour 203: an item that is lost again while its generator runs for it is
// made once more.
func TestItemLostAgainWhileMadeAgain(t *testing.T) {
	t.Run("to its end", func(t *testing.T) { itemLostAgain(t, false, false) })
	t.Run("of a closed stream", func(t *testing.T) { itemLostAgain(t, true, false) })
	t.Run("of a closed stream, to its end", func(t *testing.T) { itemLostAgain(t, true, true) })
}

func itemLostAgain(t *testing.T, closed, ends bool) {
	tw := newTown(t, 1, 0)
	a, b, d := tw.sites[0].start(), tw.add("b", 2, nil), tw.add("d", 2, nil)
	soft := opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: b.id, Soft: true}))
	yield := func(s *site, e *Execute, i uint32) {
		item := e.Task.Object(i)
		s.store[item] = true
		s.step(&Yield{Worker: e.Worker, Task: e.Task, Award: e.Award, Outcome: Outcome{Index: i, Value: Value{Kind: Stored, Size: 1 << 20, Store: item}}})
	}
	awards := map[uint32]bool{}
	k := &kind{do: func(s *site, e *Execute) {
		award := s.c.jobs[a.job].tasks.task(e.Task).foreign.award
		if awards[award] {
			t.Errorf("two executions have award %d", award)
		}
		awards[award] = true
		switch {
		case !closed:
			generate(6, 20*time.Millisecond)(s, e)
		case s == b: // it does not come to its end
			for i := range uint32(6) {
				yield(s, e, i)
			}
		case !ends:
			generate(1000, 20*time.Millisecond)(s, e)
		default: // its end comes with the last item that is wanted
			for i := range uint32(6) {
				tw.after(time.Duration(i+1)*20*time.Millisecond, func() {
					if yield(s, e, i); i == 5 {
						s.over(&Result{Worker: e.Worker, Task: e.Task, Award: e.Award, Items: 6})
					}
				})
			}
		}
	}}
	id := a.submit(a.define("gen", k, generator(soft))).Task()
	refs := a.takeItems(id, 6)
	tw.run(time.Second)
	if st := a.streams[id]; st == nil || st.Ended == closed || st.Produced != 6 {
		t.Fatalf("before the death: %+v", st)
	}
	if closed {
		a.step(&StreamClose{Proc: a.driver, Task: id})
	}
	tw.kill(b)
	tw.run(2 * time.Second)
	d.denies = true
	a.want(refs[0], refs[0])
	tw.run(60 * time.Millisecond) // it runs again, and what it has made is denied
	d.denies = false
	tw.run(20 * time.Second)
	a.want(refs...)
	tw.run(20 * time.Second)
	a.all(refs)
	if len(awards) < 3 {
		t.Fatalf("it ran %d times: nothing was lost anew", len(awards))
	}
	if n := a.c.jobs[a.job].running; n != 0 {
		t.Fatalf("%d tasks are still taken to run", n)
	}
}

// takeItems has the driver take the first n items of a generator.
func (s *site) takeItems(id raygo.TaskID, n uint32) (refs []raygo.ObjectID) {
	for i := range n {
		refs = append(refs, id.Object(i))
	}
	s.step(&Borrow{Proc: s.driver, Objects: refs})
	s.step(&StreamTaken{Proc: s.driver, Task: id, N: n})
	return refs
}

// behaviours 144, 203: the same if its owner dies before the generator has ended: the
// next one does not know how far it had got.
func TestItemLostAgainBeforeItsOwnerDies(t *testing.T) {
	tw := newTown(t, 1, 0)
	a, b, d := tw.sites[0].startDetached(), tw.add("b", 2, nil), tw.add("d", 2, nil)
	h := tw.add("h", 0, nil)
	soft := opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: b.id, Soft: true}))
	cl := a.define("gen", &kind{do: func(s *site, e *Execute) {
		for i := range uint32(6) {
			item := e.Task.Object(i)
			s.store[item] = true
			s.step(&Yield{Worker: e.Worker, Task: e.Task, Award: e.Award, Outcome: Outcome{Index: i, Value: Value{Kind: Stored, Size: 1 << 20, Store: item}}})
		}
		end := 5 * time.Second
		if s == b {
			end = 0
		}
		tw.after(end, func() { s.over(&Result{Worker: e.Worker, Task: e.Task, Award: e.Award, Items: 6}) })
	}}, generator(soft))
	id := a.submit(cl).Task()
	refs := a.takeItems(id, 6)
	tw.run(time.Second)
	tw.kill(b)
	tw.run(2 * time.Second)
	d.denies = true
	a.want(refs[0])
	tw.run(time.Second)
	d.denies = false
	if o := a.c.jobs[a.job].objects.get(refs[0]); o.value.Kind != None || tw.runs[id] != 2 {
		t.Fatalf("before the death: %+v, %d runs", o.value, tw.runs[id])
	}
	tw.murder(a)
	tw.run(20 * time.Second)
	h.attach(a.job)
	h.take(refs...)
	tw.run(20 * time.Second)
	h.all(refs)
}

// Whoever submits past the bound of classes is told, and does not wait for ever.
func TestClassesPastTheBound(t *testing.T) {
	tw := newTown(t, 2, 1)
	a, b := tw.sites[0].start(), tw.sites[1]
	var child raygo.ObjectID
	cl := a.define("f", &kind{do: func(s *site, e *Execute) {
		for n := range ClassID(maxTheirs) { // what a hostile peer could tell of
			if at := a.c.peers[b.id]; at.theirs[1<<20+n] == nil {
				at.theirs[1<<20+n] = a.c.classes[1]
			}
		}
		s.nextC++
		s.step(&ClassDefined{Class: s.nextC, Job: a.job, Function: "g", Options: opts(), Def: []byte("g")})
		s.seq++
		task := raygo.NewTaskID(a.job, s.procs[e.Worker], s.seq)
		child = task.Object(0)
		s.step(&Submit{Task: task, Class: s.nextC, Proc: s.procs[e.Worker], Parent: e.Task})
	}}, onPeer(b))
	a.submit(cl)
	tw.run(time.Second)
	if v := b.values[child]; v.Kind != Failed || v.Code != raygo.CodeQueueFull {
		t.Fatalf("%+v", v)
	}
}

// Law 2 between peers: what a peer says under an award that is over changes
// nothing, though it has the task again.
func TestStaleAwardFromAPeer(t *testing.T) {
	tw := newTown(t, 2, 1)
	a, b := tw.sites[0].start(), tw.sites[1]
	x := a.submit(a.define("f", &kind{run: time.Second}, onPeer(b)))
	y := a.submit(a.define("gen", &kind{do: func(*site, *Execute) {}}, generator(opts(func(o *raygo.Options) {
		o.Strategy = raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: b.id}
		o.CPU = 0
	}))))
	tw.run(300 * time.Millisecond)
	stale := func(id raygo.TaskID) uint32 {
		held := a.c.peers[b.id].running[id]
		if held == nil {
			t.Fatalf("%s is not at the peer", id)
		}
		return held.award - 1
	}
	wrong := Value{Kind: Inline, Bytes: []byte("stale")}
	a.step(&Received{From: b.id, Msg: &Done{Results: []TaskResult{{Task: x.Task(), Award: stale(x.Task()), Outcomes: []Outcome{{Value: wrong}}}}}})
	a.step(&Received{From: b.id, Msg: &Yielded{Task: y.Task(), Award: stale(y.Task()), Outcome: Outcome{Value: wrong}}})
	if v := a.values[x]; v.Kind != None {
		t.Fatalf("a result of an earlier award was taken: %+v", v)
	}
	if st := a.c.jobs[a.job].streams[y.Task()]; st.produced != 0 {
		t.Fatal("an item of an earlier award was taken")
	}
	tw.run(2 * time.Second)
	if v := a.values[x]; v.Kind != Inline || string(v.Bytes) == "stale" {
		t.Fatalf("%+v", v)
	}
}
