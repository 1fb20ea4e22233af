package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/raygo/raygo/cmd/raygo/internal/fleet"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
	"github.com/raygo/raygo/sdk/p2p"
)

// peersElsewhere are processes that this test is no part of, reached by the
// multiaddr of the first alone.
func peersElsewhere(t *testing.T, n int) *fleet.Fleet {
	t.Helper()
	home(t)
	f, err := fleet.Start(t.Context(), fleet.Options{Peers: n, CPUs: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("XDG_RUNTIME_DIR", f.Dir()) // the key of this user's peers is there
	return f
}

func TestCommandsThroughABridge(t *testing.T) {
	f := peersElsewhere(t, 2)
	first, second := f.Peers()[0], f.Peers()[1]
	t.Setenv("RAYGO_ADDRESS", first.Addrs[0])

	code, out, errOut := try(t, "list", "nodes", "--format", "json")
	var nodes ipc.Rows[struct {
		PeerID string   `json:"peer_id"`
		Reach  string   `json:"reachability"`
		Addrs  []string `json:"addrs"`
	}]
	if err := json.Unmarshal([]byte(out), &nodes); code != exitDone || err != nil {
		t.Fatalf("exit code %d, %v: %s", code, err, errOut)
	}
	if nodes.Total != 2 || !strings.Contains(out, `"asked": 2`) || !strings.Contains(out, `"answered": 2`) {
		t.Errorf("the bridge is counted among the peers:\n%s", out)
	}
	for _, r := range nodes.Rows {
		if r.Reach != "local" || len(r.Addrs) == 0 {
			t.Errorf("peer %s is %q at %v", r.PeerID, r.Reach, r.Addrs)
		}
	}
	c := raygoRun(t, "input", "word")
	if b, err := c.Output(); err != nil || string(b) != "9 bytes\n" {
		t.Errorf("raygo run: %v: %s", err, b)
	}
	code, out, errOut = try(t, "status", "--address", second.Addrs[0])
	if code != exitDone || !strings.Contains(out, "2 alive (2 of 2 peers answered)") || !strings.Contains(out, "/ip4/127.0.0.1/tcp/") {
		t.Errorf("exit code %d: %s%s", code, out, errOut)
	}
	r := demoJSON(t, goSource(t, 3))
	if len(r.Peers) != 3 || r.Totals.Files != 3 {
		t.Errorf("the demo on peers elsewhere: %+v", r)
	}
	for _, p := range r.Peers {
		if p.Driver != p.Bridge || p.Bridge && p.Tasks > 0 {
			t.Errorf("driver, bridge and tasks: %+v", p)
		}
	}
}

// In a cluster of three all three could run a task that waits: the owner counts,
// unless it could not run it.
func TestExplainCountsTheOwnerAmongThePeers(t *testing.T) {
	f := peersElsewhere(t, 2)
	p, err := p2p.Start(t.Context(), p2p.Config{NumCPUs: 1, ObjectStoreMemory: 64 << 20, Bootstrap: f.Peers()[0].Addrs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("stop the peer: %v", err)
		}
	})
	t.Setenv("RAYGO_ADDRESS", p.Address())
	s := attachTo(t, p)
	s.until("all peers", func() bool { return strings.Contains(s.command("status"), "3 alive (3 of 3 peers answered)") })
	var refs []raygo.Ref[int]
	for range 5 {
		refs = append(refs, holdTask.Remote(s.ctx, s.gate))
	}
	s.untilStates("raygo.hold", map[string]int{"RUNNING": 3, "PENDING_NODE_ASSIGNMENT": 2})
	s.untilExplained(refs, "none of the 3 peer(s) that could run it has room (its owner and 2 other(s))")
	away := holdTask.Options(raygo.Resource("elsewhere", 1))
	if _, err := f.Add(t.Context(), "elsewhere"); err != nil {
		t.Fatal(err)
	}
	refs = refs[:0]
	for range 2 {
		refs = append(refs, away.Remote(s.ctx, s.gate))
	}
	s.untilStates("raygo.hold", map[string]int{"RUNNING": 4, "PENDING_NODE_ASSIGNMENT": 3})
	s.untilExplained(refs, "none of the 1 peer(s) that could run it has room (its owner is not one of them)")
	s.open()
}

// untilExplained waits until one of the tasks is explained so.
func (s *seen) untilExplained(refs []raygo.Ref[int], want string) {
	s.t.Helper()
	s.until("an explanation: "+want, func() bool {
		return slices.ContainsFunc(refs, func(r raygo.Ref[int]) bool {
			return strings.Contains(s.command("explain", taskOf(r), "--format", "json"), want)
		})
	})
}

// Peers of a cluster with a key may listen on loopback as this user's own do;
// with which membership a bridge comes is told by whom it has met with it.
func TestAnInviteIsNeededOnceOnLoopbackToo(t *testing.T) {
	dir := home(t)
	key := filepath.Join(dir, "cluster.key")
	if code, _, errOut := try(t, "cluster", "create", key); code != exitDone {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	peer := func(cfg p2p.Config) string {
		cfg.NumCPUs, cfg.ObjectStoreMemory, cfg.Listen = 1, 64<<20, []string{"/ip4/127.0.0.1/tcp/0"}
		p, err := p2p.Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Stop(); err != nil {
				t.Errorf("stop a peer: %v", err)
			}
		})
		t.Setenv("RAYGO_ADDRESS", p.Address())
		return p.Addrs()[0]
	}
	ours := peer(p2p.Config{})
	theirs := peer(p2p.Config{ClusterKeyFile: key})
	code, invite, errOut := try(t, "cluster", "invite", "--role", "client", "--format", "json")
	var i ipc.Invite
	if err := json.Unmarshal([]byte(invite), &i); code != exitDone || err != nil {
		t.Fatalf("exit code %d, %v: %s", code, err, errOut)
	}
	for _, args := range [][]string{{"--address", theirs, "--join", i.Text}, {"--address", theirs}, {"--address", ours}} {
		if code, out, errOut := try(t, append(args, "status")...); code != exitDone || !strings.Contains(out, "1 of 1 peers answered") {
			t.Errorf("%q: exit code %d: %s%s", args, code, out, errOut)
		}
	}
}
