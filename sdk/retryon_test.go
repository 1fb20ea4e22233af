package raygo_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	raygo "github.com/raygo/raygo/sdk"
)

// Package variables come before init functions, so the options name errors that
// are registered only afterwards.
var (
	errLate  = errors.New("late")
	errNever = errors.New("never registered")

	triesLate  = raygo.Func1(triesLateFn, raygo.RetryOn(errLate, &parseError{}))
	triesNever = raygo.Func1(triesNeverFn, raygo.RetryOn(errNever))
)

func init() { raygo.RegisterSentinel("raygo_test.errLate", errLate) }

func triesLateFn(ctx context.Context, until int) (int, error) {
	switch n := raygo.Info(ctx).Attempt; {
	case n >= until:
		return n, nil
	case n == 0:
		return 0, errLate
	default:
		return 0, &parseError{Line: n}
	}
}

func triesNeverFn(context.Context, int) (int, error) { return 0, errNever }

// behaviour 102: a list of errors, by value and by type, whatever the order of
// registration; one that is never registered fails the ref.
func TestRetryOnNamesErrorsThatInitRegisters(t *testing.T) {
	c := soon(t)
	if n, err := raygo.Get(c, triesLate.Remote(c, 2)); n != 2 || err != nil {
		t.Errorf("attempt %d, %v; want the third attempt, which is number 2", n, err)
	}
	if _, err := raygo.Get(c, triesNever.Remote(c, 0)); err == nil || !strings.Contains(err.Error(), "not registered") {
		t.Errorf("RetryOn of an error that is not registered: %v", err)
	}
}
