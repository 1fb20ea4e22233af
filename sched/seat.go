package sched

import (
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
)

// seat is what an owner has at one executor for one class.
type seat struct {
	peer     *peer
	class    *class
	bid      Bid       // the last one
	offered  int       // slots reserved by bids, unused
	lease    int       // slots kept from tasks that ended
	until    time.Time // lease is counted on
	stands   time.Time // a call stands there until
	brief    bool
	wanting  int // slots that it still asks for: the peer is full while it does
	running  int
	sent     uint64 // tasks assigned, in all
	used     time.Time
	inflight int
	placed   int // tasks assigned since the class last had none waiting
	recalled bool
	batch    []Assigned
	open     bool // in class.open
}

// free is the number of tasks that could start there at once.
func (s *seat) free(now time.Time) int {
	n := s.offered
	if now.Before(s.until) {
		n += s.lease
	}
	return n
}

// feasible are the peers on which tasks of a class could run, by their totals,
// labels and the strategy.
func (c *Core) feasible(cl *class) []*peer {
	c.chooseSelector(cl)
	if cl.lookedAt == c.topology {
		return cl.peers
	}
	cl.lookedAt = c.topology
	cl.peers = cl.peers[:0]
	for _, p := range c.peerOrder {
		if !p.draining && !p.useless && c.suits(cl, p) {
			cl.peers = append(cl.peers, p)
		}
	}
	if s := &cl.opts.Strategy; s.Kind == raygo.StrategyAffinity {
		at := slices.IndexFunc(cl.peers, func(p *peer) bool { return p.id == s.Peer })
		switch {
		case at >= 0:
			cl.peers = cl.peers[at : at+1]
		case !s.Soft || s.Peer == c.cfg.Self && cl.refused == "":
			cl.peers = nil
		}
	}
	return cl.peers
}

// chooseSelector puts the first of a class's label selectors in force that this peer
// or another one meets; the first one if nobody meets any. An executor looks at
// itself alone: its owner has chosen.
func (c *Core) chooseSelector(cl *class) {
	if cl.others == nil || cl.chosenAt == c.topology {
		return
	}
	cl.chosenAt = c.topology
	for _, s := range cl.others {
		cl.selector = s
		if cl.refused, cl.never = c.refusal(cl); cl.refused == "" {
			return
		}
		if cl.owned() && slices.ContainsFunc(c.peerOrder, func(p *peer) bool { return !p.draining && !p.useless && c.suits(cl, p) }) {
			return
		}
	}
	cl.selector = cl.others[0]
	cl.refused, cl.never = c.refusal(cl)
}

// built reports whether there is a build of the job's program for a peer.
func (j *job) built(p *peer) bool {
	return len(j.builds) == 0 || p.platform == "" || slices.Contains(j.builds, p.platform)
}

// suits reports whether a peer as a whole could run tasks of the class.
func (c *Core) suits(cl *class, p *peer) bool { return cl.job.built(p) && c.hasFor(cl, p) }

// hasFor reports whether a peer has what tasks of the class ask for.
func (c *Core) hasFor(cl *class, p *peer) bool {
	o := &cl.opts
	if p.totals == nil { // it runs nothing, not even what asks for nothing
		return false
	}
	if o.CPU > p.totals[raygo.CPU] || o.GPU > p.totals[raygo.GPU] || raygo.Quantity(o.Memory) > p.totals[raygo.Memory] {
		return false
	}
	for name, q := range o.Custom {
		if q > p.totals[name] {
			return false
		}
	}
	return meets(cl, p.labels)
}

// atHome reports whether tasks of the class may run on this peer.
func (c *Core) atHome(cl *class) bool {
	c.chooseSelector(cl)
	if cl.refused != "" || c.draining && cl.owned() && len(c.feasible(cl)) > 0 {
		return false
	}
	s := &cl.opts.Strategy
	return s.Kind != raygo.StrategyAffinity || s.Peer == c.cfg.Self || s.Soft && !slices.ContainsFunc(c.feasible(cl), func(p *peer) bool { return p.id == s.Peer })
}

// shared reports whether a class's tasks may have to go to other peers.
func (c *Core) shared(cl *class) bool {
	return len(c.peers) > 0 && cl.owned() && len(c.feasible(cl)) > 0
}

// seatAt is the class's seat at a peer.
func (c *Core) seatAt(cl *class, p *peer) *seat {
	s := cl.seats[p]
	if s == nil {
		s = &seat{peer: p, class: cl}
		if len(cl.seats) > 0 { // a late comer is not owed what others had
			s.placed = cl.placedHere
			for _, o := range cl.seats {
				s.placed = min(s.placed, o.placed)
			}
		}
		if cl.seats == nil {
			cl.seats = map[*peer]*seat{}
		}
		cl.seats[p] = s
	}
	return s
}

// leaveSeat forgets a class's seat at a peer that is gone.
func (c *Core) leaveSeat(cl *class, p *peer) {
	s := cl.seats[p]
	if s == nil {
		return
	}
	delete(cl.seats, p)
	cl.open = slices.DeleteFunc(cl.open, func(o *seat) bool { return o == s })
	s.open = false
	if cl.asking != nil && cl.asking.from[p] {
		delete(cl.asking.from, p)
		cl.asking.asked--
		c.roundMayEnd(cl)
	}
}

// standAt takes what an executor says of how the class stands there.
func (c *Core) standAt(cl *class, p *peer, st Stand) {
	s := cl.seats[p]
	if s == nil || st.Slots < 0 || st.Running < 0 {
		return
	}
	s.recalled = false
	onTheWay := int(s.sent - min(st.Seen, s.sent))
	s.lease = max(0, st.Slots-onTheWay)
	s.running = st.Running + min(onTheWay, st.Slots)
	s.until = c.now.Add(leaseTrust)
	if s.lease > 0 {
		c.openSeat(s)
	}
}
