package topic

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// publishWait bounds how long a full queue is waited for.
const publishWait = time.Second

// tell publishes this peer's advert when it has changed, and now and then.
func (t *Topic) tell(ctx context.Context) {
	timer := time.NewTimer(t.refresh())
	defer timer.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.kick:
			if wait := t.cfg.Gap - time.Since(last); !last.IsZero() && wait > 0 {
				timer.Reset(wait)
				continue
			}
		case <-timer.C:
		}
		t.mu.Lock()
		b := t.advert
		t.mu.Unlock()
		if b != nil {
			if err := t.publish(ctx, adverts, b); err != nil && ctx.Err() == nil {
				t.cfg.Logger.Warn("tell the cluster what this peer is", "err", err)
			}
			last = time.Now()
		}
		timer.Reset(t.refresh())
	}
}

// refresh is when to say the same again: not all peers at once.
func (t *Topic) refresh() time.Duration {
	return t.cfg.Refresh*3/4 + rand.N(t.cfg.Refresh/2+1)
}

// publish hands a message to the pubsub.
func (t *Topic) publish(ctx context.Context, which int, b []byte) error {
	if t.life.Err() != nil {
		return ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	if err := t.posts[which].topic.Publish(ctx, b); err != nil {
		return fmt.Errorf("publish %d bytes: %w", len(b), err)
	}
	t.metrics.count(published)
	return nil
}
