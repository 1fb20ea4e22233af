package sched

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
)

// The protocol of placement, point by point: who is asked, what an offer is worth,
// when the owner stops waiting, what it learns, and what is kept.

// asked notes from now on which peers are called for bids.
func (tw *town) asked() map[string]int {
	n := map[string]int{}
	tw.onSend = func(to string, m Message) {
		if _, ok := m.(*Call); ok {
			n[to]++
		}
	}
	return n
}

// crowd is a town of an owner with one CPU that is taken for an hour, and n others.
func crowd(t *testing.T, n int, cpus float64) (*town, *site) {
	tw := newTown(t, 1, 1)
	tw.quick = n > 20
	for i := range n {
		tw.add(fmt.Sprintf("x%d", i), cpus, nil)
	}
	a := tw.sites[0].start()
	a.submit(a.define("busy", &kind{run: time.Hour}, opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: a.id}))))
	tw.run(100 * time.Millisecond)
	if a.ran != 1 {
		t.Fatal("the owner is not busy")
	}
	return tw, a
}

// burst submits n calls that become ready in one step: what they wait for does.
func (s *site) burst(cl ClassID, n int, deps ...raygo.ObjectID) (ids []raygo.ObjectID) {
	gate := s.submit(s.define("gate", &kind{run: time.Millisecond}, opts(func(o *raygo.Options) { o.CPU = 0 }, strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: s.id}))))
	for range n {
		ids = append(ids, s.submit(cl, append(slices.Clone(deps), gate)...))
	}
	for s.values[gate].Kind == None {
		s.tw.run(50 * time.Microsecond)
	}
	return ids
}

// Point 1: a task that fits here below half load starts here, without a message.
func TestStartsHereWithoutAMessage(t *testing.T) {
	tw := newTown(t, 3, 8)
	a := tw.sites[0].start()
	cl := a.define("f", &kind{run: time.Second}, opts())
	var ids []raygo.ObjectID
	for range 4 {
		ids = append(ids, a.submit(cl))
	}
	tw.run(5 * time.Second)
	a.all(ids)
	if n := tw.sent["*sched.Call"] + tw.sent["*sched.Assign"]; n > 0 || a.ran != 4 {
		t.Fatalf("%d ran here, with %v", a.ran, tw.sent)
	}
}

// Point 2: a burst has one call. It goes to all of few peers; of many to no more than
// twice as many as there are tasks, nor 64, and to who holds the arguments.
func TestWhoIsAsked(t *testing.T) {
	for _, c := range []struct{ peers, tasks, least, most int }{{20, 8, 20, 20}, {100, 8, 8, 16}, {200, 1000, 33, 64}} {
		t.Run(fmt.Sprint(c.peers, " peers, ", c.tasks, " tasks"), func(t *testing.T) {
			tw, a := crowd(t, c.peers, 1)
			holder := tw.sites[c.peers/2]
			x := a.submit(a.define("make", &kind{run: time.Millisecond, big: 64 << 20}, opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: holder.id}))))
			tw.run(time.Second)
			cl := a.define("f", &kind{run: time.Minute}, opts())
			asked := tw.asked()
			a.burst(cl, c.tasks, x)
			if len(asked) < c.least || len(asked) > c.most {
				t.Errorf("%d peers were asked; from %d to %d are expected", len(asked), c.least, c.most)
			}
			for id, n := range asked {
				if n != 1 {
					t.Errorf("%s was asked %d times", id, n)
				}
			}
			if asked[holder.id] == 0 {
				t.Error("who holds the argument was not asked")
			}
		})
	}
}

