package node

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

// How other peers are sought.
const (
	seekEvery = 200 * time.Millisecond // how often it is looked who is there
	saveEvery = 2 * time.Second        // the known peers
	seekKnown = 2 * time.Minute        // how long peers of an earlier run are dialled in vain
	goneFor   = time.Minute            // how long one that died is dialled on
	maxKept   = 2048                   // peers that are dialled
)

// sought is a peer that is dialled whenever there is no link to it.
type sought struct {
	configured bool // by the user: never given up
	addrs      []string
	until      time.Time // given up then, unless it is there
}

// seeker has links kept: to the configured addresses, to the peers that were met
// before, and to those that others tell of. Its goroutine owns it.
type seeker struct {
	m    *mesh
	kept map[string]*sought
}

// seek keeps links until ctx ends.
func (m *mesh) seek(ctx context.Context) error {
	s := &seeker{m: m, kept: map[string]*sought{}}
	now := time.Now()
	for _, addr := range append(m.n.cfg.Bootstrap, m.stand.Addrs...) {
		s.configured(addr)
	}
	for _, p := range m.known.all() {
		s.want(p.Peer, p.Addrs, now.Add(seekKnown))
	}
	tick := time.NewTicker(seekEvery)
	defer tick.Stop()
	save := time.NewTicker(saveEvery)
	defer save.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.look(time.Now())
		case p := <-m.near:
			var addrs []string
			for _, a := range p.Addrs {
				addrs = append(addrs, a.String()+"/p2p/"+p.ID.String())
			}
			s.want(p.ID.String(), addrs, time.Now().Add(goneFor))
		case <-save.C:
			if err := m.known.save(); err != nil {
				m.n.log.Warn("remember the other peers", "err", err)
			}
		}
	}
}

// configured has an address dialled for as long as this peer runs.
func (s *seeker) configured(addr string) {
	info, err := peerOf(addr)
	if err != nil {
		s.m.n.log.Warn("an address to find other peers by is of no use", "addr", addr, "err", err)
		return
	}
	id := info.ID.String()
	if id == s.m.n.id {
		return
	}
	var addrs []string
	if have := s.kept[id]; have != nil {
		addrs = have.addrs
	}
	s.kept[id] = &sought{configured: true, addrs: append(addrs, addr)}
	if err := s.m.links.Keep(id, s.kept[id].addrs...); err != nil {
		s.m.n.log.Warn("dial a peer", "peer", id, "err", err)
	}
}

// want has a peer dialled for a while.
func (s *seeker) want(id string, addrs []string, until time.Time) {
	if id == s.m.n.id || len(addrs) == 0 {
		return
	}
	addrs = addrs[:min(len(addrs), maxAddrs)]
	have := s.kept[id]
	switch {
	case have == nil && len(s.kept) >= maxKept:
		return
	case have == nil:
		have = &sought{}
		s.kept[id] = have
	case have.configured:
		return
	case len(have.addrs) > 0 && strings.Join(have.addrs, " ") == strings.Join(addrs, " "):
		have.until = until
		return
	}
	have.addrs, have.until = addrs, until
	if err := s.m.links.Keep(id, addrs...); err != nil {
		delete(s.kept, id)
		s.m.n.log.Warn("dial a peer", "peer", id, "err", err)
	}
}

// look takes up the peers that others tell of, and gives up those that were not
// there for long.
func (s *seeker) look(now time.Time) {
	for _, a := range s.m.who.living() {
		if a.until.After(now) {
			s.want(a.peer, a.addrs, a.until)
		}
	}
	for id, p := range s.kept {
		if !p.configured && now.After(p.until) && !s.m.who.isLinked(id) {
			delete(s.kept, id)
			s.m.links.Forget(id)
		}
	}
}

// How long a peer that offers nothing looks for its cluster before it serves.
const (
	meetWait  = 10 * time.Second // for the first peer
	meetOther = time.Second      // for those that it tells of
	meetLook  = 5 * time.Millisecond
)

// meet waits until a peer that only hands on has found whom to hand on to.
func (n *Node) meet() error {
	if !n.cfg.Client || n.mesh == nil {
		return nil
	}
	begin := time.Now()
	first := time.Time{}
	for {
		linked, all := n.mesh.who.met()
		switch {
		case linked > 0 && first.IsZero():
			first = time.Now()
		case linked > 0 && (all || time.Since(first) > meetOther):
			return nil
		case linked == 0 && time.Since(begin) > meetWait:
			return fmt.Errorf("no peer of this cluster answers at %s within %s", strings.Join(n.cfg.Bootstrap, ", "), meetWait)
		}
		select {
		case <-n.ctx.Done():
			return nil
		case <-time.After(meetLook):
		}
	}
}

// lastPort is the port that the last run listened on, "0" if it is not known.
func lastPort(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "0"
	}
	port := strings.TrimSpace(string(b))
	if k, err := strconv.ParseUint(port, 10, 16); err != nil || k == 0 {
		return "0"
	}
	return port
}

func keepPort(path string, addrs []ma.Multiaddr) error {
	for _, a := range addrs {
		if port, err := a.ValueForProtocol(ma.P_TCP); err == nil {
			return replaceFile(path, []byte(port+"\n"))
		}
	}
	return fmt.Errorf("this peer listens on no TCP port, only on %v", addrs)
}
