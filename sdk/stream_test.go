package raygo_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	raygo "github.com/raygo/raygo/sdk"
)

var (
	count   = raygo.Gen1(countFn)
	countTo = raygo.Gen2(countToFn)
	blobs   = raygo.Gen2(blobsFn)
	exactly = raygo.Gen1(exactlyFn, raygo.NumReturns(3))
	badItem = raygo.Gen0(badItemFn)
	sumOf   = raygo.Func1(sumOfFn)
	relay   = raygo.Gen1(relayFn)
)

func countFn(_ context.Context, n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
	}
}

func exactlyFn(ctx context.Context, n int) iter.Seq2[int, error] { return countFn(ctx, n) }

func countToFn(_ context.Context, n int, err string) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
		yield(0, errors.New(err))
	}
}

func blobsFn(_ context.Context, n, size int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for i := range n {
			b := make([]byte, size)
			b[0] = byte(i)
			if !yield(b, nil) {
				return
			}
		}
	}
}

func badItemFn(context.Context) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		_ = yield(1, nil) && yield(make(chan int), nil) && yield(3, nil)
	}
}

func sumOfFn(ctx context.Context, s *raygo.Stream[int]) (int, error) {
	sum := 0
	for n, err := range s.Values(ctx) {
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func relayFn(ctx context.Context, s *raygo.Stream[int]) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for n, err := range s.Values(ctx) {
			if !yield(2*n, err) {
				return
			}
		}
	}
}

// behaviour 188, behaviour 209
func TestStreamValuesAndRefs(t *testing.T) {
	c := soon(t)
	next := 0
	for v, err := range count.Remote(c, 500).Values(c) {
		if err != nil || v != next {
			t.Fatalf("item %d: %d, %v", next, v, err)
		}
		next++
	}
	if next != 500 {
		t.Fatalf("%d items", next)
	}
	next = 0
	for r, err := range count.Remote(c, 200).Refs(c) {
		if err != nil {
			t.Fatal(err)
		}
		if v, err := raygo.Get(c, r); err != nil || v != next {
			t.Fatalf("item %d: %d, %v", next, v, err)
		}
		next++
	}
	if next != 200 {
		t.Fatalf("%d items", next)
	}
	for range count.Remote(c, 0).Values(c) {
		t.Fatal("an empty stream has an item")
	}
	next = 0
	for b, err := range blobs.Remote(c, 20, 300_000).Values(c) {
		if err != nil || len(b) != 300_000 || b[0] != byte(next) {
			t.Fatalf("blob %d: %d bytes, %v", next, len(b), err)
		}
		next++
	}
	if next != 20 {
		t.Fatalf("%d blobs", next)
	}
}

// behaviour 189
func TestStreamErrorAtItsPlace(t *testing.T) {
	c := soon(t)
	s := countTo.Remote(c, 3, "no more")
	var got []int
	var last error
	for v, err := range s.Values(c) {
		if err != nil {
			last = err
			break
		}
		got = append(got, v)
	}
	var te *raygo.TaskError
	if len(got) != 3 || !errors.As(last, &te) || te.Message != "no more" {
		t.Fatalf("%v, %v", got, last)
	}
	if _, err := raygo.Get(c, s.Completed()); !errors.As(err, &te) {
		t.Fatalf("completed: %v", err)
	}
	// behaviour 193
	n := 0
	for _, err := range badItem.Remote(c).Values(c) {
		if err != nil {
			last = err
			break
		}
		n++
	}
	if n != 1 || !errors.As(last, &te) {
		t.Fatalf("after %d items: %v", n, last)
	}
}

// behaviour 194
func TestBackpressure(t *testing.T) {
	c := soon(t)
	for _, n := range []int{1, 2, 7} {
		next := 0
		for v, err := range count.Options(raygo.Backpressure(n, 1<<20)).Remote(c, 50).Values(c) {
			if err != nil || v != next {
				t.Fatalf("item %d: %d, %v", next, v, err)
			}
			next++
		}
		if next != 50 {
			t.Fatalf("%d items", next)
		}
	}
}

// behaviour 208
func TestFixedStream(t *testing.T) {
	c := soon(t)
	vs, err := raygo.GetAll(c, exactly.Remote(c, 3).Take(3))
	if err != nil || len(vs) != 3 || vs[2] != 2 {
		t.Fatalf("%v, %v", vs, err)
	}
	for _, n := range []int{2, 4} {
		_, err := raygo.GetAll(c, exactly.Remote(c, n).Take(3))
		var mismatch *raygo.CountMismatchError
		if !errors.As(err, &mismatch) || mismatch.Want != 3 {
			t.Fatalf("%d yields: %v", n, err)
		}
	}
}

// behaviour 201
func TestCompletedAndTake(t *testing.T) {
	c := soon(t)
	s := count.Remote(c, 5)
	first := s.Take(2)
	refs, err := raygo.Get(c, s.Completed())
	if err != nil || len(refs) != 5 || refs[0] != first[0] {
		t.Fatalf("%v, %v", refs, err)
	}
	vs, err := raygo.GetAll(c, refs)
	if err != nil || vs[4] != 4 {
		t.Fatalf("%v, %v", vs, err)
	}
}

// behaviour 207
func TestStreamAsArgument(t *testing.T) {
	c := soon(t)
	if n, err := raygo.Get(c, sumOf.Remote(c, count.Remote(c, 300))); err != nil || n != 44850 {
		t.Fatalf("%d, %v", n, err)
	}
	sum := 0
	for v, err := range relay.RemoteArgs(c, count.Remote(c, 100)).Values(c) {
		if err != nil {
			t.Fatal(err)
		}
		sum += v
	}
	if sum != 9900 {
		t.Fatalf("relay: %d", sum)
	}
}

// behaviour 48
func TestWaitForAStream(t *testing.T) {
	c := soon(t)
	s, r := count.Remote(c, 1), slow.Remote(c, time.Minute)
	ready, _, err := raygo.Wait(c, []raygo.AnyRef{r, s}, 1)
	if err != nil || ready[0] != raygo.AnyRef(s) {
		t.Fatalf("%v, %v", ready, err)
	}
	if _, err := raygo.Cancel(c, r); err != nil {
		t.Fatal(err)
	}
}

func TestCloseStopsTheProducer(t *testing.T) {
	c := soon(t)
	s := count.Remote(c, 1_000_000_000)
	for range s.Values(c) {
		break
	}
	s.Close()
	for _, err := range s.Values(c) {
		if err == nil {
			t.Fatal("a closed stream yields")
		}
	}
	if n, err := raygo.Get(c, square.Remote(c, 5)); err != nil || n != 25 {
		t.Fatal(n, err)
	}
}
