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
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { ownerDies(t, seed) })
	}
	ownerDies(t, 1311) // the heir had deleted bytes that the last record said it had
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

// behaviour 144: whoever takes the job over dies at once, before other guardians
// have what it knows.
func TestHeirDiesAtOnce(t *testing.T) {
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { heirDies(t, seed) })
	}
}

func heirDies(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 3))
	tw := newTown(t, 5, 2)
	a := tw.sites[0].startDetached()
	retry := func(o *raygo.Options) { o.MaxRetries = -1 }
	short := a.define("short", &kind{run: 5 * time.Millisecond}, opts(retry))
	long := a.define("long", &kind{run: 8 * time.Second}, opts(retry, strategy(raygo.Strategy{Kind: raygo.StrategySpread})))
	var ids []raygo.ObjectID
	for range 20 {
		ids = append(ids, a.submit(short), a.submit(long))
	}
	job := a.job
	tw.run(time.Second)
	tw.murder(a)
	for owned := false; !owned; tw.run(time.Millisecond) {
		owned = slices.ContainsFunc(tw.sites, func(s *site) bool { return !s.dead && s.owns(job) })
	}
	tw.run(time.Duration(rng.IntN(100)) * time.Millisecond)
	tw.murder(tw.ownerOf(job))
	tw.run(10 * time.Second)
	heir := tw.ownerOf(job)
	heir.attach(job)
	heir.take(ids...)
	tw.run(60 * time.Second)
	heir.all(ids)
	for _, id := range ids {
		if v := heir.values[id]; v.Kind == Failed {
			t.Fatalf("%s: %+v", id, v)
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

// behaviours 108, 144, 236: an owner that is taken for dead and lives gives its job
// up when it hears that another has it; what others ran goes on.
func TestOwnerThatWasNotDead(t *testing.T) {
	tw := newTown(t, 4, 2)
	a := tw.sites[0].startDetached()
	cl := a.define("f", &kind{run: 3 * time.Second}, opts(strategy(raygo.Strategy{Kind: raygo.StrategySpread})))
	var ids []raygo.ObjectID
	for range 8 {
		ids = append(ids, a.submit(cl))
	}
	job := a.job
	tw.run(500 * time.Millisecond)
	for _, s := range tw.sites[1:] { // a partition: each side takes the other for dead
		s.step(&PeerDown{Peer: a.id, Reason: "cut"})
		a.step(&PeerDown{Peer: s.id, Reason: "cut"})
		tw.after(time.Second, func() { s.step(&PeerDead{Peer: a.id, Reason: "cut"}) })
	}
	tw.run(1500 * time.Millisecond)
	if !a.owns(job) {
		t.Fatal("the owner gave its job up before it heard of another")
	}
	heirs := 0
	for _, s := range tw.sites[1:] {
		if s.owns(job) {
			heirs++
		}
		s.step(a.up(a.c.cfg))
		a.step(s.up(s.c.cfg))
	}
	if heirs != 1 {
		t.Fatalf("%d peers took the job over", heirs)
	}
	tw.run(time.Second)
	heir := tw.ownerOf(job)
	if heir == a {
		t.Fatal("the former owner did not give its job up")
	}
	b := tw.sites[3]
	b.attach(job)
	b.take(ids...)
	tw.run(20 * time.Second)
	b.all(ids)
	for _, id := range ids {
		if n := tw.runs[id.Task()]; n > 2 {
			t.Fatalf("task %s ran %d times", id.Task(), n)
		}
	}
	tw.nothingLeft(job, ids)
}

func (s *site) owns(id raygo.JobID) bool {
	j := s.c.jobs[id]
	return j != nil && !j.ended && j.owner == nil
}

// What other peers run when its owner dies is not begun anew.
func TestWhatRunsGoesOn(t *testing.T) {
	tw := newTown(t, 4, 2)
	a := tw.sites[0].startDetached()
	cl := a.define("f", &kind{run: 10 * time.Second, big: 1 << 20}, opts(strategy(raygo.Strategy{Kind: raygo.StrategySpread})))
	var ids []raygo.ObjectID
	for range 8 {
		ids = append(ids, a.submit(cl))
	}
	tw.run(time.Second)
	here := a.ran
	tw.murder(a)
	tw.run(4 * time.Second)
	heir := tw.ownerOf(a.job)
	heir.attach(a.job)
	heir.take(ids...)
	tw.run(30 * time.Second)
	heir.all(ids)
	again := 0
	for _, id := range ids {
		again += tw.runs[id.Task()] - 1
	}
	if again != here || here == 0 || here > 3 {
		t.Fatalf("%d tasks ran again, %d were at the owner", again, here)
	}
	tw.nothingLeft(a.job, ids)
}

// behaviours 129, 144: what only the owner had is lost with it and says so; what
// had a copy, or can be made again, is there.
func TestBytesOfADeadOwner(t *testing.T) {
	tw := newTown(t, 4, 2)
	a := tw.sites[0].startDetached()
	put := func(n uint32) raygo.ObjectID {
		id := raygo.NewTaskID(a.job, a.driver, 1000+n).Object(0)
		a.store[id] = true
		a.step(&Put{Object: id, Proc: a.driver, Value: Value{Kind: Stored, Size: 1 << 20, Store: id}})
		return id
	}
	alone, twice := put(1), put(2)
	a.step(&Replicate{Proc: a.driver, Object: twice, Copies: 2})
	made := a.submit(a.define("f", &kind{run: time.Millisecond, big: 1 << 20}, opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: a.id, Soft: true}))))
	tw.run(time.Second)
	tw.murder(a)
	tw.run(3 * time.Second)
	b := tw.sites[3]
	b.attach(a.job)
	b.take(alone, twice, made, raygo.NewTaskID(a.job, a.driver, 5000).Object(0))
	tw.run(3 * time.Second)
	b.all([]raygo.ObjectID{twice, made})
	if v := b.values[alone]; v.Kind != Failed || v.Code != raygo.CodeOwnerDied {
		t.Fatalf("%+v", v)
	}
	if v := b.values[raygo.NewTaskID(a.job, a.driver, 5000).Object(0)]; v.Kind != Failed {
		t.Fatalf("of an object that never was: %+v", v)
	}
}

