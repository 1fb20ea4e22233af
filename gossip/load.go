package gossip

import (
	"cmp"

	raygo "github.com/raygo/raygo"
)

// Load is an entry of a digest: how one peer was doing lately. Of one peer's
// entries the one with the highest incarnation, refutations and beat counts.
type Load struct {
	Peer        string         `cbor:"1,keyasint"`
	Incarnation uint64         `cbor:"2,keyasint"`
	Beat        uint64         `cbor:"3,keyasint,omitempty"` // rises with every change
	Refutes     uint64         `cbor:"4,keyasint,omitempty"` // rises when the peer hears that it is suspected
	Seq         uint64         `cbor:"5,keyasint,omitempty"` // of its newest advert
	FreeCPU     raygo.Quantity `cbor:"6,keyasint,omitempty"`
	Queued      uint32         `cbor:"7,keyasint,omitempty"` // tasks that wait there
	Store       uint16         `cbor:"8,keyasint,omitempty"` // used thousandths of its store
}

// compare orders the entries of one peer; the later one counts. What differs at
// the same beat is a lie or a fault, and is ordered all the same, so that all
// peers end with the same.
func (l *Load) compare(o *Load) int {
	return cmp.Or(
		cmp.Compare(l.Incarnation, o.Incarnation), cmp.Compare(l.Refutes, o.Refutes), cmp.Compare(l.Beat, o.Beat),
		cmp.Compare(l.Seq, o.Seq), cmp.Compare(l.FreeCPU, o.FreeCPU), cmp.Compare(l.Queued, o.Queued), cmp.Compare(l.Store, o.Store),
	)
}

// differs reports whether a peer has news enough to tell.
func (l *Load) differs(o *Load) bool {
	far := func(a, b, slack int64) bool { return a-b > slack || b-a > slack }
	return l.Seq != o.Seq ||
		far(int64(l.FreeCPU), int64(o.FreeCPU), int64(raygo.Unit)/2) || (l.FreeCPU == 0) != (o.FreeCPU == 0) ||
		far(int64(l.Queued), int64(o.Queued), int64(max(l.Queued, o.Queued)/4)) || (l.Queued == 0) != (o.Queued == 0) ||
		far(int64(l.Store), int64(o.Store), 20)
}

// Rumour says that somebody gets no answer from a peer. It is refuted by a Load of
// that peer with more refutations.
type Rumour struct {
	Peer        string `cbor:"1,keyasint"`
	Incarnation uint64 `cbor:"2,keyasint"`
	Refutes     uint64 `cbor:"3,keyasint,omitempty"`
}
