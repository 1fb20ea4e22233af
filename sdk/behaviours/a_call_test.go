package behaviours

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
)

var (
	remember = raygo.Func2(rememberFn)
	lengths  = raygo.Func1(lengthsFn)
)

// remembered is what a task kept of its argument, against the advice.
var remembered []byte

func rememberFn(_ context.Context, b []byte, keep bool) (string, error) {
	if keep {
		remembered = b
	}
	return string(remembered), nil
}

func lengthsFn(_ context.Context, parts [][]byte) (int, error) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	return n, nil
}

// behaviour 12
func TestAThousandCallsShareTheWorkers(t *testing.T) {
	ctx := peertest.Run(t, node.Config{})
	var refs []raygo.Ref[raygo.TaskInfo]
	for range 1000 {
		refs = append(refs, whoami.Remote(ctx))
	}
	infos, err := raygo.GetAll(ctx, refs)
	if err != nil {
		t.Fatal(err)
	}
	pids := map[int]int{}
	for _, in := range infos {
		pids[in.PID]++
	}
	if len(pids) > 2 {
		t.Errorf("1000 calls on 2 CPUs took %d processes: %v", len(pids), pids)
	}
}

// behaviour 15
func TestSmallArgumentsAreNotOverwritten(t *testing.T) {
	ctx := peertest.Run(t, node.Config{CPUs: 1})
	first := bytes.Repeat([]byte("a"), 1000)
	kept, err := raygo.Get(ctx, remember.Remote(ctx, first, true))
	if err != nil || kept != string(first) {
		t.Fatalf("remembered %q, %v", kept, err)
	}
	other := bytes.Repeat([]byte("b"), 1000)
	var refs []raygo.Ref[string]
	for range 500 {
		refs = append(refs, remember.Remote(ctx, other, false))
	}
	later, err := raygo.GetAll(ctx, refs)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range later {
		if s != string(first) {
			t.Fatalf("after %d calls the worker remembers %.20q…", i+1, s)
		}
	}
}

// behaviour 17
func TestManySmallArgumentsOfOneTask(t *testing.T) {
	ctx := peertest.Run(t, node.Config{})
	const count, size = 150, 90_000 // each below the inline limit, 13.5 MB together
	var refs []raygo.Ref[[]byte]
	var values [][]byte
	for i := range count {
		b := bytes.Repeat([]byte{byte(i)}, size)
		values = append(values, b)
		r, err := raygo.Put(ctx, b)
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, r)
	}
	if n, err := raygo.Get(ctx, lengths.RemoteArgs(ctx, raygo.All(refs))); n != count*size || err != nil {
		t.Errorf("gathered: %d bytes, %v", n, err)
	}
	if n, err := raygo.Get(ctx, lengths.Remote(ctx, values)); n != count*size || err != nil {
		t.Errorf("by value: %d bytes, %v", n, err)
	}
}

// behaviour 28
func TestGetAllKeepsOrder(t *testing.T) {
	ctx := peertest.Run(t, node.Config{})
	waits := []time.Duration{60 * time.Millisecond, time.Millisecond, 30 * time.Millisecond}
	refs := raygo.Map(ctx, sleep, waits)
	refs = append(refs, refs[2], refs[0])
	got, err := raygo.GetAll(ctx, refs)
	if want := append(slices.Clone(waits), waits[2], waits[0]); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}

// behaviours 34 and 61
func TestPeerWithoutCPUs(t *testing.T) {
	ctx := peertest.Run(t, node.Config{CPUs: -1})
	for _, size := range []int{10, 1 << 20} {
		r, err := raygo.Put(ctx, blobOf(1, size))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := raygo.Get(ctx, r); err != nil || !bytes.Equal(b, blobOf(1, size)) {
			t.Errorf("%d bytes: got %d, %v", size, len(b), err)
		}
	}
	if n, err := raygo.Get(ctx, square.Options(raygo.NumCPUs(0)).Remote(ctx, 5)); n != 25 || err != nil {
		t.Errorf("a task that needs no CPU: %d, %v", n, err)
	}
}