// behaviours 144, 190: a generator's items come once each, whoever owns it.
func TestStreamOfADeadOwner(t *testing.T) {
	for _, where := range []int{0, 2} { // where the generator runs
		tw := newTown(t, 4, 2)
		a := tw.sites[0].startDetached()
		at := tw.sites[where]
		soft := opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: at.id, Soft: true}))
		id := a.submit(a.define("gen", &kind{do: generate(30, 100*time.Millisecond)}, generator(soft))).Task()
		b := tw.sites[3]
		b.attach(a.job)
		b.take(id.Object(raygo.StreamIndex))
		b.step(&StreamOpen{Proc: b.driver, Task: id})
		taken := uint32(0)
		for range 100 {
			if st := b.streams[id]; st != nil && st.Produced > taken {
				taken = st.Produced
				b.step(&StreamTaken{Proc: b.driver, Task: id, N: taken})
			}
			if taken > 8 && !a.dead {
				tw.murder(a)
			}
			tw.run(200 * time.Millisecond)
		}
		if st := b.streams[id]; st == nil || !st.Ended || st.Produced != 30 || st.Failure.Kind != None || taken != 30 {
			t.Fatalf("generator at %s: %+v, %d taken", at.id, st, taken)
		}
	}
}

// SIGTERM of the owner: nothing is lost and nothing waits for a death.
func TestHandOver(t *testing.T) {
	tw := newTown(t, 4, 2)
	a := tw.sites[0].startDetached()
	cl := a.define("f", &kind{run: 2 * time.Second}, opts())
	big := a.define("big", &kind{run: time.Millisecond, big: 1 << 20}, opts(strategy(raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: a.id}), func(o *raygo.Options) { o.MaxRetries = 0 }))
	var ids []raygo.ObjectID
	for range 20 {
		ids = append(ids, a.submit(cl))
	}
	ids = append(ids, a.submit(big))
	tw.run(time.Second)
	a.step(&Drain{})
	tw.run(3 * time.Second)
	if n := a.c.SoleHere(); n != 0 {
		t.Fatalf("%d objects are only at the peer that leaves", n)
	}
	a.step(&HandOver{})
	tw.run(100 * time.Millisecond)
	if a.owns(a.job) {
		t.Fatal("it still owns the job")
	}
	if len(a.c.jobs) != 0 {
		t.Fatal("the job is not done there")
	}
	tw.kill(a)
	b := tw.sites[3]
	b.attach(a.job)
	b.take(ids...)
	tw.run(30 * time.Second)
	b.all(ids)
	for _, id := range ids {
		if n := tw.runs[id.Task()]; n != 1 {
			t.Fatalf("task %s ran %d times", id.Task(), n)
		}
	}
	tw.nothingLeft(a.job, ids)
}

