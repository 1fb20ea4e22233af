package world

import (
	"fmt"
	"math"
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

// Peer is a simulated peer process with its machine: core, workers, store.
type Peer struct {
	Name  string
	w     *World
	index int
	m     *Machine

	core   *sched.Core
	up     bool
	asleep int // reasons why it does not go on: it was stopped
	late   []func()
	inc    uint32 // counts its lives
	procs  uint32
	drives bool // a driver is attached to it, or will be

	workers   map[sched.WorkerID]*worker
	attached  map[raygo.ProcID]process
	store     map[raygo.ObjectID]*stored
	dropped   map[raygo.ObjectID]time.Duration // when it said that it has one no more, or gets none
	fetches   map[execution]*fetching
	uplink    time.Duration // busy until
	classes   map[sched.ClassID]classKey
	classIDs  map[classKey]sched.ClassID
	programs  map[raygo.JobID]*program
	memos     map[string]*memo        // results by what they were computed from
	nesting   []*memo                 // those that name other values
	asked     map[raygo.TaskID]string // calls that none was known of
	nextClass sched.ClassID
	next      time.Duration // when its core is to be ticked
	steps     int
	draining  bool
}

// classKey names a class of a job's program.
type classKey struct {
	job   raygo.JobID
	class int
}

// program is a job as an executor knows it.
type program struct {
	here    bool
	waiting []func()
}

// execution names one award of a task.
type execution struct {
	task  raygo.TaskID
	award uint32
}

// process is what is attached to a peer: a driver or a worker.
type process interface {
	notify(n *sched.Notify)
	stream(s *sched.StreamState)
	cancelled(c *sched.Cancelled)
}

func newPeer(w *World, i int, m *Machine) *Peer {
	return &Peer{Name: fmt.Sprintf("p%d", i), w: w, index: i, m: m}
}

// Tag is the upper half of the IDs of the peer's processes.
func (p *Peer) tag() uint32 { return uint32(p.index)<<1 | 1 }

// Alive reports whether the peer's process runs.
func (p *Peer) Alive() bool { return p.up }

// boot starts a peer, as a new incarnation if it has been there before.
func (w *World) boot(p *Peer) {
	if p.up {
		return
	}
	p.inc++
	p.up, p.asleep, p.late, p.next, p.draining = true, 0, nil, math.MaxInt64, false
	p.procs = p.inc << 20 // numbers of processes are never given again
	p.core = sched.New(sched.Config{
		Self: p.Name, Seed: w.cfg.Seed<<8 + uint64(p.index) + uint64(p.inc)<<40, Resources: p.m.Resources, Labels: p.m.Labels, MaxWorkers: p.m.MaxWorkers, MaxTasks: p.m.MaxTasks,
	})
	p.workers, p.attached = map[sched.WorkerID]*worker{}, map[raygo.ProcID]process{}
	p.store, p.fetches = map[raygo.ObjectID]*stored{}, map[execution]*fetching{}
	p.dropped = map[raygo.ObjectID]time.Duration{}
	p.classes, p.classIDs = map[sched.ClassID]classKey{}, map[classKey]sched.ClassID{}
	p.programs = map[raygo.JobID]*program{}
	p.memos, p.nesting, p.asked = map[string]*memo{}, nil, map[raygo.TaskID]string{}
	for _, q := range w.peers {
		w.dial(p, q)
	}
}

// advert is what others are told of a peer.
func (p *Peer) advert() *sched.PeerUp {
	r := &p.m.Resources
	totals := map[string]raygo.Quantity{raygo.CPU: r.CPU, raygo.Memory: raygo.Quantity(r.Memory)}
	if len(r.GPUIDs) > 0 {
		totals[raygo.GPU] = raygo.Unit * raygo.Quantity(len(r.GPUIDs))
	}
	for name, q := range r.Custom {
		totals[name] = q
	}
	return &sched.PeerUp{Peer: p.Name, Tag: p.tag(), Totals: totals, Labels: p.m.Labels, Draining: p.draining, Incarnation: p.life()}
}

func (p *Peer) answers() bool { return p.up && p.asleep == 0 }

// clock is the time that the peer's core is told.
func (p *Peer) clock() time.Time { return epoch.Add(p.w.now + p.m.Skew) }

// at has something happen to this life of the peer: never if it is over by then,
// later if the peer is stopped.
func (p *Peer) at(d time.Duration, f func()) {
	inc := p.inc
	p.w.after(d, func() {
		if p.inc == inc && p.up {
			p.run(f)
		}
	})
}

func (p *Peer) run(f func()) {
	if p.asleep > 0 {
		p.late = append(p.late, f)
		return
	}
	f()
}

// step lets an event happen at the core and carries out what it says.
func (p *Peer) step(ev sched.Event) {
	w := p.w
	if !p.up || w.err != nil {
		return
	}
	out := slices.Clone(p.core.Step(p.clock(), ev))
	w.Stats.Steps++
	p.steps++
	w.trace.step(w.now, p.Name, ev, out)
	if e, ok := ev.(*sched.Release); ok {
		w.laws.letGo(p, e)
	}
	if p.steps%w.cfg.CheckEvery == 0 {
		if err := p.core.Check(); err != nil {
			w.Fail("%s after %s: %v", p.Name, show(ev), err)
			return
		}
	}
	for _, e := range out {
		w.laws.see(p, e)
	}
	for _, e := range out {
		p.carry(e)
	}
	p.tickWhenDue()
}

func (p *Peer) tickWhenDue() {
	t := p.core.Next()
	if t.IsZero() {
		p.next = math.MaxInt64
		return
	}
	at := max(p.w.now, t.Sub(epoch)-p.m.Skew)
	if at >= p.next {
		return
	}
	p.next = at
	p.at(at-p.w.now, func() {
		if p.next <= p.w.now {
			p.next = math.MaxInt64
			p.step(&sched.Tick{})
		}
	})
}

// carry carries out one effect. What it causes comes after the whole step.
func (p *Peer) carry(e sched.Effect) {
	switch e := e.(type) {
	case *sched.Send:
		p.m.Lie.send(p, e)
	case *sched.StartWorker:
		p.startWorker(e)
	case *sched.StopWorker:
		p.at(ipcDelay, func() { p.stopWorker(e) })
	case *sched.Execute:
		p.toWorker(e.Worker, func(k *worker) { k.execute(e) })
	case *sched.Resume:
		p.toWorker(e.Worker, func(k *worker) { k.resume(e) })
	case *sched.Recall:
		p.toWorker(e.Worker, func(k *worker) { k.recall() })
	case *sched.Stop:
		p.toWorker(e.Worker, func(k *worker) { k.stop(e) })
	case *sched.Credit:
		p.toWorker(e.Worker, func(k *worker) { k.credit(e) })
	case *sched.Fetch:
		p.fetch(e)
	case *sched.Unpin:
		p.unpin(e)
	case *sched.Memo:
		p.memoLookup(e)
	case *sched.MemoKeep:
		p.memoKeep(e)
	case *sched.Notify:
		p.toProcess(e.Proc, func(x process) { x.notify(e) })
	case *sched.StreamState:
		p.toProcess(e.Proc, func(x process) { x.stream(e) })
	case *sched.Cancelled:
		p.toProcess(e.Proc, func(x process) { x.cancelled(e) })
	case *sched.Delete:
		p.deleteObject(e.Object)
	case *sched.CopyHere:
		p.copyHere(e.Source)
	case *sched.JobOpened:
		p.openJob(e)
	case *sched.ClassKnown:
		p.knowClass(e)
	case *sched.JobTook:
		p.w.took(p, e)
	case *sched.JobDone:
		p.discardJob(e.Job)
	}
}

const ipcDelay = 30 * time.Microsecond // between a peer and its processes

func (p *Peer) toWorker(id sched.WorkerID, f func(*worker)) {
	p.at(ipcDelay, func() {
		if k := p.workers[id]; k != nil && k.alive {
			f(k)
		}
	})
}

func (p *Peer) toProcess(id raygo.ProcID, f func(process)) {
	p.at(ipcDelay, func() {
		if x := p.attached[id]; x != nil {
			f(x)
		}
	})
}

func (p *Peer) receive(from *Peer, msg sched.Message) {
	if !p.m.Lie.receive(p, from, msg) {
		p.step(&sched.Received{From: from.Name, Msg: msg})
	}
}

// proc makes an ID for a process that attaches here.
func (p *Peer) proc() raygo.ProcID {
	p.procs++
	return raygo.ProcID(uint64(p.tag())<<32 | uint64(p.procs))
}
