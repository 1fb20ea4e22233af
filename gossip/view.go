package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
)

// Bounds of a view.
const (
	MaxPeers  = 10_000
	maxGraves = 4096
	buckets   = 64 // of the comparison of two views
)

// View is what is known of the peers of a cluster. It is not safe for concurrent
// use.
type View struct {
	self   string
	verify func(peer string, msg, sig []byte) bool
	known  map[string]*entry
	order  []string          // of known, sorted
	graves map[string]uint64 // peer → incarnation that is over
	buried []string          // the order of graves, for their bound
	turn   int               // of Digest

	refused uint64 // adverts for which there was no room
}

// ErrFull is wrapped when MaxPeers are known and one more is told of.
var ErrFull = errors.New("gossip: no room for another peer")

// Refused counts the adverts for which there was no room.
func (v *View) Refused() uint64 { return v.refused }

type entry struct {
	advert *Advert
	load   *Load
	sent   int // times that the load went out
}

// NewView makes the view of peer self. verify checks a signature by a peer's key;
// the peer's ID is its key.
func NewView(self string, verify func(peer string, msg, sig []byte) bool) *View {
	return &View{self: self, verify: verify, known: map[string]*entry{}, graves: map[string]uint64{}}
}

// Put merges an advert. It reports whether that is news; an advert that its peer
// has not signed, or of an incarnation that is over, changes nothing.
func (v *View) Put(a *Advert) (news bool, err error) {
	if err := a.check(); err != nil {
		return false, err
	}
	e := v.known[a.Peer]
	if e != nil && !a.newer(e.advert) || a.Incarnation <= v.graves[a.Peer] {
		return false, nil
	}
	if n := len(a.Bytes()); n > MaxAdvert {
		return false, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrAdvert, n, MaxAdvert)
	}
	if !v.verify(a.Peer, a.signed(), a.Sig) {
		return false, fmt.Errorf("%w: peer %s has not signed it", ErrAdvert, a.Peer)
	}
	if e == nil {
		if len(v.known) >= MaxPeers {
			v.refused++
			return false, fmt.Errorf("%w: %d peers are known", ErrFull, len(v.known))
		}
		e = v.add(a.Peer)
	}
	c := *a
	e.advert = &c
	return true, nil
}

func (v *View) add(peer string) *entry {
	e := &entry{}
	v.known[peer] = e
	i, _ := slices.BinarySearch(v.order, peer)
	v.order = slices.Insert(v.order, i, peer)
	return e
}

// PutLoad merges a load of a peer whose advert is known. It reports whether that
// is news, and whether the advert is wanted: it is unknown, or of an earlier
// incarnation.
func (v *View) PutLoad(l Load) (news, wanted bool) {
	if l.Peer == v.self || l.Incarnation <= v.graves[l.Peer] {
		return false, false
	}
	e := v.known[l.Peer]
	if e == nil || e.advert == nil || e.advert.Incarnation < l.Incarnation {
		return false, true
	}
	if !l.newer(e.load) {
		return false, false
	}
	e.load, e.sent = &l, 0
	return true, false
}

// SetLoad is this peer's own.
func (v *View) SetLoad(l Load) {
	e := v.known[v.self]
	if e == nil {
		e = v.add(v.self)
	}
	e.load, e.sent = &l, 0
}

// Bury makes an incarnation of a peer, and all before it, over for good.
func (v *View) Bury(peer string, incarnation uint64) {
	if peer == v.self || incarnation <= v.graves[peer] {
		return
	}
	if v.graves[peer] == 0 {
		v.buried = append(v.buried, peer)
		if len(v.buried) > maxGraves {
			delete(v.graves, v.buried[0])
			v.buried = v.buried[1:]
		}
	}
	v.graves[peer] = incarnation
	if e := v.known[peer]; e != nil && (e.advert == nil || e.advert.Incarnation <= incarnation) {
		delete(v.known, peer)
		i, _ := slices.BinarySearch(v.order, peer)
		v.order = slices.Delete(v.order, i, i+1)
	}
}

// unbury takes back that an incarnation is over.
func (v *View) unbury(peer string, incarnation uint64) {
	if g, ok := v.graves[peer]; ok && g == incarnation {
		v.graves[peer] = incarnation - 1
	}
}

