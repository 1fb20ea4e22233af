package peertest_test

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/raygo/raygo/internal/peertest"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

var archOf = raygo.Func0(arch)

func arch(context.Context) (string, error) { return runtime.GOOS + "/" + runtime.GOARCH, nil }

// A cluster of two platforms, of which this machine runs both: with a build for
// each, tasks run on both peers, each from its own; with one, the other peer
// takes none, and the task that wants it says what command adds the build.
func TestPeersOfTwoPlatforms(t *testing.T) {
	const other = "linux/386"
	own := runtime.GOOS + "/" + runtime.GOARCH
	if own != "linux/amd64" {
		t.Skipf("this machine is %s: a second platform that runs here too is known for linux/amd64 only", own)
	}
	program := peertest.Build(t, other, "test -c", "github.com/raygo/raygo/internal/peertest")
	if out, err := exec.Command(program, "-test.list", "^$").CombinedOutput(); err != nil {
		t.Skipf("this machine does not run programs of 32 bits (its kernel lacks CONFIG_IA32_EMULATION, or is told not to): %v %s", err, out)
	}
	c := peertest.Cluster(t, 2, peertest.Options{Platform: func(i int) string { return [...]string{"", other}[i] }})
	ids := c.IDs()
	var rows ipc.Rows[ipc.NodeRow]
	c.Peer(0).Ask(&ipc.Query{Op: ipc.QueryNodes}, &rows)
	for i := range rows.Rows {
		want := own
		if rows.Rows[i].PeerID == ids[1] {
			want = other
		}
		if got := rows.Rows[i].Platform; got != want {
			t.Errorf("peer %s is of platform %s, not %s", rows.Rows[i].PeerID, got, want)
		}
	}

	t.Run("both", func(t *testing.T) {
		t.Setenv("RAYGO_BINARIES", other+"="+program)
		ctx := c.Peer(0).DriverFor(t)
		for i, want := range []string{own, other} {
			if got, err := raygo.Get(ctx, archOf.Options(on(ids[i])).Remote(ctx)); err != nil || got != want {
				t.Errorf("on peer %d it ran as %q: %v", i, got, err)
			}
		}
		var refs []raygo.Ref[string]
		for range 10 {
			refs = append(refs, archOf.Options(raygo.Strategy(raygo.Spread())).Remote(ctx))
		}
		ran, err := raygo.GetAll(ctx, refs)
		if err != nil || !slices.Contains(ran, own) || !slices.Contains(ran, other) {
			t.Errorf("they ran as %v: %v", ran, err)
		}
		// It had its build from the owner, block by block.
		var own ipc.NodeRow
		c.Peer(1).Ask(&ipc.Query{Op: ipc.QueryResources}, &own)
		size, fetched := sizeOfFile(t, program), int64(0)
		for _, l := range own.Links {
			fetched += l.Fetched
		}
		if fetched < size {
			t.Errorf("it fetched %d bytes, the program has %d", fetched, size)
		}
		// Values that are memory of the store go both ways.
		b, err := raygo.Get(ctx, makeBytes.Options(on(ids[1])).Remote(ctx, 3<<20))
		if err != nil || len(b) != 3<<20 {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if sum, err := raygo.Get(ctx, sizeOf.Options(on(ids[1])).Remote(ctx, b)); err != nil || sum != 9<<20 {
			t.Errorf("sum %d: %v", sum, err)
		}
		if _, err := raygo.Get(ctx, spread.Options(on(ids[1])).Remote(ctx, ids)); err != nil {
			t.Errorf("tasks of a task there: %v", err)
		}
		sum := 0
		for v, err := range countTo.Options(on(ids[1])).Remote(ctx, 100).Values(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			sum += v
		}
		if sum != 4950 {
			t.Errorf("a stream from there: %d", sum)
		}
	})

	t.Run("one", func(t *testing.T) {
		ctx := c.Peer(0).DriverFor(t)
		var refs []raygo.Ref[string]
		for range 20 {
			refs = append(refs, archOf.Options(raygo.Strategy(raygo.Spread())).Remote(ctx))
		}
		ran, err := raygo.GetAll(ctx, refs)
		if err != nil || slices.ContainsFunc(ran, func(p string) bool { return p != own }) {
			t.Errorf("they ran as %v: %v", ran, err)
		}
		ref := archOf.Options(on(ids[1])).Remote(ctx)
		id := ref.ID()[:40]
		waitFor(t, "the command that adds the platform is named", func() bool {
			var x ipc.Explanation
			if c.Peer(0).Asked(&ipc.Query{Op: ipc.QueryExplain, ID: id}, &x) != nil {
				return false
			}
			return strings.Contains(strings.Join(x.Decisions, "\n")+x.Task.Reason, "raygo run --platform "+other)
		})
		if _, err := raygo.Cancel(ctx, ref); err != nil {
			t.Error(err)
		}
	})
}

func sizeOfFile(t *testing.T, path string) int64 {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}
