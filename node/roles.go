package node

import (
	"context"
	"errors"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/gossip"
	"github.com/raygo/raygo/node/member"
	"github.com/raygo/raygo/node/wire"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

// What is open to a member is decided by whom it speaks to, from the role in the
// certificate of its handshake; what it says of itself does not count.

// roleOf is the role of a peer. One that this peer has not met says what it says
// through others, who have, and is taken for a peer.
func (m *mesh) roleOf(id string) member.Role {
	p, err := peer.Decode(id)
	if err != nil {
		return ""
	}
	if cert, ok := m.stand.CertificateOf(p); ok {
		return cert.Role
	}
	if m.host.Network().Connectedness(p) == network.Connected {
		return "" // expelled, or its certificate has lapsed
	}
	return member.RolePeer
}

// mayStore reports whether a peer may keep records of the hash table and sign
// them.
func (m *mesh) mayStore(p peer.ID) bool {
	cert, known := m.stand.CertificateOf(p)
	return !known || cert.Role.Allows(member.RoleClient)
}

// closedToReaders is the host for services in which who may only read has no
// part.
func (m *mesh) closedToReaders() host.Host { return &guardedHost{m.host.Host, m.stand.Membership} }

// guardedHost lets streams of clients and peers alone reach its handlers.
type guardedHost struct {
	host.Host
	stand *member.Membership
}

// SetStreamHandler guards a handler.
func (h *guardedHost) SetStreamHandler(p protocol.ID, handle network.StreamHandler) {
	h.Host.SetStreamHandler(p, h.stand.Guard(member.RoleClient, handle))
}

// SetStreamHandlerMatch guards a handler of several protocols.
func (h *guardedHost) SetStreamHandlerMatch(p protocol.ID, match func(protocol.ID) bool, handle network.StreamHandler) {
	h.Host.SetStreamHandlerMatch(p, match, h.stand.Guard(member.RoleClient, handle))
}

// offerOf is what a member's advert comes to with its role: only peers offer
// anything.
func offerOf(a *gossip.Advert, role member.Role) *gossip.Advert {
	if role == member.RolePeer || a.Totals == nil {
		return a
	}
	nothing := *a
	nothing.Totals = nil
	return &nothing
}

// ofExecutor reports whether a message is one that only who runs tasks has to
// say.
func ofExecutor(m sched.Message) bool {
	switch m.(type) {
	case *sched.Bid, *sched.Done, *sched.Yielded:
		return true
	}
	return false
}

// mayAsk reports why a question of a member is not answered.
func (m *mesh) mayAsk(peer string, op wire.Op) error {
	role := m.roleOf(peer)
	if role.Allows(member.RoleClient) || op == wire.OpQuery || op == wire.OpQueryAll || op == wire.OpClock {
		return nil
	}
	return m.notOpen(role)
}

// mayQuery is mayAsk for what commands ask.
func (m *mesh) mayQuery(peer, op string) error {
	role := m.roleOf(peer)
	switch {
	case role.Allows(member.RoleClient):
		return nil
	case role.Allows(member.RoleRead):
		switch op {
		case ipc.QueryStatus, ipc.QueryTasks, ipc.QueryObjects, ipc.QueryNodes, ipc.QueryWorkers, ipc.QueryJobs, ipc.QuerySummary,
			ipc.QueryTask, ipc.QueryObject, ipc.QueryExplain, ipc.QueryLogs, ipc.QueryTimeline, ipc.QueryMemory, ipc.QueryResources, ipc.QueryMembers:
			return nil
		}
	}
	return m.notOpen(role)
}

func (m *mesh) notOpen(role member.Role) error {
	if role == "" {
		return raygo.Fail(raygo.CodeRefused, "who asks peer %s is no member any more", m.n.id)
	}
	return raygo.Fail(raygo.CodeRefused, "the role %s may look, not change anything: an invite of role client or peer is needed", role)
}

// throughWait bounds a question that another peer puts to all.
const throughWait = 30 * time.Second

// askThrough has the first of the peers that answers ask all others: who may only
// read has no part in the cluster's gossip, and knows nobody else.
func (n *Node) askThrough(ctx context.Context, a *asker, q *ipc.Query, peers []string) (any, error) {
	wait := throughWait
	if q.Follow {
		wait = maxAskWait
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err := error(raygo.Fail(raygo.CodeRefused, "no peer of the cluster is connected"))
	for _, p := range peers {
		var last []byte
		err = n.mesh.askParts(ctx, p, wire.OpQueryAll, ipc.Marshal(q), func(b []byte) error {
			if last != nil {
				a.part(last)
			}
			last = b
			return nil
		})
		var refused *raygo.Failure
		if err == nil {
			return cbor.RawMessage(last), nil
		}
		if errors.As(err, &refused) || last != nil || ctx.Err() != nil {
			break
		}
	}
	return nil, err
}
