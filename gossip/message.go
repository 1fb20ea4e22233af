package gossip

import (
	"errors"
	"fmt"
	"time"
)

// ErrFrame is wrapped by errors about messages.
var ErrFrame = errors.New("gossip: not a valid message")

// version of the messages; it is their first byte.
const version = 1

type kind uint8

const (
	kindPing    kind = 1 + iota // are you there?
	kindAck                     // I am
	kindAsk                     // do you hear from About?
	kindVouch                   // I have, lately, from its Incarnation
	kindPush                    // a digest of loads; the answer is kindPull
	kindPull                    // a digest in return, which has no answer
	kindHashes                  // of the adverts known, by buckets; the answer is kindStamps if they differ
	kindStamps                  // those known in the buckets Of; the answer is kindAdverts
	kindAdverts                 // what the other lacks, and which it should send
	kindNeed                    // send the adverts of these
)

// message is all messages: fields that a kind does not use are absent.
type message struct {
	Kind        kind     `cbor:"1,keyasint"`
	About       string   `cbor:"2,keyasint,omitempty"`
	Incarnation uint64   `cbor:"3,keyasint,omitempty"`
	Loads       []Load   `cbor:"4,keyasint,omitempty"`
	Hashes      []uint64 `cbor:"5,keyasint,omitempty"`
	Of          []int    `cbor:"6,keyasint,omitempty"`
	Stamps      []Stamp  `cbor:"7,keyasint,omitempty"`
	Adverts     []Advert `cbor:"8,keyasint,omitempty"`
	Need        []string `cbor:"9,keyasint,omitempty"`
}

func (m *message) bytes() []byte { return append([]byte{version}, encode(m)...) }

func parse(b []byte) (*message, error) {
	switch {
	case len(b) == 0 || len(b) > MaxFrame:
		return nil, fmt.Errorf("%w: %d bytes", ErrFrame, len(b))
	case b[0] != version:
		return nil, fmt.Errorf("%w: it is of version %d, this peer speaks %d", ErrFrame, b[0], version)
	}
	var m message
	if err := decoding.Unmarshal(b[1:], &m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	if len(m.Loads) > 4*digestMost || len(m.Hashes) > buckets || len(m.Of) > buckets || len(m.Stamps) > stampsMost || len(m.Adverts) > bundleMost || len(m.Need) > stampsMost {
		return nil, fmt.Errorf("%w: more than a message may have", ErrFrame)
	}
	return &m, nil
}

// frame handles a message. Whatever it says, its sender is alive.
func (c *Core) frame(now time.Time, e *Frame) {
	if !c.links[e.From] {
		return
	}
	c.det.Heard(now, e.From)
	m, err := parse(e.Bytes)
	if err != nil {
		c.emit(&Bad{Peer: e.From, Err: err})
		return
	}
	switch m.Kind {
	case kindPing:
		c.send(e.From, &message{Kind: kindAck})
	case kindAsk:
		if inc, ok := c.det.Knows(now, m.About); ok {
			c.send(e.From, &message{Kind: kindVouch, About: m.About, Incarnation: inc})
		}
	case kindVouch:
		c.det.Vouch(now, m.About, m.Incarnation)
	case kindPush, kindPull:
		c.digest(e.From, m)
	case kindHashes:
		if of := c.view.Differing(m.Hashes); len(of) > 0 {
			c.send(e.From, &message{Kind: kindStamps, Of: of, Stamps: c.view.Stamps(of, stampsMost)})
		}
	case kindStamps:
		lacks, newer := c.view.Compare(m.Of, m.Stamps)
		c.bundle(e.From, lacks, newer)
	case kindAdverts:
		for i := range m.Adverts {
			c.learn(&m.Adverts[i], e.From)
		}
		c.needed(e.From, m.Need)
	case kindNeed:
		c.needed(e.From, m.Need)
	}
}

// digest merges loads, asks for the adverts of peers that are new, and answers
// a push with a digest of our own.
func (c *Core) digest(from string, m *message) {
	var need []string
	for _, l := range m.Loads {
		if _, wanted := c.view.PutLoad(l); wanted {
			need = append(need, l.Peer)
		}
	}
	if len(need) > 0 {
		c.send(from, &message{Kind: kindNeed, Need: need})
	}
	if m.Kind == kindPush {
		c.send(from, &message{Kind: kindPull, Loads: c.view.Digest(digestMost)})
	}
}

func (c *Core) needed(from string, peers []string) {
	var as []*Advert
	for _, p := range peers {
		if a := c.view.Advert(p); a != nil {
			as = append(as, a)
		}
	}
	c.bundle(from, as, nil)
}

// bundle sends adverts in messages of bounded size, and once what is needed in
// return.
func (c *Core) bundle(to string, as []*Advert, need []string) {
	need = need[:min(len(need), stampsMost)]
	for len(as) > 0 || len(need) > 0 {
		m := &message{Kind: kindAdverts, Need: need}
		need = nil
		size := 0
		for _, a := range as[:min(len(as), bundleMost)] {
			if size += len(a.Bytes()); size > MaxFrame/2 && len(m.Adverts) > 0 {
				break
			}
			m.Adverts = append(m.Adverts, *a)
		}
		as = as[len(m.Adverts):]
		c.send(to, m)
	}
}
