package link

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
)

// tick is how often the mesh looks after everything, besides when it is kicked.
const tick = 200 * time.Millisecond

// late is how much later than due a tick comes when this machine is starved, or
// was asleep. The silence of others proves nothing then.
const late = time.Second

// Keep has a peer dialled at these addresses, besides those that libp2p knows,
// whenever there is no link to it, until Forget. Called again it replaces the
// addresses.
func (m *Mesh) Keep(p string, addrs ...string) error {
	id, err := peer.Decode(p)
	if err != nil {
		return fmt.Errorf("link: keep %q: %w", p, err)
	}
	if id == m.self {
		return nil
	}
	list := make([]ma.Multiaddr, 0, len(addrs))
	for _, s := range addrs {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return fmt.Errorf("link: keep %s at %q: %w", p, s, err)
		}
		if rest, last := ma.SplitLast(a); last != nil && last.Protocol().Code == ma.P_P2P {
			a = rest
		}
		if len(a) > 0 {
			list = append(list, a)
		}
	}
	m.mu.Lock()
	e, err := m.entry(id)
	if err == nil && !e.kept && m.kept() >= m.cfg.MaxLinks {
		err = fmt.Errorf("%w: %d peers are kept, at most %d may be", ErrFull, m.kept(), m.cfg.MaxLinks)
	}
	if err == nil {
		if !e.kept && !m.lower(id) {
			e.dialAt = time.Now().Add(stagger())
		}
		e.kept, e.addrs = true, list
	}
	m.mu.Unlock()
	if err != nil {
		return err
	}
	// libp2p forgets what it learnt itself within minutes.
	m.cfg.Host.Peerstore().AddAddrs(id, list, peerstore.PermanentAddrTTL)
	m.kick()
	return nil
}

// stagger is how long the peer with the higher ID leaves it to the other to
// dial: two that learn of each other at once would make two connections.
func stagger() time.Duration { return 200*time.Millisecond + rand.N(200*time.Millisecond) }

// kept counts the peers that are. The caller has the lock.
func (m *Mesh) kept() int {
	n := 0
	for _, e := range m.peers {
		if e.kept {
			n++
		}
	}
	return n
}

// Forget ends Keep. A link that is up stays.
func (m *Mesh) Forget(p string) {
	m.mu.Lock()
	e := m.peers[p]
	if e != nil {
		e.kept = false
	}
	m.mu.Unlock()
	if e != nil {
		m.cfg.Host.Peerstore().UpdateAddrs(e.id, peerstore.PermanentAddrTTL, peerstore.TempAddrTTL)
	}
}

// Alive is evidence that a peer lives: if it is kept and has no link it is
// dialled at once.
func (m *Mesh) Alive(p string) {
	m.mu.Lock()
	e := m.peers[p]
	if e != nil && e.link == nil {
		e.dials, e.dialAt = 0, time.Time{}
	}
	m.mu.Unlock()
	if e != nil {
		m.kick()
	}
}

// kick has the keeper look at once.
func (m *Mesh) kick() {
	select {
	case m.kicked <- struct{}{}:
	default:
	}
}

// connected is told of every connection; it must not wait.
func (m *Mesh) connected(_ network.Network, c network.Conn) {
	if c.Stat().Limited || !m.lower(c.RemotePeer()) {
		return
	}
	m.mu.Lock()
	e, err := m.entry(c.RemotePeer())
	if err == nil && e.link == nil {
		// A new connection is evidence of life: what failed before counts less.
		e.wanted, e.openAt = true, time.Now()
	}
	m.mu.Unlock()
	m.kick()
}

// recheck is how long after a dial that succeeded, or was not needed, it is
// looked whether there is a connection still.
const recheck = 500 * time.Millisecond

// keepUp looks after links until ctx is done: it opens and dials what is
// missing, measures, and ends what is silent.
func (m *Mesh) keepUp(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	last := time.Now()
	awake := last // since when this machine was not starved
	nextPing, nextLook := last, last
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.kicked:
			m.begin(ctx, time.Now())
			continue
		case <-ticker.C:
		}
		now := time.Now()
		if now.Sub(last) > tick+late {
			awake = now
		}
		last = now
		ping := !now.Before(nextPing)
		if ping {
			nextPing = now.Add(m.cfg.Ping)
		}
		for _, l := range m.links() {
			if err := l.health(now, awake); err != nil {
				l.end(err.Error(), true)
			} else if ping {
				l.outs[Control].sendNote(notePing, l.trip.out(now))
				l.outs[Control].flush()
				for _, o := range l.outs {
					o.trim()
				}
			}
		}
		if !now.Before(nextLook) {
			nextLook = now.Add(10 * tick)
			m.look(now)
		}
		m.begin(ctx, now)
	}
}

