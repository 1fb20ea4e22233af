package link

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// entry is what the mesh knows of one peer. The mesh's mutex guards it.
type entry struct {
	id   peer.ID
	name string

	link        *link        // from before Up until after Down
	incarnation uint64       // the highest seen
	since       time.Time    // of the last change of link
	err         error        // why there is none
	waiting     []chan error // each is told once: a link is up, or is refused

	kept    bool
	addrs   []ma.Multiaddr
	dialing bool
	dials   int       // that failed in a row
	dialAt  time.Time // not before

	accepting int // handshakes that it began and that are under way

	opening bool
	opens   int
	openAt  time.Time
	wanted  bool // there is a connection over which this peer is to open a link

	bans    int
	banned  time.Time // until
	shakes  float64   // tokens for handshakes that it begins
	shakeAt time.Time
}

// How many links a peer may begin a second, after so many at once.
const shakeRate, shakeBurst = 2, 20

// entryAge is how long a peer without a link is remembered that nobody keeps.
const entryAge = 15 * time.Minute

// entry finds a peer's, or makes it. The caller has the lock.
func (m *Mesh) entry(id peer.ID) (*entry, error) {
	name := id.String()
	if e := m.peers[name]; e != nil {
		return e, nil
	}
	if len(m.peers) >= 2*m.cfg.MaxLinks {
		return nil, fmt.Errorf("%w: %d peers are known, at most %d may be", ErrFull, len(m.peers), 2*m.cfg.MaxLinks)
	}
	now := time.Now()
	e := &entry{id: id, name: name, since: now, shakes: shakeBurst, shakeAt: now}
	m.peers[name] = e
	return e, nil
}

// settle tells those who wait for a link to the peer.
func (e *entry) settle(err error) {
	for _, w := range e.waiting {
		w <- err // has room for one
	}
	e.waiting = nil
}

// idle reports whether nothing would be lost with the entry.
func (e *entry) idle(now time.Time) bool {
	return e.link == nil && !e.kept && !e.dialing && !e.opening && e.accepting == 0 && len(e.waiting) == 0 && now.After(e.banned) && now.Sub(e.since) > entryAge
}

// shake counts a handshake that the peer begins.
func (e *entry) shake(now time.Time) bool {
	e.shakes = min(e.shakes+now.Sub(e.shakeAt).Seconds()*shakeRate, shakeBurst)
	e.shakeAt = now
	if e.shakes < 1 {
		return false
	}
	e.shakes--
	return true
}

// backoff is how long to wait after so many failures.
func backoff(bounds [2]time.Duration, failures int) time.Duration {
	d := bounds[1]
	if failures < 16 {
		d = min(bounds[0]<<failures, bounds[1])
	}
	return time.Duration(float64(d) * (0.5 + rand.Float64()/2))
}

// install makes a link that both sides have accepted the peer's link. An older
// one ends first. It then lives in a goroutine of its own.
func (m *Mesh) install(l *link) error {
	for {
		m.mu.Lock()
		e, err := m.entry(l.id)
		switch {
		case err != nil:
		case m.closing:
			err = ErrClosed
		case l.hello.Incarnation < e.incarnation:
			err = stale(l.hello.Incarnation, e.incarnation)
		case time.Now().Before(e.banned):
			err = fmt.Errorf("%w: it is banned", ErrRefused)
		case e.link == nil && len(m.live) >= m.cfg.MaxLinks:
			err = m.fullLocked()
		}
		if err != nil {
			m.mu.Unlock()
			return err
		}
		old := e.link
		if old == nil {
			e.link, e.incarnation, e.since, e.err = l, l.hello.Incarnation, l.since, nil
			e.opens = 0
			m.live[l.name] = l
			m.counts.ups.Add(1)
			m.wait.Go(l.run)
			m.mu.Unlock()
			return nil
		}
		m.mu.Unlock()
		old.end("another link takes its place", false)
		<-old.done
	}
}

func (m *Mesh) fullLocked() error {
	return &refusal{refusedFull, fmt.Sprintf("peer %s has %d links, at most %d may be", m.name, len(m.live), m.cfg.MaxLinks)}
}

func stale(got, seen uint64) error {
	return &refusal{refusedStale, fmt.Sprintf("incarnation %d of the peer is over: %d was seen", got, seen)}
}

