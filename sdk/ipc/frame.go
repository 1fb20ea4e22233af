package ipc

import (
	"encoding/binary"
	"errors"
	"fmt"

	raygo "github.com/raygo/raygo"
)

// Version numbers of the protocol this build speaks.
const (
	MinVersion = 1
	MaxVersion = 1
)

// Limits of the protocol.
const (
	MaxFrame  = 16 << 20 // bytes of one frame after its length
	PushLimit = 8 << 10  // a value up to this size is pushed to its submitter unasked
	MaxIDs    = raygo.MaxArgs
	headerLen = 5
)

// Type says what a frame is. Types are only ever appended.
type Type uint8

// The frame types; P→ is sent by a process, →P by the peer to a process.
const (
	TypeHello       Type = 1  // P→ fixed part, CBOR Hello
	TypeWelcome     Type = 2  // →P CBOR Welcome
	TypeRefused     Type = 3  // →P CBOR raygo.Failure, then the connection ends
	TypeClass       Type = 4  // P→ and →P: class ID uint32, CBOR Class
	TypeSubmit      Type = 5  // P→ Submit
	TypeExecute     Type = 6  // →P Execute
	TypeResult      Type = 7  // P→ Result
	TypeYield       Type = 8  // P→ Yield
	TypeReady       Type = 9  // →P Ready
	TypePut         Type = 10 // P→ Put
	TypeAlloc       Type = 11 // P→ Alloc
	TypeAlloced     Type = 12 // →P Alloced
	TypeWant        Type = 13 // P→ Want
	TypeRelease     Type = 14 // P→ IDs
	TypeBorrow      Type = 15 // P→ IDs
	TypeUnpin       Type = 16 // P→ IDs
	TypeBlocked     Type = 17 // P→ Blocking
	TypeUnblocked   Type = 18 // P→ Blocking
	TypeResume      Type = 19 // →P Mark: the CPU is the task's again
	TypeRecall      Type = 20 // →P empty: give back what has not begun
	TypeReturned    Type = 21 // P→ list of Marks
	TypeStop        Type = 22 // →P Mark: cancel this attempt's context
	TypeCancel      Type = 23 // P→ CancelRequest
	TypeCancelled   Type = 24 // →P CancelReply
	TypeStreamOpen  Type = 25 // P→ StreamMark: tell me of this stream's items
	TypeStreamTaken Type = 26 // P→ StreamMark: items below N are consumed
	TypeStreamClose Type = 27 // P→ StreamMark: stop the producer, free the rest
	TypeStreamState Type = 28 // →P StreamState
	TypeCredit      Type = 29 // →P StreamMark: items below N of your own stream are consumed
	TypeNote        Type = 30 // P→ CBOR Note: spans and progress
	TypeLog         Type = 31 // →P CBOR Log: lines of tasks' output
	TypeQuery       Type = 32 // P→ request uint32, CBOR Query
	TypeAnswer      Type = 33 // →P request uint32, CBOR Answer
	TypeShutdown    Type = 34 // →P empty: end when idle
	TypeAbandon     Type = 35 // P→ IDs: allocated, will never be sealed
	TypeStarted     Type = 36 // P→ Mark: a task sent ahead begins now
	TypeReplicate   Type = 37 // P→ Replicate: hold copies of this object on other peers
	TypeGoodbye     Type = 38 // P→ CBOR Goodbye: the driver ends its session
)

// ErrFrame is wrapped by every error about bytes that are not the protocol.
var ErrFrame = errors.New("malformed frame")

// Begin starts a frame of type t at the end of b and returns b and where the
// frame begins; End completes it.
func Begin(b []byte, t Type) ([]byte, int) {
	at := len(b)
	return append(b, 0, 0, 0, 0, byte(t)), at
}

// End completes the frame that began at position at.
func End(b []byte, at int) []byte {
	binary.LittleEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

// checkLength validates a frame's length field.
func checkLength(n uint32) error {
	if n == 0 || n > MaxFrame {
		return fmt.Errorf("%w: length %d, the limit is %d", ErrFrame, n, MaxFrame)
	}
	return nil
}

// cursor reads a payload front to back. The first error sticks, so a parser
// checks once at its end.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) take(n int) []byte {
	if c.err != nil {
		return nil
	}
	if n < 0 || n > len(c.b) {
		c.err = fmt.Errorf("%w: want %d bytes more, have %d", ErrFrame, n, len(c.b))
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) u8() uint8 {
	if v := c.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if v := c.take(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if v := c.take(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

func (c *cursor) bytes() []byte { return c.take(int(c.u32())) }

func (c *cursor) task() (t raygo.TaskID) {
	copy(t[:], c.take(len(t)))
	return t
}

func (c *cursor) object() (o raygo.ObjectID) {
	copy(o[:], c.take(len(o)))
	return o
}

// objects reads a counted list of IDs. The count is checked against what is
// there before anything is allocated.
func (c *cursor) objects() []raygo.ObjectID {
	n := int(c.u32())
	if c.err == nil && n > len(c.b)/len(raygo.ObjectID{}) {
		c.err = fmt.Errorf("%w: a list of %d IDs in %d bytes", ErrFrame, n, len(c.b))
	}
	if c.err != nil || n == 0 {
		return nil
	}
	ids := make([]raygo.ObjectID, n)
	for i := range ids {
		ids[i] = c.object()
	}
	return ids
}

// end is the parser's verdict; bytes left over are an append of a newer
// version and are ignored.
func (c *cursor) end(what string) error {
	if c.err != nil {
		return fmt.Errorf("parse %s: %w", what, c.err)
	}
	return nil
}

func u32(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }
func u64(b []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }

func appendIDs(b []byte, ids []raygo.ObjectID) []byte {
	b = u32(b, uint32(len(ids)))
	for i := range ids {
		b = append(b, ids[i][:]...)
	}
	return b
}
