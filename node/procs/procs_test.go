package procs

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
)

func TestLook(t *testing.T) {
	g := governor{wide: true}
	shares := func(share float64, looks int) bool {
		for range looks {
			g.look(time.Duration(share*float64(look)), look)
		}
		return g.wide
	}
	for i, step := range []struct {
		share float64
		looks int
		wide  bool
	}{
		{0, calm - 1, true}, // not yet
		{0.7, 1, true},      // and again from the beginning
		{0.1, calm - 1, true},
		{0.1, 1, false},
		{0.7, 10 * calm, false}, // one is enough
		{0.75, 1, true},         // it is not
		{1.9, calm, true},
		{0.65, 10 * calm, true}, // in between all stays as it is
		{0.5, calm, false},
	} {
		if got := shares(step.share, step.looks); got != step.wide {
			t.Errorf("step %d, %d looks at %.2f: wide is %v", i, step.looks, step.share, got)
		}
	}
	if g.look(1, 0) != true { // two looks at the same time: all that was used was used at once
		t.Error("no time between looks")
	}
}

// What it does depends on the last looks alone: whatever was before, load gives
// all CPUs at once and calm looks without load one.
func TestLookForgets(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		g := governor{wide: r.IntN(2) == 0, quiet: r.IntN(calm)}
		for range r.IntN(100) {
			g.look(time.Duration(r.Int64N(int64(2*look))), look)
		}
		if !g.look(look, look) {
			t.Fatal("one CPU though it was all in use")
		}
		for range calm {
			g.look(0, look)
		}
		if g.wide {
			t.Fatalf("all CPUs after %d looks that found nothing in use", calm)
		}
	}
}

// The process itself: little to do, much, and the end.
func TestAdapt(t *testing.T) {
	t.Setenv("GOMAXPROCS", "") // the environment of the tests is not the user's word
	all := runtime.GOMAXPROCS(0)
	if all == 1 {
		runtime.GOMAXPROCS(2)
		defer runtime.GOMAXPROCS(1)
	}
	ctx, stop := context.WithCancel(t.Context())
	var adapting sync.WaitGroup
	adapting.Go(func() { Adapt(ctx) })
	defer adapting.Wait()
	defer stop()
	until(t, "it runs on one CPU", func() bool { time.Sleep(look); return runtime.GOMAXPROCS(0) == 1 })
	if all > 1 {
		until(t, "it runs on all CPUs while there is much to do", func() bool {
			for end := time.Now().Add(look); time.Now().Before(end); { // this is the load
			}
			return runtime.GOMAXPROCS(0) == all
		})
	}
	stop()
	adapting.Wait()
	if got := runtime.GOMAXPROCS(0); got != all {
		t.Errorf("it was left with %d CPUs of %d", got, all)
	}
}

// A user's own setting stands.
func TestAdaptLeavesTheUsersWord(t *testing.T) {
	t.Setenv("GOMAXPROCS", "2")
	Adapt(t.Context()) // returns at once: its ctx ends with the test only
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("not in 30 s: %s", what)
		}
	}
}
