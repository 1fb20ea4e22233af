package behaviours

import (
	"bytes"
	"context"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
)

var (
	sortInts  *raygo.Task1[[]int64, []int64]
	howMany   = raygo.Func2(howManyFn)
	handshake = raygo.Gen2(handshakeFn)
	double    = raygo.Gen2(doubleFn)
	wideItems = raygo.Gen2(wideItemsFn)
	yieldOwn  = raygo.Func0(yieldOwnFn)
	increment = raygo.Func0(incrementFn)
)

func init() { sortInts = raygo.Func1(sortIntsFn) }

// sortCutoff is what a task sorts by itself.
const sortCutoff = 5000

func sortIntsFn(ctx context.Context, x []int64) ([]int64, error) {
	if len(x) <= sortCutoff {
		x = slices.Clone(x) // an argument may be a view
		slices.Sort(x)
		return x, nil
	}
	left, right := sortInts.Remote(ctx, x[:len(x)/2]), sortInts.Remote(ctx, x[len(x)/2:])
	a, err := raygo.Get(ctx, left)
	if err != nil {
		return nil, err
	}
	b, err := raygo.Get(ctx, right)
	if err != nil {
		return nil, err
	}
	out := make([]int64, 0, len(x))
	for len(a) > 0 && len(b) > 0 {
		if a[0] <= b[0] {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...), nil
}

// howManyFn says how many of its kind run, itself included, by files. It ends
// when as many have begun as the test waits for.
func howManyFn(ctx context.Context, dir string, i int) (int, error) {
	path := filepath.Join(dir, "running-"+strconv.Itoa(i))
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return 0, err
	}
	defer func() { _ = os.Remove(path) }()
	running, err := filepath.Glob(filepath.Join(dir, "running-*"))
	if i < 3 && err == nil { // the first ones stay until they are all there
		err = awaitPath(ctx, filepath.Join(dir, "go"))
	}
	return len(running), err
}

// handshakeFn yields an item, and the next only when the stage after it has
// done with that.
func handshakeFn(ctx context.Context, n int, dir string) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
			if err := awaitPath(ctx, filepath.Join(dir, strconv.Itoa(i))); err != nil {
				yield(0, err)
				return
			}
		}
	}
}

func doubleFn(ctx context.Context, in *raygo.Stream[int], dir string) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for v, err := range in.Values(ctx) {
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, strconv.Itoa(v)), nil, 0o600)
			}
			if !yield(2*v, err) || err != nil {
				return
			}
		}
	}
}

// wideItemsFn yields n large items, and last, as text, the most that its process
// had in use between two of them beyond what it began with.
func wideItemsFn(_ context.Context, n, size int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		before, most := liveHeap(), int64(0)
		for i := range n {
			if !yield(blobOf(i, size), nil) {
				return
			}
			most = max(most, liveHeap()-before)
		}
		yield([]byte(strconv.FormatInt(most, 10)), nil)
	}
}

// behaviour 240
func TestDivideAndConquer(t *testing.T) {
	p := peertest.Start(t, node.Config{})
	ctx := p.Driver()
	rng := rand.New(rand.NewPCG(1, 2))
	x := make([]int64, 64*sortCutoff)
	for i := range x {
		x[i] = rng.Int64()
	}
	got, err := raygo.Get(ctx, sortInts.Remote(ctx, x))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(x)
	if !slices.Equal(got, x) {
		t.Fatal("it is not sorted")
	}
	eventually(t, "every CPU is free", func() bool { return p.Account().Free["CPU"] == 2 })
}

// behaviour 242
func TestShareOfAResource(t *testing.T) {
	p := peertest.Start(t, node.Config{CPUs: 8, Resources: map[string]float64{"licence": 3}})
	ctx := p.Driver()
	dir := t.TempDir()
	task := howMany.Options(raygo.Resource("licence", 1))
	var refs []raygo.Ref[int]
	for i := range 30 {
		refs = append(refs, task.Remote(ctx, dir, i))
	}
	eventually(t, "three run", func() bool { return len(entries(t, dir)) == 3 })
	if free := p.Account().Free; free["licence"] != 0 || free["CPU"] != 5 {
		t.Fatalf("free: %v", free)
	}
	touch(t, filepath.Join(dir, "go"))
	all, err := raygo.GetAll(ctx, refs)
	if err != nil {
		t.Fatal(err)
	}
	if most := slices.Max(all); most > 3 {
		t.Fatalf("%d ran at a time", most)
	}
}

// The first stage goes on only when the second has done with what it gave: it
// ends only if they overlap. behaviour 243
func TestStagesOverlap(t *testing.T) {
	ctx := peertest.Run(t, node.Config{})
	dir := t.TempDir()
	first := handshake.Remote(ctx, 50, dir)
	got, err := collect(t, double.RemoteArgs(ctx, raygo.Val(first), raygo.Val(dir)).Values(ctx))
	if err != nil || len(got) != 50 || got[49] != 98 {
		t.Fatalf("%v, %v", got, err)
	}
}

