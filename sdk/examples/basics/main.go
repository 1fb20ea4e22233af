// Command basics owns the first tour: calling functions in other processes,
// passing refs on, errors that keep what they are, options, deadlines.
//
//	go run ./sdk/examples/basics
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/p2p"
)

// Remote functions are registered in package-level variables, so that the
// workers, which are this same program, know them too.
var (
	Square = raygo.Func1(square)
	Add    = raygo.Func2(add)
	Split  = raygo.Func1(split)
	Sum    = raygo.Func1(sum, raygo.NumCPUs(0.5))
	Divide = raygo.Func2(divide)
	Slow   = raygo.Func1(slow)
)

func square(_ context.Context, x int) (int, error) { return x * x, nil }

func add(_ context.Context, a, b int) (int, error) { return a + b, nil }

// split has two results; Unpack2 makes each an object of its own.
func split(_ context.Context, x int) (raygo.Tuple2[int, int], error) {
	return raygo.Tuple2[int, int]{A: x / 10, B: x % 10}, nil
}

func sum(_ context.Context, xs []int) (int, error) {
	total := 0
	for _, x := range xs {
		total += x
	}
	return total, nil
}

// ErrZero is found by errors.Is on the other side, because it is registered.
var ErrZero = raygo.RegisterSentinel("basics.ErrZero", errors.New("division by zero"))

func divide(_ context.Context, a, b int) (int, error) {
	if b == 0 {
		return 0, fmt.Errorf("divide %d: %w", a, ErrZero)
	}
	return a / b, nil
}

// slow is cancelled through its context, as any Go function.
func slow(ctx context.Context, d time.Duration) (string, error) {
	select {
	case <-time.After(d):
		return "done", nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func main() { raygo.Main(run, p2p.Embedded(p2p.Config{})) }

func run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{calls, refs, failures, deadlines} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// calls shows the simplest things: call, get, call for each of many.
func calls(ctx context.Context) error {
	seven, err := raygo.Get(ctx, Square.Remote(ctx, 7))
	if err != nil {
		return err
	}
	fmt.Println("7 squared is", seven)

	squares, err := raygo.GetAll(ctx, raygo.Map(ctx, Square, []int{1, 2, 3, 4, 5}))
	if err != nil {
		return err
	}
	fmt.Println("squares, in the order of the arguments:", squares)
	return nil
}

// refs shows that results need not come back here to be used.
func refs(ctx context.Context) error {
	// A ref as an argument: the task starts when its value is there. Nobody
	// waits here, and the value goes from worker to worker.
	a, b := Square.Remote(ctx, 3), Square.Remote(ctx, 4)
	c, err := raygo.Get(ctx, Add.RemoteArgs(ctx, a, b))
	if err != nil {
		return err
	}
	fmt.Println("3² + 4² =", c)

	// A slice gathered from many refs, and a ref mixed with a value.
	total := Sum.RemoteArgs(ctx, raygo.All(raygo.Map(ctx, Square, []int{1, 2, 3})))
	more, err := raygo.Get(ctx, Add.RemoteArgs(ctx, total, raygo.Val(100)))
	if err != nil {
		return err
	}
	fmt.Println("1² + 2² + 3² + 100 =", more)

	// Two results of one task.
	tens, ones := raygo.Unpack2(Split.Remote(ctx, 42))
	digits, err := raygo.GetAll(ctx, []raygo.Ref[int]{tens, ones})
	if err != nil {
		return err
	}
	fmt.Println("the digits of 42:", digits)

	// A value put once and used by many tasks.
	table, err := raygo.Put(ctx, make([]int, 100_000))
	if err != nil {
		return err
	}
	defer raygo.Release(table)
	zero, err := raygo.Get(ctx, Sum.RemoteArgs(ctx, table))
	if err != nil {
		return err
	}
	fmt.Println("the sum of 100000 zeros:", zero)
	return nil
}

// failures shows what is left of an error on its way.
func failures(ctx context.Context) error {
	bad := Divide.Remote(ctx, 1, 0)
	_, err := raygo.Get(ctx, bad)
	var te *raygo.TaskError
	if !errors.As(err, &te) || !errors.Is(err, ErrZero) {
		return fmt.Errorf("a division by zero ended in %w", err)
	}
	fmt.Println("the task failed:", te.Message, "(and errors.Is knows it)")

	// What depends on a failed task is not run and fails alike.
	_, err = raygo.Get(ctx, Add.RemoteArgs(ctx, bad, raygo.Val(1)))
	fmt.Println("so does what needs its result:", errors.Is(err, ErrZero))
	return nil
}

// deadlines shows waiting for some time, and giving up on a task.
func deadlines(ctx context.Context) error {
	ref := Slow.Options(raygo.Name("a-slow-one"), raygo.MaxRetries(0)).Remote(ctx, time.Hour)
	short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	_, err := raygo.Get(short, ref)
	fmt.Println("not there after 50 ms:", errors.Is(err, raygo.ErrGetTimeout))

	if _, err := raygo.Cancel(ctx, ref); err != nil {
		return err
	}
	_, err = raygo.Get(ctx, ref)
	fmt.Println("cancelled:", errors.Is(err, raygo.ErrTaskCancelled))

	_, err = raygo.Get(ctx, Slow.Options(raygo.Timeout(50*time.Millisecond)).Remote(ctx, time.Hour))
	fmt.Println("ended by its own timeout:", errors.Is(err, raygo.ErrTaskTimeout))
	return nil
}
