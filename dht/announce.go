package dht

import (
	"container/heap"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	gather     = 20 * time.Millisecond  // how long the first announcement waits for others to share its batch
	maxBatch   = 256                    // announcements in a batch
	aloneFirst = 50 * time.Millisecond  // how soon a peer without others looks again
	retryFirst = 200 * time.Millisecond // after a batch that nobody took
	retryLast  = 5 * time.Second
	soon       = time.Second      // when it is announced again that there are more peers
	forming    = 30 * time.Second // how long after that a table is not to be relied on
)

// announcer owns what this peer has announced and what it still has to say. Its
// run is the only one that talks; everybody else leaves work in its tables.
type announcer struct {
	d    *DHT
	wake chan struct{} // something is due earlier than run thinks
	met  chan struct{} // there are more peers in the table, or fewer

	mu       sync.Mutex
	closed   bool
	entries  map[string]*entry // by multihash
	due      dueHeap
	queued   int // entries never announced
	unsaid   []withdrawal
	lastSize int       // of the routing table, when run last looked
	grownAt  time.Time // when it last grew while it was small
}

// entry is one holding.
type entry struct {
	key    []byte   // multihash
	at     [32]byte // its place in the key space
	due    time.Time
	index  int // in the heap; -1 while a batch has it
	placed []peer.ID
	said   bool // announced at least once
	fails  int
}

// withdrawal is what is to be said to peers that keep a record of ours.
type withdrawal struct {
	key   []byte
	peers []peer.ID
}

// maxUnsaid bounds the withdrawals that wait. Those beyond it expire instead.
const maxUnsaid = 8192

func newAnnouncer(d *DHT) *announcer {
	return &announcer{d: d, wake: make(chan struct{}, 1), met: make(chan struct{}, 1), entries: map[string]*entry{}}
}

// Provide says that this peer holds what c names, soon and from then on, until
// Withdraw. It does not block. ErrFull: MaxProvided or MaxQueue is reached, and
// the holding is not announced; owners' hints find it all the same.
func (d *DHT) Provide(c cid.Cid) error {
	if !c.Defined() {
		return fmt.Errorf("dht: provide an undefined CID")
	}
	a, key := d.announce, []byte(c.Hash())
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return ErrClosed
	}
	if _, ok := a.entries[string(key)]; ok {
		return nil
	}
	if len(a.entries) >= d.cfg.MaxProvided {
		d.metrics.full.WithLabelValues("provided").Inc()
		return fmt.Errorf("provide %s: %d holdings: %w", c, len(a.entries), ErrFull)
	}
	if a.queued >= d.cfg.MaxQueue {
		d.metrics.full.WithLabelValues("queue").Inc()
		return fmt.Errorf("provide %s: %d announcements wait: %w", c, a.queued, ErrFull)
	}
	e := &entry{key: key, at: sha256.Sum256(key), due: time.Now()}
	a.entries[string(key)] = e
	a.queued++
	heap.Push(&a.due, e)
	poke(a.wake)
	return nil
}

// Withdraw says that this peer does not hold what c names any more. It does not
// block; the peers that keep the record are told with the next batch.
func (d *DHT) Withdraw(c cid.Cid) {
	if !c.Defined() {
		return
	}
	a, key := d.announce, c.Hash()
	a.mu.Lock()
	defer a.mu.Unlock()
	e, ok := a.entries[string(key)]
	if !ok {
		return
	}
	delete(a.entries, string(key))
	if e.index >= 0 {
		heap.Remove(&a.due, e.index)
	}
	if !e.said {
		a.queued--
	}
	d.metrics.withdrawn.Inc()
	d.providers.forget(key, d.self)
	a.unsay(e.key, e.placed)
}

// unsay queues a withdrawal; a.mu is held.
func (a *announcer) unsay(key []byte, peers []peer.ID) {
	if len(peers) == 0 {
		return
	}
	if len(a.unsaid) >= maxUnsaid {
		a.d.metrics.unsaid.Inc()
		return
	}
	a.unsaid = append(a.unsaid, withdrawal{key, peers})
	poke(a.wake)
}

func (a *announcer) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
}

func (a *announcer) len() (held, queued int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.entries), a.queued
}

