package behaviours

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

var (
	hold     = raygo.Func1(holdFn)
	deaf     = raygo.Func1(deafFn)
	compute  = raygo.Func1(computeFn)
	after    = raygo.Func2(afterFn)
	parentOf = raygo.Func2(parentOfFn)
	cancelIt = raygo.Func1(cancelItFn)
)

// holdFn says that it runs and waits for its context.
func holdFn(ctx context.Context, dir string) (int, error) {
	if err := os.WriteFile(filepath.Join(dir, "began"), nil, 0o600); err != nil {
		return 0, err
	}
	<-ctx.Done()
	_ = os.WriteFile(filepath.Join(dir, "stopped"), nil, 0o600)
	return 0, ctx.Err()
}

// deafFn ignores its context until a file says that it may end.
func deafFn(_ context.Context, dir string) (int, error) {
	if err := os.WriteFile(filepath.Join(dir, "began"), nil, 0o600); err != nil {
		return 0, err
	}
	for !fileExists(filepath.Join(dir, "go")) {
		time.Sleep(time.Millisecond)
	}
	return 1, nil
}

// computeFn takes all CPUs of its process, without a system call, until its context
// ends. It fails if it does not hear of that in time.
func computeFn(ctx context.Context, most time.Duration) (int, error) {
	end := time.Now().Add(most)
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for ctx.Err() == nil && time.Now().Before(end) { // this is the work
			}
		})
	}
	all.Wait()
	if ctx.Err() == nil {
		return 0, errors.New("it was not cancelled")
	}
	return 0, ctx.Err()
}

func afterFn(_ context.Context, x int, path string) (int, error) {
	return x, os.WriteFile(path, nil, 0o600)
}

// parentOfFn submits a child that holds and waits for it.
func parentOfFn(ctx context.Context, dir string, n int) (int, error) {
	child := hold.Remote(ctx, dir)
	if n > 0 {
		return raygo.Get(ctx, child)
	}
	return 0, os.WriteFile(filepath.Join(dir, "parent-ended"), nil, 0o600)
}

type refBox struct{ Ref raygo.Ref[int] }

// cancelItFn cancels a task of somebody else's.
func cancelItFn(ctx context.Context, box refBox) (int, error) {
	out, err := raygo.Cancel(ctx, box.Ref)
	return int(out), err
}

