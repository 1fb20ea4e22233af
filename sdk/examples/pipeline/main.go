// Command pipeline owns a chain of generators: a source yields batches, a
// filter consumes them while they are made, a sink adds up. Each stage is a task
// in a process of its own, and a slow one holds the others back instead of
// filling memory.
//
//	go run ./sdk/examples/pipeline
package main

import (
	"context"
	"fmt"
	"iter"

	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/p2p"
)

// The stages. Backpressure(4, 0) lets a stage be at most four items ahead of
// whoever consumes it; NumCPUs(0.2) lets all stages run at once on few cores.
var (
	Numbers = raygo.Gen2(numbers, raygo.Backpressure(4, 8<<20), raygo.NumCPUs(0.2))
	Primes  = raygo.Gen1(primes, raygo.Backpressure(4, 8<<20), raygo.NumCPUs(0.2))
	Total   = raygo.Func1(total, raygo.NumCPUs(0.2))
)

// Batch is some consecutive numbers, and which of the batches it is.
type Batch struct {
	Number  int
	Numbers []int64
}

// numbers yields 1 to count*size in batches.
func numbers(_ context.Context, count, size int) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		for i := range count {
			b := Batch{Number: i, Numbers: make([]int64, size)}
			for k := range b.Numbers {
				b.Numbers[k] = int64(i*size + k + 1)
			}
			if !yield(b, nil) {
				return // the consumer has gone
			}
		}
	}
}

// primes keeps the primes of each batch. It reads the stream of another task;
// its item is yielded before the next one is asked for.
func primes(ctx context.Context, in *raygo.Stream[Batch]) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		for b, err := range in.Values(ctx) {
			if err != nil {
				yield(Batch{}, fmt.Errorf("read numbers: %w", err))
				return
			}
			out := Batch{Number: b.Number}
			for _, n := range b.Numbers {
				if prime(n) {
					out.Numbers = append(out.Numbers, n)
				}
			}
			if !yield(out, nil) {
				return
			}
		}
	}
}

func prime(n int64) bool {
	if n < 2 {
		return false
	}
	for d := int64(2); d*d <= n; d++ {
		if n%d == 0 {
			return false
		}
	}
	return true
}

// Sum is what the sink found.
type Sum struct {
	Batches, Primes int
	Sum             int64
}

func total(ctx context.Context, in *raygo.Stream[Batch]) (Sum, error) {
	var s Sum
	for b, err := range in.Values(ctx) {
		if err != nil {
			return s, fmt.Errorf("read primes: %w", err)
		}
		s.Batches++
		s.Primes += len(b.Numbers)
		for _, n := range b.Numbers {
			s.Sum += n
		}
	}
	return s, nil
}

func main() { raygo.Main(run, p2p.Embedded(p2p.Config{})) }

func run(ctx context.Context) error {
	// All three stages run at the same time; this process only waits.
	in := Numbers.Remote(ctx, 200, 1000)
	filtered := Primes.RemoteArgs(ctx, in)
	s, err := raygo.Get(ctx, Total.RemoteArgs(ctx, filtered))
	if err != nil {
		return err
	}
	fmt.Printf("%d primes up to 200000 in %d batches, their sum is %d\n", s.Primes, s.Batches, s.Sum)

	// A stream can be read here, too, and left: closing it stops the stages.
	first := Primes.RemoteArgs(ctx, Numbers.Remote(ctx, 1_000_000, 1000))
	defer first.Close()
	for b, err := range first.Values(ctx) {
		if err != nil {
			return err
		}
		fmt.Printf("batch %d has %d primes\n", b.Number, len(b.Numbers))
		if b.Number == 2 {
			break
		}
	}
	return nil
}
