package behaviours

import (
	"errors"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
)

func TestCallAndGet(t *testing.T) {
	ctx := peertest.Run(t, node.Config{})
	got, err := raygo.Get(ctx, square.Remote(ctx, 7))
	if err != nil || got != 49 {
		t.Fatalf("square(7) = %d, %v", got, err)
	}
}

func TestManyCalls(t *testing.T) {
	ctx := peertest.Run(t, node.Config{})
	var refs []raygo.Ref[int]
	for i := range 5000 {
		refs = append(refs, square.Remote(ctx, i))
	}
	got, err := raygo.GetAll(ctx, refs)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range got {
		if v != i*i {
			t.Fatalf("square(%d) = %d", i, v)
		}
	}
}

func TestLargeValues(t *testing.T) {
	ctx := peertest.Run(t, node.Config{})
	ref := bigBlob.Remote(ctx, 5<<20)
	n, err := raygo.Get(ctx, length.RemoteArgs(ctx, ref))
	if err != nil || n != 5<<20 {
		t.Fatalf("length = %d, %v", n, err)
	}
	b, err := raygo.Get(ctx, ref)
	if err != nil || len(b) != 5<<20 || b[1000] != byte(1000%256) {
		t.Fatalf("get: %d bytes, %v", len(b), err)
	}
}

func TestErrorsCross(t *testing.T) {
	ctx := peertest.Run(t, node.Config{})
	_, err := raygo.Get(ctx, fail.Remote(ctx, "known"))
	var te *raygo.TaskError
	if !errors.Is(err, errKnown) || !errors.As(err, &te) {
		t.Fatalf("get: %v", err)
	}
	_, err = raygo.Get(ctx, exit.Options(raygo.MaxRetries(0)).Remote(ctx, 3))
	if !errors.Is(err, raygo.ErrWorkerCrashed) {
		t.Fatalf("get after exit: %v", err)
	}
}

func TestFib(t *testing.T) {
	ctx := peertest.Run(t, node.Config{})
	got, err := raygo.Get(ctx, fib.Remote(ctx, 12))
	if err != nil || got != 144 {
		t.Fatalf("fib(12) = %d, %v", got, err)
	}
}

func TestStream(t *testing.T) {
	ctx := peertest.Run(t, node.Config{})
	i := 0
	for v, err := range count.Remote(ctx, 1000).Values(ctx) {
		if err != nil || v != i {
			t.Fatalf("item %d: %d, %v", i, v, err)
		}
		i++
	}
	if i != 1000 {
		t.Fatalf("%d items", i)
	}
}

func TestCancelRunning(t *testing.T) {
	ctx := peertest.Run(t, node.Config{})
	ref := sleep.Remote(ctx, time.Minute)
	for range 100 {
		if _, pending, _ := raygo.Wait(ctx, []raygo.Ref[time.Duration]{ref}, 1, raygo.WithTimeout(2*time.Millisecond)); len(pending) == 0 {
			t.Fatal("it ended by itself")
		}
	}
	out, err := raygo.Cancel(ctx, ref)
	if err != nil || out != raygo.Stopped {
		t.Fatalf("cancel: %v, %v", out, err)
	}
	if _, err := raygo.Get(ctx, ref); !errors.Is(err, raygo.ErrTaskCancelled) {
		t.Fatalf("get: %v", err)
	}
}
