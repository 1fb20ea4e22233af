package node

import (
	"cmp"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/gossip/topic"
	"github.com/raygo/raygo/sdk/ipc"
)

// States of members as they are listed.
const (
	memberSelf      = "SELF"
	memberConnected = "CONNECTED"
	memberExpelled  = "EXPELLED"
)

// govern answers what is asked about the cluster's membership. Who is a member
// is decided by commands on this machine alone: a member elsewhere, or a task
// that runs here, could else admit whom it likes.
func (n *Node) govern(a *asker, q *ipc.Query) (any, error) {
	switch {
	case q.Op == ipc.QueryMembers:
		return n.members()
	case !a.governs:
		return nil, raygo.Fail(raygo.CodeRefused, "who is a member is decided by the raygo command on the machine of a peer with the cluster's key")
	case q.Op == ipc.QueryInvite:
		return n.invite(q)
	}
	return n.revoke(q)
}

// members lists this peer, those connected to it, and those that were expelled.
func (n *Node) members() (*ipc.Rows[ipc.MemberRow], error) {
	if n.mesh == nil {
		return nil, raygo.Fail(raygo.CodeRefused, "this peer works alone: it is in no cluster")
	}
	rows := &ipc.Rows[ipc.MemberRow]{Rows: []ipc.MemberRow{}, Peers: ipc.Asked{Asked: 1, Answered: 1}}
	for _, m := range n.mesh.stand.Members() {
		row := ipc.MemberRow{PeerID: m.Peer.String(), Role: string(m.Role), State: memberConnected, Until: m.NotAfter}
		if m.Self {
			row.State = memberSelf
		} else if len(n.mesh.host.Network().ConnsToPeer(m.Peer)) == 0 {
			continue
		}
		rows.Rows = append(rows.Rows, row)
	}
	for _, d := range n.mesh.stand.DenyList().Peers {
		rows.Rows = append(rows.Rows, ipc.MemberRow{PeerID: d.Peer.String(), State: memberExpelled, Since: d.Since})
	}
	slices.SortFunc(rows.Rows, func(x, y ipc.MemberRow) int { return cmp.Compare(x.PeerID, y.PeerID) })
	rows.Total = len(rows.Rows)
	return rows, nil
}

// revoke expels a peer, named by its ID or the unique beginning of a known one.
func (n *Node) revoke(q *ipc.Query) (*ipc.Revoked, error) {
	if n.mesh == nil || n.mesh.stand.Loopback {
		return nil, raygo.Fail(raygo.CodeRefused, "this peer is in no cluster from which others could be expelled: the peers of one user on one machine share a key")
	}
	p, err := peer.Decode(q.ID)
	if err != nil {
		rows, err := n.members()
		if err != nil {
			return nil, err
		}
		var ids []string
		for _, r := range rows.Rows {
			ids = append(ids, r.PeerID)
		}
		id, err := one("node", q.ID, ids)
		if err != nil {
			return nil, err
		}
		if p, err = peer.Decode(id); err != nil {
			return nil, err
		}
	}
	list, err := n.mesh.keeper.Expel(p)
	if err != nil {
		return nil, err
	}
	n.mesh.tell(topic.Notice{Kind: topic.Denied, Body: list.Bytes()})
	return &ipc.Revoked{PeerID: p.String(), Cluster: list.Cluster, Epoch: list.Epoch, Denied: len(list.Peers)}, nil
}
