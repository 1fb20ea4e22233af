package behaviours

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

var (
	blobs      = raygo.Gen2(blobsFn)
	failAt     = raygo.Gen2(failAtFn)
	crashAt    = raygo.Gen3(crashAtFn)
	marks      = raygo.Gen2(marksFn)
	sumStream  = raygo.Func1(sumStreamFn)
	badItem    = raygo.Gen1(badItemFn)
	awaitFile  = raygo.Gen1(awaitFileFn)
	flakyItems = raygo.Gen2(flakyItemsFn)
)

func blobsFn(_ context.Context, n, size int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		b := make([]byte, size)
		for i := range n {
			b[0], b[size-1] = byte(i), byte(i>>8)
			if !yield(b, nil) {
				return
			}
		}
	}
}

func failAtFn(_ context.Context, n, k int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if i == k {
				yield(0, errKnown)
				return
			}
			if !yield(i, nil) {
				return
			}
		}
	}
}

// crashAtFn ends its process at item k of the first attempt.
func crashAtFn(ctx context.Context, n, k int, dir string) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if i == k && raygo.Info(ctx).Attempt == 0 {
				os.Exit(9)
			}
			if !yield(i, nil) {
				return
			}
		}
	}
}

// marksFn writes a file for each item before it yields it.
func marksFn(_ context.Context, n int, dir string) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		defer func() { _ = os.WriteFile(filepath.Join(dir, "ended"), nil, 0o600) }()
		for i := range n {
			if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), nil, 0o600); err != nil {
				yield(0, err)
				return
			}
			if !yield(i, nil) {
				return
			}
		}
	}
}

func sumStreamFn(ctx context.Context, s *raygo.Stream[int]) (int, error) {
	sum := 0
	for v, err := range s.Values(ctx) {
		if err != nil {
			return sum, err
		}
		sum += v
	}
	return sum, nil
}

func badItemFn(_ context.Context, k int) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for i := range k + 3 {
			var v any = i
			if i == k {
				v = make(chan int)
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}

// awaitFileFn yields one item, waits for a file to appear, yields another.
func awaitFileFn(ctx context.Context, path string) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		if !yield(1, nil) {
			return
		}
		for ctx.Err() == nil {
			if _, err := os.Stat(path); err == nil {
				yield(2, nil)
				return
			}
			time.Sleep(time.Millisecond)
		}
		yield(0, ctx.Err())
	}
}

// flakyItemsFn fails at item k in its first attempt.
func flakyItemsFn(ctx context.Context, n, k int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if i == k && raygo.Info(ctx).Attempt == 0 {
				yield(0, errors.New("first attempt"))
				return
			}
			if !yield(i, nil) {
				return
			}
		}
	}
}

func collect[T any](t *testing.T, seq iter.Seq2[T, error]) ([]T, error) {
	t.Helper()
	var got []T
	for v, err := range seq {
		if err != nil {
			return got, err
		}
		got = append(got, v)
	}
	return got, nil
}

func wantInts(t *testing.T, got []int, n int) {
	t.Helper()
	if len(got) != n {
		t.Fatalf("%d items, want %d: %v", len(got), n, got)
	}
	for i, v := range got {
		if v != i {
			t.Fatalf("item %d is %d", i, v)
		}
	}
}

// eventually polls a state of the outside world; it fails only as a guard
// against hanging.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("it never came about: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func fileExists(path string) bool { _, err := os.Stat(path); return err == nil }

