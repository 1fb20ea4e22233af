package node

import (
	"context"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/gossip"
	"github.com/raygo/raygo/node/link"
	"github.com/raygo/raygo/sched"
)

// measureEvery is how often the core is told what was measured of other peers and
// of the store.
const measureEvery = 500 * time.Millisecond

// measured is what the core was last told.
type measured struct {
	rtt  time.Duration
	rate float64
}

// measure tells the core of round trips, transfer rates and the store, when they
// have changed by enough to matter, until ctx ends.
func (m *mesh) measure(ctx context.Context) error {
	told := map[string]measured{}
	used := 0.0
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var evs []sched.Event
		for _, s := range m.links.Peers() {
			if ev := m.changed(told, &s); ev != nil {
				evs = append(evs, ev)
			}
		}
		m.n.mu.Lock()
		_, free := m.n.core.Capacity()
		queued := m.n.core.Counts().Ready
		m.n.mu.Unlock()
		m.who.tell(&gossip.SelfLoad{Free: int64(free[raygo.CPU] * 1000), Queued: uint32(queued)})
		u := m.n.store.Usage()
		if now := float64(u.Used) / float64(max(u.Limit, 1)); now-used > 0.02 || used-now > 0.02 {
			used = now
			evs = append(evs, &sched.StoreUsed{Used: now})
		}
		if len(evs) > 0 {
			m.n.do(evs...)
		}
	}
}

// changed is what to tell of one peer, if anything.
func (m *mesh) changed(told map[string]measured, s *link.Status) sched.Event {
	if !s.Up {
		delete(told, s.Peer)
		return nil
	}
	now := measured{rtt: s.RTTMin}
	if now.rtt == 0 {
		now.rtt = s.RTT
	}
	if r, ok := m.swarm.Rate(s.Peer); ok {
		now.rate = r.Rate
	}
	was := told[s.Peer]
	differs := func(a, b float64) bool { return a > 1.2*b || b > 1.2*a }
	if !differs(float64(now.rtt), float64(was.rtt)) && !differs(now.rate, was.rate) {
		return nil
	}
	told[s.Peer] = now
	return &sched.PeerStats{Peer: s.Peer, RTT: now.rtt, Rate: now.rate}
}