// Point 3: what is bid is kept: two owners that ask at once are offered no more than
// there is, and every task begins where it is sent without waiting there. What is
// not used is free again for others.
func TestABidIsKept(t *testing.T) {
	tw := newTown(t, 2, 1)
	x := tw.add("x", 4, nil)
	offered := 0
	for _, o := range tw.sites[:2] {
		o.start()
		o.submit(o.define("busy", &kind{run: time.Hour}, opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: o.id}))))
	}
	tw.run(time.Second)
	tw.onSend = func(_ string, m Message) {
		if b, ok := m.(*Bid); ok {
			offered += b.Slots
		}
	}
	for _, o := range tw.sites[:2] {
		o.burst(o.define("f", &kind{run: time.Minute}, opts()), 3)
	}
	tw.run(100 * time.Millisecond)
	if offered != 4 || x.c.Counts().Running != 4 {
		t.Fatalf("4 CPUs were offered %d times, %d tasks run", offered, x.c.Counts().Running)
	}

	// An offer to an owner that falls silent is not held for ever.
	tw, a := crowd(t, 1, 2)
	x = tw.sites[1]
	x.step(&Received{From: a.id, Msg: &JobOpen{Job: raygo.JobID{9}}})
	x.step(&Received{From: a.id, Msg: &ClassOf{Job: raygo.JobID{9}, Class: 77, Function: "g", Options: opts(), Def: []byte("g")}})
	x.step(&Received{From: a.id, Msg: &Call{Round: 1, Class: 77, Want: 2}})
	if free := x.c.led.free.cpu; free != 0 {
		t.Fatalf("%v CPU are free after all was offered", free)
	}
	tw.run(reserveFor + 100*time.Millisecond)
	if x.c.led.free != x.c.led.total {
		t.Fatal("an offer that nobody took up is still held")
	}
}

// Point 4: the owner waits for bids no longer than it needs to: it goes on once
// enough is offered, and does not wait for who is silent.
func TestOwnerDoesNotWaitForTheSlowest(t *testing.T) {
	tw, a := crowd(t, 8, 1)
	silent := tw.sites[3:]
	for _, s := range silent {
		s.mute = true
	}
	ids := a.burst(a.define("f", &kind{run: 10 * time.Millisecond}, opts()), 2)
	tw.run(answerMost + 100*time.Millisecond)
	a.all(ids)

	tw, a = crowd(t, 8, 1)
	tw.sites[8].mute = true
	ids = a.burst(a.define("f", &kind{run: time.Minute}, opts()), 3)
	tw.run(3 * tw.lag)
	for _, id := range ids {
		if view, _ := a.c.Task(id.Task()); view.State != raygo.SubmittedToWorker {
			t.Fatalf("seven of eight offered enough, and a task is %s", view.State)
		}
	}
}

// Point 5: what past estimates turned out to be counts.
func TestCorrectionIsLearnt(t *testing.T) {
	tw, a := crowd(t, 4, 1)
	cl := a.define("f", &kind{run: 50 * time.Millisecond}, opts())
	slow := tw.sites[1]
	a.burst(cl, 4)
	tw.run(time.Second)
	slow.factor = 8
	for range 100 {
		a.burst(cl, 1)
		tw.run(time.Second)
	}
	n := tw.counts()
	if p := a.c.peers[slow.id]; p.correction < 1.1 {
		t.Errorf("the correction of a peer that takes eight times as long as it should is %v", p.correction)
	}
	if n[1] > 20 {
		t.Errorf("the slow peer ran %d of 100 tasks: %v", n[1], n)
	}
}

// Point 5: equals are drawn by lot.
func TestEqualsAreDrawnByLot(t *testing.T) {
	n := map[string]int{}
	for seed := range uint64(80) {
		tw, a := crowd(t, 3, 1)
		a.c.rng = rand.New(rand.NewPCG(seed, 0))
		id := a.burst(a.define("f", &kind{run: 50 * time.Millisecond}, opts()), 1)[0]
		tw.run(time.Second)
		n[tw.where[id.Task()].id]++
	}
	for i := range 3 {
		if k := n[fmt.Sprintf("x%d", i)]; k < 10 {
			t.Errorf("of 80 tasks on three equal peers one ran %d: %v", k, n)
		}
	}
}

