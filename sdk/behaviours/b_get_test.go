package behaviours

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

var getsOf = raygo.Func1(getsOfFn, raygo.NumCPUs(0))

type wordBox struct{ Ref raygo.Ref[string] }

// getsOfFn gets a ref of somebody else's in several goroutines.
func getsOfFn(ctx context.Context, b wordBox) (string, error) {
	words, errs := make([]string, 10), make([]error, 10)
	var wg sync.WaitGroup
	for i := range words {
		wg.Go(func() { words[i], errs[i] = raygo.Get(ctx, b.Ref) })
	}
	wg.Wait()
	for i := range words {
		if words[i] != words[0] {
			return "", fmt.Errorf("two getters got %q and %q", words[0], words[i])
		}
	}
	return words[0], errors.Join(errs...)
}

func TestGet(t *testing.T) {
	p := peertest.Start(t, node.Config{})
	t.Run("a deadline", func(t *testing.T) { // behaviour 29, behaviour 30
		ctx, d := p.DriverFor(t), newDesk(t)
		ref := visit.Remote(ctx, d.path, "late")
		v := d.named(t, "late")
		for _, wait := range []time.Duration{20 * time.Millisecond, 0, -time.Second} {
			short, cancel := context.WithTimeout(ctx, wait)
			_, err := raygo.Get(short, ref)
			cancel()
			if !errors.Is(err, raygo.ErrGetTimeout) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("get within %s: %v", wait, err)
			}
		}
		v.leave(t, "here")
		if s, err := raygo.Get(ctx, ref); err != nil || s != "here" {
			t.Fatalf("%q, %v", s, err)
		}
		past, cancel := context.WithTimeout(ctx, -time.Second)
		defer cancel()
		if s, err := raygo.Get(past, ref); err != nil || s != "here" {
			t.Errorf("a look at what is there: %q, %v", s, err)
		}
	})
	t.Run("a hundred getters", func(t *testing.T) { testHundredGetters(t, p) })
	t.Run("given up", func(t *testing.T) { testGetGivenUp(t, p) })
	t.Run("one copy", func(t *testing.T) { testOneCopy(t, p) })
}

// behaviour 32
func testHundredGetters(t *testing.T, p *peertest.Peer) {
	ctx, d := p.DriverFor(t), newDesk(t)
	ref := visit.Remote(ctx, d.path, "slow")
	v := d.named(t, "slow")
	var tasksOf []raygo.Ref[string]
	for range 5 { // 10 getters each
		tasksOf = append(tasksOf, getsOf.Remote(ctx, wordBox{ref}))
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if s, err := raygo.Get(ctx, ref); err != nil || s != "all" {
				t.Errorf("%q, %v", s, err)
			}
		})
	}
	eventually(t, "all tasks wait", func() bool { return states(t, p, "getsOfFn")["RUNNING_IN_GET"] == 5 })
	v.leave(t, "all")
	wg.Wait()
	got, err := raygo.GetAll(ctx, tasksOf)
	for _, s := range got {
		if s != "all" {
			t.Errorf("a task got %q", s)
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// behaviour 35
func testGetGivenUp(t *testing.T, p *peertest.Peer) {
	ctx, d := p.DriverFor(t), newDesk(t)
	ref := visit.Remote(ctx, d.path, "held")
	v := d.named(t, "held")
	stopped := errors.New("stopped on purpose")
	short, cancel := context.WithCancelCause(ctx)
	got := make(chan error)
	go func() {
		_, err := raygo.Get(short, ref)
		got <- err
	}()
	cancel(stopped)
	if err := <-got; !errors.Is(err, context.Canceled) && !errors.Is(err, stopped) {
		t.Errorf("get: %v", err)
	}
	if n, err := raygo.Get(ctx, square.Remote(ctx, 6)); err != nil || n != 36 {
		t.Errorf("another call: %d, %v", n, err)
	}
	v.leave(t, "after all")
	if s, err := raygo.Get(ctx, ref); err != nil || s != "after all" {
		t.Errorf("%q, %v", s, err)
	}
}

// behaviour 36
func testOneCopy(t *testing.T, p *peertest.Peer) {
	ctx, d := p.DriverFor(t), newDesk(t)
	const size = 4 << 20
	ref, err := raygo.Put(ctx, blobOf(3, size))
	if err != nil {
		t.Fatal(err)
	}
	before := p.Account().Store
	var readers []raygo.Ref[int]
	for i := range 3 {
		readers = append(readers, visitBlob.Options(raygo.NumCPUs(0)).RemoteArgs(ctx, raygo.Val(d.path), raygo.Val(fmt.Sprint(i)), ref))
	}
	standing := d.several(t, len(readers))
	mine, err := raygo.Get(ctx, ref)
	if err != nil || len(mine) != size {
		t.Fatalf("%d bytes, %v", len(mine), err)
	}
	if now := p.Account().Store; now.Used != before.Used || now.Objects != before.Objects {
		t.Errorf("four readers: %+v, before them %+v", now, before)
	}
	var rows ipc.Rows[ipc.ObjectRow]
	p.Ask(t, &ipc.Query{Op: ipc.QueryObject, ID: ref.ID()}, &rows)
	if len(rows.Rows) != 1 || rows.Rows[0].Mapped < len(readers) {
		t.Errorf("%+v, want it mapped by %d processes", rows.Rows, len(readers))
	}
	for _, v := range standing {
		v.leave(t, "")
	}
	if _, err := raygo.GetAll(ctx, readers); err != nil {
		t.Error(err)
	}
}
