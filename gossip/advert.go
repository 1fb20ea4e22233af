package gossip

import (
	"errors"
	"fmt"

	raygo "github.com/raygo/raygo"
)

// Limits of an advert.
const (
	MaxAdvert   = 16 << 10 // bytes, signed and encoded
	MaxAddrs    = 16
	MaxTotals   = 64
	MaxLabels   = 64
	MaxPeerName = 128 // bytes of a peer ID
	maxText     = 256 // bytes of any other string of an advert
)

// ErrAdvert is wrapped by errors about adverts that are not believed.
var ErrAdvert = errors.New("bad advert")

// Advert is what a peer says of itself. Of one peer's adverts the one with the
// highest incarnation counts, and of these the one with the highest Seq.
type Advert struct {
	Peer        string                    `cbor:"1,keyasint"`
	Incarnation uint64                    `cbor:"2,keyasint"` // rises with every start of the peer
	Seq         uint64                    `cbor:"3,keyasint,omitempty"`
	Addrs       []string                  `cbor:"4,keyasint,omitempty"`
	Totals      map[string]raygo.Quantity `cbor:"5,keyasint,omitempty"`
	Labels      map[string]string         `cbor:"6,keyasint,omitempty"`
	Platform    string                    `cbor:"7,keyasint,omitempty"` // os/arch
	Tier        string                    `cbor:"8,keyasint,omitempty"` // of isolation
	Version     string                    `cbor:"9,keyasint,omitempty"`
	Draining    bool                      `cbor:"10,keyasint,omitempty"`
	Wire        [2]uint16                 `cbor:"11,keyasint"` // lowest and highest wire version
	HTTP        string                    `cbor:"12,keyasint,omitempty"`
	Time        int64                     `cbor:"13,keyasint,omitempty"` // Unix milliseconds when it was signed
	Left        bool                      `cbor:"14,keyasint,omitempty"` // the peer has left; nothing comes after this in the incarnation
}

// signedAdvert is an advert on its way. The body stays as it was signed, so that
// peers of an older version hand on what they do not understand.
type signedAdvert struct {
	Body []byte `cbor:"1,keyasint"`
	Sig  []byte `cbor:"2,keyasint"`
}

// advertDomain keeps signatures of adverts from being those of anything else.
const advertDomain = "raygo advert 1\x00"

// Verify checks a signature of a peer.
type Verify func(peer string, message, sig []byte) bool

// SignAdvert makes the bytes that an advert travels as.
func SignAdvert(a *Advert, sign func(message []byte) ([]byte, error)) ([]byte, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	body, err := enc.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("encode the advert: %w", err)
	}
	sig, err := sign(append([]byte(advertDomain), body...))
	if err != nil {
		return nil, fmt.Errorf("sign the advert: %w", err)
	}
	raw, err := enc.Marshal(signedAdvert{body, sig})
	if err == nil && len(raw) > MaxAdvert {
		err = fmt.Errorf("%w: %d bytes, at most %d are taken", ErrAdvert, len(raw), MaxAdvert)
	}
	return raw, err
}

// ReadAdvert reads what SignAdvert made, without believing it.
func ReadAdvert(raw []byte) (*Advert, error) {
	a, _, err := readAdvert(raw)
	return a, err
}

func readAdvert(raw []byte) (*Advert, *signedAdvert, error) {
	if len(raw) > MaxAdvert {
		return nil, nil, fmt.Errorf("%w: %d bytes, at most %d are taken", ErrAdvert, len(raw), MaxAdvert)
	}
	var s signedAdvert
	if err := dec.Unmarshal(raw, &s); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrAdvert, err)
	}
	a := new(Advert)
	if err := dec.Unmarshal(s.Body, a); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrAdvert, err)
	}
	return a, &s, a.check()
}

// OpenAdvert reads what SignAdvert made and checks that the peer itself signed it.
func OpenAdvert(raw []byte, verify Verify) (*Advert, error) {
	a, s, err := readAdvert(raw)
	if err != nil {
		return nil, err
	}
	if !verify(a.Peer, append([]byte(advertDomain), s.Body...), s.Sig) {
		return nil, fmt.Errorf("%w: not signed by %s, whom it is about", ErrAdvert, a.Peer)
	}
	return a, nil
}

// check compares an advert with the limits.
func (a *Advert) check() error {
	bad := func(what string, n, limit int) error {
		return fmt.Errorf("%w: %s: %d, at most %d are taken", ErrAdvert, what, n, limit)
	}
	switch {
	case a.Peer == "" || a.Incarnation == 0:
		return fmt.Errorf("%w: no peer or incarnation", ErrAdvert)
	case len(a.Peer) > MaxPeerName:
		return bad("bytes of the peer's ID", len(a.Peer), MaxPeerName)
	case len(a.Addrs) > MaxAddrs:
		return bad("addresses", len(a.Addrs), MaxAddrs)
	case len(a.Totals) > MaxTotals:
		return bad("resources", len(a.Totals), MaxTotals)
	case len(a.Labels) > MaxLabels:
		return bad("labels", len(a.Labels), MaxLabels)
	}
	texts := append([]string{a.Platform, a.Tier, a.Version, a.HTTP}, a.Addrs...)
	for k, q := range a.Totals {
		if q < 0 || q > raygo.MaxQuantity {
			return fmt.Errorf("%w: %d of %.32q", ErrAdvert, q, k)
		}
		texts = append(texts, k)
	}
	for k, v := range a.Labels {
		texts = append(texts, k, v)
	}
	for _, s := range texts {
		if len(s) > maxText {
			return bad("bytes of a text", len(s), maxText)
		}
	}
	return nil
}

// Version is which advert of a peer is the newest that somebody has.
type Version struct {
	Peer        string `cbor:"1,keyasint"`
	Incarnation uint64 `cbor:"2,keyasint"`
	Seq         uint64 `cbor:"3,keyasint,omitempty"`
}

// newer reports whether v comes after (incarnation, seq).
func (v Version) newer(incarnation, seq uint64) bool {
	return v.Incarnation > incarnation || v.Incarnation == incarnation && v.Seq > seq
}
