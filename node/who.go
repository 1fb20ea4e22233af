package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/gossip"
	"github.com/raygo/raygo/node/link"
	"github.com/raygo/raygo/node/member"
	"github.com/raygo/raygo/node/wire"
	"github.com/raygo/raygo/sched"
)

// Bounds of what is known of others.
const (
	gossipInbox = 1024             // events that wait for their turn; who brings more waits
	deadShown   = 10 * time.Minute // how long a peer that died is listed
	maxDead     = 4096
)

// whoIsThere is what is known of the other peers: the gossip core with what it
// found out. One goroutine owns the core; others give it events and read what the
// mutex guards.
type whoIsThere struct {
	m      *mesh
	core   *gossip.Core
	events chan gossip.Event
	ended  chan struct{}
	knocks chan struct{} // has one for each knock that is under way
	tries  chan struct{} // and one for each look at which addresses peers listen
	count  atomic.Int32  // of linked
	dead   atomic.Uint64 // peers that refused connections and were named dead

	mu      sync.Mutex // guards all below
	own     gossip.Advert
	linked  map[string]*linkedPeer
	absent  map[string]*absence // that were linked, while it is found out what became of them
	others  map[string]*otherPeer
	firstUp time.Time
}

// linkedPeer is a peer to which there is a link.
type linkedPeer struct {
	heard atomic.Bool    // something came from it since the last look
	doors []ma.Multiaddr // where it listens, as was seen from here; the mutex guards it
}

// otherPeer is a peer of the cluster.
type otherPeer struct {
	advert  *gossip.Advert
	learnt  time.Time // its advert
	suspect bool
	leaves  bool      // of its own will
	died    time.Time // zero: it lives, or it is not known better
}

func newWhoIsThere(m *mesh) (*whoIsThere, error) {
	w := &whoIsThere{
		m: m, events: make(chan gossip.Event, gossipInbox), ended: make(chan struct{}),
		knocks: make(chan struct{}, maxKnocks), tries: make(chan struct{}, maxTries), linked: map[string]*linkedPeer{}, absent: map[string]*absence{}, others: map[string]*otherPeer{},
	}
	w.core = gossip.New(gossip.Config{Self: m.n.id, Incarnation: m.incarnation, Seed: m.incarnation, Verify: verified})
	return w, w.describe(false)
}

// verified checks what a peer signed; its ID is its key.
func verified(id string, msg, sig []byte) bool {
	p, err := peer.Decode(id)
	if err != nil {
		return false
	}
	key, err := p.ExtractPublicKey()
	if err != nil {
		return false
	}
	ok, err := key.Verify(msg, sig)
	return err == nil && ok
}

// describe makes this peer's advert anew. A peer that offers nothing has no
// totals.
func (w *whoIsThere) describe(draining bool) error {
	m, n := w.m, w.m.n
	a := gossip.Advert{
		Peer: n.id, Incarnation: m.incarnation, Addrs: m.addrs(), Labels: n.cfg.Labels, Platform: platform, Tier: n.tier(),
		Version: Version, Wire: [2]uint16{wire.Version, wire.Version}, HTTP: n.http, Draining: draining,
	}
	if !n.cfg.Client {
		a.Totals = map[string]raygo.Quantity{
			raygo.CPU: n.res.CPU, raygo.Memory: raygo.Quantity(n.res.Memory), raygo.GPU: raygo.Quantity(len(n.res.GPUIDs)) * raygo.Unit,
		}
		maps.Copy(a.Totals, n.res.Custom)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	a.Seq = w.own.Seq + 1
	if err := a.Sign(m.key.Sign); err != nil {
		return fmt.Errorf("sign this peer's advert: %w", err)
	}
	w.own = a
	return nil
}

// ownAdvert is this peer's.
func (w *whoIsThere) ownAdvert() gossip.Advert {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.own
}

// tell gives the core an event.
func (w *whoIsThere) tell(ev gossip.Event) {
	select {
	case w.events <- ev:
	case <-w.ended:
	}
}

// run lets the core live until ctx ends.
func (w *whoIsThere) run(ctx context.Context) error {
	defer close(w.ended)
	own := w.ownAdvert()
	w.step(&gossip.SelfAdvert{Advert: own})
	w.m.announce(&own)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev := <-w.events:
			w.step(ev)
			for more := len(w.events); more > 0; more-- {
				w.step(<-w.events)
			}
		case <-timer.C:
			for _, p := range w.heardOf() {
				w.step(&gossip.Heard{Peer: p})
			}
			w.step(&gossip.Tick{})
			timer.Reset(max(time.Until(w.core.Next()), time.Millisecond))
		}
	}
}

