package sched

import (
	"slices"
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
)

// Law 10: a peer that no owner has named cannot take a job, nor can a guardian
// while the owner is there.
func TestImpostor(t *testing.T) {
	tw := newTown(t, 5, 2)
	a := tw.sites[0].startDetached()
	cl := a.define("f", &kind{run: time.Second}, opts(strategy(raygo.Strategy{Kind: raygo.StrategySpread})))
	var ids []raygo.ObjectID
	for range 10 {
		ids = append(ids, a.submit(cl))
	}
	tw.run(200 * time.Millisecond)
	named := a.c.jobs[a.job].guards.told
	if len(named) != 2 {
		t.Fatalf("guardians: %v", named)
	}
	for _, s := range tw.sites[1:] {
		for _, liar := range tw.sites[1:] {
			if s != liar {
				s.step(&Received{From: liar.id, Msg: &JobTaken{Job: a.job, Epoch: 9}})
				s.step(&Received{From: liar.id, Msg: &Guard{Job: a.job, Seq: 1, First: true}})
				s.step(&Received{From: liar.id, Msg: &TakeNow{Job: a.job}})
			}
		}
		if !slices.Contains(named, s.id) {
			a.step(&Received{From: s.id, Msg: &JobTaken{Job: a.job, Epoch: 9}})
		}
	}
	tw.run(5 * time.Second)
	if tw.ownerOf(a.job) != a {
		t.Fatal("the job changed hands")
	}
	a.want(ids...)
	tw.run(10 * time.Second)
	a.all(ids)
	for _, id := range ids {
		if n := tw.runs[id.Task()]; n != 1 {
			t.Fatalf("task %s ran %d times", id.Task(), n)
		}
	}
}

// Law 10: when the owner is gone only those that it has named can take its job.
func TestImpostorAfterADeath(t *testing.T) {
	tw := newTown(t, 5, 2)
	a := tw.sites[0].startDetached()
	cl := a.define("f", &kind{run: 10 * time.Second}, opts(strategy(raygo.Strategy{Kind: raygo.StrategySpread})))
	ids := []raygo.ObjectID{}
	for range 10 {
		ids = append(ids, a.submit(cl))
	}
	tw.run(200 * time.Millisecond)
	named := a.c.jobs[a.job].guards.told
	tw.murder(a)
	tw.run(1200 * time.Millisecond) // its link is down everywhere, and nobody is sure yet
	for _, s := range tw.sites[1:] {
		for _, liar := range tw.sites[1:] {
			if s == liar || slices.Contains(named, liar.id) {
				continue
			}
			s.step(&Received{From: liar.id, Msg: &JobTaken{Job: a.job, Epoch: 9}})
			if j := s.c.jobs[a.job]; j == nil || j.owner == nil || j.owner.id != a.id {
				t.Fatalf("%s believes %s, which nobody has named", s.id, liar.id)
			}
		}
	}
	tw.run(2 * time.Second)
	heir := tw.ownerOf(a.job)
	if !slices.Contains(named, heir.id) {
		t.Fatalf("%s owns the job", heir.id)
	}
	heir.attach(a.job)
	heir.take(ids...)
	tw.run(time.Minute)
	heir.all(ids)
}

// Law 10: neither the word of one executor that another peer owns the job, nor that
// of a peer which was not named, takes it from the guardian that has taken it over.
func TestImpostorAfterATakeover(t *testing.T) {
	tw := newTown(t, 7, 2)
	a := tw.sites[0].startDetached()
	cl := a.define("f", &kind{run: 5 * time.Second}, opts(strategy(raygo.Strategy{Kind: raygo.StrategySpread})))
	ids := []raygo.ObjectID{}
	for range 10 {
		ids = append(ids, a.submit(cl))
	}
	tw.run(200 * time.Millisecond)
	heir := tw.site(a.c.jobs[a.job].guards.told[0])
	tw.murder(a)
	for !heir.owns(a.job) {
		tw.run(100 * time.Microsecond)
	}
	lies := func() {
		t.Helper()
		epoch, named := heir.c.jobs[a.job].epoch, heir.c.jobs[a.job].guards.named
		for _, liar := range tw.sites[1:] {
			if liar == heir || named[liar.id] {
				continue
			}
			for _, other := range tw.sites[1:] {
				heir.step(&Received{From: liar.id, Msg: &Rejoin{Job: a.job, Epoch: epoch, Owner: other.id}})
			}
			for _, lie := range []Message{
				&Rejoin{Job: a.job, Epoch: epoch, Owner: liar.id}, &JobTaken{Job: a.job, Epoch: epoch + 100}, &Rejoin{Job: a.job, Epoch: epoch, Behind: 1 << 30},
			} {
				heir.step(&Received{From: liar.id, Msg: lie})
			}
			tw.run(10 * time.Millisecond)
			if !heir.owns(a.job) {
				t.Fatal("the guardian believed a liar")
			}
			break // one alone
		}
	}
	lies()
	tw.run(20 * time.Second)
	lies()
	heir.attach(a.job)
	heir.take(ids...)
	tw.run(time.Minute)
	heir.all(ids)
}

// Law 10: only the owner of a job has copies of its objects made.
func TestImpostorAsksForCopies(t *testing.T) {
	tw := newTown(t, 5, 2)
	a := tw.sites[0].startDetached()
	id := a.keep(1)
	tw.run(time.Second)
	lies := func(at *site, but ...*site) {
		t.Helper()
		for _, s := range tw.sites {
			if s == at || slices.Contains(but, s) || s.dead {
				continue
			}
			had := at.c.Counts().Impostors
			at.step(&Received{From: s.id, Msg: &CopyObject{Source: Source{Object: id, Size: 1 << 20, Holders: []string{s.id}}}})
			if n := at.c.Counts().Impostors; n != had+1 {
				t.Errorf("%d such messages were counted, then %d", had, n)
			}
		}
		tw.run(time.Second)
		if at != a && at.store[id] {
			t.Fatalf("%s has made a copy for a liar", at.id)
		}
	}
	guardian := tw.site(a.c.jobs[a.job].guards.told[0])
	lies(guardian, a)
	lies(a)
	var stranger *site // it knows nothing of the job
	for _, s := range tw.sites {
		if s.c.jobs[a.job] == nil {
			stranger = s
		}
	}
	lies(stranger)

	a.step(&Replicate{Proc: a.driver, Object: id, Copies: 2})
	tw.run(time.Second)
	tw.copies(id, 2)
	tw.murder(a)
	tw.run(10 * time.Second)
	heir := tw.ownerOf(a.job)
	heir.attach(a.job)
	heir.take(id)
	tw.run(time.Second)
	tw.copies(id, 2) // the heir's word counts now
	for _, s := range tw.sites {
		if !s.dead && !s.store[id] {
			lies(s, heir)
		}
	}
}
