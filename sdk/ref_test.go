package raygo_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	raygo "github.com/raygo/raygo/sdk"
)

type box struct {
	Refs []raygo.Ref[int]
	By   map[string]raygo.Ref[int]
}

var (
	sumBox   = raygo.Func1(sumBoxFn)
	makeBox  = raygo.Func1(makeBoxFn)
	sumAll   = raygo.Func1(sumAllFn)
	passRef  = raygo.Func1(passRefFn)
	fibTask  *raygo.Task1[int, int]
	slow     = raygo.Func1(slowFn, raygo.NumCPUs(0))
	pair     = raygo.Func1(pairFn)
	triple   = raygo.Func1(tripleFn, raygo.NumReturns(3))
	wrongN   = raygo.Func1(wrongNFn, raygo.NumReturns(3))
	noResult = raygo.Func1(squareAgainFn, raygo.NumReturns(0))
)

func init() { fibTask = raygo.Func1(fibFn) }

func sumBoxFn(ctx context.Context, b box) (int, error) {
	ns, err := raygo.GetAll(ctx, b.Refs)
	sum := 0
	for _, n := range ns {
		sum += n
	}
	for _, r := range b.By {
		n, gerr := raygo.Get(ctx, r)
		err = errors.Join(err, gerr)
		sum += n
	}
	return sum, err
}

func makeBoxFn(ctx context.Context, n int) (box, error) {
	b := box{By: map[string]raygo.Ref[int]{}}
	for i := range n {
		b.Refs = append(b.Refs, square.Remote(ctx, i))
	}
	r, err := raygo.Put(ctx, 1000)
	b.By["put"] = r
	return b, err
}

func sumAllFn(_ context.Context, ns []int) (int, error) {
	sum := 0
	for _, n := range ns {
		sum += n
	}
	return sum, nil
}

func passRefFn(_ context.Context, r raygo.Ref[int]) (raygo.Ref[int], error) { return r, nil }

func fibFn(ctx context.Context, n int) (int, error) {
	if n < 2 {
		return n, nil
	}
	a, b := fibTask.Remote(ctx, n-1), fibTask.Remote(ctx, n-2)
	ns, err := raygo.GetAll(ctx, []raygo.Ref[int]{a, b})
	if err != nil {
		return 0, err
	}
	return ns[0] + ns[1], nil
}

