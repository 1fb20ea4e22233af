package simnet_test

import (
	"fmt"
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/simnet/world"
)

const (
	ms  = time.Millisecond
	s   = time.Second
	mib = 1 << 20
)

// machine is a peer with so many CPUs.
func machine(cpus int, set ...func(*world.Machine)) world.Machine {
	m := world.Machine{Resources: sched.Resources{CPU: raygo.Quantity(cpus) * raygo.Unit, Memory: 1 << 34}, MaxWorkers: 200, Start: 30 * ms}
	for _, f := range set {
		f(&m)
	}
	return m
}

// machines are n peers with so many CPUs each.
func machines(n, cpus int) []world.Machine {
	var out []world.Machine
	for range n {
		out = append(out, machine(cpus))
	}
	return out
}

func class(set ...func(*raygo.Options)) world.Class { return world.Ordinary(set...) }

func strategy(k raygo.StrategyKind) func(*raygo.Options) {
	return func(o *raygo.Options) { o.Strategy.Kind = k }
}

func affinity(peer int, soft bool) func(*raygo.Options) {
	return func(o *raygo.Options) {
		o.Strategy = raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: fmt.Sprint("p", peer), Soft: soft}
	}
}

func retries(n int) func(*raygo.Options) { return func(o *raygo.Options) { o.MaxRetries = n } }

// calls adds n calls of a class.
func calls(g *world.Program, n, class int, run time.Duration, set ...func(*world.Task)) (at int) {
	at = len(g.Tasks)
	for range n {
		t := world.Task{Class: class, Run: run}
		for _, f := range set {
			f(&t)
		}
		g.Tasks = append(g.Tasks, t)
	}
	return at
}

func program(cs ...world.Class) *world.Program { return &world.Program{Classes: cs} }

// start is when drivers of the tests here attach: the peers have met by then.
const start = s

// play runs a program on peer 0 to its end, and then everything to rest.
func play(t *testing.T, ms []world.Machine, g *world.Program, faults ...func(*world.World)) (*world.World, *world.Job) {
	t.Helper()
	w := world.New(world.Config{Seed: 7, Peers: ms})
	j := w.Start(0, start, g)
	for _, f := range faults {
		f(w)
	}
	if err := w.Finish(limit); err != nil {
		t.Fatalf("%v\n%s", err, w.Transcript("none of it"))
	}
	return w, j
}

// spread counts by peer where calls from..to last ran.
func spread(j *world.Job, from, to int) map[int]int {
	n := map[int]int{}
	for i := from; i < to; i++ {
		if ps := j.Places(i); len(ps) > 0 {
			n[ps[len(ps)-1].Peer]++
		}
	}
	return n
}

// behaviour 74
func TestEqualPeersShareTheWork(t *testing.T) {
	for n, least := range map[int]int{100: 10, 1000: 100} {
		g := program(class())
		calls(g, n, 0, 50*ms)
		_, j := play(t, machines(3, 2), g)
		if got := spread(j, 0, n); got[0] < least || got[1] < least || got[2] < least {
			t.Errorf("%d tasks ran %v, want at least %d on each", n, got, least)
		}
	}
}

// behaviour 75
func TestLightLoadStaysAtHome(t *testing.T) {
	g := program(class())
	calls(g, 2, 0, 500*ms)
	w, j := play(t, machines(3, 4), g)
	if got := spread(j, 0, 2); got[0] != 2 {
		t.Errorf("2 tasks on 4 CPUs ran %v, want both at home", got)
	}
	if n := w.Stats.Messages["Call"]; n > 0 {
		t.Errorf("%d calls for bids for what fits at home, want none", n)
	}
}

// behaviour 76
func TestAboveHalfTheLessUsedPeerIsTaken(t *testing.T) {
	g := program(class(affinity(1, false)), class(), class(strategy(raygo.StrategySpread)))
	calls(g, 6, 2, 50*ms) // all have the program and workers
	calls(g, 3, 0, 3*s, func(x *world.Task) { x.At = s })
	calls(g, 2, 1, 3*s, func(x *world.Task) { x.At = s }) // now peer 1 is nearly full and home half full
	calls(g, 1, 1, 500*ms, func(x *world.Task) { x.At = 1500 * ms })
	_, j := play(t, machines(3, 4), g)
	if got := spread(j, 11, 12); got[2] != 1 {
		t.Errorf("a task beyond half of home ran %v, want it on the idle peer 2", got)
	}
}

// behaviour 77
func TestOneSeedIsOneRun(t *testing.T) {
	for seed := range uint64(6) {
		a, b := world.Random(seed, world.Options{}), world.Random(seed, world.Options{})
		errA, errB := a.Finish(limit), b.Finish(limit)
		if fmt.Sprint(errA) != fmt.Sprint(errB) || a.Sum() != b.Sum() || a.Stats.Steps != b.Stats.Steps {
			t.Errorf("seed %d gives two runs: %d steps, sum %x, %v; %d steps, sum %x, %v", seed, a.Stats.Steps, a.Sum(), errA, b.Stats.Steps, b.Sum(), errB)
		}
	}
}

