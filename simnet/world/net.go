package world

import (
	"reflect"
	"time"

	"github.com/raygo/raygo/sched"
)

// Net is what links are like. Loss is what is under the sessions: a message
// that is lost comes later, and all behind it.
type Net struct {
	Latency   time.Duration // one way; 0: 500 µs
	Jitter    time.Duration // at most, on top
	Bandwidth float64       // bytes a second of one link and of one peer's way out; 0: 100 MB/s
	Loss      float64       // share of messages that have to be sent again
}

func (n *Net) fill() {
	if n.Latency == 0 {
		n.Latency = 500 * time.Microsecond
	}
	if n.Bandwidth == 0 {
		n.Bandwidth = 100e6
	}
}

const (
	resend     = 200 * time.Millisecond // first delay of a message that was lost; doubles
	stuckEvery = 20 * time.Millisecond  // what cannot pass is tried again so often
	redialLow  = 50 * time.Millisecond
	redialHigh = 500 * time.Millisecond
)

// pair names a link, the lower number first.
type pair struct{ a, b int }

func pairOf(a, b int) pair { return pair{min(a, b), max(a, b)} }

// session is a reliable ordered connection between two peers. Its ends learn
// apart from each other that it is there and that it is no more.
type session struct {
	of     pair
	up     [2]bool // this end knows that it is there
	down   [2]bool // and that it is gone
	told   [2]bool // or is no more
	broken bool
	lines  [2]line // towards a, towards b
}

// line is one direction of a session.
type line struct {
	waiting []parcel
	pumping bool
	last    time.Duration // arrival of what was sent last
	busy    time.Duration // until what was sent last is on the wire
}

type parcel struct {
	at  time.Duration
	msg sched.Message
}

func (s *session) side(p *Peer) int {
	if s.of.a == p.index {
		return 0
	}
	return 1
}

// blocked reports whether nothing passes between two peers at this moment.
func (w *World) blocked(a, b int) bool {
	return w.group[a] != w.group[b] || w.cuts[pairOf(a, b)] > 0 || !w.peers[a].answers() || !w.peers[b].answers()
}

// dial brings a session about between two peers, when that is possible and as
// long as both live.
func (w *World) dial(a, b *Peer) {
	of := pairOf(a.index, b.index)
	if w.sessions[of] != nil || !a.up || !b.up || a == b || w.cfg.Sparse && !a.drives && !b.drives {
		return
	}
	if w.blocked(a.index, b.index) {
		w.after(w.between(redialLow, redialHigh), func() { w.dial(a, b) })
		return
	}
	s := &session{of: of}
	w.sessions[of] = s
	for side, p := range [2]*Peer{w.peers[of.a], w.peers[of.b]} {
		other := w.peers[of.a+of.b-p.index]
		d := w.latency() + w.latency()
		s.lines[side].last = w.now + d
		p.at(d, func() {
			if s.down[side] {
				return
			}
			s.up[side] = true
			p.step(other.advert())
			p.step(&sched.PeerStats{Peer: other.Name, RTT: 2 * w.cfg.Net.Latency, Rate: w.cfg.Net.Bandwidth})
		})
	}
}

func (w *World) latency() time.Duration {
	d := w.cfg.Net.Latency
	if w.cfg.Net.Jitter > 0 {
		d += time.Duration(w.rng.Int64N(int64(w.cfg.Net.Jitter)))
	}
	return d
}

// send puts a message on its way.
func (w *World) send(from *Peer, to string, msg sched.Message) {
	dst := w.byName[to]
	if dst == nil || dst == from {
		w.Fail("%s sends %T to %q", from.Name, msg, to)
		return
	}
	s := w.sessions[pairOf(from.index, dst.index)]
	if s == nil || !s.up[s.side(from)] || s.down[s.side(from)] {
		w.Fail("%s sends %T to %s, which it was told is not up", from.Name, msg, to)
		return
	}
	n := size(msg)
	w.Stats.sent(msg, n)
	if s.broken {
		return
	}
	if !w.cfg.Share {
		msg = copied(msg)
	}
	l := &s.lines[s.side(dst)]
	l.busy = max(l.busy, w.now) + time.Duration(float64(n)/w.cfg.Net.Bandwidth*float64(time.Second))
	arrives := l.busy + w.latency()
	for wait := resend; w.chance(w.loss); wait *= 2 {
		arrives += wait
	}
	if l.last = max(l.last, arrives); l.last-w.now > 2*w.cfg.Detect { // it would be given up before
		w.breakSession(s, "nothing came through", w.between(0, w.cfg.Detect), w.between(0, w.cfg.Detect))
		return
	}
	l.waiting = append(l.waiting, parcel{l.last, msg})
	w.pump(s, from, dst)
}

