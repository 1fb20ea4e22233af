package host

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
)

// service is the name under which peers of a cluster find each other by mDNS:
// other clusters on the network have other names.
func service(cluster string) string {
	const longest = 63 - len("_raygo-") // of a label
	return "_raygo-" + cluster[:min(len(cluster), longest)] + "._udp"
}

// startMDNS announces the peer on every interface and looks for others.
func (h *Host) startMDNS() error {
	name := service(h.cfg.Member.ClusterID())
	s := mdns.NewMdnsService(h.Host, name, found(h.cfg.Found))
	if err := s.Start(); err != nil {
		return fmt.Errorf("host: announce %s by mDNS: %w", name, err)
	}
	h.mdns = s
	return nil
}

// found is told of peers.
type found func(peer.AddrInfo)

// HandlePeerFound implements mdns.Notifee.
func (f found) HandlePeerFound(p peer.AddrInfo) {
	if f != nil {
		f(p)
	}
}
