package world

import (
	"fmt"
	"math/rand/v2"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

// plan draws a world from a seed. Its dice are not the world's, so that what a
// world does never changes what it is made of.
type plan struct {
	rng    *rand.Rand
	more   *rand.Rand // of what came to the worlds later: older seeds draw what they always did
	latest *rand.Rand // of what came last
	cfg    Config
	plain  bool // nothing asks for what only some peers have
	lies   bool
	faults int
	owners map[int]bool
}

// Options change what Random draws; zero values change nothing.
type Options struct {
	Peers int // so many
	Trace int // steps that a transcript shows
	Made  Age // only what worlds had by then, for seeds that were kept then
}

// Age is how much worlds have, by when it came to them.
type Age int

// The ages of worlds.
const (
	Newest Age = iota
	Plain      // what worlds had at first
	Second     // and memoized functions, values that drivers put, and copies
)

// Random makes the world of a seed, with its jobs and what will befall it.
func Random(seed uint64, o Options) *World {
	d := &plan{rng: rand.New(rand.NewPCG(seed, 0x706c616e)), more: rand.New(rand.NewPCG(seed, 0x6d6f7265)), latest: rand.New(rand.NewPCG(seed, 0x6c617374)), owners: map[int]bool{}}
	d.cfg.Seed, d.cfg.MaxSteps = seed, 500_000
	d.plain = d.one(2)
	d.lies = d.one(5)
	if !d.one(4) {
		d.faults = d.n(1, 8)
	}
	n := d.n(3, 8)
	switch d.n(0, 19) {
	case 0:
		n = d.n(21, 50)
	case 1, 2, 3, 4:
		n = d.n(9, 20)
	}
	d.cfg.KeepTrace = o.Trace
	if o.Peers > 0 {
		n = o.Peers
	}
	if n == 1 {
		d.plain, d.faults = true, 0
	}
	d.net()
	for i := range n {
		d.machine(i)
	}
	w := New(d.cfg)
	for range d.n(1, 3) {
		owner := d.n(0, n-1)
		d.owners[owner] = true
		at, g := d.time(100*time.Millisecond, time.Second), d.program(owner)
		if o.Made != Plain {
			d.enrich(g)
		}
		if o.Made == Newest {
			d.nestKnown(g)
		}
		w.Start(owner, at, g)
	}
	if o.Made == Newest && d.faults == 0 && !d.lies && n > 2 {
		d.depart(w)
	}
	for range d.faults {
		d.befall(w)
	}
	if d.faults > 0 {
		w.At(maxFaults, func() {
			for _, p := range w.peers {
				w.Restart(p)
			}
		})
	}
	return w
}

const maxFaults = 6 * time.Second // no fault begins later

func (d *plan) n(low, high int) int { return low + d.rng.IntN(high-low+1) }

func (d *plan) one(of int) bool { return d.rng.IntN(of) == 0 }

func (d *plan) time(low, high time.Duration) time.Duration {
	return low + time.Duration(d.rng.Int64N(int64(high-low)))
}

func (d *plan) net() {
	net := &d.cfg.Net
	net.Latency = d.time(50*time.Microsecond, time.Millisecond)
	if d.one(4) {
		net.Latency = d.time(time.Millisecond, 30*time.Millisecond)
	}
	if d.one(2) {
		net.Jitter = net.Latency * 2
	}
	net.Bandwidth = []float64{5e6, 50e6, 100e6, 1e9}[d.n(0, 3)]
	if d.faults > 0 && d.one(3) {
		net.Loss = 0.02
	}
}

func (d *plan) machine(i int) {
	m := Machine{
		Resources:  sched.Resources{CPU: raygo.Unit * raygo.Quantity(d.n(1, 6)), Memory: 1 << 30},
		Labels:     map[string]string{"zone": fmt.Sprint("z", i%3)},
		MaxWorkers: 200, Start: d.time(10*time.Millisecond, 150*time.Millisecond), Skew: d.time(0, 20*time.Second) - 10*time.Second,
	}
	if i == 0 || d.one(3) {
		m.Resources.Custom = map[string]raygo.Quantity{"x": raygo.Unit * 2}
		m.Resources.CPU = max(m.Resources.CPU, 2*raygo.Unit)
	}
	if i == 1 || d.one(4) {
		m.Resources.GPUIDs = []string{"g0", "g1"}
	}
	if d.one(8) {
		m.Slow = 4
	}
	if i > 2 && d.one(8) {
		m.Late = d.time(0, 3*time.Second)
	}
	if d.lies && i > 1 && d.one(3) {
		m.Lie = Lie{Garbage: 0.1}
		if d.one(2) {
			m.Lie.Hide = 0.3
		}
		if d.one(2) {
			m.Lie.Refuse = 0.5
		}
	}
	d.cfg.Peers = append(d.cfg.Peers, m)
}

// classes of a program, by number.
const (
	cPlain = iota
	cHalf
	cFree
	cSpread
	cPack
	cSoft
	cUrgent
	cParts
	cGenerator
	cNone
	cTwo // from here on: what not every peer has
	cCustom
	cGPU
	cLabels
	classCount
)

func (d *plan) classes() []Class {
	cs := make([]Class, classCount)
	zone := fmt.Sprint("zone=z", d.n(0, 2))
	soft := fmt.Sprint("p", d.n(0, len(d.cfg.Peers)-1))
	for i := range cs {
		cs[i] = Ordinary(func(o *raygo.Options) {
			o.MaxRetries = -1
			switch i {
			case cHalf:
				o.CPU = raygo.Unit / 2
			case cFree:
				o.CPU = 0
			case cSpread:
				o.Strategy.Kind = raygo.StrategySpread
			case cPack:
				o.Strategy.Kind = raygo.StrategyPack
			case cSoft:
				o.Strategy = raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: soft, Soft: true}
			case cUrgent:
				o.Priority = 1
			case cParts:
				o.NumReturns = 3
			case cGenerator:
				o.Generator = true
				o.BackpressureItems = d.n(0, 4)
			case cNone:
				o.NumReturns = 0
			case cTwo:
				o.CPU = 2 * raygo.Unit
			case cCustom:
				o.Custom = map[string]raygo.Quantity{"x": raygo.Unit}
			case cGPU:
				o.GPU = raygo.Unit / 2
			case cLabels:
				o.Strategy = raygo.Strategy{Kind: raygo.StrategyLabels, Selector: zone}
			}
		})
	}
	return cs
}