func TestGenerators(t *testing.T) {
	p := peertest.Start(t, node.Config{})
	t.Run("items before the end", func(t *testing.T) { // behaviour 188
		ctx := p.DriverFor(t)
		path := filepath.Join(t.TempDir(), "go")
		var got []int
		for v, err := range awaitFile.Remote(ctx, path).Values(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, v); v == 1 {
				if err := os.WriteFile(path, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(got) != 2 || got[1] != 2 {
			t.Fatalf("items %v", got)
		}
	})
	t.Run("an error ends it at its position", func(t *testing.T) { // behaviour 189
		ctx := p.DriverFor(t)
		refs := 0
		var last error
		for r, err := range failAt.Remote(ctx, 10, 4).Refs(ctx) {
			if err == nil {
				_, err = raygo.Get(ctx, r)
			}
			if last = err; err == nil {
				refs++
			}
		}
		if refs != 4 || !errors.Is(last, errKnown) {
			t.Fatalf("%d good refs, then %v", refs, last)
		}
	})
	t.Run("a crash with retries", func(t *testing.T) { // behaviour 190
		ctx := p.DriverFor(t)
		got, err := collect(t, crashAt.Remote(ctx, 200, 57, "").Values(ctx))
		if err != nil {
			t.Fatal(err)
		}
		wantInts(t, got, 200)
	})
	t.Run("a crash without retries", func(t *testing.T) { // behaviour 191
		ctx := p.DriverFor(t)
		got, err := collect(t, crashAt.Options(raygo.MaxRetries(0)).Remote(ctx, 20, 5, "").Values(ctx))
		if !errors.Is(err, raygo.ErrWorkerCrashed) || len(got) > 5 {
			t.Fatalf("%d items, %v", len(got), err)
		}
	})
	t.Run("retried exceptions", func(t *testing.T) { // behaviour 192
		ctx := p.DriverFor(t)
		got, err := collect(t, flakyItems.Options(raygo.RetryExceptions(true)).Remote(ctx, 50, 20).Values(ctx))
		if err != nil {
			t.Fatal(err)
		}
		wantInts(t, got, 50)
	})
	t.Run("an item that cannot be encoded", func(t *testing.T) { // behaviour 193
		ctx := p.DriverFor(t)
		got, err := collect(t, badItem.Remote(ctx, 3).Values(ctx))
		if err == nil || len(got) != 3 {
			t.Fatalf("%d items, %v", len(got), err)
		}
		if v, err := raygo.Get(ctx, square.Remote(ctx, 3)); err != nil || v != 9 {
			t.Fatalf("the worker afterwards: %d, %v", v, err)
		}
	})
	t.Run("empty", func(t *testing.T) { // behaviour 209
		ctx := p.DriverFor(t)
		s := count.Remote(ctx, 0)
		if got, err := collect(t, s.Values(ctx)); err != nil || len(got) != 0 {
			t.Fatalf("%v, %v", got, err)
		}
		if all, err := raygo.Get(ctx, s.Completed()); err != nil || len(all) != 0 {
			t.Fatalf("completed: %v, %v", all, err)
		}
	})
	t.Run("passed to a task", func(t *testing.T) { // behaviour 207
		ctx := p.DriverFor(t)
		s := count.Remote(ctx, 500)
		sum, err := raygo.Get(ctx, sumStream.RemoteArgs(ctx, raygo.Val(s)))
		if err != nil || sum != 500*499/2 {
			t.Fatalf("sum %d, %v", sum, err)
		}
	})
	t.Run("fixed number", func(t *testing.T) { // behaviour 208
		ctx := p.DriverFor(t)
		for _, n := range []int{4, 5, 6} {
			refs := count.Options(raygo.NumReturns(5)).Remote(ctx, n).Take(5)
			got, err := raygo.GetAll(ctx, refs)
			var mismatch *raygo.CountMismatchError
			switch {
			case n == 5 && err == nil:
				wantInts(t, got, 5)
			case n == 5:
				t.Fatal(err)
			case !errors.As(err, &mismatch) || mismatch.Want != 5:
				t.Fatalf("%d yields: %v", n, err)
			}
		}
	})
	t.Run("completed", func(t *testing.T) { // behaviour 201
		ctx := p.DriverFor(t)
		s := count.Remote(ctx, 100)
		refs, err := raygo.Get(ctx, s.Completed())
		if err != nil || len(refs) != 100 {
			t.Fatalf("%d refs, %v", len(refs), err)
		}
		got, err := raygo.GetAll(ctx, refs)
		if err != nil {
			t.Fatal(err)
		}
		wantInts(t, got, 100)
		if _, err := raygo.Get(ctx, failAt.Remote(ctx, 5, 2).Completed()); !errors.Is(err, errKnown) {
			t.Fatalf("completed of a failed one: %v", err)
		}
	})
	t.Run("next with a deadline", func(t *testing.T) { // behaviour 202
		ctx := p.DriverFor(t)
		path := filepath.Join(t.TempDir(), "go")
		s := awaitFile.Remote(ctx, path)
		for v, err := range s.Values(ctx) {
			if err != nil || v != 1 {
				t.Fatalf("the first item: %d, %v", v, err)
			}
			break
		}
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		got, err := collect(t, s.Values(short))
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || len(got) != 0 {
			t.Fatalf("%v, %v", got, err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := collect(t, s.Values(ctx)); err != nil || len(got) != 1 || got[0] != 2 {
			t.Fatalf("afterwards: %v, %v", got, err)
		}
	})
}

func TestBackpressure(t *testing.T) {
	p := peertest.Start(t, node.Config{})
	for _, n := range []int{1, 2, 3, 5, 7, 10, 15} { // behaviour 194
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			ctx := p.DriverFor(t)
			dir := t.TempDir()
			taken := 0
			for v, err := range marks.Options(raygo.Backpressure(n, 1<<30)).Remote(ctx, 60, dir).Values(ctx) {
				if err != nil || v != taken {
					t.Fatalf("item %d: %d, %v", taken, v, err)
				}
				taken++
				// The producer begins an item only once there is room for it.
				if ahead := taken + n + 1; fileExists(filepath.Join(dir, strconv.Itoa(ahead))) {
					t.Fatalf("item %d was begun when %d were taken", ahead, taken)
				}
			}
			if taken != 60 {
				t.Fatalf("%d items", taken)
			}
		})
	}
	t.Run("dropped", func(t *testing.T) { // behaviour 196
		ctx := p.DriverFor(t)
		dir := t.TempDir()
		s := marks.Options(raygo.Backpressure(2, 1<<30)).Remote(ctx, 1000, dir)
		eventually(t, "the producer begins", func() bool { return fileExists(filepath.Join(dir, "0")) })
		s.Close()
		eventually(t, "the producer ends", func() bool { return fileExists(filepath.Join(dir, "ended")) })
	})
	t.Run("cancelled", func(t *testing.T) { // behaviour 185, behaviour 198
		ctx := p.DriverFor(t)
		dir := t.TempDir()
		s := marks.Options(raygo.Backpressure(3, 1<<30)).Remote(ctx, 1000, dir)
		eventually(t, "the producer is held up", func() bool { return fileExists(filepath.Join(dir, "2")) })
		if out, err := raygo.Cancel(ctx, s); err != nil || out != raygo.Stopped {
			t.Fatalf("cancel: %v, %v", out, err)
		}
		got, err := collect(t, s.Values(ctx))
		if !errors.Is(err, raygo.ErrTaskCancelled) || len(got) < 1 {
			t.Fatalf("%d items, then %v", len(got), err)
		}
		wantInts(t, got, len(got))
	})
}

// 10,000 items of 1 MiB pass through a store of 64 MiB to a slow consumer, and
// neither the peer and the driver (both are this process) nor the worker grow.
func TestStreamLargerThanTheStore(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 500
	}
	p := peertest.Start(t, node.Config{ObjectStoreMemory: 64 << 20, SpillDir: "off"})
	ctx := p.Driver()
	i := 0
	var early int64
	for b, err := range blobs.Remote(ctx, n, 1<<20).Values(ctx) {
		if err != nil {
			t.Fatalf("item %d: %v", i, err)
		}
		if len(b) != 1<<20 || b[0] != byte(i) || b[len(b)-1] != byte(i>>8) {
			t.Fatalf("item %d is not what was yielded", i)
		}
		if i == n/10 {
			early = liveHeap()
		}
		i++
	}
	if i != n {
		t.Fatalf("%d items", i)
	}
	if grown := liveHeap() - early; grown > 32<<20 {
		t.Errorf("peer and driver grew by %d MiB", grown>>20)
	}
	var workers ipc.Rows[ipc.WorkerRow]
	p.Ask(t, &ipc.Query{Op: ipc.QueryWorkers}, &workers)
	for _, w := range workers.Rows {
		if w.RSS > 256<<20 {
			t.Errorf("worker %d has %d MiB", w.PID, w.RSS>>20)
		}
	}
}