func slowFn(ctx context.Context, d time.Duration) (time.Duration, error) {
	select {
	case <-time.After(d):
		return d, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

func pairFn(_ context.Context, n int) (raygo.Tuple2[int, string], error) {
	return raygo.Tuple2[int, string]{A: n, B: "b"}, nil
}
func tripleFn(_ context.Context, n int) ([]int, error)    { return []int{n, n + 1, n + 2}, nil }
func wrongNFn(_ context.Context, n int) ([]int, error)    { return make([]int, n), nil }
func squareAgainFn(_ context.Context, n int) (int, error) { return n * n, nil }

// behaviour 6, behaviour 138
func TestNestedRefs(t *testing.T) {
	c := soon(t)
	b := box{By: map[string]raygo.Ref[int]{"x": square.Remote(c, 10)}}
	for i := range 5 {
		b.Refs = append(b.Refs, square.Remote(c, i))
	}
	if n, err := raygo.Get(c, sumBox.Remote(c, b)); err != nil || n != 130 {
		t.Fatalf("sum: %d, %v", n, err)
	}
	got, err := raygo.Get(c, makeBox.Remote(c, 4))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := raygo.Get(c, sumBox.Remote(c, got)); err != nil || n != 1014 {
		t.Fatalf("sum of made: %d, %v", n, err)
	}
	r := square.Remote(c, 6)
	back, err := raygo.Get(c, passRef.Remote(c, r))
	if err != nil || back != r {
		t.Fatalf("a ref that went out and came back is %v, %v; want %v", back, err, r)
	}
	if again := raygo.RefOf[int](c, r.ID()); again != r {
		t.Fatalf("RefOf gives %v, want %v", again, r)
	}
}

func TestAllGathers(t *testing.T) {
	c := soon(t)
	refs := raygo.Map(c, square, []int{1, 2, 3, 4})
	if n, err := raygo.Get(c, sumAll.RemoteArgs(c, raygo.All(refs))); err != nil || n != 30 {
		t.Fatalf("sum: %d, %v", n, err)
	}
}

// behaviour 9, behaviour 50, behaviour 58
func TestRecursion(t *testing.T) {
	c := soon(t)
	if n, err := raygo.Get(c, fibTask.Remote(c, 8)); err != nil || n != 21 {
		t.Fatalf("fib(8): %d, %v", n, err)
	}
}

// behaviour 7
func TestSeveralResults(t *testing.T) {
	c := soon(t)
	a, b := raygo.Unpack2(pair.Remote(c, 3))
	if n, err := raygo.Get(c, a); err != nil || n != 3 {
		t.Fatalf("A: %d, %v", n, err)
	}
	if s, err := raygo.Get(c, b); err != nil || s != "b" {
		t.Fatalf("B: %q, %v", s, err)
	}
	whole, err := raygo.Get(c, pair.Remote(c, 4))
	if err != nil || whole.A != 4 || whole.B != "b" {
		t.Fatalf("pair: %+v, %v", whole, err)
	}
	parts := raygo.Unpack(triple.Remote(c, 7))
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	ns, err := raygo.GetAll(c, parts)
	if err != nil || ns[0] != 7 || ns[2] != 9 {
		t.Fatalf("parts: %v, %v", ns, err)
	}
	for _, p := range raygo.Unpack(wrongN.Remote(c, 2)) {
		_, err := raygo.Get(c, p)
		var count *raygo.CountMismatchError
		if !errors.As(err, &count) || count.Want != 3 || count.Got != 2 {
			t.Fatalf("wrong count: %v", err)
		}
	}
	one := wrongN.Options(raygo.NumReturns(1))
	if parts = raygo.Unpack(one.Remote(c, 1)); len(parts) != 1 {
		t.Fatalf("%d parts of one", len(parts))
	}
	if _, err := raygo.Get(c, parts[0]); err != nil {
		t.Fatalf("the only part: %v", err)
	}
	var count *raygo.CountMismatchError
	if _, err := raygo.Get(c, raygo.Unpack(one.Remote(c, 2))[0]); !errors.As(err, &count) || count.Want != 1 || count.Got != 2 {
		t.Fatalf("two in the place of one: %v", err)
	}
	if _, err := raygo.Get(c, noResult.Remote(c, 1)); err == nil {
		t.Fatal("a call without a result has one")
	}
	if all, err := raygo.Get(c, sumAll.RemoteArgs(c, triple.Remote(c, 1))); err != nil || all != 6 {
		t.Fatalf("composite as an argument: %d, %v", all, err)
	}
}

// behaviour 29, behaviour 30
func TestGetTimeout(t *testing.T) {
	c := soon(t)
	ref := slow.Remote(c, 300*time.Millisecond)
	short, cancel := context.WithTimeout(c, 20*time.Millisecond)
	defer cancel()
	if _, err := raygo.Get(short, ref); !errors.Is(err, raygo.ErrGetTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("early: %v", err)
	}
	if _, err := raygo.Get(c, ref); err != nil {
		t.Fatalf("later: %v", err)
	}
	poll, cancel := context.WithTimeout(c, 0)
	defer cancel()
	if _, err := raygo.Get(poll, ref); err != nil {
		t.Fatalf("poll of what is ready: %v", err)
	}
	if _, err := raygo.Get(poll, slow.Remote(c, time.Second)); !errors.Is(err, raygo.ErrGetTimeout) {
		t.Fatalf("poll of what is not: %v", err)
	}
}

// behaviour 32, behaviour 19
func TestManyGetters(t *testing.T) {
	c := soon(t)
	ref := slow.Remote(c, 50*time.Millisecond)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if d, err := raygo.Get(c, ref); err != nil || d != 50*time.Millisecond {
				t.Errorf("getter: %v, %v", d, err)
			}
			if n, err := raygo.Get(c, square.Remote(c, i)); err != nil || n != i*i {
				t.Errorf("own: %d, %v", n, err)
			}
		})
	}
	wg.Wait()
}