// program draws a graph of calls.
func (d *plan) program(int) *Program {
	g := &Program{Classes: d.classes()}
	longest := []time.Duration{3 * time.Millisecond, 50 * time.Millisecond, 400 * time.Millisecond}[d.n(0, 2)]
	spread := []time.Duration{time.Millisecond, 500 * time.Millisecond, 4 * time.Second}[d.n(0, 2)]
	for range d.n(10, 80) {
		t := d.call(g, longest)
		t.At = d.time(0, spread)
		if len(g.Tasks) > 0 {
			t.At = max(t.At, g.Tasks[len(g.Tasks)-1].At)
		}
		for range d.n(0, 2) {
			if i := d.argument(g); i >= 0 {
				t.Deps = append(t.Deps, i)
			}
		}
		if t.Class != cGenerator && t.Class != cParts && t.Class != cNone && d.one(6) {
			d.nest(g, &t, longest, 2)
		}
		if d.one(30) {
			t.CancelAt = d.time(time.Millisecond, time.Second)
			t.Force = d.one(2)
			t.Deaf = d.one(2)
		}
		g.Tasks = append(g.Tasks, t)
	}
	for i := range g.Tasks { // children were put in before their parents
		if !g.Tasks[i].Child && i > 0 {
			g.Tasks[i].At = max(g.Tasks[i].At, g.Tasks[i-1].At)
		}
	}
	return g
}

// argument draws an earlier call of the driver that others may take.
func (d *plan) argument(g *Program) int {
	for range 4 {
		if len(g.Tasks) == 0 {
			return -1
		}
		i := d.n(0, len(g.Tasks)-1)
		if c := g.Tasks[i].Class; !g.Tasks[i].Child && c != cGenerator && c != cNone {
			return i
		}
	}
	return -1
}

func (d *plan) call(g *Program, longest time.Duration) Task {
	last := classCount - 1
	if d.plain {
		last = cNone
	}
	t := Task{Class: d.n(0, last), Run: d.time(0, longest), Get: d.one(2)}
	if d.one(2) {
		t.Class = cPlain
	}
	if d.one(6) {
		t.Size = uint64(d.n(200<<10, 4<<20))
	}
	switch {
	case t.Class == cGenerator:
		t.Items, t.Run = d.n(0, 12), t.Run/8
	case t.Class == cParts || t.Class == cNone:
	case d.one(20):
		t.Puts = uint64(d.n(10, 1<<20))
	}
	if d.one(20) && t.Class != cGenerator {
		t.FailFirst = d.n(1, 2)
	}
	if d.one(20) && (t.Class != cGenerator || t.Items > 0) {
		t.CrashFirst = d.n(1, 2)
	}
	return t
}

// nest gives a task children.
func (d *plan) nest(g *Program, t *Task, longest time.Duration, depth int) {
	for range d.n(1, 4) {
		k := d.call(g, longest)
		switch k.Class { // parents that wait hold all but CPU: children must not want it
		case cGenerator, cParts, cNone, cCustom, cGPU:
			k.Class, k.Items = cPlain, 0
		}
		k.Child, k.Puts = true, 0
		if depth > 1 && d.one(4) {
			d.nest(g, &k, longest, depth-1)
		}
		g.Tasks = append(g.Tasks, k)
		t.Children = append(t.Children, len(g.Tasks)-1)
	}
}