func (w *whoIsThere) step(ev gossip.Event) {
	for _, e := range w.core.Step(time.Now(), ev) {
		switch e := e.(type) {
		case *gossip.Send:
			if w.m.links.Send(e.To, link.Control, wire.Gossip(e.Bytes)) == nil {
				w.m.links.Flush(e.To)
			}
		case *gossip.News:
			w.news(e.Advert)
		case *gossip.Judged:
			w.judged(e)
		case *gossip.Bad:
			w.m.n.log.Warn("a peer's gossip", "peer", e.Peer, "err", e.Err)
			w.m.links.Ban(e.Peer, e.Err.Error())
		}
	}
}

// heardOf are the peers that something came from since the last look.
func (w *whoIsThere) heardOf() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for id, p := range w.linked {
		if p.heard.Swap(false) {
			out = append(out, id)
		}
	}
	return out
}

// mark notes that something came from a peer.
func (w *whoIsThere) mark(id string) {
	w.mu.Lock()
	p := w.linked[id]
	w.mu.Unlock()
	if p != nil && !p.heard.Load() {
		p.heard.Store(true)
	}
}

// news takes an advert that was not known.
func (w *whoIsThere) news(a *gossip.Advert) {
	if a.Peer == w.m.n.id {
		return
	}
	now := time.Now()
	a = offerOf(a, w.m.roleOf(a.Peer))
	w.mu.Lock()
	o := w.others[a.Peer]
	if o == nil {
		o = &otherPeer{}
		w.others[a.Peer] = o
	}
	if !o.leaves || a.Incarnation != o.advert.Incarnation { // the last adverts of one that left come late
		o.leaves, o.died = false, time.Time{}
	}
	o.advert, o.learnt = a, now
	linked := w.linked[a.Peer] != nil
	w.mu.Unlock()
	w.m.known.saw(a.Peer, a.Addrs, now)
	if linked {
		w.m.n.peerChanged(upOf(a))
	}
}

// judged takes what the detector thinks of a peer.
func (w *whoIsThere) judged(e *gossip.Judged) {
	now := time.Now()
	w.mu.Lock()
	if e.Broken && w.linked[e.Peer] != nil { // its link is newer, and the core is about to hear of it
		w.mu.Unlock()
		return
	}
	o := w.others[e.Peer]
	if o == nil {
		o = &otherPeer{advert: &gossip.Advert{Peer: e.Peer}, learnt: now}
		w.others[e.Peer] = o
	}
	o.suspect = e.Health == gossip.Suspected
	switch {
	case e.Health == gossip.Gone:
		o.died = now
	case !o.leaves || w.linked[e.Peer] != nil:
		o.died = time.Time{}
	}
	w.forgetDead(now)
	w.mu.Unlock()
	w.m.n.log.Info("a peer's health", "peer", e.Peer, "health", [...]string{"alive", "suspected", "dead"}[e.Health], "why", e.Reason)
	if e.Health != gossip.Gone {
		return
	}
	if e.Refused {
		w.dead.Add(1)
	}
	w.m.dropLater(e.Peer, "it is dead: "+e.Reason)
	w.m.n.peerDead(e.Peer, e.Reason)
	if id, err := peer.Decode(e.Peer); err == nil {
		w.m.dht.Remove(id)
	}
}

