package node

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/raygo/raygo/gossip"
	"github.com/raygo/raygo/gossip/topic"
	"github.com/raygo/raygo/node/member"
)

// farewell bounds how long it may take to say that this peer goes.
const farewell = 500 * time.Millisecond

// newTopic joins what is told to the whole cluster at once.
func (m *mesh) newTopic() (err error) {
	m.topic, err = topic.New(topic.Config{
		Host: m.closedToReaders(), Cluster: m.stand.ClusterID(), Admit: m.mayAnnounce, Registerer: m.n.metrics.registry, Logger: m.n.log,
		Advert: func(a gossip.Advert) { m.who.tell(&gossip.Learnt{Advert: a}) }, Notice: m.noticed,
	})
	return err
}

// mayAnnounce reports whether what a peer says of itself concerns all: a client
// offers nothing.
func (m *mesh) mayAnnounce(p peer.ID) bool {
	cert, known := m.stand.CertificateOf(p)
	return !known || cert.Role == member.RolePeer
}

// noticed takes an event of the cluster.
func (m *mesh) noticed(from string, e topic.Notice) {
	switch e.Kind {
	case topic.Denied:
		list, err := member.ParseDenyList(e.Body)
		if err == nil {
			err = m.keeper.Take(list)
		}
		if err != nil {
			m.n.log.Warn("a deny list that a peer passed on", "peer", from, "err", err)
		}
	case topic.Leaving:
		m.who.left(from, e.Incarnation)
	}
}

// announce tells the cluster what this peer is.
func (m *mesh) announce(a *gossip.Advert) {
	if m.n.cfg.Client {
		return
	}
	if err := m.topic.SetAdvert(a); err != nil {
		m.n.log.Warn("tell the cluster what this peer is", "err", err)
	}
}

// tell tells the cluster of an event. Who misses it finds out in another way.
func (m *mesh) tell(e topic.Notice) {
	if m == nil || m.n.cfg.Client || !m.joined() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	e.Incarnation = m.incarnation
	if err := m.topic.Tell(ctx, e); err != nil {
		m.n.log.Debug("tell the cluster of an event", "kind", e.Kind, "err", err)
	}
}
