package behaviours

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
)

// blobSize is a value's that lies in the store.
const blobSize = 256 << 10

type blobBox struct{ Refs []raygo.Ref[[]byte] }

var (
	lengthAfter  = raygo.Func2(lengthAfterFn)
	lengthIn     = raygo.Func2(lengthInFn)
	boxOf        = raygo.Func1(boxOfFn)
	putAndCrash  = raygo.Func1(putAndCrashFn)
	crashWithBox = raygo.Func2(crashWithBoxFn)
)

// lengthAfterFn waits for a file before it looks at its argument.
func lengthAfterFn(ctx context.Context, b []byte, path string) (int, error) {
	return len(b), awaitPath(ctx, path)
}

// lengthInFn gets what is in a box, once a file is there.
func lengthInFn(ctx context.Context, box blobBox, path string) (int, error) {
	if err := awaitPath(ctx, path); err != nil {
		return 0, err
	}
	sum := 0
	for _, r := range box.Refs {
		b, err := raygo.Get(ctx, r)
		if err != nil {
			return 0, err
		}
		sum += len(b)
	}
	return sum, nil
}

// boxOfFn puts n blobs and returns them in a box.
func boxOfFn(ctx context.Context, n int) (blobBox, error) {
	var box blobBox
	for range n {
		r, err := raygo.Put(ctx, make([]byte, blobSize))
		if err != nil {
			return box, err
		}
		box.Refs = append(box.Refs, r)
	}
	return box, nil
}

// putAndCrashFn leaves objects behind that only it knew of.
func putAndCrashFn(ctx context.Context, n int) (int, error) {
	box, err := boxOfFn(ctx, n)
	if err != nil {
		return 0, err
	}
	if _, err := raygo.Get(ctx, box.Refs[0]); err != nil {
		return 0, err
	}
	os.Exit(5)
	return 0, nil
}

// crashWithBoxFn gets what is in its box and ends its process in the first two
// attempts.
func crashWithBoxFn(ctx context.Context, box blobBox, dir string) (int, error) {
	n, err := lengthInFn(ctx, box, dir)
	if raygo.Info(ctx).Attempt < 2 {
		os.Exit(6)
	}
	return n, err
}

func mustPut(t *testing.T, ctx context.Context, n int) raygo.Ref[[]byte] {
	t.Helper()
	r, err := raygo.Put(ctx, make([]byte, n))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// awaitPath waits for a file to appear; "" is there already.
func awaitPath(ctx context.Context, path string) error {
	for path != "" && !fileExists(path) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// holds waits until the peer has n objects, in the store or not, running the
// collector that a program with more to do would run by itself.
func holds(t *testing.T, p *peertest.Peer, n int) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("it holds %+v", p.Account())
		}
	}()
	eventually(t, "the peer holds as many objects as are needed", func() bool {
		runtime.GC()
		a := p.Account()
		return a.Objects == n && a.Store.Objects <= n
	})
}

// holder gives a function that has a ref.
func holder(t *testing.T, ctx context.Context) func() (int, error) {
	r := mustPut(t, ctx, blobSize)
	return func() (int, error) { return stillThere(ctx, r) }
}

// stillThere has a task look at an object. A view in the driver would last, and
// hold the bytes, until the ref is released.
func stillThere(ctx context.Context, r raygo.Ref[[]byte]) (int, error) {
	return raygo.Get(ctx, length.RemoteArgs(ctx, r))
}

