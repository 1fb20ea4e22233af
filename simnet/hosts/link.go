package hosts

import (
	"slices"
	"time"
)

// Link is one direction between two peers.
type Link struct {
	Latency   time.Duration // of a byte on an idle link
	Jitter    time.Duration // at most this much more, drawn for each write
	Bandwidth int64         // bytes per second; 0: no limit
	Loss      float64       // of writes: they come after a retransmission time-out
}

// Links as they are found.
var (
	Loopback = Link{Latency: 30 * time.Microsecond}
	LAN      = Link{Latency: 200 * time.Microsecond, Jitter: 100 * time.Microsecond, Bandwidth: 1 << 30 / 8}
	WAN      = Link{Latency: 25 * time.Millisecond, Jitter: 5 * time.Millisecond, Bandwidth: 100 << 20 / 8}
)

// retransmit is when what was lost, or held back by a partition, is sent again.
const retransmit = 200 * time.Millisecond

// window is how many bytes may be under way or unread in one direction of a
// connection.
const window = 1 << 20

// pair names one direction between two peers.
type pair struct{ from, to *Peer }

// SetLink sets both directions between two peers from now on.
func (w *World) SetLink(a, b string, l Link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, q := w.peer(a), w.peer(b)
	w.links[pair{p, q}], w.links[pair{q, p}] = l, l
}

// link is the direction from one peer to another; w.mu is held.
func (w *World) link(from, to *Peer) Link {
	if l, ok := w.links[pair{from, to}]; ok {
		return l
	}
	return w.cfg.Link
}

// Partition lets nothing pass between peers of different groups until Heal or
// another Partition. Peers that are in no group are one more group.
func (w *World) Partition(groups ...[]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	for _, p := range w.peers {
		p.group = 0
	}
	for i, g := range groups {
		for _, name := range g {
			w.peer(name).group = i + 1
		}
	}
	w.release()
}

// Heal ends a partition. What was held back arrives after a retransmission.
func (w *World) Heal() { w.Partition() }

// parted reports whether nothing passes between two peers; w.mu is held.
func parted(a, b *Peer) bool { return a.group != b.group }

// settle marks what has arrived by now: a partition does not take it back.
func (w *World) settle() {
	now := time.Now()
	for e := range w.ends {
		if parted(e.peer, e.far.peer) {
			continue
		}
		for i := range e.in {
			if e.in[i].at.After(now) {
				break
			}
			e.in[i].arrived = true
		}
	}
}

// release gives what was held back a new time and wakes who waits for it.
func (w *World) release() {
	again := time.Now().Add(retransmit)
	for e := range w.ends {
		if parted(e.peer, e.far.peer) {
			continue
		}
		for i := range e.in {
			if c := &e.in[i]; !c.arrived && c.at.Before(again) {
				c.at = again
			}
		}
		e.readable.Broadcast()
	}
}

// arrival is when n bytes that are written now are there; w.mu is held.
func (w *World) arrival(from, to *Peer, n int) time.Time {
	l, at := w.link(from, to), time.Now()
	if l.Bandwidth > 0 {
		if busy := w.busy[pair{from, to}]; busy.After(at) {
			at = busy
		}
		at = at.Add(time.Duration(float64(n) / float64(l.Bandwidth) * float64(time.Second)))
		w.busy[pair{from, to}] = at
	}
	at = at.Add(l.Latency)
	if l.Jitter > 0 {
		at = at.Add(time.Duration(w.rand.Int64N(int64(l.Jitter))))
	}
	for l.Loss > 0 && w.rand.Float64() < min(l.Loss, 0.9) {
		at = at.Add(retransmit)
	}
	return at
}

// roundTrip is twice the way; w.mu is held.
func (w *World) roundTrip(a, b *Peer) time.Duration {
	return w.link(a, b).Latency + w.link(b, a).Latency
}

// Names are the names of all peers, in the order in which they were added.
func (w *World) Names() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := make([]string, 0, len(w.peers))
	for _, p := range w.peers {
		names = append(names, p.Name)
	}
	return slices.Clip(names)
}
