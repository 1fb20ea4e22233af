package member

import (
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Gater refuses whoever was expelled, and connections of transports that do not
// check membership in their handshake.
func (m *Membership) Gater() connmgr.ConnectionGater { return gater{m} }

// throughRelay is the transport that libp2p names for connections through a relay.
const throughRelay = "p2p-circuit"

type gater struct{ m *Membership }

// InterceptPeerDial refuses to dial an expelled peer.
func (g gater) InterceptPeerDial(p peer.ID) bool { return !g.m.Denied(p) }

// InterceptAddrDial allows all: addresses say nothing about membership.
func (g gater) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

// InterceptAccept allows all: nobody is known yet.
func (g gater) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured refuses an expelled peer.
func (g gater) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return !g.m.Denied(p)
}

// InterceptUpgraded lets through only connections between members: those whose
// handshake was Protocol's, and those on QUIC whose TLS certificate is a
// member's. It holds for QUIC transports that are not ours too. A connection
// through a relay does not say how it was secured; it was by one of the host's
// security protocols, of which newcomers' never ends in a connection.
func (g gater) InterceptUpgraded(c network.Conn) (bool, control.DisconnectReason) {
	state := c.ConnState()
	if state.Security == Protocol || state.Transport == throughRelay {
		_, ok := g.m.RoleOf(c)
		return ok, 0
	}
	leaf, ok := quicLeaf(c)
	return ok && g.m.checkLeaf(c.RemotePeer(), leaf) == nil, 0
}
