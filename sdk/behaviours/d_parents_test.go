package behaviours

import (
	"context"
	"maps"
	"testing"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
)

var threeChildren = raygo.Func1(threeChildrenFn)

// threeChildrenFn waits for three children.
func threeChildrenFn(ctx context.Context, x int) (int, error) {
	var refs []raygo.Ref[int]
	for i := range 3 {
		refs = append(refs, square.Remote(ctx, x+i))
	}
	got, err := raygo.GetAll(ctx, refs)
	if err != nil {
		return 0, err
	}
	return got[0] + got[1] + got[2], nil
}

// allBack waits until every resource of the peer is free again, exactly.
func allBack(t *testing.T, ctx context.Context) {
	t.Helper()
	total, err := raygo.ClusterResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "every resource is back", func() bool {
		free, err := raygo.AvailableResources(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return maps.Equal(total, free)
	})
}

// Many more parents than CPUs wait for children, and end. behaviour 50,
// behaviour 54, behaviour 55
func TestManyParentsOfFewChildren(t *testing.T) {
	p := peertest.Start(t, node.Config{})
	ctx := p.Driver()
	var refs []raygo.Ref[int]
	for i := range 1000 {
		refs = append(refs, threeChildren.Remote(ctx, i))
	}
	got, err := raygo.GetAll(ctx, refs)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range got {
		if want := i*i + (i+1)*(i+1) + (i+2)*(i+2); v != want {
			t.Fatalf("parent %d: %d, want %d", i, v, want)
		}
	}
	if n := len(p.Account().PIDs); n > 64+16*2 {
		t.Fatalf("%d workers", n)
	}
	allBack(t, ctx)
}

// behaviour 58, behaviour 9
func TestFibOfFifteen(t *testing.T) {
	ctx := peertest.Run(t, node.Config{})
	if got, err := raygo.Get(ctx, fib.Remote(ctx, 15)); err != nil || got != 610 {
		t.Fatalf("fib(15) = %d, %v", got, err)
	}
	allBack(t, ctx)
}
