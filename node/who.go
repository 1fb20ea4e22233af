package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/raygo/raygo/node/link"
	"github.com/raygo/raygo/node/wire"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

// whoIsThere is what is known of the other peers.
type whoIsThere struct {
	m *mesh

	mu      sync.Mutex
	linkedP map[string]bool
	count   atomic.Int32 // of linkedP
	adverts map[string]*advert
	heardAt map[string]time.Time

	exchanged bool // a peer has told which others there are
}

func newWhoIsThere(m *mesh) (*whoIsThere, error) {
	return &whoIsThere{m: m, linkedP: map[string]bool{}, adverts: map[string]*advert{}, heardAt: map[string]time.Time{}}, nil
}

const exchangeEvery = time.Second

// run asks the linked peers by turns for the adverts they know.
func (w *whoIsThere) run(ctx context.Context) error {
	tick := time.NewTicker(exchangeEvery)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if peers := w.linkedPeers(); len(peers) > 0 {
			w.exchange(ctx, peers[i%len(peers)])
		}
	}
}

func (w *whoIsThere) exchange(ctx context.Context, from string) {
	err := w.m.askParts(ctx, from, wire.OpAdverts, nil, func(b []byte) error {
		var all [][]byte
		if err := wire.Decoded(b, &all); err != nil {
			return err
		}
		for _, raw := range all {
			if a, err := parseAdvert(raw); err == nil {
				w.put(&a)
			}
		}
		return nil
	})
	switch {
	case err == nil:
		w.mu.Lock()
		w.exchanged = true
		w.mu.Unlock()
	case ctx.Err() == nil:
		w.m.n.log.Debug("ask for adverts", "peer", from, "err", err)
	}
}

func (w *whoIsThere) put(a *advert) {
	if a.Peer == w.m.n.id {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	have := w.adverts[a.Peer]
	if have == nil || a.Incarnation > have.Incarnation || a.Incarnation == have.Incarnation && a.Seq > have.Seq {
		w.adverts[a.Peer] = a
		w.heardAt[a.Peer] = time.Now()
	}
}

func (w *whoIsThere) up(p string, h *link.Hello) (*sched.PeerUp, error) {
	a, err := parseAdvert(h.Advert)
	if err != nil {
		return nil, err
	}
	id, err := peer.Decode(p)
	if err != nil {
		return nil, err
	}
	if a.Peer != p {
		return nil, fmt.Errorf("advert of %s", a.Peer)
	}
	w.put(&a)
	w.mu.Lock()
	w.linkedP[p] = true
	w.count.Store(int32(len(w.linkedP)))
	w.mu.Unlock()
	w.m.known.saw(p, a.Addrs, time.Now())
	w.m.n.wg.Go(func() { w.exchange(w.m.n.ctx, p) })
	return &sched.PeerUp{Peer: p, Tag: tagOf([]byte(id)), Totals: a.Totals, Labels: a.Labels, Platform: a.Platform, Tier: a.Tier, Draining: a.Draining}, nil
}

func (w *whoIsThere) down(p, reason string) {
	w.mu.Lock()
	delete(w.linkedP, p)
	w.count.Store(int32(len(w.linkedP)))
	w.heardAt[p] = time.Now()
	w.mu.Unlock()
	if id, err := peer.Decode(p); err == nil {
		w.m.dht.Remove(id)
	}
}

func (w *whoIsThere) heard(p string, body []byte) error { return nil }

func (w *whoIsThere) alivePeer(p peer.ID) bool { return w.isLinked(p.String()) }

func (w *whoIsThere) members() []peer.AddrInfo {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []peer.AddrInfo
	for p := range w.linkedP {
		a := w.adverts[p]
		id, err := peer.Decode(p)
		if a == nil || err != nil {
			continue
		}
		info := peer.AddrInfo{ID: id}
		for _, s := range a.Addrs {
			if x, err := peerOf(s); err == nil {
				info.Addrs = append(info.Addrs, x.Addrs...)
			} else if x, err := ma.NewMultiaddr(s); err == nil {
				info.Addrs = append(info.Addrs, x)
			}
		}
		out = append(out, info)
	}
	return out
}

func (w *whoIsThere) isLinked(p string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.linkedP[p]
}

func (w *whoIsThere) linkedPeers() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for p := range w.linkedP {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

// deadShown is how long a peer that died is listed.
const deadShown = 10 * time.Minute

// known are rows of all peers that are there or were lately, by their adverts.
func (w *whoIsThere) known() []ipc.NodeRow {
	w.mu.Lock()
	defer w.mu.Unlock()
	var rows []ipc.NodeRow
	for p, a := range w.adverts {
		if a.Client {
			continue
		}
		r := ipc.NodeRow{PeerID: p, Alive: w.linkedP[p], State: "ALIVE", Addrs: a.Addrs, Labels: a.Labels, Platform: a.Platform, Version: a.Version, Tier: a.Tier, Total: map[string]float64{}, Free: map[string]float64{}}
		for name, q := range a.Totals {
			r.Total[name] = q.Float()
		}
		if !r.Alive {
			if time.Since(w.heardAt[p]) > deadShown {
				continue
			}
			r.State = "DEAD"
		}
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b ipc.NodeRow) int { return strings.Compare(a.PeerID, b.PeerID) })
	return rows
}

type unlinkedPeer struct {
	peer  string
	addrs []string
}

// living are the peers that are thought alive, with their addresses.
func (w *whoIsThere) living() []unlinkedPeer {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []unlinkedPeer
	for p, a := range w.adverts {
		if w.linkedP[p] || time.Since(w.heardAt[p]) < goneFor {
			out = append(out, unlinkedPeer{p, a.Addrs})
		}
	}
	return out
}

// met is how many peers are linked, and whether those are all that the others told
// of.
func (w *whoIsThere) met() (linked int, all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.linkedP), w.exchanged && len(w.linkedP) == len(w.adverts)
}

// silent are rows of the peers that are known and did not answer: those that are
// dead, and those that are slow.
func (m *mesh) silent(answered []ipc.NodeRow) []ipc.NodeRow {
	told := map[string]bool{m.n.id: true}
	for i := range answered {
		told[answered[i].PeerID] = true
	}
	var rows []ipc.NodeRow
	for _, p := range m.who.known() {
		if !told[p.PeerID] {
			rows = append(rows, p)
		}
	}
	return rows
}

func (m *mesh) replyAdverts(ctx context.Context, peer string, q *wire.Ask) ([]byte, error) {
	w := m.who
	w.mu.Lock()
	defer w.mu.Unlock()
	var all [][]byte
	for p := range w.linkedP {
		if a := w.adverts[p]; a != nil && p != peer {
			all = append(all, wire.Encoded(a))
		}
	}
	return wire.Encoded(all), nil
}
