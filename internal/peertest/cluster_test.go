package peertest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

var (
	whereAmI  = raygo.Func0(whereIRun)
	sizeOf    = raygo.Func1(sumBytes)
	makeBytes = raygo.Func1(bytesOfSize)
	spread    = raygo.Func1(whereChildrenRun)
	countTo   = raygo.Gen1(countUp)
	say       = raygo.Func1(sayIt)
	rest      = raygo.Func1(restFor)
	failAway  = raygo.Func0(failThere)
)

// TestMain makes the test binary a program: started by a peer it is a worker.
func TestMain(m *testing.M) {
	if os.Getenv("RAYGO_WORKER_FD") != "" {
		_, _, err := raygo.Init(context.Background())
		panic(err) // a worker's Init does not return
	}
	os.Exit(m.Run())
}

var errAway = errors.New("it did not work there")

func whereIRun(ctx context.Context) (string, error) { return raygo.Info(ctx).Peer, nil }

func sumBytes(_ context.Context, b []byte) (int, error) {
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	return sum, nil
}

func bytesOfSize(_ context.Context, n int) ([]byte, error) { return bytes.Repeat([]byte{3}, n), nil }

func whereChildrenRun(ctx context.Context, peers []string) (string, error) {
	var refs []raygo.Ref[string]
	for _, p := range peers {
		refs = append(refs, whereAmI.Options(on(p)).Remote(ctx))
	}
	got, err := raygo.GetAll(ctx, refs)
	return strings.Join(got, " "), err
}

func countUp(_ context.Context, n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
	}
}

func sayIt(_ context.Context, s string) (int, error) {
	fmt.Println(s)
	return os.Getpid(), nil
}

func restFor(ctx context.Context, d time.Duration) (string, error) {
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(d):
	}
	return raygo.Info(ctx).Peer, nil
}

func failThere(context.Context) (int, error) { return 0, errAway }

// on is the strategy of a task for one peer alone.
func on(peer string) raygo.Option { return raygo.Strategy(raygo.NodeAffinity(peer, false)) }

// Peers on loopback find each other by one address, and a task goes where its
// affinity says.
func TestAffinityReachesAnotherPeer(t *testing.T) {
	c := peertest.Cluster(t, clusterSize)
	ctx := c.Peer(0).Driver()
	for i, id := range c.IDs() {
		got, err := raygo.Get(ctx, whereAmI.Options(on(id)).Remote(ctx))
		if err != nil || got != id {
			t.Errorf("task for peer %d (%s) ran on %s: %v", i, id, got, err)
		}
	}
}

const clusterSize = 3

