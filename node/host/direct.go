package host

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// relayKept is how long connections through a relay stay beside a direct one, so
// that both ends have that.
const relayKept = time.Second

// preferDirect has connections through relays end once there is a direct one to
// the same peer. Streams do not move by themselves: what runs over a relay would
// stay there, and what keeps streams opens them again.
func (h *Host) preferDirect() {
	h.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
		p := c.RemotePeer()
		if relayedConn(c) || len(h.relayedConns(p)) == 0 {
			return
		}
		time.AfterFunc(relayKept, func() {
			if c.IsClosed() {
				return
			}
			for _, r := range h.relayedConns(p) {
				h.cfg.Logger.Info("a direct connection takes the place of one through a relay", "peer", p, "addr", c.RemoteMultiaddr())
				_ = r.Close()
			}
		})
	}})
}

// relayedConns are the connections to a peer that go through relays.
func (h *Host) relayedConns(p peer.ID) (all []network.Conn) {
	for _, c := range h.Network().ConnsToPeer(p) {
		if relayedConn(c) {
			all = append(all, c)
		}
	}
	return all
}

func relayedConn(c network.Conn) bool { return has(c.RemoteMultiaddr(), ma.P_CIRCUIT) }
