package node

import (
	"context"
	"time"

	"github.com/raygo/raygo/node/wire"
)

// Bounds of what clocks may differ by before somebody is told.
const (
	skewTold = 2 * time.Second // certificates and timelines are off by it
	skewWait = 2 * time.Second // for a peer to say what time it is
)

// compareClocks warns of a peer whose clock is not ours. Nothing that is decided
// compares clocks of two machines, but certificates expire by them and timelines
// are drawn by them.
func (m *mesh) compareClocks(peer string) {
	ctx, cancel := context.WithTimeout(m.n.ctx, skewWait)
	defer cancel()
	var a wire.ClockAnswer
	asked := time.Now()
	if err := m.askFor(ctx, peer, wire.OpClock, struct{}{}, &a); err != nil {
		return
	}
	took := time.Since(asked)
	skew := time.Unix(0, a.Now).Sub(asked.Add(took / 2))
	if skew.Abs() > skewTold+took {
		m.n.log.Warn("a peer's clock differs from this machine's: check that both are set by NTP", "peer", peer, "ahead", skew.Round(time.Millisecond))
	}
}
