package topic

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/raygo/raygo/gossip"
)

// Limits of messages.
const (
	wireVersion = 1
	MaxBody     = 64 << 10 // bytes of a Notice's body
	maxPost     = MaxBody + 1<<10
)

// ErrPost is wrapped by errors about messages that are not passed on.
var ErrPost = errors.New("topic: bad message")

// Kind says what happened.
type Kind uint8

// The kinds of events.
const (
	Joined  Kind = iota + 1 // the author is in the cluster
	Leaving                 // it goes, of its own will: it is not to be waited for
	Draining
	Denied // Body is a deny list, signed by the cluster
)

// Notice is an event that its author tells the cluster. But for Denied it is
// about the author itself.
type Notice struct {
	Kind        Kind   `cbor:"1,keyasint"`
	Incarnation uint64 `cbor:"2,keyasint,omitempty"` // of the author
	Body        []byte `cbor:"3,keyasint,omitempty"`
}

// post is a message: one of the two.
type post struct {
	Cluster string  `cbor:"1,keyasint"`
	Advert  []byte  `cbor:"2,keyasint,omitempty"` // gossip.Advert, encoded
	Notice  *Notice `cbor:"3,keyasint,omitempty"`
}

var (
	enc = must(cbor.CoreDetEncOptions().EncMode())
	dec = must(cbor.DecOptions{MaxArrayElements: 64, MaxMapPairs: 64, MaxNestedLevels: 6}.DecMode())
)

func must[M any](m M, err error) M {
	if err != nil {
		panic(err)
	}
	return m
}

// bytes is the encoded message.
func (p *post) bytes() ([]byte, error) {
	b, err := enc.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode a message: %w", err)
	}
	if len(b)+1 > maxPost {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are passed on", ErrPost, len(b)+1, maxPost)
	}
	return append([]byte{wireVersion}, b...), nil
}

// parsed is a message that can be believed, once its author is known to be whom
// it is about.
type parsed struct {
	advert *gossip.Advert
	notice *Notice
}

// parse reads a message of a topic and checks that it is one that author may send
// there.
func parse(b []byte, cluster, author string, adverts bool) (*parsed, error) {
	switch {
	case len(b) < 2 || len(b) > maxPost:
		return nil, fmt.Errorf("%w: %d bytes", ErrPost, len(b))
	case b[0] != wireVersion:
		return nil, fmt.Errorf("%w: version %d, this peer speaks %d", ErrPost, b[0], wireVersion)
	}
	var p post
	if err := dec.Unmarshal(b[1:], &p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPost, err)
	}
	switch {
	case p.Cluster != cluster:
		return nil, fmt.Errorf("%w: for another cluster", ErrPost)
	case adverts && (p.Notice != nil || p.Advert == nil), !adverts && (p.Notice == nil || p.Advert != nil):
		return nil, fmt.Errorf("%w: not what the topic is for", ErrPost)
	case p.Notice != nil:
		if p.Notice.Kind == 0 || len(p.Notice.Body) > MaxBody {
			return nil, fmt.Errorf("%w: an event of kind %d with %d bytes", ErrPost, p.Notice.Kind, len(p.Notice.Body))
		}
		return &parsed{notice: p.Notice}, nil
	}
	a, err := gossip.ParseAdvert(p.Advert)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPost, err)
	}
	if a.Peer != author {
		return nil, fmt.Errorf("%w: %s tells about %s", ErrPost, author, a.Peer)
	}
	return &parsed{advert: &a}, nil
}
