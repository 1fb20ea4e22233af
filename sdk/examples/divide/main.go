// Command divide owns divide and conquer: a merge sort whose halves are tasks
// that split themselves again, down to a size at which it is cheaper to sort.
//
//	go run ./sdk/examples/divide
package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/p2p"
)

// Sort calls itself, which Go does not allow in the variable's declaration; so
// it is registered in init.
var Sort *raygo.Task1[[]int64, []int64]

func init() { Sort = raygo.Func1(mergeSort) }

// cutOff is the size below which a task sorts by itself. A task costs about as
// much as sorting a thousand numbers; this is a hundred times that.
const cutOff = 100_000

// mergeSort sorts a copy: what a task is given is read-only, shared memory.
func mergeSort(ctx context.Context, xs []int64) ([]int64, error) {
	if len(xs) <= cutOff {
		sorted := slices.Clone(xs)
		slices.Sort(sorted)
		return sorted, nil
	}
	// The halves run in other processes. While this task waits for them its
	// CPU is theirs, so that any depth works on any number of cores.
	mid := len(xs) / 2
	halves, err := raygo.GetAll(ctx, []raygo.Ref[[]int64]{
		Sort.Remote(ctx, xs[:mid]),
		Sort.Remote(ctx, xs[mid:]),
	})
	if err != nil {
		return nil, err
	}
	return merge(halves[0], halves[1]), nil
}

func merge(a, b []int64) []int64 {
	out := make([]int64, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0] <= b[0] {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

func main() { raygo.Main(run, p2p.Embedded(p2p.Config{})) }

func run(ctx context.Context) error {
	const n = 1_000_000
	xs := make([]int64, n)
	rng := rand.New(rand.NewPCG(1, 2))
	var sum int64
	for i := range xs {
		xs[i] = rng.Int64N(1 << 40)
		sum += xs[i]
	}

	began := time.Now()
	sorted, err := raygo.Get(ctx, Sort.Remote(ctx, xs))
	if err != nil {
		return err
	}
	took := time.Since(began)

	var check int64
	for _, x := range sorted {
		check += x
	}
	fmt.Printf("%d numbers sorted: %t, none lost: %t\n", len(sorted), slices.IsSorted(sorted), len(sorted) == n && check == sum)
	fmt.Printf("in %s, in pieces of at most %d\n", took.Round(time.Millisecond), cutOff)
	return nil
}
