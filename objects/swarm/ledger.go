package swarm

import (
	"slices"
	"sync"
	"time"
)

// Times and bounds of the ledger.
const (
	freshFor  = time.Second      // who was sent a block has it for others by then
	askersFor = 10 * time.Second // who asked so recently may have blocks
	maxSpread = 256              // objects that are spread at a time
)

// ledger knows which blocks of large objects went to whom just now, and who asks
// for what: so that the holder of something that many want sends each block about
// once, and those who want it find each other.
type ledger struct {
	mu   sync.Mutex
	keys map[Key]*spread
}

// spread is one object that is being sent. Blocks are kept in two generations,
// of which the older is dropped after freshFor.
type spread struct {
	cur, old map[int]sentTo
	turned   time.Time
	used     time.Time
	askers   map[string]time.Time
}

type sentTo struct {
	peer string
	at   time.Time
}

func newLedger() *ledger { return &ledger{keys: map[Key]*spread{}} }

func (l *ledger) spread(k Key, now time.Time) *spread {
	x := l.keys[k]
	if x == nil {
		if len(l.keys) >= maxSpread {
			l.dropOldest()
		}
		x = &spread{cur: map[int]sentTo{}, askers: map[string]time.Time{}, turned: now}
		l.keys[k] = x
	}
	x.used = now
	if now.Sub(x.turned) > freshFor {
		x.cur, x.old, x.turned = map[int]sentTo{}, x.cur, now
	}
	return x
}

func (l *ledger) dropOldest() {
	var oldest *Key
	for k, x := range l.keys {
		if oldest == nil || x.used.Before(l.keys[*oldest].used) {
			oldest = &k
		}
	}
	delete(l.keys, *oldest)
}

// send decides about sending a block to a peer: it is noted, unless it went to
// somebody else just now, who is named then.
func (l *ledger) send(k Key, i int, to string, insist bool, now time.Time) (elsewhere string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.spread(k, now)
	if !insist {
		for _, gen := range []map[int]sentTo{x.cur, x.old} {
			if last, ok := gen[i]; ok && last.peer != to && now.Sub(last.at) < freshFor {
				return last.peer
			}
		}
	}
	x.cur[i] = sentTo{to, now}
	return ""
}

// sent notes when a block that send allowed has gone out: on a slow way that is
// much later.
func (l *ledger) sent(k Key, i int, to string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spread(k, now).cur[i] = sentTo{to, now}
}

// ask notes that a peer wants an object and returns who else does.
func (l *ledger) ask(k Key, from string, now time.Time) (others []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.spread(k, now)
	for p, at := range x.askers {
		switch {
		case now.Sub(at) > askersFor:
			delete(x.askers, p)
		case p != from:
			others = append(others, p)
		}
	}
	if len(x.askers) < 4*maxHints {
		x.askers[from] = now
	}
	slices.Sort(others)
	return others[:min(len(others), maxHints)]
}

// forget takes back what went to a peer that is gone.
func (l *ledger) forget(peer string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.keys {
		delete(x.askers, peer)
		for _, gen := range []map[int]sentTo{x.cur, x.old} {
			for i, last := range gen {
				if last.peer == peer {
					delete(gen, i)
				}
			}
		}
	}
}

func (l *ledger) tidy(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, x := range l.keys {
		if now.Sub(x.used) > askersFor {
			delete(l.keys, k)
		}
	}
}
