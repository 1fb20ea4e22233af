package sched

import (
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
)

// Copies that were asked for: who was asked may die, refuse, or say nothing.

// copy does what CopyHere asks for.
func (s *site) copy(e *CopyHere) {
	if s.copying != nil {
		s.copying(e.Source.Object)
		return
	}
	s.store[e.Source.Object] = true
	s.step(&Copied{Object: e.Source.Object})
}

// keep puts an object of which there are to be n copies.
func (s *site) keep(n int) raygo.ObjectID {
	s.seq++
	id := raygo.NewTaskID(s.job, s.driver, s.seq).Object(0)
	s.store[id] = true
	s.step(&Put{Object: id, Proc: s.driver, Value: Value{Kind: Stored, Size: 1 << 20, Store: id}})
	s.step(&Replicate{Proc: s.driver, Object: id, Copies: n})
	return id
}

// copies fails the test unless so many peers have an object.
func (tw *town) copies(id raygo.ObjectID, want int) {
	tw.t.Helper()
	var at []string
	for _, s := range tw.sites {
		if !s.dead && s.store[id] {
			at = append(at, s.id)
		}
	}
	if len(at) != want {
		tw.t.Fatalf("%d copies, at %v; %d were asked for", len(at), at, want)
	}
}

// slow has every peer but one take so long for a copy. It returns those that were
// asked.
func (tw *town) slow(but *site, d time.Duration) (asked func() []*site) {
	var who []*site
	for _, s := range tw.sites {
		if s != but {
			s.copying = func(id raygo.ObjectID) {
				who = append(who, s)
				tw.after(d, func() {
					if !s.dead {
						s.store[id] = true
						s.step(&Copied{Object: id})
					}
				})
			}
		}
	}
	return func() []*site { return who }
}

// A peer that dies before it has made the copy that it was asked for is replaced.
func TestCopyOfAPeerThatDies(t *testing.T) {
	tw := newTown(t, 6, 2)
	a := tw.sites[0].start()
	asked := tw.slow(a, 3*time.Second)
	id := a.keep(3)
	tw.run(100 * time.Millisecond)
	if len(asked()) != 2 {
		t.Fatalf("%d were asked", len(asked()))
	}
	tw.kill(asked()[0])
	tw.run(10 * time.Second)
	tw.copies(id, 3)
	tw.kill(asked()[1]) // one that has its copy
	tw.run(10 * time.Second)
	tw.copies(id, 3)
	a.step(&Release{Proc: a.driver, Objects: []raygo.ObjectID{id}})
	tw.run(time.Second)
	tw.copies(id, 0)
}

// One that refuses is replaced at once, and not asked over and over.
func TestCopyRefused(t *testing.T) {
	tw := newTown(t, 4, 2)
	a := tw.sites[0].start()
	refusals := 0
	refuse := func(s *site) {
		s.copying = func(id raygo.ObjectID) {
			refusals++
			s.step(&Evicted{Object: id})
		}
	}
	for _, s := range tw.sites[1:3] {
		refuse(s)
	}
	id := a.keep(2)
	tw.run(time.Second)
	tw.copies(id, 2)
	last := tw.sites[3]
	refuse(last)
	delete(last.store, id)
	last.step(&Evicted{Object: id})
	tw.run(10 * time.Second)
	tw.copies(id, 1)
	if refusals > 6 {
		t.Fatalf("%d were asked in vain", refusals)
	}
	last.copying = nil
	tw.run(10 * time.Minute)
	tw.copies(id, 2)
}

// One that says nothing is replaced after a while.
func TestCopyNeverMade(t *testing.T) {
	tw := newTown(t, 5, 2)
	a := tw.sites[0].start()
	for _, s := range tw.sites[1:4] {
		s.copying = func(raygo.ObjectID) {}
	}
	var ids []raygo.ObjectID
	for range 10 {
		ids = append(ids, a.keep(2))
	}
	tw.run(10 * time.Minute)
	for _, id := range ids {
		tw.copies(id, 2)
	}
}

