package node

import (
	"context"
	"fmt"
	"time"

	"github.com/raygo/raygo/node/wire"
)

// soleEvery is how often a peer that leaves asks whether it is still needed.
const soleEvery = 50 * time.Millisecond

// handOver waits until no other peer needs an object that only this one has: the
// owners copy them away since they were told that it leaves.
func (n *Node) handOver(ctx context.Context) error {
	tick := time.NewTicker(soleEvery)
	defer tick.Stop()
	for said := -1; ; {
		n.mu.Lock()
		left := n.core.SoleHere()
		n.mu.Unlock()
		for _, peer := range n.mesh.linked() {
			var a wire.SoleAnswer
			if err := n.mesh.askFor(ctx, peer, wire.OpSole, struct{}{}, &a); err != nil {
				n.log.Debug("ask what only this peer has", "peer", peer, "err", err)
				continue
			}
			left += a.Objects
		}
		if left != said {
			said = left
			n.log.Debug("handing over what only this peer has", "objects", left)
		}
		if left == 0 {
			n.yieldJobs(ctx)
			return nil
		}
		select {
		case <-n.ctx.Done():
			return nil
		case <-ctx.Done():
			return fmt.Errorf("drain: %d object(s) that only this peer has are still needed after %s: %w", left, n.cfg.DrainTimeout, ctx.Err())
		case <-tick.C:
		}
	}
}
