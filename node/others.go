package node

import (
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/raygo/raygo/gossip"
	"github.com/raygo/raygo/sdk/ipc"
)

// settled is how long after the first link the others are surely told of.
const settled = 250 * time.Millisecond

// alivePeer says whom the hash table may ask.
func (w *whoIsThere) alivePeer(p peer.ID) bool { return !w.m.n.reads && w.isLinked(p.String()) }

// members are the peers that the hash table may start from.
func (w *whoIsThere) members() []peer.AddrInfo {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []peer.AddrInfo
	for id := range w.linked {
		p, err := peer.Decode(id)
		if err != nil {
			continue
		}
		info := peer.AddrInfo{ID: p}
		if o := w.others[id]; o != nil {
			for _, s := range o.advert.Addrs {
				if x, err := peerOf(s); err == nil {
					info.Addrs = append(info.Addrs, x.Addrs...)
				}
			}
		}
		out = append(out, info)
	}
	return out
}

// met is how many peers are linked, and whether those are all that there are by
// what the others say.
func (w *whoIsThere) met() (linked int, all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.linked), len(w.linked) > 0 && len(w.linked) == len(w.others) && time.Since(w.firstUp) > settled
}

// dialable is a peer with addresses.
type dialable struct {
	peer  string
	addrs []string
	until time.Time // it is worth a try until then
}

// living are the peers to which there should be links.
func (w *whoIsThere) living() []dialable {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]dialable, 0, len(w.others))
	for id, o := range w.others {
		d := dialable{id, o.advert.Addrs, o.learnt.Add(goneFor)}
		if !o.died.IsZero() {
			d.until = o.died.Add(goneFor)
		}
		if w.linked[id] != nil {
			d.until = time.Now().Add(goneFor)
		}
		out = append(out, d)
	}
	return out
}

// silent are rows of the peers that are known and did not answer: those that are
// dead, and those that are slow.
func (m *mesh) silent(answered []ipc.NodeRow) []ipc.NodeRow {
	told := map[string]bool{m.n.id: true}
	for i := range answered {
		told[answered[i].PeerID] = true
	}
	var rows []ipc.NodeRow
	for _, r := range m.who.rows() {
		if !told[r.PeerID] {
			rows = append(rows, r)
		}
	}
	return rows
}

// rows are those of all peers that are known, by their adverts.
func (w *whoIsThere) rows() []ipc.NodeRow {
	expelled := map[string]bool{}
	for _, d := range w.m.stand.DenyList().Peers {
		expelled[d.Peer.String()] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var rows []ipc.NodeRow
	for id, o := range w.others {
		if len(o.advert.Totals) == 0 { // it offers nothing, and is no node
			continue
		}
		rows = append(rows, rowOf(o.advert))
		r := &rows[len(rows)-1]
		switch {
		case expelled[id]:
			r.State = "EXPELLED"
		case !o.died.IsZero() && o.leaves:
			r.State = "LEFT"
		case !o.died.IsZero():
			r.State = "DEAD"
		case w.linked[id] == nil:
			r.State = "UNREACHABLE"
		case o.suspect:
			r.State, r.Alive = "SUSPECTED", true
		default:
			r.State, r.Alive = "ALIVE", true
		}
	}
	slices.SortFunc(rows, func(a, b ipc.NodeRow) int { return strings.Compare(a.PeerID, b.PeerID) })
	return rows
}

func rowOf(a *gossip.Advert) ipc.NodeRow {
	r := ipc.NodeRow{
		PeerID: a.Peer, Addrs: a.Addrs, Labels: a.Labels, Platform: a.Platform, Version: a.Version, Tier: a.Tier,
		Total: map[string]float64{}, Free: map[string]float64{},
	}
	for name, q := range a.Totals {
		if r.Total[name] = q.Float(); name == "memory" {
			r.Total[name] = float64(q)
		}
	}
	return r
}