// pump has the next message of a line arrive.
func (w *World) pump(s *session, from, dst *Peer) {
	l := &s.lines[s.side(dst)]
	if l.pumping || len(l.waiting) == 0 {
		return
	}
	l.pumping = true
	w.At(l.waiting[0].at, func() { w.arrive(s, from, dst) })
}

func (w *World) arrive(s *session, from, dst *Peer) {
	l := &s.lines[s.side(dst)]
	if s.broken {
		l.waiting = nil
		return
	}
	if w.group[from.index] != w.group[dst.index] || w.cuts[s.of] > 0 {
		w.after(stuckEvery, func() { w.arrive(s, from, dst) })
		return
	}
	msg := l.waiting[0].msg
	l.waiting = l.waiting[1:]
	l.pumping = false
	side := s.side(dst)
	dst.at(0, func() {
		if !s.down[side] {
			dst.receive(from, msg)
		}
	})
	w.pump(s, from, dst)
}

// breakSession ends a session: what is on its way is void, and its ends learn of
// it after a while each.
func (w *World) breakSession(s *session, why string, first, second time.Duration) {
	if s.broken {
		return
	}
	s.broken = true
	for side, d := range [2]time.Duration{first, second} {
		p, other := w.peers[s.of.a], w.peers[s.of.b]
		if side == 1 {
			p, other = other, p
		}
		p.at(d, func() {
			s.down[side] = true
			if s.up[side] {
				p.step(&sched.PeerDown{Peer: other.Name, Reason: why})
			}
			w.endKnows(s, side)
		})
	}
}

// endKnows notes that one end of a broken session knows, or is no more. When
// both do there may be another.
func (w *World) endKnows(s *session, side int) {
	s.told[side] = true
	if s.told[0] && s.told[1] && w.sessions[s.of] == s {
		delete(w.sessions, s.of)
		w.after(w.between(redialLow, redialHigh), func() { w.dial(w.peers[s.of.a], w.peers[s.of.b]) })
	}
}

// detect lets the failure detectors of everybody who cannot reach a peer look
// again after their time.
func (w *World) detect(of func(pair) bool) {
	for _, s := range w.sorted() {
		if !of(s.of) || s.broken || !w.blocked(s.of.a, s.of.b) {
			continue
		}
		w.after(w.between(w.cfg.Detect*4/5, w.cfg.Detect*6/5), func() {
			if !s.broken && w.blocked(s.of.a, s.of.b) {
				w.breakSession(s, "no answer", 0, w.between(0, w.cfg.Detect))
			}
		})
	}
}

// sorted are the sessions in an order that does not depend on the map's.
func (w *World) sorted() []*session {
	var all []*session
	for a := range w.peers {
		for b := a + 1; b < len(w.peers); b++ {
			if s := w.sessions[pair{a, b}]; s != nil {
				all = append(all, s)
			}
		}
	}
	return all
}

// linked reports whether both ends of two peers' session know that it is there.
func (w *World) linked(a, b *Peer) bool {
	s := w.sessions[pairOf(a.index, b.index)]
	return s != nil && s.up[0] && s.up[1] && !s.broken
}

// Stats counts what a world did.
type Stats struct {
	Steps    int
	Messages map[string]int // by type
	Bytes    map[string]int
	Fetched  int // bytes of objects moved
	Taken    int // jobs taken over
	Known    int // calls settled with a result that was known
}

func (s *Stats) sent(m sched.Message, n int) {
	if s.Messages == nil {
		s.Messages, s.Bytes = map[string]int{}, map[string]int{}
	}
	name := reflect.TypeOf(m).Elem().Name()
	s.Messages[name]++
	s.Bytes[name] += n
}
