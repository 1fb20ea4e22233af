package raygo_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	raygo "github.com/raygo/raygo/sdk"
)

// behaviour 38, behaviour 39, behaviour 40
func TestWait(t *testing.T) {
	c := soon(t)
	var refs []raygo.Ref[time.Duration]
	for _, d := range []time.Duration{600, 10, 10, 10} {
		refs = append(refs, slow.Remote(c, d*time.Millisecond))
	}
	ready, pending, err := raygo.Wait(c, refs, 3)
	if err != nil || !slices.Equal(ready, refs[1:]) || !slices.Equal(pending, refs[:1]) {
		t.Fatalf("wait: %v %v %v", ready, pending, err)
	}
	ready, pending, err = raygo.Wait(c, refs, 4, raygo.WithTimeout(50*time.Millisecond))
	if err != nil || len(ready) != 3 || len(pending) != 1 {
		t.Fatalf("wait with a timeout: %v %v %v", ready, pending, err)
	}
	ready, pending, err = raygo.Wait(c, refs, 2)
	if err != nil || !slices.Equal(ready, refs[1:3]) || !slices.Equal(pending, []raygo.Ref[time.Duration]{refs[0], refs[3]}) {
		t.Fatalf("wait for fewer than are ready: %v %v %v", ready, pending, err)
	}
}

// behaviour 41
func TestWaitRefusesBadInput(t *testing.T) {
	c := soon(t)
	a, b := square.Remote(c, 1), square.Remote(c, 2)
	for _, bad := range []struct {
		refs []raygo.Ref[int]
		n    int
	}{{[]raygo.Ref[int]{a, a}, 1}, {[]raygo.Ref[int]{a, b}, 0}, {[]raygo.Ref[int]{a, b}, 3}, {[]raygo.Ref[int]{a}, -1}} {
		if _, _, err := raygo.Wait(c, bad.refs, bad.n); err == nil {
			t.Errorf("Wait(%v, %d) gives no error", bad.refs, bad.n)
		}
	}
	ready, pending, err := raygo.Wait(c, []raygo.Ref[int]{}, 1)
	if len(ready)+len(pending) != 0 || err != nil {
		t.Errorf("empty: %v %v %v", ready, pending, err)
	}
	var none *raygo.Stream[int]
	for _, bad := range []raygo.AnyRef{nil, raygo.Ref[int]{}, none} {
		if _, _, err := raygo.Wait(c, []raygo.AnyRef{a, bad}, 2); err == nil {
			t.Errorf("Wait for a ref and %#v gives no error", bad)
		}
		if _, err := raygo.Cancel(c, bad); err == nil {
			t.Errorf("Cancel of %#v gives no error", bad)
		}
		raygo.Release(bad)
		for r := range raygo.AsCompleted(c, []raygo.AnyRef{bad}) {
			if r != bad {
				t.Errorf("AsCompleted of %#v yields %#v", bad, r)
			}
		}
	}
}

// behaviour 42, behaviour 44
func TestWaitPolls(t *testing.T) {
	c := soon(t)
	refs := []raygo.Ref[time.Duration]{slow.Remote(c, time.Second)}
	start := time.Now()
	ready, _, err := raygo.Wait(c, refs, 1, raygo.WithTimeout(0))
	if err != nil || len(ready) != 0 || time.Since(start) > 100*time.Millisecond {
		t.Fatalf("poll: %v %v after %s", ready, err, time.Since(start))
	}
	bad := failing.Remote(c, 1)
	if _, err := raygo.Get(c, bad); err == nil {
		t.Fatal("no error")
	}
	got, _, err := raygo.Wait(c, []raygo.Ref[int]{bad}, 1)
	if err != nil || len(got) != 1 {
		t.Fatalf("failed refs are ready: %v %v", got, err)
	}
}

// behaviour 47
func TestWaitLoopAndAsCompleted(t *testing.T) {
	c := soon(t)
	const n = 2000
	inputs := make([]int, n)
	for i := range inputs {
		inputs[i] = i
	}
	pending := raygo.Map(c, square, inputs)
	all := slices.Clone(pending)
	seen := map[raygo.Ref[int]]bool{}
	for len(pending) > 0 {
		var ready []raygo.Ref[int]
		var err error
		if ready, pending, err = raygo.Wait(c, pending, 1); err != nil || len(ready) != 1 {
			t.Fatal(ready, err)
		}
		if seen[ready[0]] {
			t.Fatal("given twice")
		}
		seen[ready[0]] = true
	}
	if len(seen) != n {
		t.Fatalf("%d of %d", len(seen), n)
	}
	count := 0
	for r := range raygo.AsCompleted(c, all) {
		if !seen[r] {
			t.Fatal("given twice")
		}
		delete(seen, r)
		count++
	}
	if count != n {
		t.Fatalf("AsCompleted gave %d of %d", count, n)
	}
}

func TestWaitSeesWhatTheCallerChanged(t *testing.T) {
	c := soon(t)
	refs := []raygo.Ref[time.Duration]{slow.Remote(c, 0), slow.Remote(c, 5*time.Second), slow.Remote(c, 5*time.Second)}
	_, pending, err := raygo.Wait(c, refs, 1)
	if err != nil || len(pending) != 2 {
		t.Fatal(pending, err)
	}
	pending[1] = slow.Remote(c, time.Millisecond)
	ready, _, err := raygo.Wait(c, pending, 1)
	if err != nil || ready[0] != pending[1] {
		t.Fatal(ready, err)
	}
	var count *raygo.CountMismatchError
	_ = errors.As(err, &count)
}
