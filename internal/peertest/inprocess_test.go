package peertest_test

import (
	"bytes"
	"testing"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

// Peers inside one process make a cluster too, which is how the race detector
// sees them.
func TestPeersInOneProcess(t *testing.T) {
	dir := t.TempDir()
	cfg := node.Config{CPUs: 1, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, LoopbackDir: dir}
	first := peertest.Start(t, cfg)
	cfg.Bootstrap = first.Ready.Addrs
	second := peertest.Start(t, cfg)
	waitFor(t, "they meet", func() bool {
		var rows ipc.Rows[ipc.NodeRow]
		first.Ask(t, &ipc.Query{Op: ipc.QueryNodes}, &rows)
		return rows.Total == 2 && rows.Peers.Answered == 2
	})
	ctx := first.Driver()
	there := on(second.Ready.ID)
	var refs []raygo.Ref[int]
	for i := range 300 {
		refs = append(refs, addUp.Options(raygo.Strategy(raygo.Spread())).Remote(ctx, i, 1))
	}
	blob, err := raygo.Put(ctx, bytes.Repeat([]byte{1}, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := raygo.Get(ctx, sizeOf.Options(there).RemoteArgs(ctx, blob)); err != nil || got != 1<<20 {
		t.Errorf("sum %d: %v", got, err)
	}
	if got, err := raygo.Get(ctx, makeBytes.Options(there).Remote(ctx, 2<<20)); err != nil || len(got) != 2<<20 {
		t.Errorf("%d bytes: %v", len(got), err)
	}
	if _, err := raygo.Get(ctx, spread.Options(there).Remote(ctx, []string{first.Ready.ID, second.Ready.ID})); err != nil {
		t.Error(err)
	}
	sum := 0
	for v, err := range countTo.Options(there).Remote(ctx, 100).Values(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		sum += v
	}
	if _, err := raygo.Get(ctx, say.Options(there).Remote(ctx, "heard")); err != nil || sum != 4950 {
		t.Errorf("sum %d: %v", sum, err)
	}
	if _, err := raygo.GetAll(ctx, refs); err != nil {
		t.Error(err)
	}
	var tasks ipc.Rows[ipc.TaskRow]
	second.Ask(t, &ipc.Query{Op: ipc.QueryTasks, Limit: 1000}, &tasks)
	if tasks.Total < 300 {
		t.Errorf("%d tasks", tasks.Total)
	}
}
