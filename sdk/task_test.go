package raygo_test

import (
	"context"
	"testing"

	raygo "github.com/raygo/raygo/sdk"
)

var (
	answer = raygo.Func0(answerFn)
	square = raygo.Func1(squareFn)
	join2  = raygo.Func2(join2Fn)
	join5  = raygo.Func5(join5Fn)
)

func answerFn(context.Context) (int, error)          { return 42, nil }
func squareFn(_ context.Context, x int) (int, error) { return x * x, nil }
func join2Fn(_ context.Context, a string, b int) (string, error) {
	return a + string(rune('0'+b)), nil
}

func join5Fn(_ context.Context, a, b, c, d, e string) (string, error) {
	return a + b + c + d + e, nil
}

// behaviour 1, behaviour 3
func TestCallsBindArgumentsInOrder(t *testing.T) {
	c := soon(t)
	if n, err := raygo.Get(c, answer.Remote(c)); err != nil || n != 42 {
		t.Fatalf("answer: %d, %v", n, err)
	}
	if n, err := raygo.Get(c, square.Remote(c, 7)); err != nil || n != 49 {
		t.Fatalf("square: %d, %v", n, err)
	}
	if s, err := raygo.Get(c, join5.Remote(c, "a", "b", "c", "d", "e")); err != nil || s != "abcde" {
		t.Fatalf("join5: %q, %v", s, err)
	}
	if s, err := raygo.Get(c, join2.RemoteArgs(c, raygo.Val("x"), square.Remote(c, 3))); err != nil || s != "x9" {
		t.Fatalf("join2: %q, %v", s, err)
	}
}
