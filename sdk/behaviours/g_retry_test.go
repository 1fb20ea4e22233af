package behaviours

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
)

// codeError is a registered error type with a value.
type codeError struct{ Code int }

func (e *codeError) Error() string { return fmt.Sprintf("code %d", e.Code) }

var (
	errOther   = errors.New("another known error")
	typedFail  = raygo.Func1(typedFailFn)
	flaky      = raygo.Func3(flakyFn)
	crashUntil = raygo.Func2(crashUntilFn)
	nestedTry  = raygo.Func1(nestedTryFn)
	killSelf   = raygo.Func0(killSelfFn)
	threeParts = raygo.Func1(threePartsFn)
	marker     = raygo.Func2(markerFn)
)

func init() {
	raygo.RegisterError[*codeError]()
	raygo.RegisterSentinel("behaviours.other", errOther)
}

func typedFailFn(_ context.Context, code int) (int, error) {
	return 0, fmt.Errorf("while counting: %w", &codeError{code})
}

// flakyFn counts its runs in a directory and fails until the run number given.
func flakyFn(ctx context.Context, dir string, until int, how string) (int, error) {
	n := raygo.Info(ctx).Attempt
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("run-%d", n)), nil, 0o600); err != nil {
		return 0, err
	}
	if n < until {
		switch how {
		case "other":
			return 0, errOther
		case "typed":
			return 0, &codeError{n}
		}
		return 0, errKnown
	}
	return n, nil
}

func crashUntilFn(ctx context.Context, dir string, until int) (int, error) {
	n := raygo.Info(ctx).Attempt
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("run-%d", n)), nil, 0o600); err != nil {
		return 0, err
	}
	if n < until {
		os.Exit(7)
	}
	return n, nil
}

// nestedTryFn reports how often a nested task with default options is tried.
func nestedTryFn(ctx context.Context, dir string) (int, error) {
	return raygo.Get(ctx, crashUntil.Remote(ctx, dir, 2))
}

