package gossip

import (
	"errors"
	"fmt"
	"maps"

	"github.com/fxamacker/cbor/v2"

	raygo "github.com/raygo/raygo"
)

// Bounds of an advert.
const (
	MaxAdvert = 16 << 10 // bytes, encoded
	maxAddrs  = 32
	maxLabels = 256
)

// ErrAdvert is wrapped by errors about adverts.
var ErrAdvert = errors.New("gossip: not a valid advert")

// Advert is what a peer is, in its own words. Of two of one peer the one with the
// higher incarnation counts, then that with the higher sequence number.
type Advert struct {
	Peer        string                    `cbor:"1,keyasint"`
	Incarnation uint64                    `cbor:"2,keyasint"` // of its process
	Seq         uint64                    `cbor:"3,keyasint,omitempty"`
	Addrs       []string                  `cbor:"4,keyasint,omitempty"`
	Totals      map[string]raygo.Quantity `cbor:"5,keyasint,omitempty"`
	Labels      map[string]string         `cbor:"6,keyasint,omitempty"`
	Platform    string                    `cbor:"7,keyasint,omitempty"` // os/arch
	Tier        string                    `cbor:"8,keyasint,omitempty"` // how workers are isolated
	Version     string                    `cbor:"9,keyasint,omitempty"`
	Draining    bool                      `cbor:"10,keyasint,omitempty"`
	Wire        [2]uint16                 `cbor:"11,keyasint"` // versions it speaks
	HTTP        string                    `cbor:"12,keyasint,omitempty"`
	Left        bool                      `cbor:"13,keyasint,omitempty"` // it has gone, of its own will
	Sig         []byte                    `cbor:"15,keyasint,omitempty"` // of the rest, by its key

	later map[uint64]cbor.RawMessage // fields of a later version: the signature is of them too
}

// fields are the advert without its own way of being encoded.
type fields Advert

// lastField is the highest key that this version knows; unused is one below it
// that it does not.
const lastField, unusedField = 15, 14

// MarshalCBOR writes the advert with what a later version said in it, so that
// peers hand on what they do not understand.
func (a Advert) MarshalCBOR() ([]byte, error) {
	b, err := encoding.Marshal(fields(a))
	if err != nil || len(a.later) == 0 {
		return b, err
	}
	all := map[uint64]cbor.RawMessage{}
	if err := decoding.Unmarshal(b, &all); err != nil {
		return nil, err
	}
	maps.Copy(all, a.later)
	return encoding.Marshal(all)
}

// UnmarshalCBOR reads what MarshalCBOR of any version wrote, within bounds.
func (a *Advert) UnmarshalCBOR(b []byte) error {
	if len(b) > MaxAdvert {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrAdvert, len(b), MaxAdvert)
	}
	var f fields
	if err := decoding.Unmarshal(b, &f); err != nil {
		return err
	}
	all := map[uint64]cbor.RawMessage{}
	if err := decoding.Unmarshal(b, &all); err != nil {
		return err
	}
	maps.DeleteFunc(all, func(key uint64, _ cbor.RawMessage) bool { return key <= lastField && key != unusedField })
	*a = Advert(f)
	if len(all) > 0 {
		a.later = all
	}
	return nil
}

var (
	encoding = mustEnc(cbor.EncOptions{Sort: cbor.SortCoreDeterministic})
	decoding = mustDec(cbor.DecOptions{MaxArrayElements: 4096, MaxMapPairs: 1024, MaxNestedLevels: 8})
)

func mustEnc(o cbor.EncOptions) cbor.EncMode {
	m, err := o.EncMode()
	if err != nil {
		panic(err) // the options are constants
	}
	return m
}

func mustDec(o cbor.DecOptions) cbor.DecMode {
	m, err := o.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}

// encode is the encoding of what cannot fail to be encoded.
func encode(v any) []byte {
	b, err := encoding.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("gossip: encode %T: %v", v, err))
	}
	return b
}

// Bytes is the encoded advert.
func (a *Advert) Bytes() []byte { return encode(a) }

// signed is what the signature is of.
func (a *Advert) signed() []byte {
	c := *a
	c.Sig = nil
	return append([]byte("raygo-advert-1\x00"), encode(&c)...)
}

// Sign has the advert signed by its peer's key.
func (a *Advert) Sign(sign func(msg []byte) ([]byte, error)) error {
	sig, err := sign(a.signed())
	a.Sig = sig
	return err
}

// ParseAdvert reads what Bytes wrote, within bounds. The signature is the View's
// to check.
func ParseAdvert(b []byte) (a Advert, err error) {
	if len(b) > MaxAdvert {
		return a, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrAdvert, len(b), MaxAdvert)
	}
	if err := decoding.Unmarshal(b, &a); err != nil {
		return a, fmt.Errorf("%w: %w", ErrAdvert, err)
	}
	return a, a.check()
}

func (a *Advert) check() error {
	switch {
	case a.Peer == "" || len(a.Peer) > 128:
		return fmt.Errorf("%w: its peer ID has %d characters", ErrAdvert, len(a.Peer))
	case a.Incarnation == 0:
		return fmt.Errorf("%w: it has no incarnation", ErrAdvert)
	case len(a.Addrs) > maxAddrs || len(a.Labels) > maxLabels || len(a.Totals) > maxLabels:
		return fmt.Errorf("%w: %d addresses, %d labels, %d resources", ErrAdvert, len(a.Addrs), len(a.Labels), len(a.Totals))
	}
	for _, q := range a.Totals {
		if q < 0 {
			return fmt.Errorf("%w: it offers less than nothing", ErrAdvert)
		}
	}
	return nil
}

// newer reports whether a counts more than b.
func (a *Advert) newer(b *Advert) bool {
	return b == nil || a.Incarnation > b.Incarnation || a.Incarnation == b.Incarnation && a.Seq > b.Seq
}

// Load is how busy a peer is, roughly and a while ago.
type Load struct {
	Peer        string `cbor:"1,keyasint"`
	Incarnation uint64 `cbor:"2,keyasint"`
	Beat        uint64 `cbor:"3,keyasint"`           // rises with each round of its peer
	Free        int64  `cbor:"4,keyasint,omitempty"` // CPUs, in thousandths
	Queued      uint32 `cbor:"5,keyasint,omitempty"` // tasks that wait there
}

func (l *Load) newer(b *Load) bool {
	return b == nil || l.Incarnation > b.Incarnation || l.Incarnation == b.Incarnation && l.Beat > b.Beat
}
