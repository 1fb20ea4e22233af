package sched

import (
	"container/heap"
	"fmt"
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
)

// town is some cores that hear each other, in virtual time, with fake workers.
type town struct {
	t      testing.TB
	now    time.Time
	q      eventHeap
	seq    int
	sites  []*site
	lag    time.Duration
	kinds  map[string]*kind
	sent   map[string]int // messages by type
	runs   map[raygo.TaskID]int
	where  map[raygo.TaskID]*site
	byID   map[string]*site
	quick  bool // do not check the laws after each step
	ranAt  func(raygo.TaskID)
	onSend func(to string, m Message)
	breaks map[[2]string]int // of links, counted: what is on its way is lost with one
}

// kind is what tasks of a function do.
type kind struct {
	run time.Duration
	big uint64                    // bytes of a stored result, 0: inline
	do  func(s *site, e *Execute) // in place of a result after run
}

type site struct {
	tw      *town
	id      string
	tag     uint32
	c       *Core
	dead    bool
	nextP   uint32
	job     raygo.JobID
	driver  raygo.ProcID
	seq     uint32
	names   map[ClassID]string
	nextC   ClassID
	procs   map[WorkerID]raygo.ProcID
	store   map[raygo.ObjectID]bool
	values  map[raygo.ObjectID]Value
	execs   map[raygo.TaskID]*Execute
	waits   map[raygo.ObjectID]func(Value) // of workers
	outcome map[uint32]CancelOutcome
	streams map[raygo.TaskID]*StreamState
	credits map[raygo.TaskID]uint32
	resumes map[raygo.TaskID]func()
	queues  map[WorkerID][]*Execute
	warns   []string
	loses   bool                    // every task that it is given
	denies  bool                    // what it has
	copying func(id raygo.ObjectID) // in place of a copy that it is to make
	fetched int
	factor  int  // its tasks take so many times as long
	mute    bool // what it says is lost
	alarm   time.Time
	ran     int
	gen     int
}