// Advert is a peer's, nil if it is not known.
func (v *View) Advert(peer string) *Advert {
	if e := v.known[peer]; e != nil {
		return e.advert
	}
	return nil
}

// Load is a peer's, nil if it is not known.
func (v *View) Load(peer string) *Load {
	if e := v.known[peer]; e != nil {
		return e.load
	}
	return nil
}

// Adverts are all that are known, by peer.
func (v *View) Adverts() []*Advert {
	out := make([]*Advert, 0, len(v.order))
	for _, p := range v.order {
		if a := v.known[p].advert; a != nil {
			out = append(out, a)
		}
	}
	return out
}

// Digest are n of the loads that went out least often, which counts as going
// out. Among those that went out equally often they take turns.
func (v *View) Digest(n int) []Load {
	var count [maxSent + 1]int
	for _, p := range v.order {
		if e := v.known[p]; e.load != nil {
			count[e.sent]++
		}
	}
	limit, room := 0, n // all that went out less than limit times, and room of those that did so often
	for limit < maxSent && count[limit] <= room {
		room -= count[limit]
		limit++
	}
	out := make([]Load, 0, n)
	for i := range v.order {
		if len(out) == n {
			break
		}
		e := v.known[v.order[(v.turn+i)%len(v.order)]]
		if e.load == nil || e.sent > limit || e.sent == limit && room == 0 {
			continue
		}
		if e.sent == limit {
			room--
		}
		e.sent = min(e.sent+1, maxSent)
		out = append(out, *e.load)
	}
	v.turn += n
	return out
}

// maxSent is where the count of how often a load went out stops.
const maxSent = 31

func bucketOf(peer string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(peer)) // a hash takes all
	return int(h.Sum32() % buckets)
}

// Hashes sum up the adverts by buckets of peers: where two views' hashes are the
// same, so are their adverts.
func (v *View) Hashes() []uint64 {
	out := make([]uint64, buckets)
	for _, p := range v.order {
		a := v.known[p].advert
		if a == nil {
			continue
		}
		h := fnv.New64a()
		_, _ = h.Write([]byte(p))
		_, _ = h.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, a.Incarnation), a.Seq))
		out[bucketOf(p)] ^= h.Sum64()
	}
	return out
}

// Stamp names an advert.
type Stamp struct {
	Peer        string `cbor:"1,keyasint"`
	Incarnation uint64 `cbor:"2,keyasint"`
	Seq         uint64 `cbor:"3,keyasint,omitempty"`
}

// Differing are the buckets in which the view differs from one with these
// hashes.
func (v *View) Differing(theirs []uint64) []int {
	var out []int
	for i, h := range v.Hashes() {
		if i >= len(theirs) || theirs[i] != h {
			out = append(out, i)
		}
	}
	return out
}

// Stamps name the adverts in some buckets, at most n.
func (v *View) Stamps(of []int, n int) []Stamp {
	var out []Stamp
	for _, p := range v.order {
		if a := v.known[p].advert; a != nil && len(out) < n && slices.Contains(of, bucketOf(p)) {
			out = append(out, Stamp{Peer: p, Incarnation: a.Incarnation, Seq: a.Seq})
		}
	}
	return out
}

// Compare says which adverts of some buckets somebody with these stamps lacks,
// and of which peers it has newer ones.
func (v *View) Compare(of []int, theirs []Stamp) (lacks []*Advert, newer []string) {
	have := map[string]Stamp{}
	for _, s := range theirs {
		have[s.Peer] = s
		if s.Peer == v.self || s.Incarnation <= v.graves[s.Peer] {
			continue
		}
		a := v.Advert(s.Peer)
		if a == nil || s.Incarnation > a.Incarnation || s.Incarnation == a.Incarnation && s.Seq > a.Seq {
			newer = append(newer, s.Peer)
		}
	}
	for _, p := range v.order {
		a := v.known[p].advert
		if a == nil || !slices.Contains(of, bucketOf(p)) {
			continue
		}
		s, ok := have[p]
		if !ok || a.Incarnation > s.Incarnation || a.Incarnation == s.Incarnation && a.Seq > s.Seq {
			lacks = append(lacks, a)
		}
	}
	return lacks, newer
}
