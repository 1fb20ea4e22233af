package behaviours

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
	"golang.org/x/sys/unix"
)

func TestReady(t *testing.T) {
	p := peertest.Start(t, node.Config{})
	t.Run("counts and order", func(t *testing.T) { testReadyOrder(t, p) })
	t.Run("failed", func(t *testing.T) { // behaviour 44
		ctx, d := p.DriverFor(t), newDesk(t)
		refs := []raygo.Ref[string]{visit.Remote(ctx, d.path, "held"), visit.Options(raygo.MaxRetries(0)).Remote(ctx, d.path, "dies")}
		for _, v := range d.several(t, 2) {
			if v.Name == "dies" {
				v.leave(t, "die")
			}
		}
		ready, pending, err := raygo.Wait(ctx, refs, 1)
		if err != nil || !slices.Equal(ready, refs[1:]) || !slices.Equal(pending, refs[:1]) {
			t.Errorf("%v, %v, %v", ready, pending, err)
		}
	})
	t.Run("streams", func(t *testing.T) { testReadyStreams(t, p) })
}

// behaviour 38, behaviour 39, behaviour 40, behaviour 42
func testReadyOrder(t *testing.T, p *peertest.Peer) {
	ctx, d := p.DriverFor(t), newDesk(t)
	var refs []raygo.Ref[string]
	at := map[string]*visitor{}
	for _, name := range []string{"0", "1", "2", "3"} {
		refs = append(refs, visit.Options(raygo.NumCPUs(0)).Remote(ctx, d.path, name))
	}
	for _, v := range d.several(t, len(refs)) {
		at[v.Name] = v
	}
	wait := func(n int, opts []raygo.WaitOption, ready, pending []raygo.Ref[string]) {
		t.Helper()
		r, p, err := raygo.Wait(ctx, slices.Clone(refs), n, opts...)
		if err != nil || !slices.Equal(r, ready) || !slices.Equal(p, pending) {
			t.Fatalf("wait for %d: ready %v, pending %v, %v; want %v and %v", n, r, p, err, ready, pending)
		}
	}
	poll := []raygo.WaitOption{raygo.WithTimeout(0)}
	wait(1, poll, nil, refs)
	at["3"].leave(t, "")
	wait(1, nil, refs[3:], refs[:3])
	at["1"].leave(t, "")
	wait(2, nil, []raygo.Ref[string]{refs[1], refs[3]}, []raygo.Ref[string]{refs[0], refs[2]})
	wait(4, poll, []raygo.Ref[string]{refs[1], refs[3]}, []raygo.Ref[string]{refs[0], refs[2]})
	at["0"].leave(t, "")
	wait(3, nil, []raygo.Ref[string]{refs[0], refs[1], refs[3]}, refs[2:3])
	wait(4, []raygo.WaitOption{raygo.WithTimeout(20 * time.Millisecond)}, []raygo.Ref[string]{refs[0], refs[1], refs[3]}, refs[2:3])
	wait(1, nil, refs[:1], refs[1:])
	at["2"].leave(t, "")
	wait(4, nil, refs, nil)
}

// behaviour 48
func testReadyStreams(t *testing.T, p *peertest.Peer) {
	ctx, d := p.DriverFor(t), newDesk(t)
	ref := visit.Options(raygo.NumCPUs(0)).Remote(ctx, d.path, "ref")
	held := d.named(t, "ref")
	stream := visitItems.Remote(ctx, d.path, "item")
	both := []raygo.AnyRef{ref, stream}
	step := func(word string, ready, pending raygo.AnyRef) {
		t.Helper()
		d.named(t, "item").leave(t, word)
		r, p, err := raygo.Wait(ctx, slices.Clone(both), 1)
		if err != nil || len(r) != 1 || len(p) != 1 || r[0] != ready || p[0] != pending {
			t.Fatalf("after %q: ready %v, pending %v, %v", word, r, p, err)
		}
	}
	step("one", stream, ref)
	for s, err := range stream.Values(ctx) {
		if err != nil || s != "one" {
			t.Fatalf("%q, %v", s, err)
		}
		break
	}
	held.leave(t, "")
	if _, err := raygo.Get(ctx, ref); err != nil {
		t.Fatal(err)
	}
}

// behaviour 47: what one turn of the loop allocates and computes does not grow
// with the refs that are left. A cost that did would be ten times as much. It is
// the thread's own processor time, so that other work beside it does not count.
func TestWaitOneByOneIsLinear(t *testing.T) {
	ctx := peertest.Run(t, node.Config{})
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	each := map[int]turnCost{}
	for _, n := range []int{10_000, 100_000} {
		refs := raygo.Map(ctx, square, make([]int, n))
		if _, err := raygo.GetAll(ctx, refs); err != nil {
			t.Fatal(err)
		}
		before := costNow(t)
		turns := 0
		for pending := refs; len(pending) > 0; turns++ {
			var err error
			if _, pending, err = raygo.Wait(ctx, pending, 1); err != nil {
				t.Fatal(err)
			}
		}
		after := costNow(t)
		if turns != n {
			t.Fatalf("%d turns for %d refs", turns, n)
		}
		each[n] = turnCost{(after.bytes - before.bytes) / float64(n), (after.cpu - before.cpu) / float64(n)}
		raygo.Release(anyRefs(refs)...)
	}
	t.Logf("bytes and processor seconds for each ref: %v", each)
	small, large := each[10_000], each[100_000]
	if large.bytes > 2*small.bytes || large.cpu > 5*small.cpu {
		t.Errorf("of 10,000: %v, of 100,000: %v", small, large)
	}
}

type turnCost struct{ bytes, cpu float64 }

func costNow(t *testing.T) turnCost {
	t.Helper()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		t.Fatal(err)
	}
	return turnCost{float64(m.TotalAlloc), float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9}
}

func anyRefs[T any](refs []raygo.Ref[T]) []raygo.AnyRef {
	out := make([]raygo.AnyRef, len(refs))
	for i, r := range refs {
		out[i] = r
	}
	return out
}
