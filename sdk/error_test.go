package raygo_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	raygo "github.com/raygo/raygo/sdk"
)

type parseError struct {
	Line int
	Why  string
}

func (e *parseError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Why) }

var errOdd = raygo.RegisterSentinel("raygo_test.errOdd", errors.New("odd"))

func init() { raygo.RegisterError[*parseError]() }

var (
	failing  = raygo.Func1(failingFn)
	panics   = raygo.Func1(panicsFn, raygo.MaxRetries(0))
	exits    = raygo.Func0(exitsFn, raygo.MaxRetries(0))
	goexits  = raygo.Func0(goexitsFn)
	nested   = raygo.Func1(nestedFn)
	attempts = raygo.Func1(attemptsFn, raygo.RetryOn(errOdd), raygo.MaxRetries(2))
	timesOut = raygo.Func0(timesOutFn, raygo.Timeout(50*time.Millisecond), raygo.MaxRetries(0))
	whoAmI   = raygo.Func0(whoAmIFn, raygo.NumCPUs(0.5))
)

func failingFn(_ context.Context, n int) (int, error) {
	switch n {
	case 1:
		return 0, fmt.Errorf("parse: %w", &parseError{Line: 3, Why: "comma"})
	case 2:
		return 0, fmt.Errorf("read: %w", errors.Join(errOdd, io.ErrUnexpectedEOF))
	}
	return 0, errors.New("plain")
}
func panicsFn(_ context.Context, n int) (int, error) { return []int{}[n], nil }
func exitsFn(context.Context) (int, error)           { os.Exit(3); return 0, nil }
func goexitsFn(context.Context) (int, error)         { runtime.Goexit(); return 0, nil }
func nestedFn(ctx context.Context, n int) (int, error) {
	_, err := raygo.Get(ctx, failing.Remote(ctx, n))
	return 0, fmt.Errorf("child: %w", err)
}
func attemptsFn(ctx context.Context, until int) (int, error) {
	n := raygo.Info(ctx).Attempt
	if n < until {
		return 0, errOdd
	}
	return n, nil
}
func timesOutFn(ctx context.Context) (int, error) { <-ctx.Done(); return 0, context.Cause(ctx) }
func whoAmIFn(ctx context.Context) (raygo.TaskInfo, error) {
	raygo.Progress(ctx, 1, 2)
	raygo.Span(ctx, "work")()
	return raygo.Info(ctx), nil
}

// behaviour 98
func TestErrorsKeepTheirIdentity(t *testing.T) {
	c := soon(t)
	_, err := raygo.Get(c, failing.Remote(c, 1))
	var te *raygo.TaskError
	if !errors.As(err, &te) || te.Function != "sdk_test.failingFn" && te.Function != "raygo_test.failingFn" || te.PID == 0 || te.PID == os.Getpid() || te.Peer != session.Peer() {
		t.Fatalf("task error: %#v", err)
	}
	var pe *parseError
	if !errors.As(err, &pe) || pe.Line != 3 || pe.Why != "comma" {
		t.Fatalf("registered type: %v", err)
	}
	for _, call := range []raygo.Ref[int]{failing.Remote(c, 2), nested.Remote(c, 2)} {
		if _, err := raygo.Get(c, call); !errors.Is(err, errOdd) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("sentinels: %v", err)
		}
	}
	_, err = raygo.Get(c, panics.Remote(c, 5))
	if !errors.As(err, &te) || !strings.Contains(te.Stack, "panicsFn") || !strings.Contains(te.Message, "out of range") {
		t.Fatalf("panic: %#v", err)
	}
	if _, err = raygo.Get(c, goexits.Remote(c)); !errors.As(err, &te) || !strings.Contains(te.Message, "Goexit") {
		t.Fatalf("Goexit: %v", err)
	}
	if n, err := raygo.Get(c, square.Remote(c, 4)); err != nil || n != 16 {
		t.Fatalf("the worker after that: %d, %v", n, err)
	}
	// behaviour 101
	if _, err := raygo.Get(c, square.RemoteArgs(c, failing.Remote(c, 1))); !errors.As(err, &pe) {
		t.Fatalf("dependent: %v", err)
	}
}

func TestSystemFailures(t *testing.T) {
	c := soon(t)
	if _, err := raygo.Get(c, exits.Remote(c)); !errors.Is(err, raygo.ErrWorkerCrashed) {
		t.Fatalf("exit: %v", err)
	}
	if n, err := raygo.Get(c, attempts.Remote(c, 2)); err != nil || n != 2 {
		t.Fatalf("retries: %d, %v", n, err)
	}
	if _, err := raygo.Get(c, attempts.Remote(c, 9)); !errors.Is(err, errOdd) {
		t.Fatalf("retries used up: %v", err)
	}
	if _, err := raygo.Get(c, timesOut.Remote(c)); !errors.Is(err, raygo.ErrTaskTimeout) {
		t.Fatalf("timeout: %v", err)
	}
	info, err := raygo.Get(c, whoAmI.Remote(c))
	if err != nil || info.JobID != session.JobID() || info.Resources["CPU"] != 0.5 || info.PID == 0 || info.TaskID == "" {
		t.Fatalf("info: %+v, %v", info, err)
	}
}

// behaviour 174, behaviour 177
func TestCancel(t *testing.T) {
	c := soon(t)
	ref := slow.Remote(c, time.Minute)
	if _, _, err := raygo.Wait(c, []raygo.Ref[time.Duration]{ref}, 1, raygo.WithTimeout(200*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	out, err := raygo.Cancel(c, ref)
	if err != nil || out != raygo.Stopped && out != raygo.NeverStarted {
		t.Fatalf("cancel: %v, %v", out, err)
	}
	if _, err := raygo.Get(c, ref); !errors.Is(err, raygo.ErrTaskCancelled) {
		t.Fatalf("get: %v", err)
	}
	done := square.Remote(c, 2)
	if _, err := raygo.Get(c, done); err != nil {
		t.Fatal(err)
	}
	if out, err := raygo.Cancel(c, done); err != nil || out != raygo.AlreadyDone {
		t.Fatalf("cancel of a finished task: %v, %v", out, err)
	}
}

func TestNodes(t *testing.T) {
	c := soon(t)
	nodes, err := raygo.Nodes(c)
	if err != nil || len(nodes) != 1 || nodes[0].ID != session.Peer() {
		t.Fatalf("nodes: %+v, %v", nodes, err)
	}
	total, err := raygo.ClusterResources(c)
	if err != nil || total["CPU"] != 2 {
		t.Fatalf("total: %v, %v", total, err)
	}
}