// One that cannot open the job has not been asked.
func TestCopyAtAPeerThatCannotOpenTheJob(t *testing.T) {
	tw := newTown(t, 4, 2)
	a := tw.sites[0].start()
	for _, s := range tw.sites[1:3] { // it has the job of somebody else
		s.copying = func(raygo.ObjectID) {}
		s.step(&Received{From: tw.sites[3].id, Msg: &JobOpen{Job: a.job}})
	}
	var ids []raygo.ObjectID
	for range 10 {
		ids = append(ids, a.keep(2))
	}
	tw.run(time.Second)
	for _, id := range ids {
		tw.copies(id, 2)
	}
}

// Who was asked counts while it is at it: no more are asked than wanted.
func TestNoMoreCopiesThanWanted(t *testing.T) {
	tw := newTown(t, 8, 2)
	a := tw.sites[0].start()
	asked := tw.slow(a, 10*time.Second)
	tw.sites[1].copying = nil
	id := a.keep(7) // all but one are asked
	tw.run(100 * time.Millisecond)
	n := len(asked())
	a.step(&Replicate{Proc: a.driver, Object: id, Copies: 7})
	if tw.sites[1].store[id] { // it loses what it has copied
		delete(tw.sites[1].store, id)
		tw.sites[1].step(&Evicted{Object: id})
		n++ // the one that was not asked
	}
	tw.run(5 * time.Second)
	if k := len(asked()); k > n {
		t.Fatalf("%d were asked, and then %d", n, k)
	}
	tw.run(time.Minute)
	tw.copies(id, 7)
}

// Where there were too few peers, one that comes is asked.
func TestCopyAtAPeerThatComes(t *testing.T) {
	tw := newTown(t, 2, 2)
	a := tw.sites[0].start()
	id := a.keep(3)
	tw.run(time.Minute)
	tw.copies(id, 2)
	tw.add("late", 2, nil)
	tw.run(time.Second)
	tw.copies(id, 3)
}

// Copies go to peers that run tasks first, to those without CPUs when there are no
// others, and never to one that offers nothing.
func TestCopiesGoWhereTheyStay(t *testing.T) {
	for _, want := range []struct{ asked, got, front int }{{4, 4, 0}, {5, 5, 1}, {6, 5, 1}} {
		tw := newTown(t, 4, 2)
		a := tw.sites[0].start()
		front := tw.add("front", 0, nil)
		bridge := tw.add("bridge", 0, nil)
		up := bridge.up(bridge.c.cfg)
		up.Totals = nil
		a.step(up)
		id := a.keep(want.asked)
		tw.run(2 * time.Minute)
		tw.copies(id, want.got)
		if bridge.store[id] || front.store[id] != (want.front == 1) {
			t.Errorf("of %d copies one is at a peer without CPUs: %t; at one that offers nothing: %t", want.asked, front.store[id], bridge.store[id])
		}
	}
}

// Who takes a job over sees to the copies of what the last owner had, and had asked
// for.
func TestCopiesAfterATakeover(t *testing.T) {
	for _, at := range []time.Duration{0, time.Millisecond, 100 * time.Millisecond, 10 * time.Second} {
		t.Run(at.String(), func(t *testing.T) {
			tw := newTown(t, 7, 2)
			a := tw.sites[0].startDetached()
			tw.run(time.Second)
			asked := tw.slow(a, 500*time.Millisecond)
			first := a.keep(3)
			tw.run(time.Second)
			before := len(asked())
			id := a.keep(3)
			tw.run(at + 50*time.Millisecond)
			if at == 100*time.Millisecond {
				tw.murder(asked()[before])
			}
			tw.run(time.Second)
			tw.murder(a)
			tw.run(time.Minute)
			heir := tw.ownerOf(a.job)
			heir.attach(a.job)
			heir.take(first, id)
			tw.run(time.Minute)
			tw.copies(first, 3)
			tw.copies(id, 3)
			tw.nothingLeft(a.job, []raygo.ObjectID{first, id})
		})
	}
}

