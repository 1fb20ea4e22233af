package peertest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

// elsewhere prefers a peer and takes another when that is gone.
func elsewhere(peer string) raygo.Option { return raygo.Strategy(raygo.NodeAffinity(peer, true)) }

// running waits until so many tasks of restFor run on a peer.
func running(t *testing.T, c *peertest.Processes, peer string, n int) {
	t.Helper()
	waitFor(t, "the tasks run", func() bool {
		var rows ipc.Rows[ipc.TaskRow]
		c.Peer(0).Ask(&ipc.Query{Op: ipc.QueryTasks, Filters: []string{"func_name=peertest_test.restFor", "state=RUNNING", "peer_id=" + peer}}, &rows)
		return rows.Total == n
	})
}

// What ran on a peer that is killed runs again elsewhere; the peer is named dead
// soon, and is one of the cluster again when it comes back.
func TestKilledPeer(t *testing.T) {
	t.Parallel()
	c := peertest.Cluster(t, clusterSize)
	ids := c.IDs()
	ctx := c.Peer(0).Driver()
	ref := rest.Options(elsewhere(ids[1])).Remote(ctx, time.Second)
	alone := rest.Options(on(ids[1]), raygo.MaxRetries(0)).Remote(ctx, time.Second)
	running(t, c, ids[1], 1)
	killed := time.Now()
	c.Peer(1).Kill()
	got, err := raygo.Get(ctx, ref)
	if err != nil || got == ids[1] {
		t.Errorf("the task ran on %s: %v", got, err)
	}
	if _, err := raygo.Get(ctx, alone); err == nil {
		t.Error("a task for the dead peer alone has a value")
	}
	waitFor(t, "the dead peer is named", func() bool {
		var rows ipc.Rows[ipc.NodeRow]
		c.Peer(0).Ask(&ipc.Query{Op: ipc.QueryNodes}, &rows)
		for _, r := range rows.Rows {
			if r.PeerID == ids[1] {
				return !r.Alive && r.State == "DEAD"
			}
		}
		return false
	})
	if took := time.Since(killed); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	c.Peer(1).Start()
	if c.Peer(1).Ready.ID != ids[1] {
		t.Errorf("peer %s came back as %s", ids[1], c.Peer(1).Ready.ID)
	}
	c.Meet()
	if got, err := raygo.Get(ctx, whereAmI.Options(on(ids[1])).Remote(ctx)); err != nil || got != ids[1] {
		t.Errorf("a task for the peer that came back ran on %s: %v", got, err)
	}
}

// The peer that all others were told of may go and come back too.
func TestKilledBootstrapPeer(t *testing.T) {
	t.Parallel()
	c := peertest.Cluster(t, clusterSize)
	ids := c.IDs()
	c.Peer(0).Kill()
	ctx := c.Peer(1).Driver()
	if got, err := raygo.Get(ctx, whereAmI.Options(on(ids[2])).Remote(ctx)); err != nil || got != ids[2] {
		t.Errorf("a task ran on %s: %v", got, err)
	}
	c.Peer(0).Start()
	c.Meet()
	if got, err := raygo.Get(ctx, whereAmI.Options(on(ids[0])).Remote(ctx)); err != nil || got != ids[0] {
		t.Errorf("a task for the first peer ran on %s: %v", got, err)
	}
}

// A peer that stands still is taken for dead; when it goes on it is a member
// again, and what it did meanwhile changes nothing.
func TestPausedPeer(t *testing.T) {
	t.Parallel()
	c := peertest.Cluster(t, clusterSize)
	ids := c.IDs()
	ctx := c.Peer(0).Driver()
	ref := rest.Options(elsewhere(ids[1])).Remote(ctx, 2*time.Second)
	running(t, c, ids[1], 1)
	paused := time.Now()
	c.Peer(1).Pause()
	got, err := raygo.Get(ctx, ref)
	if err != nil || got == ids[1] {
		t.Errorf("the task ran on %s: %v", got, err)
	}
	if took := time.Since(paused); took > 8*time.Second {
		t.Errorf("it took %s", took)
	}
	c.Peer(1).Resume()
	c.Meet()
	if got, err := raygo.Get(ctx, whereAmI.Options(on(ids[1])).Remote(ctx)); err != nil || got != ids[1] {
		t.Errorf("a task for the peer that went on ran on %s: %v", got, err)
	}
}

// A peer that drains hands back what it has not begun, lets the rest end, and
// leaves its objects to others.
func TestDrainingPeer(t *testing.T) {
	t.Parallel()
	c := peertest.Cluster(t, clusterSize)
	ids := c.IDs()
	ctx := c.Peer(0).Driver()
	value := makeBytes.Options(on(ids[1])).Remote(ctx, 4<<20)
	if _, _, err := raygo.Wait(ctx, []raygo.Ref[[]byte]{value}, 1, raygo.FetchLocal(false)); err != nil {
		t.Fatal(err)
	}
	var refs []raygo.Ref[string]
	for range 20 {
		refs = append(refs, rest.Options(elsewhere(ids[1])).Remote(ctx, 300*time.Millisecond))
	}
	running(t, c, ids[1], 1)
	c.Peer(1).Drain()
	if _, err := raygo.GetAll(ctx, refs); err != nil {
		t.Error(err)
	}
	if b, err := raygo.Get(ctx, value); err != nil || len(b) != 4<<20 {
		t.Errorf("the value that only it had: %d bytes, %v", len(b), err)
	}
	if _, err := raygo.Get(ctx, whereAmI.Options(on(ids[1])).Remote(ctx)); !errors.Is(err, raygo.ErrUnschedulable) {
		t.Errorf("a task for the peer that left: %v", err)
	}
}

// A peer that went of its own will is told to have left, and stays so when what
// it said of itself comes late and when the detector has made up its mind.
func TestPeerThatLeftIsNotUnreachable(t *testing.T) {
	t.Parallel()
	c := peertest.Cluster(t, clusterSize)
	gone := c.IDs()[2]
	ctx := c.Peer(0).Driver()
	if _, err := raygo.Get(ctx, rest.Options(on(gone)).Remote(ctx, 200*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	c.Peer(2).Drain()
	state := func() (s string) {
		var nodes ipc.Rows[ipc.NodeRow]
		c.Peer(0).Ask(&ipc.Query{Op: ipc.QueryNodes}, &nodes)
		for _, n := range nodes.Rows {
			if n.PeerID == gone {
				s = n.State
			}
		}
		return s
	}
	waitFor(t, "it is told that the peer left", func() bool { return state() == "LEFT" })
	// The detector takes less than this to find out that there is no link.
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		if s := state(); s != "LEFT" {
			t.Fatalf("a peer that left is told to be %s", s)
		}
	}
}

// A peer that drains waits for what its own programs have running elsewhere.
func TestDrainingOwner(t *testing.T) {
	t.Parallel()
	c := peertest.Cluster(t, 2)
	ctx := c.Peer(0).Driver()
	ref := rest.Options(on(c.IDs()[1])).Remote(ctx, time.Second)
	running(t, c, c.IDs()[1], 1)
	done := make(chan error, 1)
	go func() {
		got, err := raygo.Get(ctx, ref)
		if err == nil && got != c.IDs()[1] {
			err = errors.New("it ran on " + got)
		}
		done <- err
	}()
	c.Peer(0).Drain()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