// run says what is due, batch after batch, until ctx ends.
func (a *announcer) run(ctx context.Context) {
	alone := aloneFirst
	for {
		wait := a.next(time.Now())
		if a.d.kad.RoutingTable().Size() == 0 {
			// Nobody to tell, until stayIn finds somebody.
			wait, alone = alone, min(2*alone, retryLast)
		} else {
			alone = aloneFirst
		}
		if wait > 0 {
			switch sleep(ctx, wait, a.wake, a.met) {
			case stopped:
				return
			case woken:
				if sleep(ctx, gather, nil, nil) == stopped {
					return
				}
			case company:
				alone = aloneFirst
			case slept:
			}
		}
		a.grown()
		if a.d.kad.RoutingTable().Size() == 0 {
			continue
		}
		a.sayWithdrawals(ctx)
		if batch := a.take(time.Now()); len(batch) > 0 {
			a.placeAll(ctx, batch)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// next is how long nothing is due.
func (a *announcer) next(now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.unsaid) > 0 {
		return 0
	}
	if len(a.due) == 0 {
		return a.d.cfg.Reprovide
	}
	return max(0, a.due[0].due.Sub(now))
}

// take removes up to a batch of what is due from the heap.
func (a *announcer) take(now time.Time) []*entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	var batch []*entry
	for len(a.due) > 0 && len(batch) < maxBatch && !a.due[0].due.After(now) {
		batch = append(batch, heap.Pop(&a.due).(*entry))
	}
	return batch
}

// give puts an entry of a batch back, to be said again when it is due. One that
// was withdrawn meanwhile is withdrawn where it was just placed.
func (a *announcer) give(e *entry, placed []peer.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.entries[string(e.key)] != e {
		a.d.providers.forget(e.key, a.d.self)
		a.unsay(e.key, placed)
		return
	}
	now := time.Now()
	if len(placed) > 0 {
		a.d.metrics.placed.WithLabelValues("placed").Inc()
		if !e.said {
			e.said = true
			a.queued--
		}
		e.placed, e.fails = placed, 0
		e.due = now.Add(again(now.Sub(a.grownAt), a.d.cfg.Reprovide))
	} else {
		a.d.metrics.placed.WithLabelValues("nobody").Inc()
		e.due = now.Add(min(retryFirst<<min(e.fails, 10), retryLast))
		e.fails++
	}
	heap.Push(&a.due, e)
}

// again is when to say again what was just said. While the cluster forms, tables
// are small, and where a record was put may not be where others look for it: so
// after 1 s, 5 s and 20 s since it last grew. Then with the usual interval,
// spread, so that what was made in one burst is not said in one burst for ever.
func again(sinceGrown, usual time.Duration) time.Duration {
	if sinceGrown < forming {
		return min(3*sinceGrown+soon, usual)
	}
	return time.Duration((0.8 + 0.2*rand.Float64()) * float64(usual))
}

// grown has everything said again soon when there are more peers in a table that
// was small: what only two peers keep goes with them, and those who do not keep
// it yet are asked for it.
func (a *announcer) grown() {
	size := a.d.kad.RoutingTable().Size()
	a.mu.Lock()
	defer a.mu.Unlock()
	if size > a.lastSize && a.lastSize < a.d.cfg.bucket() {
		a.grownAt = time.Now()
		for _, e := range a.entries {
			if again := a.grownAt.Add(soon); e.index >= 0 && e.due.After(again) {
				e.due = again
				heap.Fix(&a.due, e.index)
			}
		}
	}
	a.lastSize = size
}

// poke leaves a mark in a channel of one.
func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// reason is why a sleep ended.
type reason int

const (
	slept reason = iota
	woken
	company
	stopped
)

// sleep waits for a time, for work, or for a peer.
func sleep(ctx context.Context, d time.Duration, wake, met <-chan struct{}) reason {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return slept
	case <-wake:
		return woken
	case <-met:
		return company
	case <-ctx.Done():
		return stopped
	}
}

// dueHeap orders entries by when they are due.
type dueHeap []*entry

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *dueHeap) Push(x any) {
	e := x.(*entry)
	e.index = len(*h)
	*h = append(*h, e)
}

// Pop implements heap.Interface.
func (h *dueHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	e.index = -1
	return e
}
