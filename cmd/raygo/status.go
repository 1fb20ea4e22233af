package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/cmd/internal/show"
	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	"github.com/raygo/raygo/sdk/ipc"
)

func newStatus(s *shared) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what there is, what is in use, and what waits for a place",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			st, err := ask.One[ipc.ClusterStatus](cmd.Context(), c, ipc.Query{Op: ipc.QueryStatus})
			if err != nil {
				return err
			}
			if st.Nodes.Rows == nil {
				st.Nodes.Rows = []ipc.NodeRow{}
			}
			if st.Demands == nil {
				st.Demands = []ipc.Demand{}
			}
			return s.printer(cmd).Value(st, func(w io.Writer) { printStatus(w, &st) })
		},
	}
}

func printStatus(w io.Writer, st *ipc.ClusterStatus) {
	alive := 0
	for _, n := range st.Nodes.Rows {
		if n.Alive {
			alive++
		}
	}
	fmt.Fprintf(w, "======== Cluster status: %s ========\n", show.Time(st.Time))
	fmt.Fprintf(w, "Peers: %d alive (%s), %d running jobs\n\n", alive, show.Answered(st.Nodes.Peers), st.Jobs)
	show.Rows(w, st.Nodes.Rows, []show.Column[ipc.NodeRow]{
		{Head: "peer_id", Cell: func(r ipc.NodeRow) string { return r.PeerID }},
		{Head: "state", Cell: func(r ipc.NodeRow) string { return r.State }},
		{Head: "workers", Cell: func(r ipc.NodeRow) string { return show.Count(r.Workers) }},
		{Head: "running", Cell: func(r ipc.NodeRow) string { return show.Count(r.Running) }},
		{Head: "pending", Cell: func(r ipc.NodeRow) string { return show.Count(r.Pending) }},
		{Head: "cpu", Cell: func(r ipc.NodeRow) string { return inUse(&r, raygo.CPU) }},
		{Head: "isolation", Cell: func(r ipc.NodeRow) string { return r.Tier }},
		{Head: "reachability", Cell: func(r ipc.NodeRow) string { return r.Reach }},
		{Head: "address", Cell: func(r ipc.NodeRow) string { return firstAddr(r.Addrs) }},
	}, false)
	printAdvice(w, st.Nodes.Rows)
	printUsage(w, st.Nodes.Rows)
	fmt.Fprintln(w, "\nDemands (tasks that wait for a place):")
	if len(st.Demands) == 0 {
		fmt.Fprintln(w, " none")
	}
	for _, d := range st.Demands {
		fmt.Fprintf(w, " %s × %s {%s}", show.Count(d.Count), d.FuncName, show.Quantities(d.Shape))
		if d.Infeasible != "" {
			fmt.Fprintf(w, ": fits no peer: %s", d.Infeasible)
		}
		fmt.Fprintln(w)
	}
}

// inUse is how much of a resource of a peer is in use, of how much.
func inUse(r *ipc.NodeRow, name string) string {
	if !r.Alive || r.Total[name] == 0 && r.Free[name] == 0 {
		return ""
	}
	return show.Quantity(name, r.Total[name]-r.Free[name]) + "/" + show.Quantity(name, r.Total[name])
}

// firstAddr is an address without the ID that is in its row already.
func firstAddr(addrs []string) string {
	if len(addrs) == 0 {
		return ""
	}
	at, _, _ := strings.Cut(addrs[0], "/p2p/")
	if len(addrs) > 1 {
		at += fmt.Sprintf(" and %d more", len(addrs)-1)
	}
	return at
}

// printAdvice says what to change at peers that others cannot dial.
func printAdvice(w io.Writer, nodes []ipc.NodeRow) {
	var lines []string
	for i := range nodes {
		n := &nodes[i]
		relayed := slices.ContainsFunc(n.Links, func(l ipc.LinkRow) bool { return l.Relayed })
		if n.Reach != "private" && n.Reach != "unknown" && !relayed {
			continue
		}
		for _, a := range n.Advice {
			lines = append(lines, fmt.Sprintf(" %s: %s\n", n.PeerID, a))
		}
	}
	if len(lines) > 0 {
		fmt.Fprint(w, "\nReachability:\n", strings.Join(lines, ""))
	}
}

// printUsage adds up the resources of the live peers.
func printUsage(w io.Writer, nodes []ipc.NodeRow) {
	total, used := map[string]float64{}, map[string]float64{}
	var store ipc.StoreUsage
	for _, n := range nodes {
		if !n.Alive {
			continue
		}
		for k, v := range n.Total {
			total[k] += v
			used[k] += v - n.Free[k]
		}
		store.Limit += n.Store.Limit
		store.Used += n.Store.Used
		store.Spilled += n.Store.Spilled
	}
	fmt.Fprintln(w, "\nUsage:")
	for _, k := range slices.Sorted(maps.Keys(total)) {
		fmt.Fprintf(w, " %s/%s %s\n", show.Quantity(k, used[k]), show.Quantity(k, total[k]), k)
	}
	fmt.Fprintf(w, " %s/%s object store", show.Bytes(store.Used), show.Bytes(store.Limit))
	if store.Spilled > 0 {
		fmt.Fprintf(w, ", %s spilled to disk", show.Bytes(store.Spilled))
	}
	fmt.Fprintln(w)
}
