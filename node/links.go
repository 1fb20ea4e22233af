package node

import (
	"errors"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/raygo/raygo/gossip"
	"github.com/raygo/raygo/node/link"
	"github.com/raygo/raygo/node/member"
	"github.com/raygo/raygo/node/wire"
)

// newLinks prepares the links to other peers.
func (m *mesh) newLinks() (*link.Mesh, error) {
	m.n.metrics.registry.MustRegister(newMeshMetrics(m))
	return link.New(link.Config{
		Host: m.host, Hello: m.hello(), Handler: (*linkHandler)(m), Bulk: m.serveBulk, Admit: m.admit,
		Registerer: m.n.metrics.registry, Logger: m.n.log,
	})
}

// hello is what this peer says first on every link.
func (m *mesh) hello() link.Hello {
	advert := m.who.ownAdvert()
	return link.Hello{
		Versions: [2]uint16{wire.Version, wire.Version}, Cluster: m.stand.ClusterID(),
		Incarnation: m.incarnation, Advert: advert.Bytes(), Addrs: advert.Addrs,
	}
}

// admit lets members have links; what they may say on them depends on their
// roles.
func (m *mesh) admit(c network.Conn) error {
	if _, ok := m.stand.RoleOf(c); !ok {
		return errors.New("it has shown no membership")
	}
	return nil
}

// linkHandler is the mesh as its links see it.
type linkHandler mesh

// Up takes a new link: its peer is made known with what it offers.
func (h *linkHandler) Up(peer string, hello link.Hello) {
	m := (*mesh)(h)
	role := m.roleOf(peer)
	if !role.Allows(member.RoleClient) {
		return // it asks, and there is nothing else between us
	}
	up, err := m.who.up(peer, role, &hello)
	if err != nil {
		m.n.log.Warn("a peer's hello", "peer", peer, "err", err)
		m.dropLater(peer, err.Error())
		return
	}
	if m.n.reads {
		return
	}
	m.n.linkUp(peer, role, up)
	m.work.Go(func() { m.compareClocks(peer) })
}

// Down takes the end of a link.
func (h *linkHandler) Down(peer, reason string) {
	m := (*mesh)(h)
	left := m.who.down(peer)
	m.asks.peerGone(peer)
	m.swarm.Forget(peer)
	m.n.linkDown(peer, reason)
	if left {
		m.n.peerDead(peer, "it left")
	}
}

// Frames takes what a peer said.
func (h *linkHandler) Frames(peer string, c link.Class, frames [][]byte) {
	m := (*mesh)(h)
	var err error
	if c == link.Task {
		m.who.mark(peer)
		err = m.n.taskFrames(peer, frames)
	} else {
		for _, frame := range frames {
			if err = m.controlFrame(peer, frame); err != nil {
				break
			}
		}
	}
	if err != nil {
		m.n.log.Warn("a peer broke the protocol", "peer", peer, "err", err)
		m.links.Ban(peer, err.Error())
	}
}

// controlFrame takes one frame of a control stream.
func (m *mesh) controlFrame(peer string, frame []byte) error {
	k, body, err := wire.KindOf(frame)
	if err != nil {
		return err
	}
	switch k {
	case wire.KindGossip:
		m.who.tell(&gossip.Frame{From: peer, Bytes: body})
	case wire.KindAsk:
		var q wire.Ask
		if err := wire.Decoded(body, &q); err != nil {
			return err
		}
		m.asked(peer, &q)
	case wire.KindAnswer:
		var a wire.Answer
		if err := wire.Decoded(body, &a); err != nil {
			return err
		}
		m.asks.answered(peer, &a)
	}
	return nil
}
