package gossip

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// WireVersion is the version of this package's messages.
const WireVersion = 1

// Limits of messages.
const (
	MaxMessage  = 512 << 10 // bytes
	MaxDigest   = 128       // entries
	MaxRumours  = 8
	MaxWanted   = 64        // peers of a Want, adverts of a Bundle
	MaxBundle   = 256 << 10 // bytes of a Bundle's adverts; at least one goes
	MaxSummary  = 1024      // versions of a Summary
	BucketCount = 64        // hashes of Buckets
	MaxNotice   = 64 << 10  // bytes of a Notice's body
)

// ErrMessage is wrapped by errors about bytes that are no message of this
// protocol: who sent them does not speak it.
var ErrMessage = errors.New("bad gossip message")

// ErrUnknown is returned for a message of a kind that a newer version added.
var ErrUnknown = errors.New("gossip message of an unknown kind")

// Message is what peers say to each other.
type Message interface{ kind() kind }

type kind uint8

const (
	kindPing kind = iota + 1
	kindAck
	kindPingReq
	kindVouch
	kindDigest
	kindWant
	kindBundle
	kindBuckets
	kindSummary
	kindObituary
	kindNotice
)

type (
	// Ping asks whether a peer is there.
	Ping struct {
		N uint64 `cbor:"1,keyasint"`
	}
	// Ack answers a Ping.
	Ack struct {
		N uint64 `cbor:"1,keyasint"`
	}
	// PingReq asks to ping a third peer, from which the asker hears nothing.
	PingReq struct {
		N           uint64 `cbor:"1,keyasint"`
		Peer        string `cbor:"2,keyasint"`
		Incarnation uint64 `cbor:"3,keyasint"`
	}
	// Vouch answers a PingReq.
	Vouch struct {
		N           uint64 `cbor:"1,keyasint"`
		Peer        string `cbor:"2,keyasint"`
		Incarnation uint64 `cbor:"3,keyasint"`
		Alive       bool   `cbor:"4,keyasint,omitempty"`
		Gone        bool   `cbor:"5,keyasint,omitempty"` // its process is not there: the machine refused the connection
		Age         uint32 `cbor:"6,keyasint,omitempty"` // milliseconds since it was heard
	}
	// Digest carries the entries that were forwarded least, and suspicions of the
	// sender's own.
	Digest struct {
		Entries []Load   `cbor:"1,keyasint,omitempty"`
		Rumours []Rumour `cbor:"2,keyasint,omitempty"`
		Pull    bool     `cbor:"3,keyasint,omitempty"` // this one answers another
	}
	// Want asks for adverts.
	Want struct {
		Peers []string `cbor:"1,keyasint"`
	}
	// Bundle carries signed adverts, of those that were wanted as many as fit.
	Bundle struct {
		Adverts [][]byte `cbor:"1,keyasint,omitempty"`
	}
	// Buckets are hashes of the versions that a peer knows, by a hash of the
	// peers' names.
	Buckets struct {
		Hashes []uint64 `cbor:"1,keyasint"`
	}
	// Summary are versions that a peer knows.
	Summary struct {
		Versions []Version `cbor:"1,keyasint,omitempty"`
	}
	// Obituary tells a peer that its incarnation is dead to the sender.
	Obituary struct {
		Incarnation uint64 `cbor:"1,keyasint"`
	}
	// Notice is an event of the cluster, told to everybody over the topic.
	Notice struct {
		Kind        NoticeKind `cbor:"1,keyasint"`
		Peer        string     `cbor:"2,keyasint"` // whom it is about; itself, but for NoticeDeny
		Incarnation uint64     `cbor:"3,keyasint,omitempty"`
		Time        int64      `cbor:"4,keyasint,omitempty"` // Unix milliseconds
		Body        []byte     `cbor:"5,keyasint,omitempty"` // NoticeDeny: the list, with its own signature
	}
)

// NoticeKind says what happened.
type NoticeKind uint8

// What is told to the whole cluster.
const (
	NoticeJoin NoticeKind = iota + 1
	NoticeLeave
	NoticeDrain
	NoticeDeny
)

func (*Ping) kind() kind     { return kindPing }
func (*Ack) kind() kind      { return kindAck }
func (*PingReq) kind() kind  { return kindPingReq }
func (*Vouch) kind() kind    { return kindVouch }
func (*Digest) kind() kind   { return kindDigest }
func (*Want) kind() kind     { return kindWant }
func (*Bundle) kind() kind   { return kindBundle }
func (*Buckets) kind() kind  { return kindBuckets }
func (*Summary) kind() kind  { return kindSummary }
func (*Obituary) kind() kind { return kindObituary }
func (*Notice) kind() kind   { return kindNotice }

var (
	enc = must(cbor.CoreDetEncOptions().EncMode())
	dec = must(cbor.DecOptions{MaxArrayElements: 4096, MaxMapPairs: 256, MaxNestedLevels: 8}.DecMode())
)

func must[M any](m M, err error) M {
	if err != nil {
		panic(err)
	}
	return m
}

// Encode makes a message's bytes. It panics on a message above the limits: a Core
// makes none.
func Encode(m Message) []byte {
	body, err := enc.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("gossip: encode %T: %v", m, err))
	}
	if len(body)+2 > MaxMessage {
		panic(fmt.Sprintf("gossip: %T of %d bytes", m, len(body)))
	}
	return append([]byte{WireVersion, byte(m.kind())}, body...)
}

// Decode reads a message and checks its limits.
func Decode(b []byte) (Message, error) {
	switch {
	case len(b) < 3 || len(b) > MaxMessage:
		return nil, fmt.Errorf("%w: %d bytes", ErrMessage, len(b))
	case b[0] != WireVersion:
		return nil, fmt.Errorf("%w: version %d, this peer speaks %d", ErrMessage, b[0], WireVersion)
	}
	m := blank(kind(b[1]))
	if m == nil {
		return nil, fmt.Errorf("%w: %d", ErrUnknown, b[1])
	}
	if err := dec.Unmarshal(b[2:], m); err != nil {
		return nil, fmt.Errorf("%w: %T: %w", ErrMessage, m, err)
	}
	if err := checkMessage(m); err != nil {
		return nil, fmt.Errorf("%w: %T: %w", ErrMessage, m, err)
	}
	return m, nil
}

func blank(k kind) Message {
	switch k {
	case kindPing:
		return new(Ping)
	case kindAck:
		return new(Ack)
	case kindPingReq:
		return new(PingReq)
	case kindVouch:
		return new(Vouch)
	case kindDigest:
		return new(Digest)
	case kindWant:
		return new(Want)
	case kindBundle:
		return new(Bundle)
	case kindBuckets:
		return new(Buckets)
	case kindSummary:
		return new(Summary)
	case kindObituary:
		return new(Obituary)
	case kindNotice:
		return new(Notice)
	}
	return nil
}
