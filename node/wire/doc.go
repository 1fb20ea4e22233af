// Package wire owns the bytes of what peers say to each other on their task and
// control streams.
//
// A frame of these streams is a head of two bytes, the version and the kind, and
// a body. Bodies are core-deterministic CBOR with integer keys, but for Gossip,
// whose body is the gossip package's own, and Part. Kinds and keys are only ever
// added; a kind that a peer does not know is passed over, so that a newer peer
// may say more.
//
// A frame has at most MaxFrame bytes. Batches that are longer are sent as several
// messages of their kind. A single message that is longer is cut into frames of
// the kind Part, one after the other on the same stream, up to MaxMessage.
//
// History:
//
//	1  2026-11-23  the first
package wire

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Version is the version of this package's frames.
const Version = 1

// Limits of frames and of what is put together from them.
const (
	MaxFrame   = 4 << 20
	MaxMessage = 20 << 20
	maxBatch   = MaxFrame - 64<<10 // bodies of batches
	maxParts   = MaxMessage/maxBatch + 1
	headSize   = 2

	maxElements = 1 << 20 // of a list
)

// ErrFrame is wrapped by errors about bytes that are no frame of this protocol.
var ErrFrame = errors.New("bad frame")

// ErrTooLarge is wrapped when a message does not fit MaxMessage.
var ErrTooLarge = errors.New("message too large")

// Kind says what a frame holds.
type Kind uint8

// The kinds. Messages of cores come first, in the order in which they were added.
const (
	KindJobOpen Kind = iota + 1
	KindJobOver
	KindClassOf
	KindCall
	KindBid
	KindAssign
	KindFree
	KindDone
	KindYielded
	KindStopTask
	KindRecallTasks
	KindCreditTask
	KindProcJoined
	KindProcLeft
	KindFromProc
	KindToProc
	KindHolds
	KindDrops
	KindNamedAs
	KindFreeObjects
	KindCopyObject
	KindLeaving
	KindRollCall
	KindPresent
	KindGuardedBy
	KindGuard
	KindGuarded
	KindSafe
	KindTakeNow
	KindJobTaken
	KindRejoin

	KindPart      Kind = 64 // a piece of a message that is too long for a frame
	KindLog       Kind = 65 // Log
	KindReadsLogs Kind = 66 // ReadsLogs
	KindGossip    Kind = 96 // the gossip package's bytes
	KindAsk       Kind = 97 // Ask
	KindAnswer    Kind = 98 // Answer
)

var (
	enc = must(cbor.CoreDetEncOptions().EncMode())
	dec = must(cbor.DecOptions{MaxArrayElements: maxElements, MaxMapPairs: 1 << 16, MaxNestedLevels: 16}.DecMode())
)

func must[M any](m M, err error) M {
	if err != nil {
		panic(err)
	}
	return m
}

// KindOf reads a frame's head. Frames of another version are refused: peers agree
// on one in the hello.
func KindOf(frame []byte) (Kind, []byte, error) {
	switch {
	case len(frame) < headSize || len(frame) > MaxFrame:
		return 0, nil, fmt.Errorf("%w: %d bytes", ErrFrame, len(frame))
	case frame[0] != Version:
		return 0, nil, fmt.Errorf("%w: version %d, this peer speaks %d", ErrFrame, frame[0], Version)
	}
	return Kind(frame[1]), frame[headSize:], nil
}

// frame is the encoding of body after a head.
func frame(k Kind, body any) ([]byte, error) {
	if b, ok := fastFrame(k, body); ok {
		return b, nil
	}
	b, err := enc.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", body, err)
	}
	return append([]byte{Version, byte(k)}, b...), nil
}

func decode(body []byte, into any) error {
	if err := dec.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: decode %T: %w", ErrFrame, into, err)
	}
	return nil
}
