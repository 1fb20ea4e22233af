package raygo_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	raygo "github.com/raygo/raygo/sdk"
)

// panicOf is what f panics with.
func panicOf(f func()) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = fmt.Sprint(p)
		}
	}()
	f()
	return ""
}

type method struct{ n int }

func (m method) call(context.Context) (int, error) { return m.n, nil }

type hidden struct{ mu sync.Mutex } //nolint:unused // it is about the type, which nobody makes

type knows struct{ Err error }

func chanFn(context.Context, chan int) (int, error)            { return 0, nil }
func funcFn(context.Context) (struct{ F func() }, error)       { return struct{ F func() }{}, nil }
func complexFn(context.Context, []complex128) (int, error)     { return 0, nil }
func hiddenFn(context.Context, map[string]hidden) (int, error) { return 0, nil }
func ifaceFn(context.Context, knows) (int, error)              { return 0, nil }
func genericFn[T any](_ context.Context, v T) (T, error)       { return v, nil }
func optionsFn(context.Context) (int, error)                   { return 0, nil }

// behaviour 4, behaviour 251
func TestRegistrationRefuses(t *testing.T) {
	n := 1
	for what, c := range map[string]struct {
		f    func()
		want string
	}{
		"closure":      {func() { raygo.Func0(func(context.Context) (int, error) { return n, nil }) }, "function literal"},
		"method value": {func() { raygo.Func0(method{1}.call) }, "method value"},
		"generic":      {func() { raygo.Func1(genericFn[int]) }, "generic"},
		"nil":          {func() { raygo.Func0[int](nil) }, "nil"},
		"twice":        {func() { raygo.Func1(squareFn) }, "registered already, at "},
		"chan":         {func() { raygo.Func1(chanFn) }, "argument 1"},
		"func":         {func() { raygo.Func0(funcFn) }, ".F: a func cannot"},
		"complex":      {func() { raygo.Func1(complexFn) }, "complex128"},
		"hidden":       {func() { raygo.Func1(hiddenFn) }, "no exported fields"},
		"interface":    {func() { raygo.Func1(ifaceFn) }, ".Err: an interface with methods"},
		"option":       {func() { raygo.Func0(optionsFn, raygo.NumCPUs(-1)) }, "negative"},
	} {
		got := panicOf(c.f)
		if !strings.Contains(got, c.want) || !strings.Contains(got, "register_test.go:") {
			t.Errorf("%s: panics with %q, want the line and %q", what, got, c.want)
		}
	}
}

// behaviour 8, behaviour 21, behaviour 65, behaviour 89
func TestBadOptionsFailTheRef(t *testing.T) {
	for what, o := range map[string]raygo.Option{
		"negative CPUs":      raygo.NumCPUs(-1),
		"NaN":                raygo.NumCPUs(math.NaN()),
		"infinite":           raygo.NumGPUs(math.Inf(1)),
		"fraction of GPUs":   raygo.NumGPUs(1.5),
		"too small":          raygo.NumCPUs(0.00001),
		"negative memory":    raygo.Memory(-1),
		"CPU as resource":    raygo.Resource("CPU", 1),
		"gpu as resource":    raygo.Resource("gpu", 1),
		"nameless resource":  raygo.Resource("", 1),
		"negative resource":  raygo.Resource("x", -1),
		"unknown strategy":   raygo.Strategy(raygo.SchedulingStrategy{}),
		"nameless affinity":  raygo.Strategy(raygo.NodeAffinity("", true)),
		"empty selector":     raygo.Strategy(raygo.Labels(" ")),
		"bad selector":       raygo.Strategy(raygo.Labels("zone")),
		"bad fallback":       raygo.Strategy(raygo.Labels("a=b").Fallback("zone")),
		"fallback of spread": raygo.Strategy(raygo.Spread().Fallback("a=b")),
		"open bracket":       raygo.Strategy(raygo.Labels("a in (b")),
		"retries":            raygo.MaxRetries(-2),
		"backoff":            raygo.RetryBackoff(2, 1),
		"timeout":            raygo.Timeout(-1),
		"pending timeout":    raygo.PendingTimeout(-1),
		"returns":            raygo.NumReturns(-1),
		"returns no slice":   raygo.NumReturns(2),
		"no generator":       raygo.Backpressure(1, 1),
		"environment":        raygo.Env(map[string]string{"A=": "x"}),
		"calls":              raygo.MaxCalls(-1),
		"unregistered error": raygo.RetryOn(errors.New("nobody knows me")),
	} {
		if _, err := raygo.Get(ctx, square.Options(o).Remote(ctx, 1)); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	// behaviour 195
	for _, err := range count.Options(raygo.Backpressure(0, 1)).Remote(ctx, 1).Values(ctx) {
		if err == nil {
			t.Error("backpressure 0 is accepted")
		}
	}
	for _, good := range []string{"zone=eu", "zone=eu,disk!=hdd,arch in (amd64,arm64)", "a !in (b)"} {
		bad := square.Options(raygo.Strategy(raygo.Labels(good)))
		if _, _, err := raygo.Wait(ctx, []raygo.Ref[int]{bad.Remote(ctx, 1)}, 1, raygo.WithTimeout(0)); err != nil {
			t.Errorf("selector %q: %v", good, err)
		}
	}
}

type loop struct {
	Next *loop
	Any  any
}

var takeLoop = raygo.Func1(takeLoopFn)

func takeLoopFn(context.Context, *loop) (int, error) { return 1, nil }

// behaviour 4
func TestUnencodableValuesFailTheRefAtOnce(t *testing.T) {
	circle := &loop{}
	circle.Next = circle
	for _, v := range []*loop{circle, {Any: make(chan int)}, {Any: func() {}}} {
		if _, err := raygo.Get(ctx, takeLoop.Remote(ctx, v)); err == nil {
			t.Error("no error")
		}
		if _, err := raygo.Put(ctx, v); err == nil {
			t.Error("it can be put")
		}
	}
	if n, err := raygo.Get(soon(t), takeLoop.Remote(ctx, &loop{Next: &loop{}})); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
}

func TestNames(t *testing.T) {
	if n, err := square.Local(ctx, 4); n != 16 || err != nil {
		t.Errorf("Local: %d, %v", n, err)
	}
	var te *raygo.TaskError
	_, err := raygo.Get(soon(t), failing.Options(raygo.Name("shown")).Remote(ctx, 3))
	if !errors.As(err, &te) || te.Function != "shown" {
		t.Errorf("shown name: %v", err)
	}
}
