package simnet_test

import (
	"fmt"
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/simnet/world"
)

// at has something befall the world of a play.
func at(when time.Duration, f func(w *world.World)) func(*world.World) {
	return func(w *world.World) { w.At(start+when, func() { f(w) }) }
}

func crash(peer int) func(*world.World) {
	return func(w *world.World) { w.Crash(w.Peer(peer), true) }
}

func mayFail(x *world.Task) { x.MayFail = true }

// behaviour 84
func TestHardAffinityWaitsForABusyPeer(t *testing.T) {
	g := program(class(affinity(1, false)))
	calls(g, 8, 0, 500*ms)
	_, j := play(t, machines(3, 2), g)
	if got := spread(j, 0, 8); got[1] != 8 {
		t.Errorf("tasks with affinity to peer 1 ran %v", got)
	}
}

// behaviours 84, 86
func TestHardAffinityToADeadPeerFails(t *testing.T) {
	g := program(class(affinity(1, false)))
	calls(g, 1, 0, 10*s, mayFail)                                            // dies with its peer
	calls(g, 1, 0, ms, mayFail, func(x *world.Task) { x.At = 4 * s })        // comes when it is gone
	calls(g, 4, 0, 100*ms, mayFail, func(x *world.Task) { x.At = 900 * ms }) // waits when it dies
	w, j := play(t, machines(3, 2), g, at(s, crash(1)))
	for i := range g.Tasks {
		if c := j.Failed(i); c != raygo.CodeUnschedulable && c != raygo.CodePeerDied {
			t.Errorf("task %d with affinity to a dead peer came to %s", i, c)
		}
	}
	if j.Failed(1) != raygo.CodeUnschedulable {
		t.Errorf("a task with affinity to a peer that is long dead came to %s", j.Failed(1))
	}
	if w.Now() > 30*s {
		t.Errorf("it took until %s", w.Now())
	}
}

// behaviours 85, 86
func TestSoftAffinityRunsElsewhere(t *testing.T) {
	g := program(class(affinity(1, true)))
	calls(g, 2, 0, 3*s)
	calls(g, 3, 0, 100*ms, func(x *world.Task) { x.At = 4 * s })
	_, j := play(t, machines(3, 2), g, at(s, crash(1)))
	for i := range g.Tasks {
		ps := j.Places(i)
		if first := ps[0].Peer; i < 2 && first != 1 {
			t.Errorf("task %d began on %d before its peer died", i, first)
		}
		if last := ps[len(ps)-1].Peer; last == 1 {
			t.Errorf("task %d ended on the peer that died: %v", i, ps)
		}
	}
}

// behaviours 67, 87
func TestLabelsAndAPeerThatJoins(t *testing.T) {
	zone := func(z string) func(*world.Machine) {
		return func(m *world.Machine) { m.Labels = map[string]string{"zone": z} }
	}
	for selector, want := range map[string]int{"zone=b": 1, "zone!=a,zone!=b": 2, "zone in (c,d)": 2, "zone !in (a,c)": 1} {
		g := program(class(func(o *raygo.Options) { o.Strategy = raygo.Strategy{Kind: raygo.StrategyLabels, Selector: selector} }))
		calls(g, 4, 0, 50*ms)
		peers := []world.Machine{machine(2, zone("a")), machine(2, zone("b")), machine(2, zone("c"))}
		_, j := play(t, peers, g)
		if got := spread(j, 0, 4); got[want] != 4 {
			t.Errorf("%s ran %v, want all on %d", selector, got, want)
		}
		peers[want].Late = 5 * s
		_, j = play(t, peers, g)
		if ps := j.Places(0); len(ps) != 1 || ps[0].Peer != want || ps[0].At > 7*s {
			t.Errorf("%s began %v, want it on %d within 2 s after it joined at 5 s", selector, ps, want)
		}
	}
}

// behaviour 92
func TestManyArgumentsAreNoStorm(t *testing.T) {
	g := program(class(strategy(raygo.StrategySpread)), class())
	calls(g, 10, 0, 10*ms, func(x *world.Task) { x.Size = mib })
	calls(g, 100, 1, 20*ms, func(x *world.Task) { x.Deps = []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9} })
	w, _ := play(t, machines(5, 4), g)
	n := 0
	for _, k := range []string{"Call", "Bid", "Free", "Assign", "Done", "RecallTasks"} {
		n += w.Stats.Messages[k]
	}
	if n > 1000 {
		t.Errorf("%d messages about places for 100 tasks of 10 arguments, want at most 1000: %v", n, w.Stats.Messages)
	}
}

