package peertest_test

import (
	"context"
	"testing"

	"github.com/raygo/raygo/internal/peertest"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/p2p"
)

// A bridge offers nothing and listens nowhere: the tasks of its programs run on
// the peers of the cluster that it is told of one of.
func TestBridge(t *testing.T) {
	t.Parallel()
	c := peertest.Cluster(t, clusterSize)
	bridge := c.Bridge()
	ctx := bridge.Driver()
	if len(bridge.Ready.Addrs) != 0 {
		t.Errorf("the bridge listens at %v", bridge.Ready.Addrs)
	}
	for _, id := range c.IDs() {
		if got, err := raygo.Get(ctx, whereAmI.Options(on(id)).Remote(ctx)); err != nil || got != id {
			t.Errorf("a task for %s ran on %s: %v", id, got, err)
		}
	}
	got, err := raygo.Get(ctx, makeBytes.Remote(ctx, 3<<20))
	if err != nil || len(got) != 3<<20 {
		t.Errorf("%d bytes: %v", len(got), err)
	}
	sum, err := raygo.Get(ctx, sizeOf.Remote(ctx, got))
	if err != nil || sum != 9<<20 {
		t.Errorf("sum %d: %v", sum, err)
	}
}

// A program reaches a peer elsewhere by its multiaddr, with a bridge of its own.
func TestConnectByMultiaddr(t *testing.T) {
	c := peertest.Cluster(t, 2)
	t.Setenv("XDG_RUNTIME_DIR", c.Dir())
	ctx, s, err := raygo.Init(context.Background(), p2p.Connect(c.Peer(1).Ready.Addrs[0], p2p.Config{}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, id := range c.IDs() {
		if got, err := raygo.Get(ctx, whereAmI.Options(on(id)).Remote(ctx)); err != nil || got != id {
			t.Errorf("a task for %s ran on %s: %v", id, got, err)
		}
	}
}