// behaviour 244
func TestLargeResultsOneByOne(t *testing.T) {
	p, _ := spillPeer(t, node.Config{})
	ctx := p.Driver()
	const n, size = 40, 2 << 20
	i := 0
	for b, err := range wideItems.Options(raygo.Backpressure(2, 2*size)).Remote(ctx, n, size).Values(ctx) {
		switch {
		case err != nil:
			t.Fatal(err)
		case i < n && !bytes.Equal(b, blobOf(i, size)):
			t.Fatalf("item %d is another", i)
		case i == n:
			if most, err := strconv.Atoi(string(b)); err != nil || most > 4*size {
				t.Fatalf("the producer had %s bytes more in use, one item has %d", b, size)
			}
		}
		i++
	}
	if u := p.Account().Store; i != n+1 || u.Used > u.Limit {
		t.Fatalf("%d items, %+v", i, u)
	}
}

var total int

func incrementFn(context.Context) (int, error) {
	total++
	return total, nil
}

// Package variables are each process's own. behaviour 254
func TestPackageVariablesAreNotShared(t *testing.T) {
	ctx := peertest.Run(t, node.Config{})
	for range 10 {
		if _, err := raygo.Get(ctx, increment.Remote(ctx)); err != nil {
			t.Fatal(err)
		}
	}
	if total != 0 {
		t.Fatalf("the driver's variable is %d", total)
	}
}

// yieldOwnFn returns a ref that it put itself.
func yieldOwnFn(ctx context.Context) (raygo.Ref[int], error) { return raygo.Put(ctx, 42) }

// A ref that is a task's result outlives the worker that put the value; it only
// takes two Gets. behaviour 249
func TestRefToOwnPut(t *testing.T) {
	ctx := peertest.Run(t, node.Config{})
	inner, err := raygo.Get(ctx, yieldOwn.Options(raygo.MaxCalls(1)).Remote(ctx))
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	if v, err := raygo.Get(ctx, inner); err != nil || v != 42 {
		t.Fatalf("%d, %v", v, err)
	}
}

// habitsRole is a driver with the habits that the session itself can see, or
// without them.
func habitsRole(ctx context.Context) error {
	bad := os.Getenv("BEHAVIOURS_HABITS") == "bad"
	var refs []raygo.Ref[time.Duration]
	for range 120 {
		refs = append(refs, sleep.Options(raygo.NumCPUs(0)).Remote(ctx, 6*time.Millisecond))
		if bad {
			if _, err := raygo.Get(ctx, refs[len(refs)-1]); err != nil {
				return err
			}
		}
	}
	if _, err := raygo.GetAll(ctx, refs); err != nil {
		return err
	}
	b := make([]byte, blobSize)
	for i := range 30 {
		if !bad {
			b[i] = 1 // another value in the same place
		}
		if _, err := raygo.Get(ctx, length.Remote(ctx, b)); err != nil {
			return err
		}
	}
	r, err := raygo.Put(ctx, b)
	if err != nil {
		return err
	}
	if bad {
		for range 3 {
			if _, err := cbor.Marshal(r); err != nil {
				return err
			}
		}
	}
	if _, err = raygo.Get(ctx, lengthIn.Remote(ctx, blobBox{[]raygo.Ref[[]byte]{r, r}}, "")); err != nil {
		return err
	}
	blobs := 2
	if bad {
		blobs = 4
	}
	var large []raygo.Ref[[]byte]
	for range blobs {
		large = append(large, bigBlob.Remote(ctx, 6<<20))
	}
	_, err = raygo.GetAll(ctx, large)
	return err
}

// What a session can see of costly habits it says, once each; it can be told not
// to, and has nothing to say to others. behaviours 245, 247, 248
// and 253
func TestHints(t *testing.T) {
	p := peertest.Start(t, node.Config{ObjectStoreMemory: 64 << 20})
	for _, c := range []struct {
		name, habits, hints string
		want                []string
	}{
		{"bad", "bad", "", []string{"make all calls, then Get", "10 calls of lengthFn carried the same 262144 bytes", "outside of raygo's calls", "take them in batches"}},
		{"bad but silent", "bad", "off", nil},
		{"good", "good", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), roleEnv+"=habits", "RAYGO_ADDRESS=unix://"+p.Ready.Socket, "BEHAVIOURS_HABITS="+c.habits, raygo.HintsEnv+"="+c.hints)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			if len(out) == 0 {
				lines = nil
			}
			if len(lines) != len(c.want) {
				t.Fatalf("it said %q, not %q", lines, c.want)
			}
			for i, line := range lines {
				if !strings.HasPrefix(line, "(raygo hint) ") || !strings.Contains(line, c.want[i]) {
					t.Errorf("it said %q, not %q", line, c.want[i])
				}
			}
		})
	}
}
