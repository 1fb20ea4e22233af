package host

import (
	"fmt"
	"math"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/libp2p/go-libp2p/x/rate"
)

// What one peer and all may reserve. It is not memory in use: yamux reserves
// 256 KiB for each stream, and closes the whole connection when it may not.
const (
	peerMemory   = 4 << 30
	systemMemory = 64 << 30
)

// maxShaking bounds the connections whose handshake is under way.
const maxShaking = 1024

// limits are the resource manager's. Everything stays finite, but so far away
// that only what is out of hand meets it:
//
//   - connections from one address: libp2p allows 8 per IPv4 address and per
//     /56 of IPv6, so that the ninth peer on a machine is refused, and 16 new
//     ones at once, then one in 5 s, so that restarts are. Loopback is exempt,
//     and so nothing of it shows on one machine. Here there is no such limit:
//     whoever connects shows a certificate.
//   - streams of one protocol with one peer: 75, and the next is reset.
//   - connections of all peers: some hundreds, fewer on small machines.
//   - memory per peer: see peerMemory.
func limits(conns, streams int) (network.ResourceManager, error) {
	scaling := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&scaling)
	base := scaling.AutoScale()

	// Connections are transient until their handshake is over. A cluster that
	// starts has many at once; strangers that hold all of them, which lasts 15 s
	// each, must not take those of members.
	shaking := min(conns, maxShaking)
	total := rcmgr.LimitVal(conns + shaking)
	all := rcmgr.ResourceLimits{
		Conns: total, ConnsInbound: total, ConnsOutbound: total, FD: total,
		Streams: rcmgr.LimitVal(16 * conns), StreamsInbound: rcmgr.LimitVal(16 * conns), StreamsOutbound: rcmgr.LimitVal(16 * conns),
		Memory: systemMemory,
	}
	transient := all
	transient.Conns, transient.ConnsInbound, transient.ConnsOutbound, transient.FD = rcmgr.LimitVal(shaking), rcmgr.LimitVal(shaking), rcmgr.LimitVal(shaking), rcmgr.LimitVal(shaking)
	transient.Memory = peerMemory
	every := rcmgr.ResourceLimits{Streams: all.Streams, StreamsInbound: all.Streams, StreamsOutbound: all.Streams, Memory: systemMemory}
	one := rcmgr.ResourceLimits{
		Streams: rcmgr.LimitVal(2 * streams), StreamsInbound: rcmgr.LimitVal(streams), StreamsOutbound: rcmgr.LimitVal(streams),
		Memory: peerMemory,
	}
	peer := one
	peer.Conns, peer.ConnsInbound, peer.ConnsOutbound, peer.FD = 32, 32, 32, 32
	// Identify runs on every new connection.
	ident := rcmgr.ResourceLimits{Streams: rcmgr.LimitVal(2 * conns), StreamsInbound: rcmgr.LimitVal(conns), StreamsOutbound: rcmgr.LimitVal(conns), Memory: peerMemory}

	limited := rcmgr.PartialLimitConfig{
		System: all, Transient: transient,
		ServiceDefault: every, ServicePeerDefault: one,
		ProtocolDefault: every, ProtocolPeerDefault: one,
		PeerDefault: peer,
		Service:     map[string]rcmgr.ResourceLimits{identify.ServiceName: ident},
		Protocol:    map[protocol.ID]rcmgr.ResourceLimits{identify.ID: ident, identify.IDPush: ident},
	}.Build(base)

	none := []rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: math.MaxInt}}
	none6 := []rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: math.MaxInt}}
	m, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limited),
		rcmgr.WithLimitPerSubnet(none, none6), rcmgr.WithConnRateLimiters(&rate.Limiter{}), rcmgr.WithMetricsDisabled())
	if err != nil {
		return nil, fmt.Errorf("host: resource limits: %w", err)
	}
	return m, nil
}