// An executor does not wait for ever for a new owner, and a job without guardians
// ends with its owner.
func TestNobodyTakesOver(t *testing.T) {
	tw := newTown(t, 2, 2)
	a, b := tw.sites[0].startDetached(), tw.sites[1]
	a.submit(a.define("f", &kind{run: time.Hour}, onPeer(b)))
	tw.run(time.Second)
	if b.c.Counts().Running != 1 {
		t.Fatal("the task does not run")
	}
	tw.kill(a) // and nobody is sure of it
	tw.run(time.Minute)
	if len(b.c.jobs) != 0 || b.c.Counts().Running != 0 {
		t.Fatal("it still waits for its owner")
	}
}

// Laws 1, 5 and 6 while links break, peers are cut off and owners die, with a
// program that is attached to another peer than the owner.
func TestOwnersAmongFaults(t *testing.T) {
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { ownersAmongFaults(t, seed) })
	}
}

func ownersAmongFaults(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 2))
	tw := newTown(t, 6, 2)
	a := tw.sites[0].startDetached()
	job := a.job
	d := tw.sites[5] // the program's
	d.attach(job)
	var kinds []ClassID
	leaf := &kind{run: 80 * time.Millisecond}
	retry := func(o *raygo.Options) { o.MaxRetries = -1 }
	kinds = append(kinds,
		d.define("short", &kind{run: 5 * time.Millisecond}, opts(retry)),
		d.define("long", &kind{run: 400 * time.Millisecond}, opts(retry, strategy(raygo.Strategy{Kind: raygo.StrategySpread}))),
		d.define("big", &kind{run: 30 * time.Millisecond, big: 1 << 20}, opts(retry)),
		d.define("parent", &kind{do: func(s *site, e *Execute) {
			id := s.child(e, "leaf", leaf)
			s.await(e, []raygo.ObjectID{id}, func() {
				s.step(&Release{Proc: s.procs[e.Worker], Objects: []raygo.ObjectID{id}})
				s.finish(e, Value{Kind: Inline, Bytes: []byte("parent")})
			})
		}}, opts(retry)))
	var ids []raygo.ObjectID
	for i := range 60 {
		tw.after(time.Duration(i)*50*time.Millisecond, func() {
			var deps []raygo.ObjectID
			if len(ids) > 0 && rng.IntN(2) == 0 {
				deps = []raygo.ObjectID{ids[rng.IntN(len(ids))]}
			}
			ids = append(ids, d.submit(kinds[rng.IntN(len(kinds))], deps...))
		})
	}
	killed := 0
	for range 3 {
		tw.run(time.Duration(rng.IntN(1500)) * time.Millisecond)
		switch x, y := tw.sites[rng.IntN(5)], tw.sites[rng.IntN(5)]; {
		case rng.IntN(2) == 0 && killed < 2:
			for _, s := range tw.sites[:5] {
				if s.owns(job) && !s.dead && (killed > 0 || s.isGuarded(job)) {
					killed++
					tw.murder(s)
					break
				}
			}
		case x != y && !x.dead && !y.dead && !x.owns(job) && !y.owns(job):
			tw.cut(x, y, time.Duration(100+rng.IntN(3000))*time.Millisecond)
		}
	}
	tw.run(20 * time.Second)
	if !d.attachedTo(job) {
		t.Fatal("the program's peer has lost the job")
	}
	d.want(ids...)
	tw.run(20 * time.Second)
	d.all(ids)
	for _, id := range ids {
		if v := d.values[id]; v.Kind == Failed {
			t.Fatalf("%s: %+v", id, v)
		}
	}
	tw.nothingLeft(job, ids)
}

// isGuarded reports whether all guardians have what the owner of a job knows, but
// for the last moments: then this owner and the next one may die.
func (s *site) isGuarded(id raygo.JobID) bool {
	j := s.c.jobs[id]
	return j.adopting == nil && j.guards.copied()
}

func (s *site) attachedTo(id raygo.JobID) bool {
	j := s.c.jobs[id]
	return j != nil && !j.ended && s.c.procs[s.driver] != nil
}
