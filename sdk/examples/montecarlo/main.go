// Command montecarlo owns an estimate of π by random points: tasks that share a
// scarce resource, that fail now and then and are tried again, and an answer
// that is the same every time nonetheless.
//
//	go run ./sdk/examples/montecarlo
package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"time"

	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/p2p"
)

// Sample takes one of two licences, a resource that this program made up; so no
// more than two of its tasks run at a time, whatever the number of cores. An
// errBusy is tried again, up to five times, with growing pauses; a crash of the
// worker too, on a budget of its own.
var Sample = raygo.Func2(sample,
	raygo.NumCPUs(0.1),
	raygo.Resource("licence", 1),
	raygo.RetryOn(errBusy),
	raygo.MaxRetries(5),
	raygo.RetryBackoff(5*time.Millisecond, 100*time.Millisecond),
)

// errBusy stands for what fails now and then: a service, a network, a licence
// server.
var errBusy = raygo.RegisterSentinel("montecarlo.errBusy", errors.New("the licence server is busy"))

// Count is the outcome of one task.
type Count struct {
	Inside, Points int64
	Attempt        int // the one that succeeded; 0 is the first
}

// sample counts which of n random points lie in the circle. The seed is an
// argument, so that an attempt more or less does not change the answer.
func sample(ctx context.Context, seed uint64, n int64) (Count, error) {
	attempt := raygo.Info(ctx).Attempt
	switch {
	case seed%5 == 0 && attempt < 2:
		return Count{}, fmt.Errorf("seed %d: %w", seed, errBusy)
	case seed == 7 && attempt == 0:
		os.Exit(3) // a crash: it takes this worker down, and nothing else
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	c := Count{Points: n, Attempt: attempt}
	for i := range n {
		x, y := rng.Float64(), rng.Float64()
		if x*x+y*y < 1 {
			c.Inside++
		}
		if i%100_000 == 0 {
			raygo.Progress(ctx, i, n)
		}
	}
	return c, nil
}

func main() {
	// A peer of the program's own says what it has; a shared one is started as
	// raygo-peer --resources licence=2.
	raygo.Main(run, p2p.Embedded(p2p.Config{Resources: map[string]float64{"licence": 2}}))
}

func run(ctx context.Context) error {
	total, err := raygo.ClusterResources(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("licences: %g\n", total["licence"])

	const tasks, points = 40, 250_000
	var refs []raygo.Ref[Count]
	for seed := range uint64(tasks) {
		refs = append(refs, Sample.Remote(ctx, seed+1, points))
	}
	var sum Count
	again := 0
	for ref := range raygo.AsCompleted(ctx, refs) {
		c, err := raygo.Get(ctx, ref)
		if err != nil {
			return err
		}
		sum.Inside += c.Inside
		sum.Points += c.Points
		if c.Attempt > 0 {
			again++
		}
	}
	pi := 4 * float64(sum.Inside) / float64(sum.Points)
	fmt.Printf("π is about %.4f, after %d points; off by %.4f\n", pi, sum.Points, math.Abs(pi-math.Pi))
	fmt.Printf("%d of %d tasks were tried again\n", again, tasks)
	return nil
}
