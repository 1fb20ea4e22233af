package peertest_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

// Whatever peer is asked, it answers for all and says how many answered.
func TestAnyPeerAnswersForAll(t *testing.T) {
	t.Parallel()
	c := peertest.Cluster(t, clusterSize)
	ids := c.IDs()
	ctx := c.Peer(0).Driver(raygo.JobName("asked"))
	other := c.Peer(2)
	ref := rest.Options(on(ids[1])).Remote(ctx, time.Minute)
	id := ref.ID()[:40]
	running(t, c, ids[1], 1)

	all := ipc.Asked{Asked: 3, Answered: 3}
	var tasks ipc.Rows[ipc.TaskRow]
	other.Ask(&ipc.Query{Op: ipc.QueryTask, ID: id}, &tasks)
	if tasks.Total != 1 || tasks.Rows[0].PeerID != ids[1] || tasks.Rows[0].WorkerPID == 0 || tasks.Peers != all {
		t.Errorf("the task: %+v", tasks)
	}
	var jobs ipc.Rows[ipc.JobRow]
	other.Ask(&ipc.Query{Op: ipc.QueryJobs}, &jobs)
	if jobs.Total != 1 || jobs.Rows[0].Name != "asked" || jobs.Rows[0].PeerID != ids[0] {
		t.Errorf("jobs: %+v", jobs)
	}
	var status ipc.ClusterStatus
	other.Ask(&ipc.Query{Op: ipc.QueryStatus}, &status)
	if status.Jobs != 1 || len(status.Nodes.Rows) != 3 || status.Nodes.Peers != all {
		t.Errorf("status: %+v", status)
	}
	var sum ipc.Summary
	other.Ask(&ipc.Query{Op: ipc.QuerySummary, ID: "tasks"}, &sum)
	if sum.Total != 1 || sum.Groups[0].States["RUNNING"] != 1 {
		t.Errorf("summary: %+v", sum)
	}
	var x ipc.Explanation
	other.Ask(&ipc.Query{Op: ipc.QueryExplain, ID: id}, &x)
	if text := strings.Join(x.Decisions, "\n"); !strings.Contains(text, ids[1]) {
		t.Errorf("explanation: %s", text)
	}
	var report ipc.CancelReport
	other.Ask(&ipc.Query{Op: ipc.QueryCancel, ID: id}, &report)
	if report.Stopped != 1 {
		t.Errorf("cancel: %+v", report)
	}
	if _, err := raygo.Get(ctx, ref); !errors.Is(err, raygo.ErrTaskCancelled) {
		t.Errorf("get: %v", err)
	}
	nodes, err := raygo.Nodes(ctx)
	total, err2 := raygo.ClusterResources(ctx)
	if err != nil || err2 != nil || len(nodes) != 3 || total["CPU"] != 3 {
		t.Errorf("nodes %+v, resources %v: %v, %v", nodes, total, err, err2)
	}
}

// Tasks that need the same large value at the same time bring it once, and wait
// for each other's.
func TestSharedArgument(t *testing.T) {
	t.Parallel()
	c := peertest.Cluster(t, 2, peertest.Options{CPUs: 4})
	ctx := c.Peer(0).Driver()
	for round := range 5 {
		blob, err := raygo.Put(ctx, bytes.Repeat([]byte{byte(round + 1)}, 24<<20))
		if err != nil {
			t.Fatal(err)
		}
		var refs []raygo.Ref[int]
		for range 8 {
			refs = append(refs, sizeOf.Options(on(c.IDs()[1]), raygo.MaxRetries(0)).RemoteArgs(ctx, blob))
		}
		got, err := raygo.GetAll(ctx, refs)
		if err != nil || got[7] != (round+1)*24<<20 {
			t.Fatalf("round %d: %v, %v", round, got, err)
		}
	}
}

// QUIC is chosen by configuration.
func TestQUIC(t *testing.T) {
	t.Parallel()
	c := peertest.Cluster(t, 2, peertest.Options{Args: []string{"--quic", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"}})
	if addr := c.Peer(0).Ready.Addrs[0]; !strings.Contains(addr, "/quic-v1/") {
		t.Errorf("it listens at %s", addr)
	}
	ctx := c.Peer(0).Driver()
	got, err := raygo.Get(ctx, makeBytes.Options(on(c.IDs()[1])).Remote(ctx, 3<<20))
	if err != nil || len(got) != 3<<20 {
		t.Errorf("%d bytes: %v", len(got), err)
	}
}