func TestRefs(t *testing.T) {
	p := peertest.Start(t, node.Config{})
	none := func(t *testing.T) { t.Helper(); holds(t, p, 0) }
	t.Run("dropped", func(t *testing.T) { // behaviour 134
		ctx := p.DriverFor(t)
		func() {
			r, small := mustPut(t, ctx, blobSize), square.Remote(ctx, 4)
			made := bigBlob.Remote(ctx, blobSize)
			if _, err := raygo.Get(ctx, length.RemoteArgs(ctx, made)); err != nil {
				t.Fatal(err)
			}
			if a := p.Account(); a.Objects < 3 {
				t.Fatalf("%d objects", a.Objects)
			}
			runtime.KeepAlive(r)
			runtime.KeepAlive(small)
			runtime.KeepAlive(made)
		}()
		none(t)
	})
	t.Run("without the program's help", func(t *testing.T) { // behaviour 146
		ctx := p.DriverFor(t)
		if n, err := stillThere(ctx, mustPut(t, ctx, blobSize)); err != nil || n != blobSize {
			t.Fatalf("%d bytes, %v", n, err)
		}
		// The SDK nudges the collector of a program that allocates nothing.
		eventually(t, "the object goes", func() bool { return p.Account().Objects == 0 })
	})
	t.Run("copies", func(t *testing.T) { // behaviour 135
		ctx := p.DriverFor(t)
		first, second := new(raygo.Ref[[]byte]), new(raygo.Ref[[]byte])
		func() {
			*first = mustPut(t, ctx, blobSize)
			*second = *first
		}()
		*first = raygo.Ref[[]byte]{}
		for range 5 {
			runtime.GC()
		}
		if n, err := stillThere(ctx, *second); err != nil || n != blobSize {
			t.Fatalf("%d bytes, %v", n, err)
		}
		*second = raygo.Ref[[]byte]{}
		none(t)
	})
	t.Run("needed by a task", func(t *testing.T) { // behaviour 136
		ctx := p.DriverFor(t)
		path := filepath.Join(t.TempDir(), "go")
		n := func() raygo.Ref[int] {
			r := mustPut(t, ctx, blobSize)
			defer raygo.Release(r)
			return lengthAfter.RemoteArgs(ctx, r, raygo.Val(path))
		}()
		inBox := func() raygo.Ref[int] {
			r := mustPut(t, ctx, blobSize)
			defer raygo.Release(r)
			return lengthIn.Remote(ctx, blobBox{[]raygo.Ref[[]byte]{r}}, path)
		}()
		touch(t, path)
		for _, r := range []raygo.Ref[int]{n, inBox} {
			if got, err := raygo.Get(ctx, r); err != nil || got != blobSize {
				t.Fatalf("%d bytes, %v", got, err)
			}
		}
		raygo.Release(n, inBox)
		none(t)
	})
	t.Run("held by a function value", func(t *testing.T) { // behaviour 137
		ctx := p.DriverFor(t)
		func() {
			get := holder(t, ctx)
			for range 5 {
				runtime.GC()
			}
			if n, err := get(); err != nil || n != blobSize {
				t.Fatalf("%d bytes, %v", n, err)
			}
		}()
		none(t)
	})
	t.Run("inside an object", func(t *testing.T) { // behaviour 138
		ctx := p.DriverFor(t)
		func() {
			box := boxOf.Remote(ctx, 3)
			if n, err := raygo.Get(ctx, lengthIn.RemoteArgs(ctx, box, raygo.Val(""))); err != nil || n != 3*blobSize {
				t.Fatalf("%d bytes, %v", n, err)
			}
			eventually(t, "only the box and what is in it are left", func() bool {
				runtime.GC()
				return p.Account().Objects == 4
			})
			got, err := raygo.Get(ctx, box)
			if err != nil {
				t.Fatal(err)
			}
			raygo.Release(box) // what is in it is ours now
			if n, err := stillThere(ctx, got.Refs[2]); err != nil || n != blobSize {
				t.Fatalf("%d bytes, %v", n, err)
			}
		}()
		none(t)
	})
	t.Run("held by a process that crashes", func(t *testing.T) { // behaviour 140
		ctx := p.DriverFor(t)
		_, err := raygo.Get(ctx, putAndCrash.Options(raygo.MaxRetries(0)).Remote(ctx, 3))
		if !errors.Is(err, raygo.ErrWorkerCrashed) {
			t.Fatalf("get: %v", err)
		}
		none(t)
	})
	t.Run("borrowed by attempts that crash", func(t *testing.T) { // behaviour 141, behaviour 140
		ctx := p.DriverFor(t)
		func() {
			box := blobBox{[]raygo.Ref[[]byte]{mustPut(t, ctx, blobSize), mustPut(t, ctx, blobSize)}}
			r := crashWithBox.Remote(ctx, box, "")
			if n, err := raygo.Get(ctx, r); err != nil || n != 2*blobSize {
				t.Fatalf("%d bytes, %v", n, err)
			}
			if n, err := stillThere(ctx, box.Refs[0]); err != nil || n != blobSize {
				t.Fatalf("%d bytes, %v", n, err)
			}
		}()
		none(t)
	})
	t.Run("left the program", func(t *testing.T) { // behaviour 142
		ctx := p.DriverFor(t)
		var text []byte
		func() {
			var err error
			if text, err = cbor.Marshal(mustPut(t, ctx, blobSize)); err != nil {
				t.Fatal(err)
			}
		}()
		for range 5 {
			runtime.GC()
		}
		var back raygo.Ref[[]byte]
		if err := cbor.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if b, err := raygo.Get(ctx, back); err != nil || len(b) != blobSize {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		raygo.Release(back)
		none(t)
	})
	t.Run("arguments of a task that never ran", func(t *testing.T) { // behaviour 143
		ctx := p.DriverFor(t)
		func() {
			bad := fail.Remote(ctx, "known")
			r := withBad.RemoteArgs(ctx, mustPut(t, ctx, blobSize), bad)
			if _, err := raygo.Get(ctx, r); !errors.Is(err, errKnown) {
				t.Fatalf("get: %v", err)
			}
			never := length.Options(raygo.Resource("none of it", 1)).RemoteArgs(ctx, mustPut(t, ctx, blobSize))
			if out, err := raygo.Cancel(ctx, never); err != nil || out != raygo.NeverStarted {
				t.Fatalf("cancel: %v, %v", out, err)
			}
		}()
		none(t)
	})
	t.Run("released", func(t *testing.T) { // behaviour 147
		ctx := p.DriverFor(t)
		r := mustPut(t, ctx, blobSize)
		other := r
		raygo.Release(r)
		if _, err := raygo.Get(ctx, r); !errors.Is(err, raygo.ErrObjectFreed) {
			t.Fatalf("get: %v", err)
		}
		if _, err := raygo.Get(ctx, other); !errors.Is(err, raygo.ErrObjectFreed) {
			t.Fatalf("get of a copy: %v", err)
		}
		if _, err := raygo.Get(ctx, length.RemoteArgs(ctx, r)); !errors.Is(err, raygo.ErrObjectFreed) {
			t.Fatalf("as an argument: %v", err)
		}
		none(t)
	})
}

var withBad = raygo.Func2(withBadFn)

func withBadFn(_ context.Context, b []byte, n int) (int, error) { return len(b) + n, nil }

// behaviour 148
func TestManyDroppedRefs(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 100_000
	}
	p := peertest.Start(t, node.Config{MaxEvents: 1000}) // what is kept of finished tasks is bounded as well
	ctx := p.Driver()
	// Each ref is dropped at once; now and then one is got, or the queue would
	// grow as fast as it can be filled.
	run := func(n int) {
		for i := range n {
			r := square.Remote(ctx, i)
			if i%1000 != 999 {
				continue
			}
			if v, err := raygo.Get(ctx, r); err != nil || v != i*i {
				t.Fatalf("task %d: %d, %v", i, v, err)
			}
		}
		holds(t, p, 0)
	}
	run(n / 10)
	before := liveHeap()
	run(n - n/10)
	// The peer and the driver are both in this process. Tables keep the size of
	// their fullest moment, which differs; a record kept of each task would be
	// 100 MiB and more.
	if grown := liveHeap() - before; grown > 32<<20 {
		t.Fatalf("%d KiB more are in use after %d tasks than after a tenth of them", grown>>10, n)
	}
}

func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
