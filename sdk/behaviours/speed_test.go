package behaviours

import (
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