func killSelfFn(context.Context) (int, error) {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func threePartsFn(_ context.Context, ok bool) ([]int, error) {
	if !ok {
		return nil, errKnown
	}
	return []int{1, 2, 3}, nil
}

func markerFn(_ context.Context, x int, path string) (int, error) {
	return x, os.WriteFile(path, nil, 0o600)
}

func runs(t *testing.T, dir string) int {
	t.Helper()
	files, err := fs.Glob(os.DirFS(dir), "run-*")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

func TestFailures(t *testing.T) {
	p := peertest.Start(t, node.Config{})
	t.Run("errors keep their identity", func(t *testing.T) { // behaviour 98
		ctx := p.DriverFor(t)
		_, err := raygo.Get(ctx, typedFail.Remote(ctx, 42))
		var te *raygo.TaskError
		var ce *codeError
		if !errors.As(err, &te) || !errors.As(err, &ce) || ce.Code != 42 {
			t.Fatalf("get: %v", err)
		}
		if te.Function == "" || te.PID == 0 || te.Peer != p.Ready.ID || te.TaskID == "" || !strings.Contains(te.Message, "while counting") {
			t.Fatalf("%+v", te)
		}
		_, err = raygo.Get(ctx, fail.Remote(ctx, "panic"))
		if !errors.As(err, &te) || !strings.Contains(te.Message, "on purpose") || !strings.Contains(te.Stack, "failFn") {
			t.Fatalf("get of a panic: %+v", te)
		}
	})
	t.Run("every part fails", func(t *testing.T) { // behaviour 100
		ctx := p.DriverFor(t)
		three := threeParts.Options(raygo.NumReturns(3))
		for i, r := range raygo.Unpack(three.Remote(ctx, false)) {
			if _, err := raygo.Get(ctx, r); !errors.Is(err, errKnown) {
				t.Fatalf("part %d: %v", i, err)
			}
		}
		got, err := raygo.GetAll(ctx, raygo.Unpack(three.Remote(ctx, true)))
		if err != nil || len(got) != 3 || got[2] != 3 {
			t.Fatalf("%v, %v", got, err)
		}
	})
	t.Run("dependents do not run", func(t *testing.T) { // behaviour 101
		ctx := p.DriverFor(t)
		path := filepath.Join(t.TempDir(), "ran")
		r := marker.RemoteArgs(ctx, fail.Remote(ctx, "known"), raygo.Val(path))
		if _, err := raygo.Get(ctx, square.RemoteArgs(ctx, r)); !errors.Is(err, errKnown) {
			t.Fatalf("get: %v", err)
		}
		if fileExists(path) {
			t.Fatal("it ran")
		}
	})
	t.Run("exceptions", func(t *testing.T) { testExceptionRetries(t, p) })
	t.Run("crashes", func(t *testing.T) { testCrashRetries(t, p) })
}

// behaviour 102
func testExceptionRetries(t *testing.T, p *peertest.Peer) {
	for _, c := range []struct {
		name  string
		opts  []raygo.Option
		how   string
		until int
		runs  int
		ok    bool
	}{
		{"off", nil, "", 5, 1, false},
		{"on, too often", []raygo.Option{raygo.RetryExceptions(true), raygo.MaxRetries(2)}, "", 5, 3, false},
		{"on, in time", []raygo.Option{raygo.RetryExceptions(true), raygo.MaxRetries(2)}, "", 2, 3, true},
		{"listed", []raygo.Option{raygo.RetryOn(errKnown), raygo.MaxRetries(2)}, "", 1, 2, true},
		{"not listed", []raygo.Option{raygo.RetryOn(errKnown), raygo.MaxRetries(2)}, "other", 1, 1, false},
		{"listed by type", []raygo.Option{raygo.RetryOn(&codeError{}), raygo.MaxRetries(2)}, "typed", 2, 3, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := p.DriverFor(t)
			dir := t.TempDir()
			got, err := raygo.Get(ctx, flaky.Options(c.opts...).Remote(ctx, dir, c.until, c.how))
			if (err == nil) != c.ok || runs(t, dir) != c.runs || c.ok && got != c.until {
				t.Fatalf("%d runs, %d, %v", runs(t, dir), got, err)
			}
		})
	}
}

func testCrashRetries(t *testing.T, p *peertest.Peer) {
	t.Run("none left", func(t *testing.T) { // behaviour 103, behaviour 23
		ctx := p.DriverFor(t)
		dir := t.TempDir()
		_, err := raygo.Get(ctx, crashUntil.Options(raygo.MaxRetries(0)).Remote(ctx, dir, 1))
		if !errors.Is(err, raygo.ErrWorkerCrashed) || !strings.Contains(err.Error(), "exit code 7") || runs(t, dir) != 1 {
			t.Fatalf("%d runs, %v", runs(t, dir), err)
		}
	})
	t.Run("one", func(t *testing.T) { // behaviour 103, behaviour 106
		ctx := p.DriverFor(t)
		got, err := raygo.Get(ctx, crashUntil.Options(raygo.MaxRetries(1)).Remote(ctx, t.TempDir(), 1))
		if err != nil || got != 1 {
			t.Fatalf("attempt %d, %v", got, err)
		}
	})
	t.Run("without end", func(t *testing.T) { // behaviour 104
		ctx := p.DriverFor(t)
		got, err := raygo.Get(ctx, crashUntil.Options(raygo.MaxRetries(-1)).Remote(ctx, t.TempDir(), 6))
		if err != nil || got != 6 {
			t.Fatalf("attempt %d, %v", got, err)
		}
	})
	t.Run("nested", func(t *testing.T) { // behaviour 105
		ctx := p.DriverFor(t)
		got, err := raygo.Get(ctx, nestedTry.Remote(ctx, t.TempDir()))
		if err != nil || got != 2 {
			t.Fatalf("attempt %d, %v", got, err)
		}
	})
	t.Run("killed by a signal", func(t *testing.T) {
		ctx := p.DriverFor(t)
		_, err := raygo.Get(ctx, killSelf.Options(raygo.MaxRetries(0)).Remote(ctx))
		if !errors.Is(err, raygo.ErrWorkerCrashed) || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("get: %v", err)
		}
	})
	t.Run("backoff grows", func(t *testing.T) { // behaviour 113
		ctx := p.DriverFor(t)
		dir := t.TempDir()
		task := crashUntil.Options(raygo.MaxRetries(3), raygo.RetryBackoff(100*time.Millisecond, time.Second))
		if got, err := raygo.Get(ctx, task.Remote(ctx, dir, 3)); err != nil || got != 3 {
			t.Fatalf("attempt %d, %v", got, err)
		}
		var at [4]time.Time
		for i := range at {
			st, err := os.Stat(filepath.Join(dir, fmt.Sprintf("run-%d", i)))
			if err != nil {
				t.Fatal(err)
			}
			at[i] = st.ModTime()
		}
		// At least half of 100, 200 and 400 ms: jitter is over the upper half.
		for i, least := range []time.Duration{50, 100, 200} {
			if gap := at[i+1].Sub(at[i]); gap < least*time.Millisecond {
				t.Fatalf("attempt %d came %s after the one before, the least is %s", i+1, gap, least*time.Millisecond)
			}
		}
	})
}

// behaviour 110
func TestPeerGone(t *testing.T) {
	p := peertest.Start(t, node.Config{})
	ctx := p.Driver()
	ref := sleep.Remote(ctx, time.Hour)
	info, err := raygo.Get(ctx, whoami.Remote(ctx))
	if err != nil {
		t.Fatal(err)
	}
	p.Stop()
	if _, err := raygo.Get(ctx, ref); !errors.Is(err, raygo.ErrPeerDied) {
		t.Fatalf("get: %v", err)
	}
	if err := syscall.Kill(info.PID, 0); !errors.Is(err, syscall.ESRCH) {
		t.Fatalf("worker %d after its peer: %v", info.PID, err)
	}
}

// behaviour 115
func TestOversizedReturn(t *testing.T) {
	ctx := peertest.Run(t, node.Config{ObjectStoreMemory: 16 << 20, SpillDir: "off"})
	_, err := raygo.Get(ctx, bigBlob.Options(raygo.MaxRetries(0)).Remote(ctx, 64<<20))
	if !errors.Is(err, raygo.ErrStoreFull) {
		t.Fatalf("get: %v", err)
	}
	if n, err := raygo.Get(ctx, square.Remote(ctx, 4)); err != nil || n != 16 {
		t.Fatalf("afterwards: %d, %v", n, err)
	}
}