// up tells the handler, and whoever waits.
func (m *Mesh) up(l *link) {
	m.log.Info("link is up", "peer", l.name, "addr", l.streams[Control].Conn().RemoteMultiaddr().String(), "incarnation", l.hello.Incarnation, "version", l.hello.Version)
	m.cfg.Handler.Up(l.name, l.hello)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.peers[l.name].settle(nil)
}

// down takes the link out of use and tells the handler.
func (m *Mesh) down(l *link) {
	m.mu.Lock()
	delete(m.live, l.name)
	m.counts.add(l)
	m.mu.Unlock()
	m.log.Info("link is down", "peer", l.name, "reason", l.reason)
	m.cfg.Handler.Down(l.name, l.reason)
}

// remove makes room for the peer's next link.
func (m *Mesh) remove(l *link) {
	now := time.Now()
	m.mu.Lock()
	e := m.peers[l.name]
	e.link, e.since, e.err = nil, now, errors.New(l.reason)
	if now.Sub(l.since) > 10*time.Second {
		e.dials = 0
	}
	e.dialAt = now.Add(backoff(m.cfg.Retry, e.dials))
	e.openAt = e.dialAt
	if !m.lower(e.id) {
		e.dialAt = e.dialAt.Add(stagger())
	}
	e.wanted = m.lower(e.id) && m.cfg.Host.Network().Connectedness(e.id) == network.Connected
	m.mu.Unlock()
	m.kick()
}

// ban ends what there is with a peer and refuses it for a while.
func (m *Mesh) ban(name string, id peer.ID, reason string) {
	now := time.Now()
	m.mu.Lock()
	e, err := m.entry(id)
	if err != nil {
		m.mu.Unlock()
		m.hangup(id)
		return
	}
	if now.Sub(e.banned) > time.Hour {
		e.bans = 0
	}
	e.banned = now.Add(m.cfg.Ban << min(e.bans, 5))
	e.bans++
	e.err = errors.New(reason)
	e.settle(fmt.Errorf("%w: %s", ErrRefused, reason))
	l := e.link
	until := e.banned
	m.mu.Unlock()
	m.counts.bans.Add(1)
	m.log.Warn("peer is banned", "peer", name, "reason", reason, "until", until)
	if l != nil {
		l.end(reason, true)
		return
	}
	m.hangup(id)
}

// hangup closes a peer's connections, elsewhere: closing may take a while.
func (m *Mesh) hangup(id peer.ID) {
	m.track(func() { _ = m.cfg.Host.Network().ClosePeer(id) })
}

// Peers says how things stand with every peer that has a link, is kept or is
// banned, in the order of their IDs.
func (m *Mesh) Peers() []Status {
	now := time.Now()
	m.mu.RLock()
	defer m.mu.RUnlock()
	list := make([]Status, 0, len(m.live))
	for _, e := range m.peers {
		l := m.live[e.name]
		if l == nil && !e.kept && !now.Before(e.banned) {
			continue
		}
		s := Status{Peer: e.name, Up: l != nil, Kept: e.kept, Since: e.since}
		if now.Before(e.banned) {
			s.BannedUntil = e.banned
		}
		if l != nil {
			l.status(&s)
		} else if e.err != nil {
			s.Err = e.err.Error()
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b Status) int { return strings.Compare(a.Peer, b.Peer) })
	return list
}

// status fills in what the link knows.
func (l *link) status(s *Status) {
	c := l.streams[Control].Conn()
	s.Hello, s.Addr, s.Since = l.hello, c.RemoteMultiaddr().String(), l.since
	_, err := c.RemoteMultiaddr().ValueForProtocol(ma.P_CIRCUIT)
	s.Relayed = err == nil
	s.RTT, s.RTTMin = l.trip.times()
	for c := range classes {
		s.Queued[c] = l.outs[c].waiting()
		s.BytesIn += l.ins[c].bytes.Load()
		s.FramesIn += l.ins[c].frames.Load()
		s.BytesOut += l.outs[c].bytesOut.Load()
		s.FramesOut += l.outs[c].framesOut.Load()
	}
	s.Bulk = l.bulk.open()
	s.BytesIn += l.bulk.in.Load()
	s.BytesOut += l.bulk.out.Load()
}
