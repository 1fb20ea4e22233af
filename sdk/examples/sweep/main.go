// Command sweep owns a parameter sweep: the same model with many settings, the
// results in the order in which they are ready, progress while they run, and the
// rest called off when one is good enough.
//
//	go run ./sdk/examples/sweep
package main

import (
	"context"
	"errors"
	"fmt"
	"math"

	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/p2p"
)

// Train fits the model with one setting.
var Train = raygo.Func2(train)

// Setting is a point of the grid.
type Setting struct {
	Rate  float64 // step size of the descent
	Decay float64 // by how much it shrinks at each step
}

// Score is what a setting came to.
type Score struct {
	Setting Setting
	Loss    float64
	Steps   int
}

// errDiverged is the outcome of a setting that is no good: an error like any
// other, which does not stop the sweep.
var errDiverged = raygo.RegisterSentinel("sweep.errDiverged", errors.New("the descent diverges"))

// train fits y = a·x + b by gradient descent. The data is a view of the one copy
// that all tasks share.
func train(ctx context.Context, s Setting, points []float64) (Score, error) {
	const steps = 400
	defer raygo.Span(ctx, "descent")()
	var a, b float64
	rate, n := s.Rate, float64(len(points)/2)
	for step := range steps {
		var da, db float64
		for i := 0; i < len(points); i += 2 {
			err := a*points[i] + b - points[i+1]
			da += err * points[i]
			db += err
		}
		a -= rate * da / n
		b -= rate * db / n
		rate *= s.Decay
		if math.IsNaN(a) || math.Abs(a) > 1e6 {
			return Score{}, fmt.Errorf("%+v at step %d: %w", s, step, errDiverged)
		}
		raygo.Progress(ctx, int64(step+1), steps) // raygo list tasks --detail shows it
		if err := ctx.Err(); err != nil {
			return Score{}, err // called off
		}
	}
	return Score{Setting: s, Loss: loss(a, b, points), Steps: steps}, nil
}

func loss(a, b float64, points []float64) float64 {
	var sum float64
	for i := 0; i < len(points); i += 2 {
		e := a*points[i] + b - points[i+1]
		sum += e * e
	}
	return sum / float64(len(points)/2)
}

func main() { raygo.Main(run, p2p.Embedded(p2p.Config{})) }

func run(ctx context.Context) error {
	// The data is put once. Passed by value it would be copied for each task.
	data, err := raygo.Put(ctx, line(3, -2, 10_000))
	if err != nil {
		return err
	}
	defer raygo.Release(data)

	var refs []raygo.Ref[Score]
	for _, rate := range []float64{0.01, 0.1, 0.5, 1, 4, 16} {
		for _, decay := range []float64{0.9, 0.99, 1} {
			refs = append(refs, Train.RemoteArgs(ctx, raygo.Val(Setting{rate, decay}), data))
		}
	}

	best, diverged, done := Score{Loss: math.Inf(1)}, 0, 0
	for ref := range raygo.AsCompleted(ctx, refs) {
		done++
		score, err := raygo.Get(ctx, ref)
		switch {
		case errors.Is(err, errDiverged):
			diverged++
		case err != nil:
			return err
		case score.Loss < best.Loss:
			best = score
		}
		fmt.Printf("%2d of %d, best loss %.3g\n", done, len(refs), best.Loss)
	}
	fmt.Printf("best: rate %g, decay %g, loss %.3g; %d settings diverged\n", best.Setting.Rate, best.Setting.Decay, best.Loss, diverged)
	return callOff(ctx, data)
}

// callOff stops at the first setting that is good enough: what has not started
// never does, what runs sees its context end.
func callOff(ctx context.Context, data raygo.Ref[[]float64]) error {
	var refs []raygo.Ref[Score]
	for range 20 {
		refs = append(refs, Train.RemoteArgs(ctx, raygo.Val(Setting{0.5, 1}), data))
	}
	for ref := range raygo.AsCompleted(ctx, refs) {
		score, err := raygo.Get(ctx, ref)
		if err != nil {
			return err
		}
		if score.Loss < 0.01 {
			break
		}
	}
	stopped := 0
	for _, ref := range refs {
		outcome, err := raygo.Cancel(ctx, ref)
		if err != nil {
			return err
		}
		if outcome == raygo.NeverStarted || outcome == raygo.Stopped {
			stopped++
		}
	}
	fmt.Printf("one was good enough, the rest was called off: %t\n", stopped > 0)
	return nil
}

// line is points on a line, x and y in turn, with a ripple for noise.
func line(slope, offset float64, n int) []float64 {
	points := make([]float64, 0, 2*n)
	for i := range n {
		x := 2*float64(i)/float64(n) - 1
		points = append(points, x, slope*x+offset+0.01*math.Sin(float64(i)))
	}
	return points
}
