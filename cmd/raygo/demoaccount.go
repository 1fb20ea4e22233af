package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	"github.com/raygo/raygo/cmd/raygo/internal/demo"
	"github.com/raygo/raygo/sdk/ipc"
)

// pair is two peers between which bytes went.
type pair struct{ to, from string }

// moved is what each peer has fetched from each other so far, and which there
// are.
func moved(ctx context.Context, address string) (got map[pair]int64, peers []string, err error) {
	c, err := ask.Dial(ctx, address)
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	nodes, err := ask.List[ipc.NodeRow](ctx, c, ipc.Query{Op: ipc.QueryNodes, Limit: everyNode})
	if err != nil {
		return nil, nil, fmt.Errorf("ask what peers fetched: %w", err)
	}
	got = map[pair]int64{}
	for i := range nodes.Rows {
		if nodes.Rows[i].Alive {
			peers = append(peers, nodes.Rows[i].PeerID)
		}
		for _, l := range nodes.Rows[i].Links {
			// Each end counts; a bridge, which is no row, is seen by the other.
			to, from := pair{nodes.Rows[i].PeerID, l.PeerID}, pair{l.PeerID, nodes.Rows[i].PeerID}
			got[to] = max(got[to], l.Fetched)
			got[from] = max(got[from], l.Served)
		}
	}
	return got, peers, nil
}

// account asks where the tasks of the demo ran and what was fetched from whom
// meanwhile.
func account(ctx context.Context, address string, before map[pair]int64, res *demo.Result) error {
	after, peers, err := moved(ctx, address)
	if err != nil {
		return err
	}
	c, err := ask.Dial(ctx, address)
	if err != nil {
		return err
	}
	defer c.Close()
	tasks, err := ask.List[ipc.TaskRow](ctx, c, ipc.Query{Op: ipc.QueryTasks, Filters: []string{"job_id=" + res.Job}, Limit: everyNode})
	if err != nil {
		return fmt.Errorf("ask where tasks ran: %w", err)
	}
	at := map[string]*demo.Share{}
	share := func(peer string) *demo.Share {
		if at[peer] == nil {
			at[peer] = &demo.Share{Peer: peer, Driver: peer == res.Peer, Bridge: !slices.Contains(peers, peer)}
		}
		return at[peer]
	}
	for _, p := range peers {
		share(p)
	}
	for i := range tasks.Rows {
		if r := &tasks.Rows[i]; r.PeerID != "" {
			s := share(r.PeerID)
			s.Tasks++
			if !slices.Contains(s.PIDs, r.WorkerPID) {
				s.PIDs = append(s.PIDs, r.WorkerPID)
			}
		}
	}
	for p, bytes := range after {
		if n := bytes - before[p]; n > 0 {
			share(p.from)
			share(p.to).Fetched = append(share(p.to).Fetched, demo.Fetched{From: p.from, Bytes: n})
		}
	}
	for _, s := range at {
		res.Peers = append(res.Peers, *s)
	}
	res.SortPeers()
	return nil
}
