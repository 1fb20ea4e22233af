package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	raygo "github.com/raygo/raygo/sdk"
)

// The functions of the program that the tests look at. It is this test binary.
var (
	holdTask   = raygo.Func1(hold)
	addTask    = raygo.Func2(add)
	onceTask   = raygo.Func1(once, raygo.RetryExceptions(true))
	crashTask  = raygo.Func1(crash, raygo.MaxRetries(0))
	sayTask    = raygo.Func2(say)
	getTask    = raygo.Func1(getChild)
	waitTask   = raygo.Func1(waitChild)
	quietTask  = raygo.Func1(quiet, raygo.EnableTaskEvents(false))
	spanTask   = raygo.Func1(withSpan)
	wishTask   = raygo.Func1(wish, raygo.Resource("unicorn", 1))
	numberTask = raygo.Func1(add1)
)

// hold runs until its context ends or the file is there.
func hold(ctx context.Context, path string) (int, error) {
	for ctx.Err() == nil {
		if _, err := os.Stat(path); err == nil {
			return 1, nil
		}
		pause(ctx)
	}
	return 0, ctx.Err()
}

func add(_ context.Context, a, b int) (int, error) { return a + b, nil }

func wish(_ context.Context, a int) (int, error) { return a, nil }

func add1(_ context.Context, a int) (int, error) { return a + 1, nil }

// once fails in its first attempt.
func once(ctx context.Context, why string) (int, error) {
	if raygo.Info(ctx).Attempt == 0 {
		return 0, errors.New(why)
	}
	return 1, nil
}

func crash(_ context.Context, code int) (int, error) {
	os.Exit(code)
	return 0, nil
}

// say writes a line, then holds.
func say(ctx context.Context, line, path string) (int, error) {
	fmt.Println(line)
	return hold(ctx, path)
}

func getChild(ctx context.Context, path string) (int, error) {
	return raygo.Get(ctx, holdTask.Options(raygo.NumCPUs(0)).Remote(ctx, path))
}

func waitChild(ctx context.Context, path string) (int, error) {
	_, _, err := raygo.Wait(ctx, []raygo.Ref[int]{holdTask.Options(raygo.NumCPUs(0)).Remote(ctx, path)}, 1)
	return 0, err
}

// quiet leaves no events of its own; the task that it submits does.
func quiet(ctx context.Context, x int) (int, error) {
	return raygo.Get(ctx, addTask.Remote(ctx, x, 1))
}

func withSpan(ctx context.Context, path string) (int, error) {
	defer raygo.Span(ctx, "inner")()
	return hold(ctx, path)
}