type occasion struct {
	at  time.Time
	seq int
	do  func()
}
type eventHeap []occasion

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at.Before(h[j].at) || h[i].at.Equal(h[j].at) && h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(occasion)) }
func (h *eventHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func newTown(t testing.TB, n int, cpus float64) *town {
	tw := &town{t: t, now: time.Unix(1000, 0), lag: 200 * time.Microsecond, kinds: map[string]*kind{}, sent: map[string]int{}, runs: map[raygo.TaskID]int{}, where: map[raygo.TaskID]*site{}, byID: map[string]*site{}}
	for i := range n {
		tw.add(fmt.Sprintf("p%d", i), cpus, nil)
	}
	return tw
}

func (tw *town) add(id string, cpus float64, labels map[string]string, more ...func(*Config)) *site {
	cfg := Config{Self: id, Seed: uint64(len(tw.sites) + 1), Resources: Resources{CPU: q(cpus), Memory: 1 << 30}, Labels: labels}
	for _, f := range more {
		f(&cfg)
	}
	s := &site{
		tw: tw, id: id, tag: uint32(len(tw.sites) + 1), c: New(cfg), names: map[ClassID]string{}, procs: map[WorkerID]raygo.ProcID{},
		store: map[raygo.ObjectID]bool{}, values: map[raygo.ObjectID]Value{}, execs: map[raygo.TaskID]*Execute{}, waits: map[raygo.ObjectID]func(Value){},
		outcome: map[uint32]CancelOutcome{}, streams: map[raygo.TaskID]*StreamState{}, credits: map[raygo.TaskID]uint32{}, resumes: map[raygo.TaskID]func(){}, queues: map[WorkerID][]*Execute{},
	}
	for _, o := range tw.sites {
		if !o.dead {
			o.step(s.up(cfg))
			s.step(o.up(o.c.cfg))
		}
	}
	tw.sites = append(tw.sites, s)
	tw.byID[id] = s
	return s
}

func (s *site) up(cfg Config) *PeerUp {
	totals := map[string]raygo.Quantity{raygo.CPU: cfg.Resources.CPU, raygo.Memory: raygo.Quantity(cfg.Resources.Memory), raygo.GPU: q(float64(len(cfg.Resources.GPUIDs)))}
	for k, v := range cfg.Resources.Custom {
		totals[k] = v
	}
	return &PeerUp{Peer: s.id, Tag: s.tag, Totals: totals, Labels: cfg.Labels}
}

func (tw *town) site(id string) *site {
	if s := tw.byID[id]; s != nil && !s.dead {
		return s
	}
	return nil
}

func (tw *town) after(d time.Duration, do func()) {
	tw.seq++
	heap.Push(&tw.q, occasion{tw.now.Add(d), tw.seq, do})
}

// run lets time pass until nothing is left to do or until the limit.
func (tw *town) run(limit time.Duration) {
	end := tw.now.Add(limit)
	for len(tw.q) > 0 && !tw.q[0].at.After(end) {
		o := heap.Pop(&tw.q).(occasion)
		tw.now = o.at
		o.do()
	}
	tw.now = end
}

// kill ends a site; the others hear of it after a while.
func (tw *town) kill(s *site) {
	s.dead = true
	s.gen++
	for _, o := range tw.sites {
		if o != s && !o.dead {
			tw.after(time.Second, func() {
				if !o.dead {
					o.step(&PeerDown{Peer: s.id, Reason: "killed"})
				}
			})
		}
	}
}

func linkOf(a, b string) [2]string { return [2]string{min(a, b), max(a, b)} }

// cut breaks the link of two sites for a while. If it is long enough each takes the
// other for dead.
func (tw *town) cut(a, b *site, d time.Duration) {
	if tw.breaks == nil {
		tw.breaks = map[[2]string]int{}
	}
	link := linkOf(a.id, b.id)
	tw.breaks[link]++
	session := tw.breaks[link]
	for _, x := range [][2]*site{{a, b}, {b, a}} {
		x[0].step(&PeerDown{Peer: x[1].id, Reason: "cut"})
		if d > 1500*time.Millisecond {
			tw.after(1500*time.Millisecond, func() {
				if tw.breaks[link] == session {
					x[0].step(&PeerDead{Peer: x[1].id, Reason: "cut"})
				}
			})
		}
	}
	tw.after(d, func() {
		if tw.breaks[link] == session && !a.dead && !b.dead {
			tw.breaks[link]++ // a new session
			a.step(b.up(b.c.cfg))
			b.step(a.up(a.c.cfg))
		}
	})
}

func (s *site) step(ev Event) {
	if s.dead {
		return
	}
	tw := s.tw
	effects := append([]Effect(nil), s.c.Step(tw.now, ev)...)
	if !tw.quick {
		if err := s.c.Check(); err != nil {
			tw.t.Fatalf("%s after %T: %v", s.id, ev, err)
		}
	}
	for _, e := range effects {
		s.carry(e)
	}
	if next := s.c.Next(); !next.IsZero() && (s.alarm.IsZero() || next.Before(s.alarm)) {
		s.alarm = next
		tw.after(max(0, next.Sub(tw.now)), func() {
			if s.alarm.Equal(next) {
				s.alarm = time.Time{}
				s.step(&Tick{})
			}
		})
	}
}

func (s *site) carry(e Effect) {
	tw := s.tw
	switch e := e.(type) {
	case *Send:
		tw.sent[fmt.Sprintf("%T", e.Msg)]++
		if tw.onSend != nil {
			tw.onSend(e.To, e.Msg)
		}
		if s.mute {
			return
		}
		link := linkOf(s.id, e.To)
		session := tw.breaks[link]
		tw.after(tw.lag, func() {
			if tw.breaks[link] != session {
				return
			}
			if _, task := e.Msg.(*Assign); task && tw.byID[e.To].loses {
				return
			}
			if o := tw.site(e.To); o != nil && !s.dead {
				o.step(&Received{From: s.id, Msg: e.Msg})
			}
		})
	case *JobOpened:
		tw.after(0, func() { s.step(&ProgramHere{Job: e.Job}) })
	case *ClassKnown:
		s.names[e.Class] = string(e.Def)
	case *StartWorker:
		s.nextP++
		p := raygo.ProcID(uint64(s.tag)<<32 | uint64(s.nextP))
		s.procs[e.Worker] = p
		tw.after(time.Millisecond, func() { s.step(&WorkerStarted{Worker: e.Worker, Proc: p, PID: int(s.nextP)}) })
	case *StopWorker:
		delete(s.queues, e.Worker)
		tw.after(0, func() { s.step(&WorkerGone{Worker: e.Worker, Reason: "stopped"}) })
	case *Fetch:
		s.fetch(e)
	case *Execute:
		s.execute(e)
	case *Notify:
		s.told(e)
	case *Stop:
		if x := s.execs[e.Task]; x != nil {
			tw.after(time.Millisecond, func() {
				s.over(&Result{Worker: e.Worker, Task: e.Task, Award: e.Award, Status: StatusCancelled})
			})
		}
	case *Cancelled:
		s.outcome[e.Request] = e.Outcome
	case *StreamState:
		s.streams[e.Task] = e
	case *Credit:
		s.credits[e.Task] = e.N
	case *Warn:
		s.warns = append(s.warns, e.Text)
	case *Resume:
		s.resume(e)
	case *Recall:
		tw.after(0, func() {
			ev := &Returned{Worker: e.Worker}
			if q := s.queues[e.Worker]; len(q) > 1 { // the first has begun
				for _, x := range q[1:] {
					ev.Tasks = append(ev.Tasks, Mark{Task: x.Task, Award: x.Award})
				}
				s.queues[e.Worker] = q[:1:1]
			}
			s.step(ev)
		})
	case *Delete:
		delete(s.store, e.Object)
	case *JobDone:
		for id := range s.store {
			if id.Job() == e.Job {
				delete(s.store, id)
			}
		}
	case *CopyHere:
		tw.after(time.Millisecond, func() { s.copy(e) })
	}
}

func (s *site) fetch(e *Fetch) {
	var missing []raygo.ObjectID
	denied := map[string]bool{}
	for _, id := range e.Objects {
		found := s.store[id]
		for _, src := range e.Sources {
			if src.Object != id {
				continue
			}
			for _, h := range src.Holders {
				if o := s.tw.site(h); o != nil && o.store[id] && !o.denies {
					found = true
				} else {
					denied[h] = true
				}
			}
		}
		if !found {
			missing = append(missing, id)
		}
	}
	s.tw.after(time.Millisecond, func() {
		if len(missing) > 0 {
			ev := &ArgsFailed{Task: e.Task, Award: e.Award, Missing: missing}
			for h := range denied {
				ev.Denied = append(ev.Denied, h)
			}
			s.step(ev)
			return
		}
		for _, id := range e.Objects {
			if !s.store[id] {
				s.store[id] = true
				s.fetched++
				s.step(&Copied{Object: id})
			}
		}
		s.step(&ArgsReady{Task: e.Task, Award: e.Award})
	})
}

// execute queues a task at its worker, which does one at a time.
func (s *site) execute(e *Execute) {
	s.queues[e.Worker] = append(s.queues[e.Worker], e)
	if len(s.queues[e.Worker]) == 1 {
		s.begin(e)
	}
}

// over ends the task that a worker does and begins the next.
func (s *site) over(r *Result) {
	q := s.queues[r.Worker]
	if len(q) == 0 || q[0].Task != r.Task || q[0].Award != r.Award {
		return
	}
	s.queues[r.Worker] = q[1:]
	var next *Execute
	if len(q) > 1 {
		next = q[1]
	}
	s.step(r)
	if left := s.queues[r.Worker]; next != nil && len(left) > 0 && left[0] == next {
		s.begin(next)
	}
}

func (s *site) begin(e *Execute) {
	s.tw.after(0, func() {
		if q := s.queues[e.Worker]; len(q) > 0 && q[0] == e {
			s.do(e)
		}
	})
}

func (s *site) do(e *Execute) {
	tw := s.tw
	tw.runs[e.Task]++
	if tw.ranAt != nil {
		tw.ranAt(e.Task)
	}
	tw.where[e.Task] = s
	s.ran++
	k := tw.kinds[s.names[e.Class]]
	if k == nil {
		tw.t.Fatalf("%s: class %d is unknown", s.id, e.Class)
	}
	s.execs[e.Task] = e
	if k.do != nil {
		k.do(s, e)
		return
	}
	tw.after(k.run*time.Duration(max(s.factor, 1)), func() {
		v := Value{Kind: Inline, Bytes: e.Args}
		if k.big > 0 && !s.dead {
			id := e.Task.Object(0)
			s.store[id] = true
			v = Value{Kind: Stored, Size: k.big, Store: id}
		}
		s.over(&Result{Worker: e.Worker, Task: e.Task, Award: e.Award, Run: k.run, Outcomes: []Outcome{{Value: v}}})
	})
}

// await has a worker's task wait for objects: it blocks, and goes on with then.
func (s *site) await(e *Execute, ids []raygo.ObjectID, then func()) {
	left := len(ids)
	for _, id := range ids {
		s.waits[id] = func(Value) {
			if left--; left == 0 {
				s.resumes[e.Task] = then
				s.step(&Unblocked{Worker: e.Worker, Task: e.Task, Award: e.Award})
			}
		}
	}
	s.queues[e.Worker] = s.queues[e.Worker][:1:1] // what was sent ahead is dropped
	s.step(&Blocked{Worker: e.Worker, Task: e.Task, Award: e.Award})
	s.step(&Want{Proc: s.procs[e.Worker], Objects: ids})
}

func (s *site) resume(e *Resume) {
	if then := s.resumes[e.Task]; then != nil {
		delete(s.resumes, e.Task)
		s.tw.after(0, then)
	}
}

func (s *site) finish(e *Execute, v Value) {
	s.over(&Result{Worker: e.Worker, Task: e.Task, Award: e.Award, Run: time.Millisecond, Outcomes: []Outcome{{Value: v}}})
}

func (s *site) told(n *Notify) {
	if f := s.waits[n.Object]; f != nil && n.Wanted {
		delete(s.waits, n.Object)
		f(n.Value)
		return
	}
	if n.Value.Kind != Stored || s.store[n.Value.Store] {
		s.values[n.Object] = n.Value
		return
	}
	if n.Source == nil {
		s.tw.t.Fatalf("%s is told of %s, which is not here, and not where it is", s.id, n.Object)
	}
	var denied []string
	for _, h := range n.Source.Holders {
		if o := s.tw.site(h); o != nil && o.store[n.Value.Store] && !o.denies {
			s.values[n.Object] = n.Value
			return
		}
		denied = append(denied, h)
	}
	if n.Wanted {
		s.tw.after(time.Millisecond, func() {
			s.step(&FetchLost{Proc: n.Proc, Object: n.Object, Mode: n.Mode, Denied: denied})
		})
	}
}

// start makes a job with a driver at the site.
func (s *site) start() *site {
	s.nextP++
	s.job, s.driver = raygo.JobID{byte(s.tag)}, raygo.ProcID(uint64(s.tag)<<32|uint64(s.nextP))
	s.step(&JobStarted{Job: s.job, Driver: s.driver})
	return s
}

func (s *site) define(name string, k *kind, o raygo.Options) ClassID {
	s.nextC++
	s.tw.kinds[name] = k
	s.names[s.nextC] = name
	s.step(&ClassDefined{Class: s.nextC, Job: s.job, Function: name, Options: o, Def: []byte(name)})
	return s.nextC
}

func (s *site) submit(cl ClassID, deps ...raygo.ObjectID) raygo.ObjectID {
	s.seq++
	id := raygo.NewTaskID(s.job, s.driver, s.seq)
	s.step(&Submit{Task: id, Class: cl, Proc: s.driver, Args: []byte{byte(s.seq)}, Deps: deps})
	return id.Object(0)
}

func (s *site) want(ids ...raygo.ObjectID) {
	for _, id := range ids {
		delete(s.values, id)
	}
	s.step(&Want{Proc: s.driver, Objects: ids})
}

func (tw *town) counts() (n []int) {
	for _, s := range tw.sites {
		n = append(n, s.ran)
	}
	return n
}
