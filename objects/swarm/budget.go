package swarm

import (
	"sync"
	"time"
)

// aging is how long a fetch waits until it counts as one step more urgent, so
// that none waits for ever.
const aging = 2 * time.Second

// budget is what may be asked for and not be here yet, in bytes, of all flights.
type budget struct {
	mu      sync.Mutex
	limit   int64
	used    int64
	waiting []*waiter
}

// waiter is a flight that found the budget used up.
type waiter struct {
	prio  func() Priority
	nudge func() // must not block
	since time.Time
}

// rank orders waiters: less goes first.
func (w *waiter) rank(now time.Time) float64 {
	return float64(w.prio()) - float64(now.Sub(w.since))/float64(aging)
}

// take gives n bytes to w unless they are used up or somebody more urgent waits
// for them; then w is nudged when there is a chance again.
func (b *budget) take(w *waiter, n int64, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.since.IsZero() {
		w.since = now
	}
	if b.used+n <= b.limit || b.used == 0 {
		if first := b.first(now); first == nil || first == w || first.rank(now) > w.rank(now) {
			b.used += n
			return true
		}
	}
	for _, o := range b.waiting {
		if o == w {
			return false
		}
	}
	b.waiting = append(b.waiting, w)
	return false
}

// first is the most urgent of those who wait.
func (b *budget) first(now time.Time) (best *waiter) {
	for _, w := range b.waiting {
		if best == nil || w.rank(now) < best.rank(now) {
			best = w
		}
	}
	return best
}

// give returns n bytes.
func (b *budget) give(n int64, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if w := b.first(now); w != nil {
		w.nudge()
	}
}

// leave says that w needs no more than it has.
func (b *budget) leave(w *waiter, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, o := range b.waiting {
		if o != w {
			continue
		}
		b.waiting = append(b.waiting[:k], b.waiting[k+1:]...)
		if next := b.first(now); next != nil {
			next.nudge()
		}
		break
	}
	w.since = time.Time{}
}

func (b *budget) inFlight() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}
