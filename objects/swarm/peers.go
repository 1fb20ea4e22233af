package swarm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Bounds on what is remembered of peers.
const (
	dialTime    = 5 * time.Second
	maxPeers    = 4096 // that are remembered without being in use
	strikesBan  = 3    // objects that a peer sent wrong bytes of, until it is banned
	strikesTime = 10 * time.Minute
)

// peer is what the swarm knows of another one. Swarm.mu guards it.
type peer struct {
	name    string
	session *session
	dialing chan struct{} // closed when the dial under way has ended
	dialErr error
	stats   PeerStats
	strikes int
	struck  time.Time // the last time
	banned  time.Time // until then
	streams map[Stream]struct{}
}

func (p *peer) idle() bool { return p.session == nil && p.dialing == nil && len(p.streams) == 0 }

// peer finds or makes the record of a peer. It is called with mu held.
func (s *Swarm) peer(name string) *peer {
	p := s.peers[name]
	if p == nil {
		p = &peer{name: name, stats: PeerStats{Peer: name}, streams: map[Stream]struct{}{}}
		s.peers[name] = p
	}
	return p
}

// connect finds or opens the stream to a peer.
func (s *Swarm) connect(ctx context.Context, name string) (*session, error) {
	for {
		s.mu.Lock()
		p := s.peer(name)
		switch {
		case s.closed:
			s.mu.Unlock()
			return nil, ErrClosed
		case time.Now().Before(p.banned):
			s.mu.Unlock()
			return nil, fmt.Errorf("%w for %v", ErrBanned, time.Until(p.banned).Round(time.Second))
		case p.session != nil:
			c := p.session
			s.mu.Unlock()
			return c, nil
		case p.dialing == nil:
			p.dialing = make(chan struct{})
			s.wg.Go(func() { s.dial(p) })
		}
		wait := p.dialing
		s.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		s.mu.Lock()
		err := p.dialErr
		s.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
}

// dial opens a stream on behalf of all who want one.
func (s *Swarm) dial(p *peer) {
	ctx, cancel := context.WithTimeout(s.base, dialTime)
	defer cancel()
	st, err := s.cfg.Dial(ctx, p.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		c := newSession(s, p.name, st)
		p.session = c
		s.wg.Go(func() { c.run(s.base) })
	} else {
		err = fmt.Errorf("dial: %w", err)
	}
	p.dialErr = err
	close(p.dialing)
	p.dialing = nil
}

func (s *Swarm) sessionEnded(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.peers[c.peer]; p != nil && p.session == c {
		p.session = nil
	}
}

// strike counts something wrong that a peer did. Enough of it bans the peer.
func (s *Swarm) strike(name, why string) {
	now := time.Now()
	s.mu.Lock()
	p := s.peer(name)
	if now.Sub(p.struck) > strikesTime {
		p.strikes = 0
	}
	p.strikes++
	p.struck = now
	var c *session
	if p.strikes >= strikesBan {
		p.strikes = 0
		p.banned = now.Add(s.cfg.BanFor)
		s.count.PeerBans++
		c = p.session
	}
	s.mu.Unlock()
	if c != nil {
		s.cfg.Logger.Warn("ban a peer", "peer", name, "for", s.cfg.BanFor, "why", why)
		c.end(ErrBanned)
	}
}

// Forget ends all exchange with a peer that is gone: what it was asked for is
// asked of others.
func (s *Swarm) Forget(name string) {
	s.mu.Lock()
	p := s.peers[name]
	var c *session
	var streams []Stream
	if p != nil {
		c = p.session
		for st := range p.streams {
			streams = append(streams, st)
		}
	}
	s.mu.Unlock()
	if c != nil {
		c.end(fmt.Errorf("%s is gone", name))
	}
	for _, st := range streams {
		_ = st.Reset()
	}
	s.ledger.forget(name)
}

// tidy closes streams that nobody needs and forgets peers that are not in use.
func (s *Swarm) tidy(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, p := range s.peers {
		if c := p.session; c != nil && c.idleSince(now.Add(-s.cfg.Idle)) {
			s.wg.Go(func() { c.end(errIdle) })
		}
		if len(s.peers) > maxPeers && p.idle() && now.After(p.banned) {
			delete(s.peers, name)
		}
	}
	s.ledger.tidy(now)
}

var errIdle = errors.New("nothing is asked")

// received counts a block that came from a peer.
func (s *Swarm) received(name string, n int, fresh bool, err error) {
	s.mu.Lock()
	p := s.peer(name)
	p.stats.BytesIn += int64(n)
	s.count.BytesIn += int64(n)
	s.count.BlocksIn++
	bad := errors.Is(err, errBad)
	switch {
	case bad:
		p.stats.Bad++
		s.count.BadBlocks++
	case err == nil && !fresh:
		s.count.Wasted += int64(n)
	}
	s.mu.Unlock()
}

// wasted counts bytes that nobody waited for any more.
func (s *Swarm) wasted(name string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peer(name).stats.BytesIn += int64(n)
	s.count.BytesIn += int64(n)
	s.count.Wasted += int64(n)
}

func (s *Swarm) badManifest(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peer(name).stats.Bad++
	s.count.BadManifests++
}

// sent counts a block that went to a peer.
func (s *Swarm) sent(name string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peer(name).stats.BytesOut += int64(n)
	s.count.BytesOut += int64(n)
	s.count.BlocksOut++
}

func (s *Swarm) learnRate(name string, rate float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peer(name)
	p.stats.Rate = learn(p.stats.Rate, rate)
}

// learnRTT believes in short times at once, in long ones slowly: what makes an
// answer late is not always the way.
func (s *Swarm) learnRTT(name string, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peer(name)
	if p.stats.RTT == 0 || d < p.stats.RTT {
		p.stats.RTT = d
		return
	}
	p.stats.RTT += (d - p.stats.RTT) / 8
}

// Rate is what is known of one peer; ok is false if nothing is.
func (s *Swarm) Rate(name string) (stats PeerStats, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peers[name]
	if p == nil {
		return PeerStats{Peer: name}, false
	}
	stats = p.stats
	stats.Banned = time.Now().Before(p.banned)
	return stats, stats.Rate > 0
}

// Stats is the swarm's account of this moment.
func (s *Swarm) Stats() Stats {
	now := time.Now()
	out := Stats{InFlight: s.budget.inFlight()}
	s.mu.Lock()
	defer s.mu.Unlock()
	out.Fetching, out.Totals, out.Serving = len(s.flights), s.count, s.serving
	for _, f := range s.flights {
		out.Waiting += len(f.waiters)
	}
	for _, p := range s.peers {
		st := p.stats
		if st.Banned = now.Before(p.banned); st.Banned {
			out.BannedNow = append(out.BannedNow, p.name)
		}
		out.Peers = append(out.Peers, st)
	}
	slices.SortFunc(out.Peers, func(a, b PeerStats) int { return strings.Compare(a.Peer, b.Peer) })
	slices.Sort(out.BannedNow)
	return out
}