// A guardian hears of copies that were asked for before anybody has made one.
func TestWantedCopiesAreGuarded(t *testing.T) {
	tw := newTown(t, 6, 2)
	a := tw.sites[0].startDetached()
	made := a.submit(a.define("f", &kind{run: time.Millisecond, big: 1 << 20}, onPeer(tw.sites[1])))
	tw.run(time.Second)
	a.all([]raygo.ObjectID{made})
	tw.slow(a, time.Hour)
	a.step(&Replicate{Proc: a.driver, Object: made, Copies: 3})
	tw.run(time.Second)
	for _, s := range tw.sites {
		s.copying = nil
	}
	tw.murder(a)
	tw.run(time.Minute)
	heir := tw.ownerOf(a.job)
	heir.attach(a.job)
	heir.take(made)
	tw.run(time.Minute)
	tw.copies(made, 3)
}

// A peer that drains does not wait for a copy of one that died.
func TestCopyOfAPeerThatDiesWhileTheOwnerDrains(t *testing.T) {
	tw := newTown(t, 5, 2)
	a := tw.sites[0].startDetached()
	id := a.keep(1)
	tw.run(time.Second)
	asked := tw.slow(a, 3*time.Second)
	a.step(&Drain{})
	tw.run(100 * time.Millisecond)
	tw.kill(asked()[0])
	tw.run(10 * time.Second)
	if n := a.c.SoleHere(); n != 0 {
		t.Fatalf("%d objects are only at the peer that leaves", n)
	}
	tw.copies(id, 2)
}

// What none but peers that leave have is copied away, also when they leave together
// or the last one that stays loses it; they are needed until it is.
func TestAllHoldersLeave(t *testing.T) {
	for _, together := range []bool{true, false} {
		tw := newTown(t, 4, 2)
		a, b, x := tw.sites[0].start(), tw.sites[1], tw.sites[2]
		made := a.submit(a.define("f", &kind{run: time.Millisecond, big: 1 << 20}, onPeer(b)))
		tw.run(time.Second)
		used := a.submit(a.define("use", &kind{run: time.Millisecond}, onPeer(x)), made)
		tw.run(time.Second)
		a.all([]raygo.ObjectID{made, used})
		if a.store[made] || !b.store[made] || !x.store[made] {
			t.Fatal("it is not where it should be")
		}
		wanted := false
		a.copying = func(raygo.ObjectID) { wanted = true }
		b.step(&Drain{})
		tw.run(10 * time.Millisecond)
		if wanted || a.c.SoleAt(b.id) != 0 {
			t.Fatal("there is one that stays")
		}
		if together {
			x.step(&Drain{})
		} else {
			delete(x.store, made)
			x.step(&Evicted{Object: made})
		}
		tw.run(10 * time.Millisecond)
		if a.c.SoleAt(b.id) != 1 || together && a.c.SoleAt(x.id) != 1 || !wanted {
			t.Fatalf("together: %v: they may leave; a copy was asked for: %v", together, wanted)
		}
		a.store[made] = true
		a.step(&Copied{Object: made})
		if a.c.SoleAt(b.id)+a.c.SoleAt(x.id) != 0 {
			t.Fatal("they are still needed")
		}
	}
}

