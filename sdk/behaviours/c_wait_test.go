package behaviours

import (
	"context"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
)

var waitsForChild = raygo.Func1(waitsForChildFn)

// waitsForChildFn waits for a child in Wait, not in Get.
func waitsForChildFn(ctx context.Context, x int) (int, error) {
	ready, _, err := raygo.Wait(ctx, []raygo.Ref[int]{square.Remote(ctx, x)}, 1)
	if err != nil {
		return 0, err
	}
	return raygo.Get(ctx, ready[0])
}

// behaviour 49
func TestWaitGivesTheCPUBack(t *testing.T) {
	ctx := peertest.Run(t, node.Config{CPUs: 1})
	got, err := raygo.GetAll(ctx, raygo.Map(ctx, waitsForChild, []int{2, 3, 4}))
	if err != nil || len(got) != 3 || got[2] != 16 {
		t.Errorf("parents on one CPU: %v, %v", got, err)
	}
}

// behaviour 45: on one machine what exists is here.
func TestFetchLocal(t *testing.T) {
	ctx := peertest.Run(t, node.Config{})
	for _, local := range []bool{true, false} {
		big := bigBlob.Remote(ctx, 3<<20)
		ready, pending, err := raygo.Wait(ctx, []raygo.Ref[[]byte]{big}, 1, raygo.FetchLocal(local))
		if err != nil || len(ready) != 1 || len(pending) != 0 {
			t.Fatalf("FetchLocal(%t): %d ready, %d pending, %v", local, len(ready), len(pending), err)
		}
		if b, err := raygo.Get(ctx, big); err != nil || len(b) != 3<<20 {
			t.Errorf("FetchLocal(%t): %d bytes, %v", local, len(b), err)
		}
	}
}

// behaviour 46
func TestWhatAnEarlyWaitLeftGoesOn(t *testing.T) {
	ctx := peertest.Run(t, node.Config{})
	refs := raygo.Map(ctx, sleep, []time.Duration{time.Millisecond, 80 * time.Millisecond})
	ready, pending, err := raygo.Wait(ctx, refs, 1)
	if err != nil || len(ready) != 1 || len(pending) != 1 || ready[0] != refs[0] {
		t.Fatalf("%d ready, %d pending, %v", len(ready), len(pending), err)
	}
	eventually(t, "what was pending becomes ready unasked", func() bool {
		late, _, err := raygo.Wait(ctx, pending, 1, raygo.WithTimeout(0))
		return err == nil && len(late) == 1
	})
}