// behaviour 33
func TestZeroRef(t *testing.T) {
	var zero raygo.Ref[int]
	if _, err := raygo.Get(ctx, zero); err == nil {
		t.Error("Get of the zero Ref gives no error")
	}
	if _, err := raygo.GetAll(ctx, []raygo.Ref[int]{zero}); err == nil {
		t.Error("GetAll of the zero Ref gives no error")
	}
	c := soon(t)
	never := square.Options(raygo.Resource("that nobody has", 1)).Remote(c, 1)
	if _, err := raygo.GetAll(c, []raygo.Ref[int]{never, zero}); err == nil || errors.Is(err, raygo.ErrGetTimeout) {
		t.Errorf("GetAll of a task that waits and the zero Ref: %v", err)
	}
	if _, err := raygo.Cancel(c, never); err != nil {
		t.Error(err)
	}
	if _, _, err := raygo.Wait(ctx, []raygo.Ref[int]{zero}, 1); err == nil {
		t.Error("Wait for the zero Ref gives no error")
	}
	if _, err := raygo.Get(ctx, join2.RemoteArgs(ctx, raygo.Val(""), zero)); err == nil {
		t.Error("the zero Ref as an argument gives no error")
	}
	if _, err := raygo.Get(context.Background(), square.Remote(ctx, 1)); !errors.Is(err, raygo.ErrNoSession) {
		t.Errorf("no session: %v", err)
	}
}

// behaviour 20
func TestPutOfARef(t *testing.T) {
	ref := square.Remote(ctx, 2)
	if _, err := raygo.Put(ctx, ref); err == nil {
		t.Error("a ref can be put")
	}
}

// behaviour 134, behaviour 135
func TestCopiesOfARefHoldItsObject(t *testing.T) {
	c := soon(t)
	ref, err := raygo.Put(c, "kept")
	if err != nil {
		t.Fatal(err)
	}
	twin := ref
	ref = raygo.Ref[string]{}
	runtime.GC()
	runtime.GC()
	if s, err := raygo.Get(c, twin); err != nil || s != "kept" {
		t.Fatalf("%q, %v", s, err)
	}
	runtime.KeepAlive(ref)
}

var (
	keeps   = raygo.Func1(keepsFn)
	kept    []byte
	keptWas string
)

// keepsFn holds on to its argument and checks the one of the call before.
func keepsFn(_ context.Context, b []byte) (bool, error) {
	same := string(kept) == keptWas
	kept, keptWas = b, string(b)
	return same, nil
}

// behaviour 15
func TestAnInlineArgumentCanBeKept(t *testing.T) {
	c := soon(t)
	for i := range 200 {
		b := bytes.Repeat([]byte{byte(i)}, 100+i*37)
		if same, err := raygo.Get(c, keeps.Remote(c, b)); err != nil || !same {
			t.Fatalf("call %d: %v, %v", i, same, err)
		}
	}
}

// behaviour 28
func TestGetAllKeepsTheOrder(t *testing.T) {
	c := soon(t)
	late, early := slow.Remote(c, 50*time.Millisecond), slow.Remote(c, time.Millisecond)
	ds, err := raygo.GetAll(c, []raygo.Ref[time.Duration]{late, early, late})
	if err != nil || ds[0] != ds[2] || ds[1] != time.Millisecond {
		t.Fatal(ds, err)
	}
	begun := time.Now()
	if _, err := raygo.GetAll(c, []raygo.Ref[time.Duration]{slow.Remote(c, 15*time.Second), slowFails.Remote(c)}); err == nil || time.Since(begun) > 5*time.Second {
		t.Fatalf("a failure is said after %s: %v", time.Since(begun), err)
	}
}

var slowFails = raygo.Func0(slowFailsFn)

func slowFailsFn(context.Context) (time.Duration, error) {
	time.Sleep(20 * time.Millisecond)
	return 0, errors.New("late")
}

// Options made anew for each call are one class.
func TestOptionsOfEachCall(t *testing.T) {
	c := soon(t)
	for i := range 500 {
		task := square.Options(raygo.NumCPUs(0.5), raygo.Resource("none", 0), raygo.Env(map[string]string{"A": "1", "B": "2"}))
		if n, err := raygo.Get(c, task.Remote(c, i)); err != nil || n != i*i {
			t.Fatal(n, err)
		}
	}
}