// The owner of a job that outlives it and all who have an object leave, in any order:
// it is copied to one that stays, and they are needed until then.
func TestOwnerAndHoldersLeave(t *testing.T) {
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		for _, ownerHasIt := range []bool{false, true} {
			tw := newTown(t, 5, 2)
			a, b := tw.sites[0].startDetached(), tw.sites[1]
			made := a.submit(a.define("f", &kind{run: time.Millisecond, big: 1 << 20}, onPeer(b)))
			tw.run(time.Second)
			if ownerHasIt {
				a.store[made] = true
				a.step(&Copied{Object: made})
			}
			if !b.store[made] || a.store[made] != ownerHasIt {
				t.Fatal("it is not where it should be")
			}
			asked := tw.slow(nil, time.Second)
			for _, i := range order {
				tw.sites[i].step(&Drain{})
				tw.run(50 * time.Millisecond)
			}
			if a.c.SoleAt(b.id) != 1 || ownerHasIt && a.c.SoleHere() != 1 {
				t.Errorf("order %v, owner has it: %v: they may leave before there is a copy", order, ownerHasIt)
			}
			tw.run(10 * time.Second)
			stays := 0
			for _, s := range tw.sites[2:] {
				if s.store[made] {
					stays++
				}
			}
			if stays == 0 || a.c.SoleAt(b.id)+a.c.SoleHere() != 0 {
				t.Errorf("order %v, owner has it: %v: %d copies stay, %d peers were asked, still needed: %d at b, %d at the owner",
					order, ownerHasIt, stays, len(asked()), a.c.SoleAt(b.id), a.c.SoleHere())
			}
		}
	}
}

// Where nobody stays nobody waits: there is nothing to be saved.
func TestAllLeave(t *testing.T) {
	tw := newTown(t, 3, 2)
	a, b := tw.sites[0].startDetached(), tw.sites[1]
	made := a.submit(a.define("f", &kind{run: time.Millisecond, big: 1 << 20}, onPeer(b)))
	tw.run(time.Second)
	if !b.store[made] {
		t.Fatal("it is not where it should be")
	}
	for _, s := range tw.sites {
		s.copying = func(raygo.ObjectID) {} // none is made
		s.step(&Drain{})
	}
	tw.run(time.Second)
	if at, here := a.c.SoleAt(b.id), a.c.SoleHere(); at+here != 0 {
		t.Errorf("%d objects are needed of b, %d of the owner", at, here)
	}
}

// An owner that cannot make a copy of what leaves asks another peer.
func TestOwnerCannotCopyWhatLeaves(t *testing.T) {
	tw := newTown(t, 4, 2)
	a, b := tw.sites[0].start(), tw.sites[1]
	made := a.submit(a.define("f", &kind{run: time.Millisecond, big: 1 << 20}, onPeer(b)))
	tw.run(time.Second)
	tried := 0
	a.copying = func(id raygo.ObjectID) {
		tried++
		a.step(&Evicted{Object: id})
	}
	b.step(&Drain{})
	tw.run(time.Second)
	if tried == 0 || a.store[made] || !tw.sites[2].store[made] && !tw.sites[3].store[made] {
		t.Errorf("the owner tried %d times; copies at %v, %v", tried, tw.sites[2].store[made], tw.sites[3].store[made])
	}
	if a.c.SoleAt(b.id) != 0 {
		t.Error("it is still needed")
	}
}

// With as many copies wanted as there are peers the owner makes one, too.
func TestOwnerMakesACopyWhereThereAreNoOthers(t *testing.T) {
	tw := newTown(t, 3, 2)
	a, b := tw.sites[0].start(), tw.sites[1]
	made := a.submit(a.define("f", &kind{run: time.Millisecond, big: 1 << 20}, onPeer(b)))
	tw.run(time.Second)
	if !b.store[made] || a.store[made] {
		t.Fatal("it is not where it should be")
	}
	a.step(&Replicate{Proc: a.driver, Object: made, Copies: 2})
	tw.run(time.Second)
	tw.copies(made, 2)
	if a.store[made] {
		t.Error("the owner has one though another peer could")
	}
	a.step(&Replicate{Proc: a.driver, Object: made, Copies: 3})
	tw.run(time.Second)
	tw.copies(made, 3)
	a.step(&Replicate{Proc: a.driver, Object: made, Copies: 9}) // more than there can be
	tw.run(time.Second)
	tw.copies(made, 3)
}
