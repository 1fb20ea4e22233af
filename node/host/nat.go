package host

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// What a member relays. The traffic is that of members and not limited, other
// than in libp2p, whose relays only help to punch holes: so a connection
// through a relay is one like others.
const (
	maxReservations = 512      // peers reachable through this one
	maxCircuits     = 512      // connections of one such peer
	relayBuffer     = 64 << 10 // bytes per direction
)

// crossesNAT reports whether anything is on that a peer needs behind a router.
func (c *Config) crossesNAT() bool {
	return c.Relay || c.HolePunch || c.PortMap || len(c.Relays) > 0
}

// nat are the options about being reached. On one network all of it is off:
// peers would try in vain to find out how the internet sees them.
func (c *Config) nat(self *late) ([]libp2p.Option, error) {
	var opts []libp2p.Option
	switch {
	case c.Reach == Private:
		opts = append(opts, libp2p.ForceReachabilityPrivate())
	case c.Reach == Public || !c.crossesNAT():
		opts = append(opts, libp2p.ForceReachabilityPublic())
	}
	if !c.crossesNAT() {
		return append(opts, libp2p.DisableRelay(), libp2p.DisableIdentifyAddressDiscovery()), nil
	}
	if c.PortMap {
		opts = append(opts, libp2p.NATPortMap())
	}
	opts = append(opts, libp2p.EnableRelay(), libp2p.EnableNATService())
	if c.HolePunch {
		opts = append(opts, libp2p.EnableHolePunching())
	}
	if c.Relay {
		res := relay.DefaultResources()
		res.MaxReservations, res.MaxReservationsPerIP, res.MaxReservationsPerASN = maxReservations, maxReservations, maxReservations
		res.MaxCircuits, res.BufferSize = maxCircuits, relayBuffer
		opts = append(opts, libp2p.EnableRelayService(relay.WithResources(res), relay.WithInfiniteLimits(),
			relay.WithReservationAddressFilter(func(ma.Multiaddr) bool { return true })))
	}
	switch {
	case len(c.Relays) > 0:
		var infos []peer.AddrInfo
		for _, s := range c.Relays {
			info, err := peer.AddrInfoFromString(s)
			if err != nil {
				return nil, fmt.Errorf("host: relay %q: %w", s, err)
			}
			infos = append(infos, *info)
		}
		opts = append(opts, libp2p.EnableAutoRelayWithStaticRelays(infos))
	case c.Relay:
		opts = append(opts, libp2p.EnableAutoRelayWithPeerSource(self.connected, autorelay.WithMinCandidates(1), autorelay.WithBootDelay(0)))
	}
	return opts, nil
}

// relayTag is what libp2p protects connections to the relays with that this
// peer has a reservation at.
const relayTag = "autorelay"

// told makes what others are told of the addresses that libp2p knows: announce
// in the place of those it listens at, and addresses through relays on private
// networks, which libp2p leaves out.
func (c *Config) told(announce []ma.Multiaddr, self *late) func([]ma.Multiaddr) []ma.Multiaddr {
	return func(known []ma.Multiaddr) []ma.Multiaddr {
		var all []ma.Multiaddr
		for _, a := range known {
			if len(announce) == 0 || has(a, ma.P_CIRCUIT) {
				all = append(all, a)
			}
		}
		all = append(all, announce...)
		if p := self.h.Load(); p != nil && c.crossesNAT() && c.Reach != Public {
			all = append(all, relayed(*p)...)
		}
		return all
	}
}

// relayed are a host's addresses through relays on private networks.
func relayed(h host.Host) (all []ma.Multiaddr) {
	for _, id := range h.Network().Peers() {
		if !h.ConnManager().IsProtected(id, relayTag) {
			continue
		}
		circuit, err := ma.NewMultiaddr("/p2p/" + id.String() + "/p2p-circuit")
		if err != nil {
			continue
		}
		for _, a := range h.Peerstore().Addrs(id) {
			if nearby(a) && !manet.IsIPLoopback(a) {
				all = append(all, a.Encapsulate(circuit))
			}
		}
	}
	return all
}

// late is the host for options that are made before it.
type late struct{ h atomic.Pointer[host.Host] }

func (l *late) set(h host.Host) { l.h.Store(&h) }

// connected names members that are connected, who may be relays.
func (l *late) connected(ctx context.Context, n int) <-chan peer.AddrInfo {
	found := make(chan peer.AddrInfo, n)
	defer close(found)
	h := l.h.Load()
	if h == nil || ctx.Err() != nil {
		return found
	}
	for _, id := range (*h).Network().Peers() {
		if len(found) == n {
			break
		}
		found <- (*h).Peerstore().PeerInfo(id)
	}
	return found
}
