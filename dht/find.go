package dht

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// settle is how long a lookup goes on for more holders once it has one.
const settle = 250 * time.Millisecond

// maxDropped bounds what Drop remembers.
const maxDropped = 4096

// Providers finds up to limit peers that hold what c names, in no order; its
// addresses are in the host's peerstore then. This peer itself, dead ones and
// dropped ones are not among them. It takes no longer than LookupTimeout and
// returns what it has found by then; an error only if that is nothing and not
// everybody was asked. No holder and no error: nobody that was asked knows one.
func (d *DHT) Providers(ctx context.Context, c cid.Cid, limit int) ([]peer.ID, error) {
	if !c.Defined() || limit <= 0 {
		return nil, nil
	}
	if d.ctx.Err() != nil {
		return nil, ErrClosed
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, d.cfg.LookupTimeout)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	var found []peer.ID
	var enough <-chan time.Time
	// No count is given to kad-dht: it would count peers that are left out here.
	next := d.kad.FindProvidersAsync(ctx, c, 0)
	seen := map[peer.ID]bool{d.self: true}
collect:
	for len(found) < limit {
		select {
		case ai, more := <-next:
			if !more {
				break collect
			}
			if seen[ai.ID] || !d.cfg.Alive(ai.ID) || d.dropped.has(c, ai.ID) {
				continue
			}
			seen[ai.ID] = true
			found = append(found, ai.ID)
			if enough == nil {
				t := time.NewTimer(settle)
				defer t.Stop()
				enough = t.C
			}
		case <-enough:
			break collect
		}
	}
	outcome, err := "found", error(nil)
	if len(found) == 0 {
		outcome = "none"
		if err = ctx.Err(); err != nil {
			outcome, err = "late", fmt.Errorf("find holders of %s: %w", c, err)
		}
	}
	d.metrics.lookups.WithLabelValues("providers", outcome).Inc()
	d.metrics.seconds.WithLabelValues("providers").Observe(time.Since(start).Seconds())
	return found, err
}

// Drop says that p was asked for what c names and has not got it: its record
// goes, and Providers does not name it for c until the record would have
// expired.
func (d *DHT) Drop(c cid.Cid, p peer.ID) {
	if !c.Defined() {
		return
	}
	d.providers.forget(c.Hash(), p)
	d.dropped.add(c, p)
}

// dropped remembers who was asked in vain.
type dropped struct {
	keep time.Duration

	mu    sync.Mutex
	until map[holding]time.Time
	order []holding // oldest first
}

// holding is one peer's copy of something.
type holding struct {
	key  string
	peer peer.ID
}

func newDropped(keep time.Duration) *dropped {
	return &dropped{keep: keep, until: map[holding]time.Time{}}
}

func (d *dropped) add(c cid.Cid, p peer.ID) {
	h := holding{string(c.Hash()), p}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.until[h]; !ok {
		if len(d.order) == maxDropped { // the oldest may be named once more
			delete(d.until, d.order[0])
			d.order = d.order[1:]
		}
		d.order = append(d.order, h)
	}
	d.until[h] = time.Now().Add(d.keep)
}

func (d *dropped) has(c cid.Cid, p peer.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, ok := d.until[holding{string(c.Hash()), p}]
	return ok && time.Now().Before(t)
}
