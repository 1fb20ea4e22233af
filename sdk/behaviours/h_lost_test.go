package behaviours

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

// on are options that send tasks to a peer while it is there.
func on(id string) raygo.Option { return raygo.Strategy(raygo.NodeAffinity(id, true)) }

func await[T any](ctx context.Context, t *testing.T, refs ...raygo.Ref[T]) {
	t.Helper()
	if _, _, err := raygo.Wait(ctx, refs, len(refs), raygo.FetchLocal(false)); err != nil {
		t.Fatal(err)
	}
}

// behaviours 116, 117, 119, 122, 118
func TestLostObjectsAreMadeAgain(t *testing.T) {
	c := peertest.Cluster(t, 3, peertest.Options{CPUs: 2})
	ctx := soon(c.Peer(0).Driver(), t, 2*time.Minute)
	at := on(c.IDs()[1])

	lone := seeded.Options(at).Remote(ctx, 1)
	chain := seeded.Options(at).Remote(ctx, 2)
	for range 19 {
		next := link.Options(at).RemoteArgs(ctx, chain)
		chain = next
	}
	doomed := seeded.Options(at, raygo.MaxRetries(0)).Remote(ctx, 3)
	copied := seeded.Options(at).Remote(ctx, 4)
	await(ctx, t, lone, chain, doomed, copied)
	if _, err := raygo.Get(ctx, copied); err != nil { // there is a copy here now
		t.Fatal(err)
	}
	c.Peer(1).Kill()

	got, err := raygo.Get(ctx, lone)
	want, _ := seededFn(ctx, 1)
	if err != nil || string(got) != string(want) {
		t.Fatalf("a lost object: %d bytes, %v", len(got), err)
	}
	got, err = raygo.Get(ctx, chain)
	want, _ = seededFn(ctx, 2)
	for i := range want {
		want[i] += 19
	}
	if err != nil || string(got) != string(want) {
		t.Fatalf("a lost chain of 20: %d bytes, %v", len(got), err)
	}
	if _, err := raygo.Get(ctx, doomed); !errors.Is(err, raygo.ErrObjectLost) {
		t.Fatalf("MaxRetries(0): %v", err)
	}
	if got, err := raygo.Get(ctx, copied); err != nil || len(got) != 3<<19 {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

// behaviours 110, 86, 103
func TestTasksOfADeadPeerRunElsewhere(t *testing.T) {
	c := peertest.Cluster(t, 3, peertest.Options{CPUs: 2})
	ctx := soon(c.Peer(0).Driver(), t, 2*time.Minute)
	ids := c.IDs()
	log := filepath.Join(t.TempDir(), "runs")
	var refs []raygo.Ref[string]
	for range 4 {
		refs = append(refs, logRun.Options(on(ids[1])).Remote(ctx, log, 3*time.Second))
	}
	hard := logRun.Options(raygo.Strategy(raygo.NodeAffinity(ids[1], false))).Remote(ctx, log, 3*time.Second)
	for n := 0; n < 2; n = strings.Count(read(t, log), ids[1]) {
		time.Sleep(20 * time.Millisecond)
	}
	c.Peer(1).Kill()
	died := time.Now()
	for n := range where(ctx, t, refs) {
		if n == ids[1] {
			t.Fatal("a task ended on the peer that was killed")
		}
	}
	if _, err := raygo.Get(ctx, hard); !errors.Is(err, raygo.ErrUnschedulable) && !errors.Is(err, raygo.ErrPeerDied) {
		t.Fatalf("hard affinity to the dead: %v", err)
	}
	t.Logf("all over %s after the kill", time.Since(died).Round(time.Millisecond))
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

// behaviours 108, 234, 236
func TestAPausedPeerComesBack(t *testing.T) {
	c := peertest.Cluster(t, 3, peertest.Options{CPUs: 2})
	ctx := soon(c.Peer(0).Driver(), t, 2*time.Minute)
	ids := c.IDs()
	log := filepath.Join(t.TempDir(), "runs")
	ref := logRun.Options(on(ids[1])).Remote(ctx, log, 500*time.Millisecond)
	for !strings.Contains(read(t, log), ids[1]) {
		time.Sleep(10 * time.Millisecond)
	}
	c.Peer(1).Pause()
	peer, err := raygo.Get(ctx, ref)
	if err != nil || peer == ids[1] {
		t.Fatalf("the task of a paused peer: %s, %v", peer, err)
	}
	c.Peer(1).Resume()
	c.Meet()
	again, err := raygo.Get(ctx, ref)
	if err != nil || again != peer {
		t.Fatalf("the value changed from %s to %s: %v", peer, again, err)
	}
	back, err := raygo.Get(ctx, whereAfter.Options(raygo.Strategy(raygo.NodeAffinity(ids[1], false))).Remote(ctx, 0))
	if err != nil || back != ids[1] {
		t.Fatalf("the peer that came back: %s, %v", back, err)
	}
}

// behaviour 130: what a machine had moved to its disk goes with the machine.
func TestSpilledObjectsOfADeadPeer(t *testing.T) {
	c := peertest.Cluster(t, 2, peertest.Options{CPUs: 2, Each: func(i int) []string {
		return []string{"--object-store-memory", []string{"256MiB", "8MiB"}[i]}
	}})
	ctx := soon(c.Peer(0).Driver(), t, 2*time.Minute)
	var refs []raygo.Ref[[]byte]
	for i := range 12 { // 18 MiB
		refs = append(refs, seeded.Options(on(c.IDs()[1])).Remote(ctx, i))
	}
	await(ctx, t, refs...)
	var nodes ipc.Rows[ipc.NodeRow]
	c.Peer(1).Ask(&ipc.Query{Op: ipc.QueryNodes}, &nodes)
	spilled := uint64(0)
	for _, n := range nodes.Rows {
		if n.PeerID == c.IDs()[1] {
			spilled = uint64(n.Store.SpilledEver)
		}
	}
	if spilled == 0 {
		t.Fatalf("nothing was spilled: %+v", nodes)
	}
	c.Peer(1).Kill()
	for i, r := range refs {
		got, err := raygo.Get(ctx, r)
		if want, _ := seededFn(ctx, i); err != nil || string(got) != string(want) {
			t.Fatalf("object %d: %d bytes, %v", i, len(got), err)
		}
	}
}

// behaviour 203
func TestALostItemIsYieldedAgain(t *testing.T) {
	c := peertest.Cluster(t, 2, peertest.Options{CPUs: 2})
	ctx := soon(c.Peer(0).Driver(), t, 2*time.Minute)
	s := farBlobs.Options(on(c.IDs()[1]), raygo.Backpressure(20, 1<<30)).Remote(ctx, 6, 0)
	refs := s.Take(6)
	await(ctx, t, refs...)
	c.Peer(1).Kill()
	for i, r := range refs {
		b, err := raygo.Get(ctx, r)
		want, _ := seededFn(ctx, i)
		if err != nil || string(b) != string(want) {
			t.Fatalf("item %d: %d bytes, %v", i, len(b), err)
		}
	}
}

// behaviours 231, 134
func TestTheEndOfAJobLeavesNothingAnywhere(t *testing.T) {
	c := peertest.Cluster(t, 2, peertest.Options{CPUs: 2})
	actx := soon(c.Peer(1).Driver(), t, 2*time.Minute)
	ctx, session, err := raygo.Init(t.Context(), raygo.Address("unix://"+c.Peer(0).Ready.Socket))
	if err != nil {
		t.Fatal(err)
	}
	far := raygo.Strategy(raygo.NodeAffinity(c.IDs()[1], false))
	blob := seeded.Options(far).Remote(ctx, 1)
	await(soon(ctx, t, time.Minute), t, blob)
	_ = whereAfter.Options(far).Remote(ctx, time.Hour)
	if err := session.Close(); err != nil {
		t.Fatal(err)
	}
	for {
		free, err := raygo.AvailableResources(actx)
		if err != nil {
			t.Fatal(err)
		}
		if free["CPU"] == 4 {
			break
		}
		if actx.Err() != nil {
			t.Fatalf("free after the job: %v", free)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