// behaviour 78
func TestChainsBalance(t *testing.T) {
	g := program(class())
	for i := range 120 {
		calls(g, 1, 0, 50*ms, func(x *world.Task) {
			if i >= 12 {
				x.Deps = []int{i - 12}
			}
		})
	}
	_, j := play(t, machines(3, 4), g)
	if got := spread(j, 0, 120); got[0] < 20 || got[1] < 20 || got[2] < 20 {
		t.Errorf("chains ran %v, want at least 20 on each", got)
	}
}

// behaviour 80
func TestSpreadIsEven(t *testing.T) {
	for _, n := range []int{3, 5, 12} {
		g := program(class(strategy(raygo.StrategySpread)))
		calls(g, 10*n, 0, 50*ms)
		_, j := play(t, machines(n, 4), g)
		got := spread(j, 0, 10*n)
		for p := range n {
			if got[p] < 9 || got[p] > 11 {
				t.Errorf("SPREAD of %d tasks over %d peers ran %v, want 9 to 11 on each", 10*n, n, got)
				break
			}
		}
	}
}

// What holds for PACK: one peer is filled before the next.
func TestPackFillsOnePeerBeforeTheNext(t *testing.T) {
	g := program(class(strategy(raygo.StrategyPack)))
	calls(g, 6, 0, s)
	_, j := play(t, machines(4, 4), g)
	if got := spread(j, 0, 6); len(got) != 2 {
		t.Errorf("PACK of 6 tasks on peers of 4 CPUs ran %v, want 2 peers", got)
	}
}

func TestEightTasksOnTwoPeersOfFour(t *testing.T) {
	g := program(class())
	calls(g, 8, 0, s)
	_, j := play(t, machines(2, 4), g)
	if got := spread(j, 0, 8); got[0] != 4 || got[1] != 4 {
		t.Errorf("8 tasks on two peers of 4 CPUs ran %v, want 4 and 4", got)
	}
}

// behaviour 81
func TestLargeArgumentDrawsItsTask(t *testing.T) {
	for _, bytes := range []uint64{64 * mib, 100 * mib} {
		g := program(class(affinity(1, false)), class())
		calls(g, 1, 0, 50*ms, func(x *world.Task) { x.Size = bytes })
		calls(g, 1, 1, 50*ms, func(x *world.Task) { x.Deps = []int{0} })
		w, j := play(t, machines(3, 4), g)
		if got := spread(j, 1, 2); got[1] != 1 {
			t.Errorf("a task with an argument of %d bytes on peer 1 ran %v", bytes, got)
		}
		if w.Stats.Fetched > 0 {
			t.Errorf("%d bytes were moved, want none", w.Stats.Fetched)
		}
	}
}

// behaviour 83
func TestFullHolderIsNotWaitedFor(t *testing.T) {
	g := program(class(affinity(1, false)), class())
	calls(g, 1, 0, 50*ms, func(x *world.Task) { x.Size = 10 * mib })
	calls(g, 2, 0, 20*s, func(x *world.Task) { x.At = 500 * ms })
	calls(g, 1, 1, 50*ms, func(x *world.Task) { x.Deps, x.At = []int{0}, s })
	_, j := play(t, machines(3, 2), g)
	if got := j.Places(3); got[0].Peer == 1 || j.Waited(3) > 2*s {
		t.Errorf("a task whose argument's holder is full began %+v after %s", got, j.Waited(3))
	}
}

// behaviour 90
func TestTasksWithoutGPUKeepOffGPUPeers(t *testing.T) {
	peers := []world.Machine{machine(1), machine(4, func(m *world.Machine) { m.Resources.GPUIDs = []string{"0", "1"} }), machine(4), machine(4)}
	g := program(class())
	calls(g, 6, 0, s)
	_, j := play(t, peers, g)
	if got := spread(j, 0, 6); got[1] > 1 { // one may be sent before others have said that they have more room
		t.Errorf("tasks that want no GPU ran %v, want hardly any on peer 1, which has them", got)
	}
}

// behaviours 91, 97
func TestAFullStoreSendsTheTaskElsewhere(t *testing.T) {
	peers := machines(3, 4)
	peers[1].Store = 8 * mib
	g := program(class(affinity(0, false)), class(affinity(1, true)), class(strategy(raygo.StrategySpread)))
	calls(g, 1, 0, 10*ms, func(x *world.Task) { x.Size = 20 * mib })
	calls(g, 6, 2, 200*ms, func(x *world.Task) { x.Deps = []int{0} })
	_, j := play(t, peers, g)
	for i := 1; i < 7; i++ {
		if ps := j.Places(i); ps[0].Peer == 1 || j.Waited(i) > 5*s {
			t.Errorf("task %d, whose argument does not fit the store of peer 1, began %v after %s", i, ps, j.Waited(i))
		}
	}
}
