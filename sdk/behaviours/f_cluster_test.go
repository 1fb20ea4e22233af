package behaviours

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

// where counts the places of tasks.
func where(ctx context.Context, t *testing.T, refs []raygo.Ref[string]) map[string]int {
	t.Helper()
	n := map[string]int{}
	for i, r := range refs {
		peer, err := raygo.Get(ctx, r)
		if err != nil {
			t.Fatalf("task %d of %d: %v", i, len(refs), err)
		}
		n[peer]++
	}
	return n
}

func soon(ctx context.Context, t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, d)
	t.Cleanup(cancel)
	return ctx
}

// Placement over three peers, seen from a program.
func TestPlacement(t *testing.T) {
	c := peertest.Cluster(t, 3, peertest.Options{CPUs: 2, Each: func(i int) []string {
		return []string{"--labels", fmt.Sprintf("slot=%d,kind=%s", i, []string{"a", "b", "b"}[i])}
	}})
	ids := c.IDs()

	// behaviours 74, 12
	t.Run("EachHasItsShare", func(t *testing.T) {
		ctx := c.Peer(0).DriverFor(t)
		var refs []raygo.Ref[string]
		for range 120 {
			refs = append(refs, whereAfter.Remote(ctx, 30*time.Millisecond))
		}
		n := where(soon(ctx, t, time.Minute), t, refs)
		for _, id := range ids {
			if n[id] < 12 {
				t.Fatalf("120 tasks landed %v", n)
			}
		}
	})
	// behaviour 75
	t.Run("LightLoadStays", func(t *testing.T) {
		ctx := soon(c.Peer(1).DriverFor(t), t, time.Minute)
		for range 5 {
			peer, err := raygo.Get(ctx, whereAfter.Remote(ctx, 0))
			if err != nil || peer != ids[1] {
				t.Fatalf("one task at a time ran on %s, not here: %v", peer, err)
			}
		}
	})
	// behaviour 88
	t.Run("Fallback", func(t *testing.T) {
		ctx := soon(c.Peer(0).DriverFor(t), t, time.Minute)
		st := raygo.Labels("kind=none").Fallback("slot in (7,8)", "slot=2", "kind=b")
		peer, err := raygo.Get(ctx, whereAfter.Options(raygo.Strategy(st)).Remote(ctx, 0))
		if err != nil || peer != ids[2] {
			t.Fatalf("ran on %s, not on %s: %v", peer, ids[2], err)
		}
	})
	// behaviour 80
	t.Run("Spread", func(t *testing.T) {
		ctx := soon(c.Peer(0).DriverFor(t), t, time.Minute)
		spread := whereAfter.Options(raygo.Strategy(raygo.Spread()))
		var refs []raygo.Ref[string]
		for range 30 {
			refs = append(refs, spread.Remote(ctx, 50*time.Millisecond))
		}
		n := where(ctx, t, refs)
		for _, id := range ids {
			if n[id] < 9 || n[id] > 11 {
				t.Fatalf("SPREAD of 30 tasks landed %v", n)
			}
		}
	})
	t.Run("Pack", func(t *testing.T) {
		ctx := soon(c.Peer(0).DriverFor(t), t, time.Minute)
		pack := whereAfter.Options(raygo.Strategy(raygo.Pack()))
		var refs []raygo.Ref[string]
		for range 4 {
			refs = append(refs, pack.Remote(ctx, 500*time.Millisecond))
		}
		if n := where(ctx, t, refs); len(n) != 2 {
			t.Fatalf("4 tasks were packed onto %v", n)
		}
	})
	// behaviours 84, 85
	t.Run("Affinity", func(t *testing.T) {
		ctx := soon(c.Peer(0).DriverFor(t), t, time.Minute)
		hard := whereAfter.Options(raygo.Strategy(raygo.NodeAffinity(ids[2], false)))
		var refs []raygo.Ref[string]
		for range 8 {
			refs = append(refs, hard.Remote(ctx, 50*time.Millisecond))
		}
		if n := where(ctx, t, refs); n[ids[2]] != 8 {
			t.Fatalf("hard affinity landed %v", n)
		}
		gone := "12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf"
		if _, err := raygo.Get(ctx, whereAfter.Options(raygo.Strategy(raygo.NodeAffinity(gone, false))).Remote(ctx, 0)); !errors.Is(err, raygo.ErrUnschedulable) {
			t.Fatalf("hard affinity to nobody: %v", err)
		}
		if _, err := raygo.Get(ctx, whereAfter.Options(raygo.Strategy(raygo.NodeAffinity(gone, true))).Remote(ctx, 0)); err != nil {
			t.Fatalf("soft affinity to nobody: %v", err)
		}
	})
	// behaviour 87
	t.Run("Labels", func(t *testing.T) {
		ctx := soon(c.Peer(0).DriverFor(t), t, time.Minute)
		for selector, want := range map[string][]int{"slot=1": {1}, "kind!=b": {0}, "slot in (1,2)": {1, 2}, "slot !in (0,1)": {2}} {
			peer, err := raygo.Get(ctx, whereAfter.Options(raygo.Strategy(raygo.Labels(selector))).Remote(ctx, 0))
			ok := false
			for _, i := range want {
				ok = ok || peer == ids[i]
			}
			if err != nil || !ok {
				t.Fatalf("%s ran on %s: %v", selector, peer, err)
			}
		}
	})
	// behaviour 81
	t.Run("ArgumentDrawsTask", func(t *testing.T) {
		ctx := soon(c.Peer(0).DriverFor(t), t, time.Minute)
		there := bigBlob.Options(raygo.Strategy(raygo.NodeAffinity(ids[1], false)))
		blob := there.Remote(ctx, 64<<20)
		if _, _, err := raygo.Wait(ctx, []raygo.Ref[[]byte]{blob}, 1, raygo.FetchLocal(false)); err != nil {
			t.Fatal(err)
		}
		used := whereBlob.RemoteArgs(ctx, blob)
		got, err := raygo.Get(ctx, used)
		if err != nil || got != ids[1]+" 67108864" {
			var why ipc.Explanation
			c.Peer(0).Ask(&ipc.Query{Op: ipc.QueryExplain, ID: used.ID()[:40]}, &why)
			t.Fatalf("ran on %s of %v: %v; %v", got, ids, err, why.Decisions)
		}
		raygo.Release(blob)
	})
	// behaviour 83
	t.Run("FullHolderIsNotWaitedFor", func(t *testing.T) {
		ctx := soon(c.Peer(0).DriverFor(t), t, time.Minute)
		at := raygo.Strategy(raygo.NodeAffinity(ids[1], false))
		blob := bigBlob.Options(at).Remote(ctx, 8<<20)
		if _, _, err := raygo.Wait(ctx, []raygo.Ref[[]byte]{blob}, 1, raygo.FetchLocal(false)); err != nil {
			t.Fatal(err)
		}
		busy := []raygo.Ref[string]{whereAfter.Options(at).Remote(ctx, 20*time.Second), whereAfter.Options(at).Remote(ctx, 20*time.Second)}
		runAt(t, c, ids[1], 2)
		got, err := raygo.Get(soon(ctx, t, 10*time.Second), whereBlob.RemoteArgs(ctx, blob))
		if err != nil || strings.HasPrefix(got, ids[1]) {
			t.Fatalf("ran on %s: %v", got, err)
		}
		for _, r := range busy {
			if _, err := raygo.Cancel(ctx, r); err != nil {
				t.Fatal(err)
			}
		}
	})
	// behaviour 58
	t.Run("Tree", func(t *testing.T) {
		ctx := soon(c.Peer(0).DriverFor(t), t, time.Minute)
		n, err := raygo.Get(ctx, tree.Remote(ctx, 3, 4))
		total := 0
		for _, k := range n {
			total += k
		}
		if err != nil || total != 85 || len(n) < 2 {
			t.Fatalf("a tree of 85 tasks: %v, %v", n, err)
		}
	})
	// behaviours 181, 172, 174
	t.Run("Cancel", func(t *testing.T) {
		ctx := soon(c.Peer(0).DriverFor(t), t, time.Minute)
		there := whereAfter.Options(raygo.Strategy(raygo.NodeAffinity(ids[2], false)))
		var refs []raygo.Ref[string]
		for range 3 {
			refs = append(refs, there.Remote(ctx, time.Hour))
		}
		runAt(t, c, ids[2], 2)
		for _, i := range []int{2, 0, 1} { // the one that waits first: it would begin when another ends
			want := raygo.Stopped
			if i == 2 {
				want = raygo.NeverStarted
			}
			if got, err := raygo.Cancel(ctx, refs[i]); err != nil || got != want {
				t.Fatalf("cancel of task %d: %v, %v; want %v", i, got, err, want)
			}
			if _, err := raygo.Get(ctx, refs[i]); !errors.Is(err, raygo.ErrTaskCancelled) {
				t.Fatal(err)
			}
		}
		if peer, err := raygo.Get(ctx, there.Remote(ctx, 0)); err != nil || peer != ids[2] {
			t.Fatalf("after the cancels: %s, %v", peer, err)
		}
	})
	// behaviours 188, 194
	t.Run("Generator", func(t *testing.T) {
		ctx := soon(c.Peer(0).DriverFor(t), t, time.Minute)
		s := farBlobs.Options(raygo.Strategy(raygo.NodeAffinity(ids[1], false)), raygo.Backpressure(2, 64<<20)).Remote(ctx, 12, 0)
		i := 0
		for b, err := range s.Values(ctx) {
			want, _ := seededFn(ctx, i)
			if err != nil || string(b) != string(want) {
				t.Fatalf("item %d: %d bytes, %v", i, len(b), err)
			}
			i++
		}
		if i != 12 {
			t.Fatalf("%d items", i)
		}
	})
	// behaviours 45, 98, 103
	t.Run("FailuresAndWaits", func(t *testing.T) {
		ctx := soon(c.Peer(0).DriverFor(t), t, time.Minute)
		at := raygo.Strategy(raygo.NodeAffinity(ids[2], false))
		var te *raygo.TaskError
		if _, err := raygo.Get(ctx, fail.Options(at).Remote(ctx, "known")); !errors.Is(err, errKnown) || !errors.As(err, &te) || te.Peer != ids[2] {
			t.Fatalf("%v (%+v)", err, te)
		}
		if _, err := raygo.Get(ctx, exit.Options(at, raygo.MaxRetries(0)).Remote(ctx, 3)); !errors.Is(err, raygo.ErrWorkerCrashed) || !strings.Contains(err.Error(), "3") {
			t.Fatal(err)
		}
		blob := seeded.Options(at).Remote(ctx, 7)
		ready, _, err := raygo.Wait(ctx, []raygo.Ref[[]byte]{blob}, 1)
		if err != nil || len(ready) != 1 {
			t.Fatal(ready, err)
		}
		b, err := raygo.Get(ctx, blob)
		want, _ := seededFn(ctx, 7)
		if err != nil || string(b) != string(want) {
			t.Fatal(len(b), err)
		}
	})
	// behaviour 71
	t.Run("NothingIsHeld", func(t *testing.T) {
		ctx := soon(c.Peer(0).DriverFor(t), t, time.Minute)
		for {
			total, err := raygo.ClusterResources(ctx)
			if err != nil {
				t.Fatal(err)
			}
			free, err := raygo.AvailableResources(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if total["CPU"] != 6 {
				t.Fatalf("the cluster has %v", total)
			}
			if free["CPU"] == 6 {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
}

// runAt waits until n tasks run on a peer.
func runAt(t *testing.T, c *peertest.Processes, id string, n int) {
	t.Helper()
	eventually(t, "tasks run there", func() bool {
		var rows ipc.Rows[ipc.TaskRow]
		c.Peer(0).Ask(&ipc.Query{Op: ipc.QueryTasks, Limit: 10_000}, &rows)
		running := 0
		for i := range rows.Rows {
			if rows.Rows[i].PeerID == id && rows.Rows[i].State == "RUNNING" {
				running++
			}
		}
		return running == n
	})
}
