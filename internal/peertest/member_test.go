package peertest_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

// A machine with the cluster's key admits itself, another joins with an invite,
// which works once; who is in no cluster or another reaches nobody.
func TestInvite(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "cluster.key")
	if _, _, err := node.CreateCluster(key); err != nil {
		t.Fatal(err)
	}
	c := peertest.Cluster(t, 1, peertest.Options{Args: []string{"--cluster-key", key}})
	var inv ipc.Invite
	c.Peer(0).Ask(&ipc.Query{Op: ipc.QueryInvite, ID: "peer"}, &inv)
	joined := c.Join(inv.Text)
	c.Meet()
	ctx := joined.Driver()
	if got, err := raygo.Get(ctx, whereAmI.Options(on(c.Peer(0).Ready.ID)).Remote(ctx)); err != nil || got != c.Peer(0).Ready.ID {
		t.Errorf("a task ran on %s: %v", got, err)
	}

	joined.Kill() // it has its membership in its directory
	joined.Start()
	c.Meet()

	if out, err := c.Refused("--join", inv.Text); err == nil || !strings.Contains(out, "invite") {
		t.Errorf("the invite was used a second time: %v, %s", err, out)
	}
	if out, err := c.Refused("--bridge", c.Peer(0).Ready.Addrs[0]); err == nil || !strings.Contains(out, "no peer of this cluster answers") {
		t.Errorf("a stranger was let in: %v, %s", err, out)
	}
}