// behaviour 93
func TestManyClassesProgress(t *testing.T) {
	g := program()
	for k := range 20 {
		g.Classes = append(g.Classes, class(func(o *raygo.Options) { o.CPU = raygo.Unit * raygo.Quantity(1+k%3) }))
	}
	for i := range 400 {
		calls(g, 1, i%20, 100*ms)
	}
	_, j := play(t, machines(3, 4), g)
	end := time.Duration(0)
	for i := range g.Tasks {
		end = max(end, j.Places(i)[0].At)
	}
	for k := range 20 {
		if first := j.Waited(k); first > (end-start)/2 {
			t.Errorf("class %d began after %s of %s", k, first, end-start)
		}
	}
}

// behaviour 95
func TestAPeerThatJoinsABacklogHasWork(t *testing.T) {
	peers := machines(4, 2)
	peers[3].Late = 4 * s
	g := program(class())
	calls(g, 300, 0, 200*ms)
	_, j := play(t, peers, g)
	first := time.Hour
	for i := range g.Tasks {
		if p := j.Places(i)[0]; p.Peer == 3 {
			first = min(first, p.At)
		}
	}
	if first > 6*s {
		t.Errorf("the peer that joined at 4 s had its first task at %s, want it within 2 s", first)
	}
}

// behaviour 96
func TestADrainingPeerTakesNothingNew(t *testing.T) {
	g := program(class())
	calls(g, 60, 0, 400*ms)
	calls(g, 20, 0, 50*ms, func(x *world.Task) { x.At = 2 * s })
	drain := at(500*ms, func(w *world.World) {
		w.Drain(w.Peer(1))
		w.Drain(w.Peer(1))
	})
	_, j := play(t, machines(3, 4), g, drain)
	for i := range g.Tasks {
		for _, p := range j.Places(i) {
			if p.Peer == 1 && p.At > start+550*ms {
				t.Errorf("task %d began on the draining peer at %s", i, p.At)
			}
		}
		if n := j.Runs(i); n != 1 {
			t.Errorf("task %d ran %d times: a drain loses nothing", i, n)
		}
	}
}

// behaviour 108, 234
func TestAFalseDeathCompletesNothingTwice(t *testing.T) {
	g := program(class(strategy(raygo.StrategySpread), retries(-1)))
	calls(g, 40, 0, 700*ms)
	play(t, machines(4, 4), g, at(300*ms, func(w *world.World) { w.Pause(w.Peer(1), 4*s) }), at(600*ms, func(w *world.World) { w.Pause(w.Peer(2), 3*s) }))
}

// behaviours 234, 236
func TestAPartitionCompletesNothingTwice(t *testing.T) {
	g := program(class(retries(-1)))
	calls(g, 80, 0, 500*ms)
	h := program(class(retries(-1)))
	calls(h, 80, 0, 500*ms)
	w := world.New(world.Config{Seed: 3, Peers: machines(6, 2)})
	w.Start(0, start, g)
	w.Start(5, start, h)
	at(500*ms, func(w *world.World) { w.Partition([]*world.Peer{w.Peer(3), w.Peer(4), w.Peer(5)}, 5*s) })(w)
	if err := w.Finish(limit); err != nil {
		t.Fatal(err)
	}
}

// behaviours 116, 235
func TestALostObjectIsMadeAgain(t *testing.T) {
	for _, back := range []bool{false, true} {
		g := program(class(affinity(1, true), retries(2)), class(affinity(0, false)))
		calls(g, 1, 0, 50*ms, func(x *world.Task) { x.Size = mib })
		calls(g, 1, 1, 50*ms, func(x *world.Task) { x.Deps, x.At = []int{0}, 4*s })
		_, j := play(t, machines(3, 2), g, at(s, crash(1)), at(2*s, func(w *world.World) {
			if back {
				w.Restart(w.Peer(1))
			}
		}))
		if n := j.Runs(0); n != 2 {
			t.Errorf("the lost object's task ran %d times, want 2 (the peer restarted: %t)", n, back)
		}
	}
}

// behaviour 117
func TestAnotherCopyIsEnough(t *testing.T) {
	g := program(class(affinity(1, true)), class(affinity(2, true)), class(affinity(0, false)))
	calls(g, 1, 0, 50*ms, func(x *world.Task) { x.Size = mib })
	calls(g, 1, 1, 50*ms, func(x *world.Task) { x.Deps, x.At = []int{0}, 500*ms }) // a copy comes to peer 2
	calls(g, 1, 2, 50*ms, func(x *world.Task) { x.Deps, x.At = []int{0}, 4*s })
	_, j := play(t, machines(3, 2), g, at(s, crash(1)))
	if n := j.Runs(0); n != 1 {
		t.Errorf("the task ran %d times though a copy was alive", n)
	}
}

