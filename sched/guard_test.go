package sched

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
)

// startDetached makes a job that outlives its driver.
func (s *site) startDetached() *site {
	s.nextP++
	s.job, s.driver = raygo.JobID{byte(s.tag)}, raygo.ProcID(uint64(s.tag)<<32|uint64(s.nextP))
	s.step(&JobStarted{Job: s.job, Driver: s.driver, Detached: true})
	return s
}

// murder kills a site and has the others be sure of it.
func (tw *town) murder(s *site) {
	tw.kill(s)
	for _, o := range tw.sites {
		if o != s && !o.dead {
			tw.after(1500*time.Millisecond, func() { o.step(&PeerDead{Peer: s.id, Reason: "killed"}) })
		}
	}
}

// ownerOf is the one site that owns a job.
func (tw *town) ownerOf(id raygo.JobID) *site {
	tw.t.Helper()
	var owner *site
	for _, s := range tw.sites {
		if j := s.c.jobs[id]; !s.dead && j != nil && !j.ended && j.owner == nil {
			if owner != nil {
				tw.t.Fatalf("%s and %s own the job", owner.id, s.id)
			}
			owner = s
		}
	}
	if owner == nil {
		tw.t.Fatal("nobody owns the job")
	}
	return owner
}

// attach has a program at s go on with a job.
func (s *site) attach(id raygo.JobID) {
	if owner := s.tw.ownerOf(id); owner != s {
		owner.step(&JobShown{Job: id, Peer: s.id})
		s.tw.run(10 * time.Millisecond)
	}
	s.nextP++
	s.job, s.driver, s.seq = id, raygo.ProcID(uint64(s.tag)<<32|uint64(s.nextP)), 0
	s.step(&JobAttached{Job: id, Driver: s.driver})
	s.tw.run(10 * time.Millisecond)
}

// take has the program at s hold objects and ask for them.
func (s *site) take(ids ...raygo.ObjectID) {
	s.step(&Borrow{Proc: s.driver, Objects: ids})
	s.want(ids...)
}

// nothingLeft drops what programs hold and checks that the objects are gone, but
// for what the job itself keeps: the refs of its first driver.
func (tw *town) nothingLeft(id raygo.JobID, objects []raygo.ObjectID) {
	tw.t.Helper()
	owner := tw.ownerOf(id)
	for _, s := range tw.sites {
		if !s.dead && s.job == id {
			s.step(&Release{Proc: s.driver, Objects: objects})
		}
	}
	owner.step(&Release{Proc: owner.c.jobs[id].driver, Objects: objects})
	tw.run(time.Second)
	for _, o := range objects {
		if owner.c.jobs[id].objects.get(o) != nil {
			tw.t.Fatalf("object %s is left", o)
		}
		for _, s := range tw.sites {
			if !s.dead && s.store[o] {
				tw.t.Fatalf("the bytes of %s are left at %s", o, s.id)
			}
		}
	}
}

// behaviour 144: the owner dies at any moment, again and again, and every getter
// gets the value of everything that was submitted.
func TestOwnerDies(t *testing.T) {
	for seed := range uint64(400) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { ownerDies(t, seed) })
	}
}

func ownerDies(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	tw := newTown(t, 5, 2)
	a := tw.sites[0].startDetached()
	short := a.define("short", &kind{run: 5 * time.Millisecond}, opts())
	long := a.define("long", &kind{run: 300 * time.Millisecond}, opts())
	big := a.define("big", &kind{run: 50 * time.Millisecond, big: 1 << 20}, opts())
	leaf := &kind{run: 100 * time.Millisecond}
	parent := a.define("parent", &kind{do: func(s *site, e *Execute) {
		id := s.child(e, "leaf", leaf)
		s.await(e, []raygo.ObjectID{id}, func() {
			s.step(&Release{Proc: s.procs[e.Worker], Objects: []raygo.ObjectID{id}})
			s.finish(e, Value{Kind: Inline, Bytes: []byte("parent")})
		})
	}}, opts())
	var ids []raygo.ObjectID
	for i := range 40 {
		var deps []raygo.ObjectID
		if len(ids) > 0 && rng.IntN(2) == 0 {
			deps = []raygo.ObjectID{ids[rng.IntN(len(ids))]}
		}
		ids = append(ids, a.submit([]ClassID{short, long, big, parent}[(i+int(seed))%4], deps...))
	}
	job := a.job
	tw.run(60*time.Millisecond + time.Duration(rng.IntN(800))*time.Millisecond)
	for range 1 + rng.IntN(2) {
		tw.murder(tw.ownerOf(job))
		tw.run(1600*time.Millisecond + time.Duration(rng.IntN(1500))*time.Millisecond)
	}
	var readers []*site
	for _, s := range tw.sites {
		if !s.dead {
			s.attach(job)
			s.take(ids...)
			readers = append(readers, s)
		}
	}
	tw.run(20 * time.Second)
	for _, s := range readers {
		s.all(ids)
		for _, id := range ids {
			if v, w := s.values[id], readers[0].values[id]; v.Kind == Failed || v.Kind != w.Kind || !slices.Equal(v.Bytes, w.Bytes) {
				t.Fatalf("%s of %s: %+v, for %s %+v", id, s.id, v, readers[0].id, w)
			}
		}
	}
	tw.nothingLeft(job, ids)
}

// child submits a call from inside a task.
func (s *site) child(e *Execute, name string, k *kind) raygo.ObjectID {
	s.tw.kinds[name] = k
	cl := ClassID(0)
	for id, have := range s.names {
		if have == name && id < ownClass {
			cl = max(cl, id)
		}
	}
	if cl == 0 {
		s.nextC++
		cl = s.nextC
		s.names[cl] = name
		s.step(&ClassDefined{Class: cl, Job: e.Task.Job(), Function: name, Options: opts(), Def: []byte(name)})
	}
	s.seq++
	task := raygo.NewTaskID(e.Task.Job(), s.procs[e.Worker], s.seq)
	s.step(&Submit{Task: task, Class: cl, Proc: s.procs[e.Worker], Parent: e.Task, Args: []byte(name)})
	return task.Object(0)
}