// Point 6: who is not needed is released at once, and later tasks of the shape go
// where the first ran, with no new call.
func TestLeases(t *testing.T) {
	tw, a := crowd(t, 6, 2)
	cl := a.define("f", &kind{run: 30 * time.Millisecond}, opts())
	ids := a.burst(cl, 4)
	tw.run(20 * time.Millisecond)
	held := 0
	for _, s := range tw.sites[1:] {
		held += int((s.c.led.total.cpu - s.c.led.free.cpu) / raygo.Unit)
	}
	if held != 4 {
		t.Fatalf("%d CPUs are taken for 4 tasks", held)
	}
	before := tw.sent["*sched.Call"]
	for range 50 {
		tw.run(30 * time.Millisecond)
		ids = append(ids, a.burst(cl, 4)...)
	}
	tw.run(time.Second)
	a.all(ids)
	if n := tw.sent["*sched.Call"] - before; n > 20 {
		t.Errorf("%d calls for 200 tasks that follow each other", n)
	}
}

// Point 7: what fits nowhere waits at its owner, fairly by job, and goes on when
// a slot falls free elsewhere.
func TestOwnerQueuesFairly(t *testing.T) {
	tw, a := crowd(t, 2, 1)
	first := a.job
	cl := a.define("f", &kind{run: 20 * time.Millisecond}, opts())
	ids := a.burst(cl, 200)
	tw.run(500 * time.Millisecond)
	done := func(job raygo.JobID) (n int) {
		for id := range a.values {
			if id.Job() == job && id.Index() == 0 {
				n++
			}
		}
		return n
	}
	before := done(first)
	a.nextP++
	a.job, a.driver = raygo.JobID{200}, raygo.ProcID(uint64(a.tag)<<32|uint64(a.nextP))
	a.step(&JobStarted{Job: a.job, Driver: a.driver})
	late := a.burst(a.define("g", &kind{run: 20 * time.Millisecond}, opts()), 40)
	tw.run(600 * time.Millisecond)
	mine, theirs := done(a.job), done(first)-before
	if mine*2 < theirs || mine == 0 {
		t.Errorf("a job that came later had %d tasks done while the first had %d", mine, theirs)
	}
	tw.run(10 * time.Second)
	a.all(ids)
	a.all(late)
}

// Point 8: what was sent ahead to a busy peer and has not begun moves to one that
// falls idle.
func TestUnbegunTasksMove(t *testing.T) {
	tw := newTown(t, 1, 2)
	x := tw.add("x", 1, nil)
	a := tw.sites[0].start()
	a.submit(a.define("busy", &kind{run: time.Second}, opts(func(o *raygo.Options) { o.CPU = q(2) }, strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: a.id}))))
	cl := a.define("f", &kind{run: 6 * time.Millisecond}, opts())
	short := a.burst(cl, 20)
	tw.run(900 * time.Millisecond)
	a.all(short)
	tw.kinds["f"].run = 280 * time.Millisecond
	ids := a.burst(cl, 3)
	tw.run(20 * time.Millisecond)
	if n := x.c.jobs[a.job].tasks.n; n != 2 {
		t.Fatalf("the busy peer has %d tasks, one that runs and one ahead of need are expected", n)
	}
	before := x.ran
	tw.run(450 * time.Millisecond)
	a.all(ids)
	if n := x.ran - before; n > 0 || tw.sent["*sched.RecallTasks"] == 0 {
		t.Errorf("the busy peer began %d more; %v", n, tw.sent)
	}
}

// Point 9: a decision is kept with the terms of the bids and what it turned out to
// be.
func TestDecisionsAreKept(t *testing.T) {
	tw, a := crowd(t, 3, 1)
	x := a.submit(a.define("make", &kind{run: time.Millisecond, big: 64 << 20}, opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: "x1"}))))
	tw.run(time.Second)
	ids := a.burst(a.define("f", &kind{run: 200 * time.Millisecond}, opts()), 1, x)
	tw.run(time.Second)
	a.all(ids)
	d, ok := a.c.Explain(ids[0].Task())
	if !ok || d.Winner != "x1" || len(d.Bids) < 2 || d.Took < 200*time.Millisecond || d.Asked == 0 {
		t.Fatalf("the decision: %v, %+v", ok, d)
	}
	for _, b := range d.Bids {
		if holder := b.Peer == "x1"; holder != (b.Bytes == 0) || !holder && b.Move <= 0 {
			t.Errorf("the terms of %q: %+v", b.Peer, b)
		}
	}
}
