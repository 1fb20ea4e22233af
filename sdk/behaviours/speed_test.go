package behaviours

import (
	"strconv"
	"testing"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
)

func BenchmarkSync(b *testing.B) {
	ctx := peertest.Run(b, node.Config{})
	_, _ = raygo.Get(ctx, square.Remote(ctx, 1))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := raygo.Get(ctx, square.Remote(ctx, 1)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAsync(b *testing.B) {
	ctx := peertest.Run(b, node.Config{})
	_, _ = raygo.Get(ctx, square.Remote(ctx, 1))
	b.ReportAllocs()
	n := 0
	const batch = 1000
	for b.Loop() {
		refs := make([]raygo.Ref[int], batch)
		for i := range refs {
			refs[i] = square.Remote(ctx, i)
		}
		if _, err := raygo.GetAll(ctx, refs); err != nil {
			b.Fatal(err)
		}
		n += batch
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "tasks/s")
}

// BenchmarkWaitOneByOne takes finished refs one at a time. A cost per ref that
// does not grow with their number is what makes the whole linear.
func BenchmarkWaitOneByOne(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			ctx := peertest.Run(b, node.Config{})
			refs := raygo.Map(ctx, square, make([]int, n))
			if _, err := raygo.GetAll(ctx, refs); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				for pending := refs; len(pending) > 0; {
					var err error
					if _, pending, err = raygo.Wait(ctx, pending, 1); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/ref")
		})
	}
}