// forgetDead drops those that died long ago. The mutex is held.
func (w *whoIsThere) forgetDead(now time.Time) {
	dead := 0
	for id, o := range w.others {
		if o.died.IsZero() {
			continue
		}
		if dead++; now.Sub(o.died) > deadShown || dead > maxDead {
			delete(w.others, id)
		}
	}
}

// up takes a new link.
func (w *whoIsThere) up(id string, role member.Role, h *link.Hello) (*sched.PeerUp, error) {
	a, err := gossip.ParseAdvert(h.Advert)
	switch {
	case err != nil:
		return nil, err
	case a.Peer != id || a.Incarnation != h.Incarnation:
		return nil, fmt.Errorf("its advert is of peer %s, incarnation %d", a.Peer, a.Incarnation)
	}
	now := time.Now()
	offer := offerOf(&a, role)
	sure, others := w.m.doors(id, a.Addrs)
	l := &linkedPeer{doors: sure}
	w.mu.Lock()
	gone := w.absent[id]
	delete(w.absent, id)
	w.linked[id] = l
	w.count.Store(int32(len(w.linked)))
	if w.firstUp.IsZero() {
		w.firstUp = now
	}
	w.others[id] = &otherPeer{advert: offer, learnt: now}
	w.mu.Unlock()
	w.m.known.saw(id, a.Addrs, now)
	if gone != nil {
		gone.end()
	}
	if len(sure) == 0 && len(others) > 0 && !w.m.n.reads && w.m.n.cfg.Simulation == nil {
		w.m.work.Go(func() { w.tryDoors(l, others) })
	}
	if !w.m.n.reads { // who reads is no one's neighbour
		w.tell(&gossip.LinkUp{Peer: id, Incarnation: h.Incarnation, Advert: &a})
	}
	return upOf(offer), nil
}

// upOf is what the scheduler is told of a peer.
func upOf(a *gossip.Advert) *sched.PeerUp {
	up := &sched.PeerUp{Peer: a.Peer, Incarnation: a.Incarnation, Totals: a.Totals, Labels: a.Labels, Platform: a.Platform, Tier: a.Tier, Draining: a.Draining}
	if id, err := peer.Decode(a.Peer); err == nil {
		up.Tag = tagOf([]byte(id))
	}
	return up
}

// down takes the end of a link. It reports whether the peer had said that it goes.
func (w *whoIsThere) down(id string) (left bool) {
	w.mu.Lock()
	var doors []ma.Multiaddr
	if l := w.linked[id]; l != nil {
		doors = l.doors
	}
	delete(w.linked, id)
	w.count.Store(int32(len(w.linked)))
	if o := w.others[id]; o != nil && o.leaves {
		o.died, left = time.Now(), true
	}
	w.mu.Unlock()
	w.tell(&gossip.LinkDown{Peer: id})
	if len(doors) > 0 && !left {
		w.miss(id, doors)
	}
	return left
}

// miss begins to find out what became of a peer that was linked.
func (w *whoIsThere) miss(id string, doors []ma.Multiaddr) {
	if w.m.n.ctx.Err() != nil || w.m.n.reads {
		return
	}
	select {
	case w.knocks <- struct{}{}:
	default:
		return // the detector waits a little longer
	}
	ctx, cancel := context.WithTimeout(w.m.n.ctx, knockFor)
	a := &absence{cancel: cancel}
	w.mu.Lock()
	w.absent[id] = a
	w.mu.Unlock()
	w.m.work.Go(func() {
		defer cancel()
		w.knock(ctx, id, a, doors)
		w.mu.Lock()
		if w.absent[id] == a {
			delete(w.absent, id)
		}
		w.mu.Unlock()
	})
}

// left takes a peer's word that it goes: it is dead without further waiting.
func (w *whoIsThere) left(id string, incarnation uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o := w.others[id]; o != nil && o.advert.Incarnation == incarnation {
		if o.leaves = true; w.linked[id] == nil { // its word went round longer than its link lasted
			o.died = time.Now()
		}
	}
}

func (w *whoIsThere) isLinked(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.linked[id] != nil
}

func (w *whoIsThere) linkedPeers() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.linked))
}
