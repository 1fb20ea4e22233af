package peertest_test

import (
	"io"
	"net/http"
	"regexp"
	"strconv"
	"testing"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/sdk/ipc"
)

// counted is what a peer has counted under a name, with labels if it has any, and
// whether there is such a count yet.
func counted(t *testing.T, p *peertest.Process, name string) (n int, ok bool) {
	t.Helper()
	resp, err := http.Get("http://" + p.Ready.HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\d+)$`).FindSubmatch(b)
	if m == nil {
		return 0, false
	}
	n, err = strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n, true
}

// refusedAt is how many peers one has named dead because nothing listened where
// they were.
func refusedAt(t *testing.T, p *peertest.Process) int {
	t.Helper()
	n, ok := counted(t, p, "raygo_peers_refused_dead_total")
	if !ok {
		t.Fatal("the metric is not there")
	}
	return n
}

// named waits until a peer is in a state by what the first says.
func named(t *testing.T, c *peertest.Processes, id, state string) {
	t.Helper()
	waitFor(t, id+" is "+state, func() bool {
		var rows ipc.Rows[ipc.NodeRow]
		c.Peer(0).Ask(&ipc.Query{Op: ipc.QueryNodes}, &rows)
		for i := range rows.Rows {
			if rows.Rows[i].PeerID == id {
				return rows.Rows[i].State == state
			}
		}
		return false
	})
}

// The machine of a process that is gone refuses connections, which is proof; one
// that stands still refuses nothing, and is named dead for its silence. Either is
// one of the cluster again when it is back.
func TestWhoIsGoneRefusesWhoStandsStillDoesNot(t *testing.T) {
	t.Parallel()
	c := peertest.Cluster(t, 3, peertest.Options{Args: []string{"--http", "127.0.0.1:0"}})
	ids := c.IDs()
	c.Peer(2).Pause()
	named(t, c, ids[2], "DEAD")
	if n := refusedAt(t, c.Peer(0)); n != 0 {
		t.Fatalf("%d peers refused; one was paused, none was killed", n)
	}
	c.Peer(2).Resume()
	c.Meet()
	// A machine that is busy may find out later than silence tells.
	for try := 0; ; try++ {
		c.Peer(1).Kill()
		named(t, c, ids[1], "DEAD")
		n := refusedAt(t, c.Peer(0))
		c.Peer(1).Start()
		c.Meet()
		if n > 0 {
			return
		}
		if try == 4 {
			t.Fatal("a killed peer was never known by its refusals")
		}
	}
}

// A peer behind a router has addresses that refuse connections from here though
// it lives; nothing follows from their refusing when its link breaks.
func TestAnAddressThatWasNeverOpenProvesNothing(t *testing.T) {
	t.Parallel()
	c := peertest.Cluster(t, 2, peertest.Options{
		Args: []string{"--http", "127.0.0.1:0"},
		Each: func(i int) []string {
			if i == 0 {
				return nil
			}
			return []string{"--announce", "/ip4/127.0.0.1/tcp/1"} // nothing listens there
		},
	})
	ids := c.IDs()
	c.Peer(1).Kill()
	named(t, c, ids[1], "DEAD")
	if n := refusedAt(t, c.Peer(0)); n != 0 {
		t.Fatalf("%d peers are dead by the refusal of an address that was never open", n)
	}
}
