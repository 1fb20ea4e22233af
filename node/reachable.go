package node

import (
	"slices"
	"strings"

	"github.com/raygo/raygo/sdk/ipc"
)

// describeLinks adds to the row of this peer how others reach it and what went
// over its links.
func (m *mesh) describeLinks(r *ipc.NodeRow) {
	if m == nil {
		return
	}
	reach := m.host.Reachability()
	r.Reach, r.Advice, r.Ways = reach.Reachability, reach.Advice, reach.Ways
	switch {
	case len(r.Addrs) == 0:
		r.Reach = "none"
	case !slices.ContainsFunc(r.Addrs, fromElsewhere):
		r.Reach = "local"
	}
	moved := map[string]ipc.LinkRow{}
	for _, p := range m.swarm.Stats().Peers {
		moved[p.Peer] = ipc.LinkRow{PeerID: p.Peer, Fetched: p.BytesIn, Served: p.BytesOut, Rate: p.Rate}
	}
	for _, l := range m.links.Peers() {
		if !l.Up {
			continue
		}
		row := moved[l.Peer]
		row.PeerID, row.Addr, row.Relayed, row.RTT = l.Peer, l.Addr, l.Relayed, l.RTT
		moved[l.Peer] = row
	}
	for _, row := range moved {
		r.Links = append(r.Links, row)
	}
	slices.SortFunc(r.Links, func(a, b ipc.LinkRow) int { return strings.Compare(a.PeerID, b.PeerID) })
}

// fromElsewhere reports whether an address is of more than this machine.
func fromElsewhere(addr string) bool {
	return !strings.HasPrefix(addr, "/ip4/127.") && !strings.HasPrefix(addr, "/ip6/::1/")
}