// links are those that are up.
func (m *Mesh) links() []*link {
	m.mu.RLock()
	defer m.mu.RUnlock()
	list := make([]*link, 0, len(m.live))
	for _, l := range m.live {
		list = append(list, l)
	}
	return list
}

// health reports why a link is not one any more. Nothing counts against the
// other side before awake.
func (l *link) health(now, awake time.Time) error {
	limit := l.m.cfg.Silence
	over := func(since int64) bool {
		return since != 0 && now.Sub(awake) > limit && now.UnixNano()-since > int64(limit)
	}
	busy := l.ins[Control].handling.Load() // then the silence is ours
	if !busy && now.Sub(l.since) > limit && over(l.heard.Load()) {
		return fmt.Errorf("nothing was heard from it for %s", limit)
	}
	for c := range classes {
		if over(l.outs[c].writing.Load()) {
			return fmt.Errorf("it did not read its %v stream for %s", c, limit)
		}
		if over(l.ins[c].partial.Load()) {
			return fmt.Errorf("a frame on the %v stream did not go on for %s", c, limit)
		}
	}
	return nil
}

// look finds connections without a link, whatever events were missed, and
// forgets peers that nobody needs.
func (m *Mesh) look(now time.Time) {
	ids := m.cfg.Host.Network().Peers()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if !m.lower(id) || m.live[id.String()] != nil {
			continue
		}
		if e, err := m.entry(id); err == nil && e.link == nil && now.After(e.openAt) {
			e.wanted = true
		}
	}
	for name, e := range m.peers {
		if e.idle(now) {
			delete(m.peers, name)
		}
	}
}

// begin starts what is due: openings, and dials of kept peers.
func (m *Mesh) begin(ctx context.Context, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.peers {
		if e.link != nil || now.Before(e.banned) {
			continue
		}
		switch {
		case e.wanted && !e.opening && e.accepting == 0 && !now.Before(e.openAt):
			if !m.slot(func() { m.opened(e, m.open(ctx, e.id)) }) {
				return
			}
			e.opening, e.wanted = true, false
		case e.kept && !e.dialing && !e.opening && !now.Before(e.dialAt) && len(m.live) < m.cfg.MaxLinks:
			if m.cfg.Host.Network().Connectedness(e.id) == network.Connected {
				e.dialAt = now.Add(recheck) // whoever is lower opens
				continue
			}
			addrs := e.addrs
			if !m.slot(func() { m.dialed(e, m.dial(ctx, e.id, addrs)) }) {
				return
			}
			e.dialing = true
		}
	}
}

// slot runs f in a goroutine if not too many are under way. The caller has the
// lock.
func (m *Mesh) slot(f func()) bool {
	if m.closing {
		return false
	}
	select {
	case m.slots <- struct{}{}:
	default:
		return false
	}
	m.wait.Go(func() {
		defer func() { <-m.slots }()
		f()
	})
	return true
}

// opened takes in how an opening went.
func (m *Mesh) opened(e *entry, err error) {
	var bad violation
	if errors.As(err, &bad) {
		m.ban(e.name, e.id, err.Error())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e.opening = false
	if err == nil {
		return
	}
	now := time.Now()
	e.err = err
	m.counts.failed.Add(1)
	if errors.Is(err, ErrRefused) {
		e.settle(err)
		e.openAt = now.Add(m.cfg.RetryRefused)
		m.log.Warn("link refused", "peer", e.name, "err", err)
	} else {
		e.openAt = now.Add(backoff(m.cfg.Retry, e.opens))
		m.log.Debug("link did not come up", "peer", e.name, "err", err)
	}
	e.opens++
	e.wanted = m.cfg.Host.Network().Connectedness(e.id) == network.Connected
}

// dialed takes in how a dial went.
func (m *Mesh) dialed(e *entry, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.dialing = false
	if err == nil {
		e.dialAt = time.Now().Add(recheck)
		return
	}
	m.counts.failed.Add(1)
	if e.link == nil {
		e.err = err
	}
	e.dials++
	e.dialAt = time.Now().Add(backoff(m.cfg.Retry, e.dials))
	m.log.Debug("peer cannot be dialled", "peer", e.name, "err", err)
}

// dial connects to a peer. When to try again is ours to say, so that what libp2p
// remembers of failures is cleared.
func (m *Mesh) dial(ctx context.Context, id peer.ID, addrs []ma.Multiaddr) error {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Dial)
	defer cancel()
	if h, ok := m.cfg.Host.(interface{ ClearBackoff(peer.ID) }); ok {
		h.ClearBackoff(id)
	}
	m.counts.dials.Add(1)
	if err := m.cfg.Host.Connect(ctx, peer.AddrInfo{ID: id, Addrs: addrs}); err != nil {
		return fmt.Errorf("dial peer %s: %w", id, err)
	}
	return nil
}