// A cluster is one machine to its programs: values, refs, streams, errors and
// output go between peers as they do on one.
func TestClusterIsOneMachine(t *testing.T) {
	c := peertest.Cluster(t, clusterSize)
	ids := c.IDs()
	last := ids[len(ids)-1]
	ctx := c.Peer(0).Driver()

	t.Run("a large argument goes there", func(t *testing.T) {
		ref, err := raygo.Put(ctx, bytes.Repeat([]byte{1}, 3<<20))
		if err != nil {
			t.Fatal(err)
		}
		got, err := raygo.Get(ctx, sizeOf.Options(on(last)).RemoteArgs(ctx, ref))
		if err != nil || got != 3<<20 {
			t.Errorf("sum %d: %v", got, err)
		}
	})
	t.Run("a large result comes back", func(t *testing.T) {
		got, err := raygo.Get(ctx, makeBytes.Options(on(last)).Remote(ctx, 5<<20))
		if err != nil || len(got) != 5<<20 || got[len(got)-1] != 3 {
			t.Errorf("%d bytes: %v", len(got), err)
		}
	})
	t.Run("a large result is used here", func(t *testing.T) {
		got, err := raygo.Get(ctx, sizeOf.Options(on(ids[0])).RemoteArgs(ctx, makeBytes.Options(on(last)).Remote(ctx, 2<<20)))
		if err != nil || got != 3*2<<20 {
			t.Errorf("sum %d: %v", got, err)
		}
	})
	t.Run("children run everywhere", func(t *testing.T) {
		got, err := raygo.Get(ctx, spread.Options(on(last)).Remote(ctx, ids))
		if err != nil || got != strings.Join(ids, " ") {
			t.Errorf("children ran on %s: %v", got, err)
		}
	})
	t.Run("a stream comes over", func(t *testing.T) {
		sum := 0
		for v, err := range countTo.Options(on(last)).Remote(ctx, 1000).Values(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			sum += v
		}
		if sum != 499_500 {
			t.Errorf("sum %d", sum)
		}
	})
	t.Run("an error keeps its meaning", func(t *testing.T) {
		_, err := raygo.Get(ctx, failAway.Options(on(last)).Remote(ctx))
		var te *raygo.TaskError
		if !errors.As(err, &te) || te.Peer != last {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a thousand tasks are spread", func(t *testing.T) {
		var refs []raygo.Ref[string]
		for range 1000 {
			refs = append(refs, whereAmI.Options(raygo.Strategy(raygo.Spread())).Remote(ctx))
		}
		got, err := raygo.GetAll(ctx, refs)
		if err != nil {
			t.Fatal(err)
		}
		count := map[string]int{}
		for _, p := range got {
			count[p]++
		}
		if len(count) != len(ids) {
			t.Errorf("tasks by peer: %v", count)
		}
	})
	t.Run("a task elsewhere is cancelled", func(t *testing.T) {
		ref := rest.Options(on(last)).Remote(ctx, time.Minute)
		waitFor(t, "the task runs", func() bool {
			var rows ipc.Rows[ipc.TaskRow]
			c.Peer(0).Ask(&ipc.Query{Op: ipc.QueryTasks, Filters: []string{"func_name=peertest_test.restFor", "state=RUNNING"}}, &rows)
			return rows.Total == 1 && rows.Rows[0].PeerID == last && rows.Peers.Answered == len(ids)
		})
		out, err := raygo.Cancel(ctx, ref)
		if err != nil || out != raygo.Stopped {
			t.Errorf("cancel: %v, %v", out, err)
		}
		if _, err := raygo.Get(ctx, ref); !errors.Is(err, raygo.ErrTaskCancelled) {
			t.Errorf("get: %v", err)
		}
	})
	t.Run("any peer tells of all tasks", func(t *testing.T) {
		var rows [2]ipc.Rows[ipc.TaskRow]
		q := &ipc.Query{Op: ipc.QueryTasks, Filters: []string{"func_name=peertest_test.whereIRun"}, Limit: 5000}
		c.Peer(0).Ask(q, &rows[0])
		c.Peer(len(ids)-1).Ask(q, &rows[1])
		want := 1000 + len(ids)
		if rows[0].Total != want || rows[1].Total != want {
			t.Errorf("peers tell of %d and %d tasks, there were %d", rows[0].Total, rows[1].Total, want)
		}
	})
	t.Run("output reaches the driver's peer", func(t *testing.T) {
		ref := say.Options(on(last)).Remote(ctx, "hello from there")
		if _, err := raygo.Get(ctx, ref); err != nil {
			t.Fatal(err)
		}
		if got := c.Peer(0).Logs(ref.ID()[:40]); strings.Join(got.Lines, "") != "hello from there" || len(got.Missing) > 0 {
			t.Errorf("logs: %q, missing from %q", got.Lines, got.Missing)
		}
	})
}

// A job that is cancelled while another peer runs its tasks: they are counted once,
// where they ran.
func TestCancelOfAJobElsewhere(t *testing.T) {
	c := peertest.Cluster(t, 2)
	ids := c.IDs()
	ctx, session, err := raygo.Init(t.Context(), raygo.Address("unix://"+c.Peer(0).Ready.Socket))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	rest.Options(on(ids[1])).Remote(ctx, time.Minute)
	running(t, c, ids[1], 1)
	var report ipc.CancelReport
	c.Peer(1).Ask(&ipc.Query{Op: ipc.QueryCancel, ID: session.JobID()}, &report)
	if report.Stopped != 1 || report.NeverStarted != 0 {
		t.Errorf("cancel: %+v", report)
	}
	waitFor(t, "both peers say that it failed", func() bool {
		var rows ipc.Rows[ipc.TaskRow]
		c.Peer(0).Ask(&ipc.Query{Op: ipc.QueryTasks, Filters: []string{"state=FAILED"}}, &rows)
		return rows.Total == 1 && rows.Rows[0].PeerID == ids[1]
	})
	for i := range ids {
		var sum ipc.Summary
		c.Peer(i).Ask(&ipc.Query{Op: ipc.QuerySummary, ID: "tasks"}, &sum)
		if sum.Total != 1 {
			t.Errorf("peer %d counts %d tasks: %+v", i, sum.Total, sum.Groups)
		}
	}
}

// Executors forget a job that another peer owned when it has ended, but not what
// its tasks wrote; and who asks is told whose lines cannot be had.
func TestLogsOfAnEndedJob(t *testing.T) {
	c := peertest.Cluster(t, 3)
	ids := c.IDs()
	ctx, session, err := raygo.Init(t.Context(), raygo.Address("unix://"+c.Peer(0).Ready.Socket))
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		for j := range 2 {
			if _, err := raygo.Get(ctx, say.Options(on(id)).Remote(ctx, fmt.Sprint("line ", i, j))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := session.Close(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the job's workers are gone", func() bool {
		var rows ipc.Rows[ipc.WorkerRow]
		c.Peer(0).Ask(&ipc.Query{Op: ipc.QueryWorkers, Filters: []string{"job_id=" + session.JobID()}}, &rows)
		return rows.Total == 0 && rows.Peers.Answered == len(ids)
	})
	for i := range ids {
		got := c.Peer(i).Logs(session.JobID())
		slices.Sort(got.Lines)
		if want := []string{"line 0 0", "line 0 1", "line 1 0", "line 1 1", "line 2 0", "line 2 1"}; !slices.Equal(got.Lines, want) || len(got.Missing) > 0 {
			t.Errorf("peer %d: lines %q, missing from %q", i, got.Lines, got.Missing)
		}
	}
	c.Peer(2).Kill()
	got := c.Peer(1).Logs(session.JobID())
	slices.Sort(got.Lines)
	if want := []string{"line 0 0", "line 0 1", "line 1 0", "line 1 1"}; !slices.Equal(got.Lines, want) || !slices.Equal(got.Missing, ids[2:]) {
		t.Errorf("after peer 2 is dead: lines %q, missing from %q", got.Lines, got.Missing)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in 20 s: %s", what)
		}
	}
}