// behaviour 118
func TestNoRetriesNoObject(t *testing.T) {
	g := program(class(affinity(1, true), retries(0)), class(affinity(0, false)))
	calls(g, 1, 0, 50*ms, func(x *world.Task) { x.Size = mib })
	calls(g, 1, 1, 50*ms, mayFail, func(x *world.Task) { x.Deps, x.At = []int{0}, 4*s })
	_, j := play(t, machines(3, 2), g, at(s, crash(1)))
	if c := j.Failed(1); c != raygo.CodeObjectLost || j.Runs(0) != 1 {
		t.Errorf("the dependent of an object that was lost and may not be made again came to %s after %d runs", c, j.Runs(0))
	}
}

// behaviour 119
func TestALostChainIsMadeAgainInOrder(t *testing.T) {
	g := program(class(affinity(1, true)), class(affinity(0, false)))
	for i := range 20 {
		calls(g, 1, 0, 20*ms, func(x *world.Task) {
			x.Size = mib
			if i > 0 {
				x.Deps = []int{i - 1}
			}
		})
	}
	calls(g, 1, 1, 20*ms, func(x *world.Task) { x.Deps, x.At = []int{19}, 5*s })
	_, j := play(t, machines(3, 2), g, at(2*s, crash(1)))
	for i := range 20 {
		ps := j.Places(i)
		if len(ps) != 2 {
			t.Fatalf("link %d of the lost chain ran %d times, want 2", i, len(ps))
		}
		if i > 0 && ps[1].At < j.Places(i - 1)[1].At {
			t.Errorf("link %d was made again before the one it needs", i)
		}
	}
}

// What must hold 4: a large graph gives the right values while peers die and
// come back.
func TestGraphWhilePeersDie(t *testing.T) {
	g := program(class(retries(-1)), class(strategy(raygo.StrategySpread), retries(-1)))
	n := 10_000
	if testing.Short() {
		n = 1000
	}
	for i := range n {
		calls(g, 1, i%2, time.Duration(5+i%50)*ms, func(x *world.Task) {
			if i >= 100 {
				x.Deps = []int{i - 100, i - 1 - i%97}
			}
			if i%10 == 0 {
				x.Size = 200 << 10
			}
		})
	}
	cfg := world.Config{Seed: 11, Peers: machines(8, 4), CheckEvery: 2000}
	w := world.New(cfg)
	w.Start(0, start, g)
	for i := range 12 {
		p := w.Peer(1 + i%7)
		w.At(start+time.Duration(i)*900*ms, func() { w.Crash(p, i%2 == 0) })
		w.At(start+time.Duration(i)*900*ms+2*s, func() { w.Restart(p) })
	}
	if err := w.Finish(limit); err != nil {
		t.Fatal(err)
	}
}

// What must hold 5: liars harm nobody.
func TestLiarsHarmNothing(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			peers := machines(6, 3)
			peers[2].Lie = world.Lie{Garbage: 0.3}
			peers[3].Lie = world.Lie{Refuse: 0.5, Lose: 0.5}
			peers[4].Lie = world.Lie{Garbage: 0.3, Refuse: 0.5}
			g := program(class(retries(-1)), class(strategy(raygo.StrategySpread), retries(-1)))
			for i := range 200 {
				calls(g, 1, i%2, 50*ms, func(x *world.Task) {
					if i >= 20 {
						x.Deps = []int{i - 20}
					}
				})
			}
			w := world.New(world.Config{Seed: seed, Peers: peers})
			w.Start(0, start, g)
			w.Start(1, start, g)
			if err := w.Finish(limit); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Law 9: a peer that has as many tasks as it may says so.
func TestTooManyTasksAreRefused(t *testing.T) {
	peers := machines(2, 2)
	peers[0].MaxTasks = 50
	g := program(class())
	calls(g, 60, 0, 100*ms, mayFail)
	calls(g, 10, 0, 100*ms, func(x *world.Task) { x.At = 10 * s })
	_, j := play(t, peers, g)
	refused := 0
	for i := range 60 {
		switch j.Failed(i) {
		case raygo.CodeNone:
		case raygo.CodeQueueFull:
			refused++
		default:
			t.Errorf("task %d failed with %s", i, j.Failed(i))
		}
	}
	if refused != 10 {
		t.Errorf("%d of 60 tasks were refused, 50 may be there at once", refused)
	}
}
