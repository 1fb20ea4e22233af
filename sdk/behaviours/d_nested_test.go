package behaviours

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
)

var (
	parentAt  = raygo.Func2(parentAtFn)
	leavesKid = raygo.Func1(leavesKidFn)
	diesFirst = raygo.Func1(diesFirstFn, raygo.MaxRetries(0))
)

// parentAtFn waits for a child that takes no CPU and stands at the desk, and
// then goes there itself.
func parentAtFn(ctx context.Context, path, name string) (string, error) {
	child := visit.Options(raygo.NumCPUs(0)).Remote(ctx, path, "child of "+name)
	if _, err := raygo.Get(ctx, child); err != nil {
		return "", err
	}
	return atDesk(ctx, path, name)
}

// leavesKidFn ends before its child does, and keeps no ref of it.
func leavesKidFn(ctx context.Context, path string) (int, error) {
	visit.Options(raygo.NumCPUs(0)).Remote(ctx, path, "orphan")
	return 1, nil
}

// diesFirstFn has a child that runs and one that waits for a place, and ends
// its process.
func diesFirstFn(ctx context.Context, path string) (string, error) {
	running := visit.Options(raygo.NumCPUs(0)).Remote(ctx, path, "running")
	waiting := visit.Options(raygo.NumCPUs(0), raygo.Resource("nowhere", 1)).Remote(ctx, path, "waiting")
	defer raygo.Release(running, waiting)
	return atDesk(ctx, path, "parent")
}

func isFree(t *testing.T, ctx context.Context, what map[string]float64) {
	t.Helper()
	free, err := raygo.AvailableResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range what {
		if free[name] != n {
			t.Errorf("%v of %s is free, want %v", free[name], name, n)
		}
	}
}

// behaviour 50, behaviour 52, behaviour 54: a parent that waits gives its CPU to
// another, nothing else, and takes it again before it goes on.
func TestBlockedParentGivesOnlyItsCPU(t *testing.T) {
	p := peertest.Start(t, node.Config{CPUs: 1, GPUs: 2, Memory: 1 << 30, Resources: map[string]float64{"seat": 3}})
	ctx, d := p.Driver(), newDesk(t)
	parent := parentAt.Options(raygo.NumCPUs(0.75), raygo.NumGPUs(1), raygo.Memory(1<<28), raygo.Resource("seat", 2)).Remote(ctx, d.path, "parent")
	child := d.named(t, "child of parent")
	eventually(t, "the parent waits", func() bool { return states(t, p, "parentAtFn")["RUNNING_IN_GET"] == 1 })
	held := map[string]float64{"CPU": 1, "GPU": 1, "memory": 1<<30 - 1<<28, "seat": 1}
	isFree(t, ctx, held)
	other := visit.Options(raygo.NumCPUs(0.5)).Remote(ctx, d.path, "other")
	standing := d.named(t, "other") // half of the CPU is the other's: the parent's share does not fit any more
	held["CPU"] = 0.5
	isFree(t, ctx, held)
	child.leave(t, "")
	eventually(t, "the child has ended", func() bool { return states(t, p, "visitFn")["FINISHED"] == 1 })
	if s := states(t, p, "parentAtFn"); s["RUNNING_IN_GET"] != 1 {
		t.Errorf("the parent goes on without its CPU: %v", s)
	}
	isFree(t, ctx, held)
	d.nobody(t)
	standing.leave(t, "")
	v := d.named(t, "parent")
	held["CPU"] = 0.25
	isFree(t, ctx, held)
	v.leave(t, "done")
	if s, err := raygo.Get(ctx, parent); err != nil || s != "done" {
		t.Fatalf("%q, %v", s, err)
	}
	if _, err := raygo.Get(ctx, other); err != nil {
		t.Fatal(err)
	}
	allBack(t, ctx)
}

// behaviour 55: many parents wait, and few processes are made for them.
func TestBlockedParentsMakeFewWorkers(t *testing.T) {
	const most, parents = 6, 60
	p := peertest.Start(t, node.Config{CPUs: 1, MaxWorkers: most})
	ctx, d := p.Driver(), newDesk(t)
	var refs []raygo.Ref[string]
	for range parents {
		refs = append(refs, parentAt.Remote(ctx, d.path, "parent"))
	}
	peak := 0
	for range 2 * parents { // every parent and every child comes once
		v := d.next(t)
		peak = max(peak, len(p.Account().PIDs))
		v.leave(t, "")
	}
	if _, err := raygo.GetAll(ctx, refs); err != nil {
		t.Fatal(err)
	}
	if peak > most+1 { // one task deeper than all others may have one more
		t.Errorf("%d workers, want at most %d", peak, most+1)
	}
	allBack(t, ctx)
}

// behaviour 56
func TestChildOutlivesItsParent(t *testing.T) {
	p := peertest.Start(t, node.Config{CPUs: 1})
	ctx, d := p.Driver(), newDesk(t)
	parent := leavesKid.Remote(ctx, d.path)
	orphan := d.named(t, "orphan")
	if n, err := raygo.Get(ctx, parent); err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	raygo.Release(parent)
	eventually(t, "the parent has ended", func() bool { return states(t, p, "leavesKidFn")["FINISHED"] == 1 })
	if s := states(t, p, "visitFn"); s["RUNNING"] != 1 {
		t.Errorf("the child: %v", s)
	}
	orphan.leave(t, "done")
	eventually(t, "the child has ended", func() bool { return states(t, p, "visitFn")["FINISHED"] == 1 })
	for _, row := range tasks(t, p) {
		if strings.HasSuffix(row.FuncName, ".visitFn") && row.ParentTaskID == "" {
			t.Errorf("the child's row names no parent: %+v", row)
		}
	}
	eventually(t, "nothing is kept", func() bool { return p.Account().Objects == 0 })
	allBack(t, ctx)
}

// behaviour 58
func TestFibOnAnyNumberOfCPUs(t *testing.T) {
	for _, cpus := range []float64{1, 3} {
		ctx := peertest.Run(t, node.Config{CPUs: cpus})
		if n, err := raygo.Get(ctx, fib.Remote(ctx, 9)); err != nil || n != 34 {
			t.Errorf("fib(9) on %v CPUs: %d, %v", cpus, n, err)
		}
		allBack(t, ctx)
	}
}

// behaviour 59, behaviour 70
func TestChildrenOfAParentThatDies(t *testing.T) {
	p := peertest.Start(t, node.Config{CPUs: 1})
	ctx, d := p.Driver(), newDesk(t)
	parent := diesFirst.Remote(ctx, d.path)
	var atIt *visitor
	for _, v := range d.several(t, 2) {
		if v.Name == "parent" {
			atIt = v
		}
	}
	if atIt == nil {
		t.Fatal("the parent does not come to the desk")
	}
	atIt.leave(t, "die")
	if _, err := raygo.Get(ctx, parent); !errors.Is(err, raygo.ErrWorkerCrashed) {
		t.Fatalf("get: %v", err)
	}
	eventually(t, "both children have failed", func() bool {
		s := states(t, p, "visitFn")
		return s["FAILED"] == 2 && len(s) == 1
	})
	d.nobody(t)
	eventually(t, "no task is left", func() bool { return p.Account().Tasks == 0 })
	allBack(t, ctx)
}
