package ipc

import (
	"fmt"

	raygo "github.com/raygo/raygo"
)

// Mark names one execution: Resume, Stop, Started, and each of Returned.
//
//	task (20) · award uint32 · arg uint8
type Mark struct {
	Task  raygo.TaskID
	Award uint32
	Arg   uint8 // Stop: 1 when forced, so that the worker need not answer
}

// AppendMark writes a frame of type t that is one Mark.
func AppendMark(b []byte, t Type, m Mark) []byte {
	b, at := Begin(b, t)
	return End(m.append(b), at)
}

func (m Mark) append(b []byte) []byte {
	b = append(b, m.Task[:]...)
	b = u32(b, m.Award)
	return append(b, m.Arg)
}

func (c *cursor) mark() Mark { return Mark{Task: c.task(), Award: c.u32(), Arg: c.u8()} }

// ParseMark reads a Mark.
func ParseMark(p []byte) (Mark, error) {
	c := cursor{b: p}
	m := c.mark()
	return m, c.end("mark")
}

// AppendReturned writes a Returned frame: count uint32, Marks.
func AppendReturned(b []byte, ms []Mark) []byte {
	b, at := Begin(b, TypeReturned)
	b = u32(b, uint32(len(ms)))
	for _, m := range ms {
		b = m.append(b)
	}
	return End(b, at)
}

// ParseReturned reads a Returned payload.
func ParseReturned(p []byte) ([]Mark, error) {
	c := cursor{b: p}
	n := int(c.u32())
	if c.err == nil && n > len(c.b)/25 {
		c.err = fmt.Errorf("%w: %d marks in %d bytes", ErrFrame, n, len(c.b))
	}
	var ms []Mark
	for i := 0; i < n && c.err == nil; i++ {
		ms = append(ms, c.mark())
	}
	return ms, c.end("returned")
}

// BlockKind says what a task waits in.
type BlockKind uint8

// The kinds of blocking.
const (
	BlockGet  BlockKind = 0 // Get, GetAll, a stream
	BlockWait BlockKind = 1 // Wait, AsCompleted
)

// AppendBlocked writes a Blocked frame; Arg of the mark is the BlockKind.
func AppendBlocked(b []byte, m Mark) []byte { return AppendMark(b, TypeBlocked, m) }

// AppendUnblocked writes an Unblocked frame.
func AppendUnblocked(b []byte, m Mark) []byte { return AppendMark(b, TypeUnblocked, m) }

// CancelRequest asks for a task to be cancelled.
//
//	request uint32 · task (20) · flags uint8 (1 force, 2 recursive)
type CancelRequest struct {
	Request   uint32
	Task      raygo.TaskID
	Force     bool
	Recursive bool
}

// AppendCancel writes a Cancel frame.
func AppendCancel(b []byte, r CancelRequest) []byte {
	b, at := Begin(b, TypeCancel)
	b = u32(b, r.Request)
	b = append(b, r.Task[:]...)
	var flags byte
	if r.Force {
		flags |= 1
	}
	if r.Recursive {
		flags |= 2
	}
	return End(append(b, flags), at)
}

// ParseCancel reads a Cancel payload.
func ParseCancel(p []byte) (CancelRequest, error) {
	c := cursor{b: p}
	r := CancelRequest{Request: c.u32(), Task: c.task()}
	flags := c.u8()
	r.Force, r.Recursive = flags&1 != 0, flags&2 != 0
	return r, c.end("cancel")
}

// CancelOutcome is what a Cancel came to.
type CancelOutcome uint8

// The outcomes of Cancel.
const (
	CancelNeverStarted CancelOutcome = 0
	CancelStopped      CancelOutcome = 1
	CancelAlreadyDone  CancelOutcome = 2
	CancelUnreachable  CancelOutcome = 3 // it ignores its context; its result will be discarded
)

// AppendCancelled writes a Cancelled frame: request uint32, outcome uint8.
func AppendCancelled(b []byte, request uint32, o CancelOutcome) []byte {
	b, at := Begin(b, TypeCancelled)
	b = u32(b, request)
	return End(append(b, byte(o)), at)
}

// ParseCancelled reads a Cancelled payload.
func ParseCancelled(p []byte) (request uint32, o CancelOutcome, err error) {
	c := cursor{b: p}
	request = c.u32()
	o = CancelOutcome(c.u8())
	return request, o, c.end("cancelled")
}

// AppendStreamMark writes a frame of type t about a stream: task (20), n uint32.
func AppendStreamMark(b []byte, t Type, task raygo.TaskID, n uint32) []byte {
	b, at := Begin(b, t)
	b = append(b, task[:]...)
	return End(u32(b, n), at)
}

// ParseStreamMark reads a StreamOpen, StreamTaken, StreamClose or Credit.
func ParseStreamMark(p []byte) (task raygo.TaskID, n uint32, err error) {
	c := cursor{b: p}
	task = c.task()
	n = c.u32()
	return task, n, c.end("stream mark")
}

// StreamState tells a consumer how far a stream is.
//
//	task (20) · produced uint32 · ended uint8 · [failure value if ended == 2]
type StreamState struct {
	Task     raygo.TaskID
	Produced uint32
	Ended    bool
	Failure  Value // Kind ValueFailed when it ended with a failure
}

// AppendStreamState writes a StreamState frame.
func AppendStreamState(b []byte, s *StreamState) []byte {
	b, at := Begin(b, TypeStreamState)
	b = append(b, s.Task[:]...)
	b = u32(b, s.Produced)
	switch {
	case s.Ended && s.Failure.Kind == ValueFailed:
		b = s.Failure.Append(append(b, 2))
	case s.Ended:
		b = append(b, 1)
	default:
		b = append(b, 0)
	}
	return End(b, at)
}

// ParseStreamState reads a StreamState payload.
func ParseStreamState(p []byte) (s StreamState, err error) {
	c := cursor{b: p}
	s.Task = c.task()
	s.Produced = c.u32()
	switch c.u8() {
	case 1:
		s.Ended = true
	case 2:
		s.Ended = true
		s.Failure = c.value()
	}
	return s, c.end("stream state")
}