func TestCancel(t *testing.T) {
	p := peertest.Start(t, node.Config{CPUs: 1})
	began := func(t *testing.T, dir string) {
		t.Helper()
		eventually(t, "the task begins", func() bool { return fileExists(filepath.Join(dir, "began")) })
	}
	cancelled := func(t *testing.T, ctx context.Context, r raygo.Ref[int]) {
		t.Helper()
		if _, err := raygo.Get(ctx, r); !errors.Is(err, raygo.ErrTaskCancelled) {
			t.Fatalf("get: %v", err)
		}
	}
	t.Run("queued", func(t *testing.T) { // behaviour 172
		ctx := p.DriverFor(t)
		dir := t.TempDir()
		first := hold.Remote(ctx, dir)
		began(t, dir)
		second := marker.Remote(ctx, 1, filepath.Join(dir, "ran"))
		if out, err := raygo.Cancel(ctx, second); err != nil || out != raygo.NeverStarted {
			t.Fatalf("cancel: %v, %v", out, err)
		}
		cancelled(t, ctx, second)
		if out, err := raygo.Cancel(ctx, first); err != nil || out != raygo.Stopped {
			t.Fatalf("cancel: %v, %v", out, err)
		}
		cancelled(t, ctx, first)
		if v, err := raygo.Get(ctx, square.Remote(ctx, 3)); err != nil || v != 9 {
			t.Fatalf("%d, %v", v, err)
		}
		if fileExists(filepath.Join(dir, "ran")) {
			t.Fatal("the cancelled task ran")
		}
	})
	t.Run("waits for an argument", func(t *testing.T) { // behaviour 173
		ctx := p.DriverFor(t)
		dir := t.TempDir()
		dep := deaf.Remote(ctx, dir)
		next := after.RemoteArgs(ctx, dep, raygo.Val(filepath.Join(dir, "ran")))
		if out, err := raygo.Cancel(ctx, next); err != nil || out != raygo.NeverStarted {
			t.Fatalf("cancel: %v, %v", out, err)
		}
		cancelled(t, ctx, next)
		began(t, dir)
		if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if v, err := raygo.Get(ctx, dep); err != nil || v != 1 {
			t.Fatalf("the argument: %d, %v", v, err)
		}
	})
	t.Run("running, not retried", func(t *testing.T) { // behaviour 174, behaviour 183
		ctx := p.DriverFor(t)
		dir := t.TempDir()
		ref := hold.Options(raygo.MaxRetries(-1), raygo.RetryExceptions(true)).Remote(ctx, dir)
		began(t, dir)
		if out, err := raygo.Cancel(ctx, ref); err != nil || out != raygo.Stopped {
			t.Fatalf("cancel: %v, %v", out, err)
		}
		cancelled(t, ctx, ref)
		if !fileExists(filepath.Join(dir, "stopped")) {
			t.Fatal("Stopped was said before it had stopped")
		}
		if v, err := raygo.Get(ctx, square.Remote(ctx, 5)); err != nil || v != 25 {
			t.Fatalf("the CPU afterwards: %d, %v", v, err)
		}
	})
	t.Run("computes on every CPU", func(t *testing.T) { // it makes no system call that could let others in
		ctx := p.DriverFor(t)
		for i := range 20 {
			if v, err := raygo.Get(ctx, square.Remote(ctx, i)); err != nil || v != i*i {
				t.Fatalf("%d, %v", v, err)
			}
		}
		ref := compute.Remote(ctx, time.Minute)
		eventually(t, "the task runs", func() bool {
			var rows ipc.Rows[ipc.TaskRow]
			p.Ask(t, &ipc.Query{Op: ipc.QueryTasks, Filters: []string{"task_id=" + ref.ID()[:40], "state=RUNNING"}}, &rows)
			return rows.Total == 1
		})
		if out, err := raygo.Cancel(ctx, ref); err != nil || out != raygo.Stopped {
			t.Fatalf("cancel: %v, %v", out, err)
		}
		cancelled(t, ctx, ref)
	})
	t.Run("ignores its context", func(t *testing.T) { // behaviour 175, behaviour 69
		ctx := p.DriverFor(t)
		dir := t.TempDir()
		ref := deaf.Remote(ctx, dir)
		began(t, dir)
		if out, err := raygo.Cancel(ctx, ref); err != nil || out != raygo.Unreachable {
			t.Fatalf("cancel: %v, %v", out, err)
		}
		cancelled(t, ctx, ref)
		free, err := raygo.AvailableResources(ctx)
		if err != nil || free["CPU"] != 0 {
			t.Fatalf("free while it still runs: %v, %v", free, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if v, err := raygo.Get(ctx, square.Remote(ctx, 6)); err != nil || v != 36 {
			t.Fatalf("%d, %v", v, err)
		}
		cancelled(t, ctx, ref)
	})
	t.Run("by force", func(t *testing.T) { // behaviour 175, behaviour 176
		ctx := p.DriverFor(t)
		dir := t.TempDir()
		ref := deaf.Remote(ctx, dir)
		began(t, dir)
		if out, err := raygo.Cancel(ctx, ref, raygo.Force()); err != nil || out != raygo.Stopped {
			t.Fatalf("cancel: %v, %v", out, err)
		}
		cancelled(t, ctx, ref)
		if v, err := raygo.Get(ctx, square.Remote(ctx, 7)); err != nil || v != 49 {
			t.Fatalf("%d, %v", v, err)
		}
	})
	t.Run("finished", func(t *testing.T) { // behaviour 177
		ctx := p.DriverFor(t)
		ref := square.Remote(ctx, 8)
		if _, err := raygo.Get(ctx, ref); err != nil {
			t.Fatal(err)
		}
		if out, err := raygo.Cancel(ctx, ref); err != nil || out != raygo.AlreadyDone {
			t.Fatalf("cancel: %v, %v", out, err)
		}
		if v, err := raygo.Get(ctx, ref); err != nil || v != 64 {
			t.Fatalf("%d, %v", v, err)
		}
	})
	t.Run("children too", func(t *testing.T) { // behaviour 179
		ctx := p.DriverFor(t)
		dir := t.TempDir()
		ref := parentOf.Remote(ctx, dir, 1)
		began(t, dir)
		if out, err := raygo.Cancel(ctx, ref); err != nil || out != raygo.Stopped {
			t.Fatalf("cancel: %v, %v", out, err)
		}
		eventually(t, "the child stops", func() bool { return fileExists(filepath.Join(dir, "stopped")) })
		if v, err := raygo.Get(ctx, square.Remote(ctx, 9)); err != nil || v != 81 {
			t.Fatalf("%d, %v", v, err)
		}
	})
	t.Run("children not", func(t *testing.T) { // behaviour 179
		ctx := p.DriverFor(t)
		dir := t.TempDir()
		ref := parentOf.Options(raygo.NumCPUs(0)).Remote(ctx, dir, 1)
		began(t, dir)
		if out, err := raygo.Cancel(ctx, ref, raygo.Recursive(false)); err != nil || out != raygo.Stopped {
			t.Fatalf("cancel: %v, %v", out, err)
		}
		if fileExists(filepath.Join(dir, "stopped")) {
			t.Fatal("the child was stopped too")
		}
	})
	t.Run("by a borrower", func(t *testing.T) { // behaviour 181
		ctx := p.DriverFor(t)
		dir := t.TempDir()
		ref := hold.Remote(ctx, dir)
		began(t, dir)
		out, err := raygo.Get(ctx, cancelIt.Options(raygo.NumCPUs(0)).Remote(ctx, refBox{ref}))
		if err != nil || raygo.Outcome(out) != raygo.Stopped {
			t.Fatalf("cancel: %v, %v", out, err)
		}
		cancelled(t, ctx, ref)
	})
}

// A short task that was sent ahead behind a long one does not start once it is
// cancelled. behaviour 182
func TestCancelSentAhead(t *testing.T) {
	ctx := peertest.Run(t, node.Config{CPUs: 1})
	dir := t.TempDir()
	for i := range 50 { // so that the class is known to be short
		if _, err := raygo.Get(ctx, marker.Remote(ctx, i, filepath.Join(dir, "warm"))); err != nil {
			t.Fatal(err)
		}
	}
	var refs []raygo.Ref[int]
	for range 2000 {
		refs = append(refs, marker.Remote(ctx, 0, filepath.Join(dir, "x")))
	}
	last := marker.Remote(ctx, 0, filepath.Join(dir, "last"))
	out, err := raygo.Cancel(ctx, last)
	if err != nil {
		t.Fatal(err)
	}
	_, err = raygo.Get(ctx, last)
	switch {
	case out == raygo.NeverStarted && (!errors.Is(err, raygo.ErrTaskCancelled) || fileExists(filepath.Join(dir, "last"))):
		t.Fatalf("%v, yet %v, ran: %v", out, err, fileExists(filepath.Join(dir, "last")))
	case out == raygo.AlreadyDone && err != nil:
		t.Fatal(err)
	}
	if _, err := raygo.GetAll(ctx, refs); err != nil {
		t.Fatal(err)
	}
}
