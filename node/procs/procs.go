// Package procs owns how many CPUs a peer's process runs its own goroutines on:
// one as long as that is enough, all of them when it is not.
//
// A call that is made alone passes through a peer as a chain of goroutines that
// wake each other, one at a time. With several CPUs to use, Go's scheduler has
// most of those wake-ups wake a thread on another CPU as well, to see whether
// there is more to do. There never is, and to wake an idle CPU takes longer than
// the work: on one CPU such a call takes a quarter to a third less time. Tasks are
// not concerned, since they run in processes of their own.
package procs

import (
	"context"
	"os"
	"runtime"
	"syscall"
	"time"
)

const (
	// look is how often the process looks at what it has used: a burst that begins
	// on one CPU has all of them after two looks.
	look = 20 * time.Millisecond
	// widen is the share of one CPU in use from which one is not enough, narrow the
	// share up to which one would be.
	widen, narrow = 0.75, 0.6
	// calm is how many looks in a row must find little in use before all CPUs but
	// one are given up.
	calm = 25
)

// Adapt governs the process until ctx ends, and leaves it with all CPUs. It is for
// a process that is a peer and nothing else, once in each. Where there is one CPU
// only, or the user has set GOMAXPROCS, it does nothing.
func Adapt(ctx context.Context) {
	if runtime.GOMAXPROCS(0) == 1 || os.Getenv("GOMAXPROCS") != "" {
		return
	}
	defer runtime.SetDefaultGOMAXPROCS()
	g := governor{wide: true}
	at, used := time.Now(), cpuTime()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, u := time.Now(), cpuTime()
		switch was := g.wide; {
		case g.look(u-used, now.Sub(at)) == was:
		case was:
			runtime.GOMAXPROCS(1)
		default:
			runtime.SetDefaultGOMAXPROCS() // with what control groups allow by now
		}
		at, used = now, u
	}
}

// governor decides from what was used of CPUs from one look to the next.
type governor struct {
	wide  bool // on all CPUs
	quiet int  // looks in a row that found little in use
}

// look takes how much CPU time was used over a time, and reports whether the
// process should run on all CPUs.
func (g *governor) look(used, over time.Duration) (wide bool) {
	share := float64(used) / float64(max(over, 1))
	switch {
	case share >= widen:
		g.wide, g.quiet = true, 0
	case share > narrow:
		g.quiet = 0
	default:
		if g.quiet++; g.quiet >= calm {
			g.wide = false
		}
	}
	return g.wide
}

// cpuTime is what the process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // it cannot fail for the process itself
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
