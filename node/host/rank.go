package host

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// quicDelay is how long a peer on the same network has to answer on TCP before
// QUIC is tried.
const quicDelay = 250 * time.Millisecond

// rank says in which order addresses are dialled. Libp2p prefers QUIC; here, on
// loopback and private networks, TCP is three times as fast and says at once
// when a process is gone. On the internet libp2p's order stays.
func rank(addrs []ma.Multiaddr) []network.AddrDelay {
	ranked := swarm.DefaultDialRanker(addrs)
	tcp, quic := time.Duration(-1), time.Duration(-1)
	for _, a := range ranked {
		switch near := nearby(a.Addr); {
		case near && has(a.Addr, ma.P_TCP) && (tcp < 0 || a.Delay < tcp):
			tcp = a.Delay
		case near && has(a.Addr, ma.P_QUIC_V1) && (quic < 0 || a.Delay < quic):
			quic = a.Delay
		}
	}
	if tcp < 0 || quic < 0 {
		return ranked
	}
	for i, a := range ranked {
		switch {
		case !nearby(a.Addr):
		case has(a.Addr, ma.P_TCP):
			ranked[i].Delay -= tcp
		case has(a.Addr, ma.P_QUIC_V1):
			ranked[i].Delay += quicDelay - quic
		}
	}
	return ranked
}

// nearby reports whether an address is on this machine or a private network.
func nearby(a ma.Multiaddr) bool { return !has(a, ma.P_CIRCUIT) && manet.IsPrivateAddr(a) }

func has(a ma.Multiaddr, code int) bool {
	_, err := a.ValueForProtocol(code)
	return err == nil
}
