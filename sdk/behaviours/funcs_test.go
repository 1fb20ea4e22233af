package behaviours

import (
	"context"
	"errors"
	"iter"
	"os"
	"time"

	raygo "github.com/raygo/raygo/sdk"
)

var errKnown = errors.New("a known error")

var (
	square  = raygo.Func1(squareFn)
	sleep   = raygo.Func1(sleepFn)
	fail    = raygo.Func1(failFn)
	exit    = raygo.Func1(exitFn)
	count   = raygo.Gen1(countFn)
	bigBlob = raygo.Func1(bigBlobFn)
	length  = raygo.Func1(lengthFn)
	whoami  = raygo.Func0(whoamiFn)
	fib     *raygo.Task1[int, int]
)

func init() {
	fib = raygo.Func1(fibFn)
	raygo.RegisterSentinel("behaviours.known", errKnown)
}

func squareFn(_ context.Context, x int) (int, error) { return x * x, nil }

func sleepFn(ctx context.Context, d time.Duration) (time.Duration, error) {
	select {
	case <-time.After(d):
		return d, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func failFn(_ context.Context, what string) (int, error) {
	switch what {
	case "panic":
		panic("on purpose")
	case "known":
		return 0, errKnown
	}
	return 0, errors.New(what)
}

func exitFn(_ context.Context, code int) (int, error) {
	os.Exit(code)
	return 0, nil
}

func countFn(_ context.Context, n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
	}
}

func bigBlobFn(_ context.Context, n int) ([]byte, error) {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b, nil
}

func lengthFn(_ context.Context, b []byte) (int, error) { return len(b), nil }

func whoamiFn(ctx context.Context) (raygo.TaskInfo, error) { return raygo.Info(ctx), nil }

func fibFn(ctx context.Context, n int) (int, error) {
	if n < 2 {
		return n, nil
	}
	a, b := fib.Remote(ctx, n-1), fib.Remote(ctx, n-2)
	x, err := raygo.Get(ctx, a)
	if err != nil {
		return 0, err
	}
	y, err := raygo.Get(ctx, b)
	return x + y, err
}
