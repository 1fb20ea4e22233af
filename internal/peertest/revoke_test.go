package peertest_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	"github.com/raygo/raygo/sdk/ipc"
)

// A peer that is expelled is disconnected and does not come back, and only a
// peer with the cluster's key expels.
func TestRevoke(t *testing.T) {
	key := filepath.Join(t.TempDir(), "cluster.key")
	if _, _, err := node.CreateCluster(key); err != nil {
		t.Fatal(err)
	}
	c := peertest.Cluster(t, 1, peertest.Options{Args: []string{"--cluster-key", key}})
	var inv ipc.Invite
	c.Peer(0).Ask(&ipc.Query{Op: ipc.QueryInvite, ID: "peer"}, &inv)
	joined := c.Join(inv.Text)
	c.Meet()

	states := func() map[string]string {
		var rows ipc.Rows[ipc.MemberRow]
		c.Peer(0).Ask(&ipc.Query{Op: ipc.QueryMembers}, &rows)
		all := map[string]string{}
		for _, r := range rows.Rows {
			all[r.PeerID] = r.State
		}
		return all
	}
	if s := states(); len(s) != 2 || s[c.Peer(0).Ready.ID] != "SELF" || s[joined.Ready.ID] != "CONNECTED" {
		t.Errorf("members are %v", s)
	}
	refused := (&peertest.Peer{Ready: joined.Ready}).Asked(&ipc.Query{Op: ipc.QueryRevoke, ID: c.Peer(0).Ready.ID}, &ipc.Revoked{})
	if refused == nil {
		t.Error("a peer without the key expelled another")
	}

	var r ipc.Revoked
	c.Peer(0).Ask(&ipc.Query{Op: ipc.QueryRevoke, ID: joined.Ready.ID[:20]}, &r)
	if r.PeerID != joined.Ready.ID || r.Epoch != 1 || r.Denied != 1 {
		t.Errorf("expelled %+v", r)
	}
	if s := states(); len(s) != 2 || s[joined.Ready.ID] != "EXPELLED" {
		t.Errorf("members are %v", s)
	}
	for end := time.Now().Add(10 * time.Second); ; {
		var nodes ipc.Rows[ipc.NodeRow]
		c.Peer(0).Ask(&ipc.Query{Op: ipc.QueryNodes}, &nodes)
		alive, expelled := 0, false
		for _, n := range nodes.Rows {
			if n.Alive {
				alive++
			} else {
				expelled = n.PeerID == joined.Ready.ID && n.State == "EXPELLED"
			}
		}
		if alive == 1 && expelled {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("after 10s %d peers are alive: %+v", alive, nodes.Rows)
		}
	}
}
