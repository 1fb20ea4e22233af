package peertest_test

import (
	"testing"

	"github.com/raygo/raygo/internal/peertest"
	raygo "github.com/raygo/raygo/sdk"
)

// A bridge offers nothing and listens nowhere: the tasks of its programs run on
// the peers of the cluster that it is told of one of.
func TestBridge(t *testing.T) {
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
