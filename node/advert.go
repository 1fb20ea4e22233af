package node

import (
	"maps"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/node/wire"
)

// advert is what a peer is, in its own words.
type advert struct {
	Peer        string                    `cbor:"1,keyasint"`
	Incarnation uint64                    `cbor:"2,keyasint"` // of its process
	Seq         uint64                    `cbor:"3,keyasint,omitempty"`
	Addrs       []string                  `cbor:"4,keyasint,omitempty"`
	Totals      map[string]raygo.Quantity `cbor:"5,keyasint,omitempty"`
	Labels      map[string]string         `cbor:"6,keyasint,omitempty"`
	Platform    string                    `cbor:"7,keyasint,omitempty"`
	Tier        string                    `cbor:"8,keyasint,omitempty"`
	Version     string                    `cbor:"9,keyasint,omitempty"`
	Draining    bool                      `cbor:"10,keyasint,omitempty"`
	Client      bool                      `cbor:"11,keyasint,omitempty"` // it offers nothing, and is no node
}

func parseAdvert(b []byte) (a advert, err error) { return a, wire.Decoded(b, &a) }

// advert is this peer's.
func (m *mesh) advert() *advert {
	n := m.n
	totals := map[string]raygo.Quantity{
		raygo.CPU: n.res.CPU, raygo.Memory: raygo.Quantity(n.res.Memory), raygo.GPU: raygo.Quantity(len(n.res.GPUIDs)) * raygo.Unit,
	}
	maps.Copy(totals, n.res.Custom)
	return &advert{
		Peer: n.id, Incarnation: m.incarnation, Addrs: m.addrs(), Totals: totals, Labels: n.cfg.Labels,
		Platform: platform, Tier: string(n.launcher.Tier()), Version: Version, Client: n.cfg.Client,
	}
}
