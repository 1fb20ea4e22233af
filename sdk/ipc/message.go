package ipc

import (
	"fmt"

	raygo "github.com/raygo/raygo"
)

// ArgKind says what an argument is.
type ArgKind uint8

// The kinds of argument.
const (
	ArgInline ArgKind = 0 // format uint8, length uint32, bytes
	ArgRef    ArgKind = 1 // object ID: its value is delivered
	ArgGather ArgKind = 2 // count uint32, object IDs: their values are delivered as one slice
	ArgStream ArgKind = 3 // task ID: the function receives the stream itself
)

// Arg is one argument of a call.
type Arg struct {
	Kind   ArgKind
	Format Format
	Bytes  []byte           // ArgInline
	Refs   []raygo.ObjectID // ArgRef: one; ArgGather: any number
	Stream raygo.TaskID     // ArgStream
}

// Submit asks for a call.
//
//	task (20) · class uint32 · flags uint8 · [parent (20) if flags&1] · arguments
//
// where arguments is count uint8, then each: kind uint8 and its layout, then
// the refs nested in inline bytes as a counted list.
type Submit struct {
	Task   raygo.TaskID
	Class  uint32
	Parent raygo.TaskID // zero in a driver
	Args   Args
}

// Args is the argument section of a call. Raw is the section as it travels; the
// peer keeps it and passes it on word for word.
type Args struct {
	Raw    []byte
	List   []Arg
	Nested []raygo.ObjectID // refs inside inline bytes
}

const submitHasParent = 1

// AppendSubmit writes a Submit frame. s.Args.Raw must have been made by
// AppendArgs.
func AppendSubmit(b []byte, s *Submit) []byte {
	b, at := Begin(b, TypeSubmit)
	b = append(b, s.Task[:]...)
	b = u32(b, s.Class)
	if s.Parent.IsZero() {
		b = append(b, 0)
	} else {
		b = append(b, submitHasParent)
		b = append(b, s.Parent[:]...)
	}
	b = append(b, s.Args.Raw...)
	return End(b, at)
}

// AppendArgs writes the argument section of list and nested.
func AppendArgs(b []byte, list []Arg, nested []raygo.ObjectID) []byte {
	b = append(b, byte(len(list)))
	for i := range list {
		a := &list[i]
		b = append(b, byte(a.Kind))
		switch a.Kind {
		case ArgInline:
			b = append(b, byte(a.Format))
			b = u32(b, uint32(len(a.Bytes)))
			b = append(b, a.Bytes...)
		case ArgRef:
			b = append(b, a.Refs[0][:]...)
		case ArgGather:
			b = appendIDs(b, a.Refs)
		case ArgStream:
			b = append(b, a.Stream[:]...)
		}
	}
	return appendIDs(b, nested)
}

func (c *cursor) args() (a Args) {
	start := c.b
	n := int(c.u8())
	if n > 0 && c.err == nil {
		a.List = make([]Arg, 0, min(n, 8))
	}
	refs := 0
	for range n {
		arg := Arg{Kind: ArgKind(c.u8())}
		switch arg.Kind {
		case ArgInline:
			arg.Format = Format(c.u8())
			arg.Bytes = c.bytes()
		case ArgRef:
			arg.Refs = []raygo.ObjectID{c.object()}
		case ArgGather:
			arg.Refs = c.objects()
		case ArgStream:
			arg.Stream = c.task()
		default:
			if c.err == nil {
				c.err = fmt.Errorf("%w: argument of unknown kind %d", ErrFrame, arg.Kind)
			}
		}
		if c.err != nil {
			return a
		}
		refs += len(arg.Refs)
		a.List = append(a.List, arg)
	}
	a.Nested = c.objects()
	if c.err == nil && refs+len(a.Nested) > raygo.MaxArgs {
		c.err = fmt.Errorf("%w: %d refs in the arguments, the limit is %d", ErrFrame, refs+len(a.Nested), raygo.MaxArgs)
	}
	if c.err == nil {
		a.Raw = start[:len(start)-len(c.b)]
	}
	return a
}

// ParseSubmit reads a Submit payload; the result points into it.
func ParseSubmit(p []byte) (s Submit, err error) {
	c := cursor{b: p}
	s.Task = c.task()
	s.Class = c.u32()
	if c.u8()&submitHasParent != 0 {
		s.Parent = c.task()
	}
	s.Args = c.args()
	return s, c.end("submit")
}

// ParseArgs reads an argument section that AppendArgs wrote.
func ParseArgs(raw []byte) (Args, error) {
	c := cursor{b: raw}
	a := c.args()
	return a, c.end("arguments")
}

// Execute hands a task to a worker.
//
//	task (20) · attempt uint32 · award uint32 · class uint32 · arguments ·
//	count uint32 · count × (object ID (24) · value)
type Execute struct {
	Task    raygo.TaskID
	Attempt uint32
	Award   uint32
	Class   uint32
	Args    Args
	Values  []Resolved
}

// Resolved is an object with its value.
type Resolved struct {
	ID    raygo.ObjectID
	Value Value
}

// AppendExecute writes an Execute frame.
func AppendExecute(b []byte, e *Execute) []byte {
	b, at := Begin(b, TypeExecute)
	b = append(b, e.Task[:]...)
	b = u32(b, e.Attempt)
	b = u32(b, e.Award)
	b = u32(b, e.Class)
	b = append(b, e.Args.Raw...)
	b = u32(b, uint32(len(e.Values)))
	for i := range e.Values {
		b = append(b, e.Values[i].ID[:]...)
		b = e.Values[i].Value.Append(b)
	}
	return End(b, at)
}

// ParseExecute reads an Execute payload; the result points into it.
func ParseExecute(p []byte) (e Execute, err error) {
	c := cursor{b: p}
	e.Task = c.task()
	e.Attempt = c.u32()
	e.Award = c.u32()
	e.Class = c.u32()
	e.Args = c.args()
	n := int(c.u32())
	if c.err == nil && n > len(c.b)/len(raygo.ObjectID{}) {
		c.err = fmt.Errorf("%w: %d values in %d bytes", ErrFrame, n, len(c.b))
	}
	for i := 0; i < n && c.err == nil; i++ {
		e.Values = append(e.Values, Resolved{ID: c.object(), Value: c.value()})
	}
	return e, c.end("execute")
}

// Status is how an attempt ended.
type Status uint8

// The statuses of a Result.
const (
	StatusOK         Status = 0
	StatusFailed     Status = 1 // Outcomes[0] is the failure
	StatusRetry      Status = 2 // a failure that the task's options want retried
	StatusNotStarted Status = 3 // stopped before it began
	StatusCancelled  Status = 4 // ended after its context was cancelled
)

// Result ends an attempt.
//
//	task (20) · award uint32 · status uint8 · run uint64 (nanoseconds) · items uint32 ·
//	count uint32 · count × (index uint32 · value · nested refs, a counted list)
type Result struct {
	Task     raygo.TaskID
	Award    uint32
	Status   Status
	RunNanos uint64
	Items    uint32 // generator: how many were yielded in all
	Outcomes []Outcome
}

// Outcome is one result of a task with the refs inside it.
type Outcome struct {
	Index  uint32
	Value  Value
	Nested []raygo.ObjectID
}

// AppendResult writes a Result frame.
func AppendResult(b []byte, r *Result) []byte {
	b, at := Begin(b, TypeResult)
	b = append(b, r.Task[:]...)
	b = u32(b, r.Award)
	b = append(b, byte(r.Status))
	b = u64(b, r.RunNanos)
	b = u32(b, r.Items)
	b = u32(b, uint32(len(r.Outcomes)))
	for i := range r.Outcomes {
		b = r.Outcomes[i].append(b)
	}
	return End(b, at)
}

func (o *Outcome) append(b []byte) []byte {
	b = u32(b, o.Index)
	b = o.Value.Append(b)
	return appendIDs(b, o.Nested)
}

func (c *cursor) outcome() Outcome {
	return Outcome{Index: c.u32(), Value: c.value(), Nested: c.objects()}
}

// ParseResult reads a Result payload; the result points into it.
func ParseResult(p []byte) (r Result, err error) {
	c := cursor{b: p}
	r.Task = c.task()
	r.Award = c.u32()
	r.Status = Status(c.u8())
	r.RunNanos = c.u64()
	r.Items = c.u32()
	n := int(c.u32())
	const least = 4 + 1 + 4 + 4 // an outcome is at least this long
	if c.err == nil && n > len(c.b)/least {
		c.err = fmt.Errorf("%w: %d outcomes in %d bytes", ErrFrame, n, len(c.b))
	}
	for i := 0; i < n && c.err == nil; i++ {
		r.Outcomes = append(r.Outcomes, c.outcome())
	}
	return r, c.end("result")
}

// Yield is one item of a generator.
//
//	task (20) · award uint32 · outcome (as in Result)
type Yield struct {
	Task    raygo.TaskID
	Award   uint32
	Outcome Outcome
}

// AppendYield writes a Yield frame.
func AppendYield(b []byte, y *Yield) []byte {
	b, at := Begin(b, TypeYield)
	b = append(b, y.Task[:]...)
	b = u32(b, y.Award)
	b = y.Outcome.append(b)
	return End(b, at)
}

// ParseYield reads a Yield payload; the result points into it.
func ParseYield(p []byte) (y Yield, err error) {
	c := cursor{b: p}
	y.Task = c.task()
	y.Award = c.u32()
	y.Outcome = c.outcome()
	return y, c.end("yield")
}

// AppendReady writes a Ready frame: object ID (24), value.
func AppendReady(b []byte, id raygo.ObjectID, v *Value) []byte {
	b, at := Begin(b, TypeReady)
	b = append(b, id[:]...)
	b = v.Append(b)
	return End(b, at)
}

// ParseReady reads a Ready payload; the result points into it.
func ParseReady(p []byte) (r Resolved, err error) {
	c := cursor{b: p}
	r.ID = c.object()
	r.Value = c.value()
	return r, c.end("ready")
}

// AppendPut writes a Put frame: object ID (24), value, nested refs.
func AppendPut(b []byte, id raygo.ObjectID, v *Value, nested []raygo.ObjectID) []byte {
	b, at := Begin(b, TypePut)
	b = append(b, id[:]...)
	b = v.Append(b)
	b = appendIDs(b, nested)
	return End(b, at)
}

// ParsePut reads a Put payload; the result points into it.
func ParsePut(p []byte) (r Resolved, nested []raygo.ObjectID, err error) {
	c := cursor{b: p}
	r.ID = c.object()
	r.Value = c.value()
	nested = c.objects()
	return r, nested, c.end("put")
}

// AppendAlloc writes an Alloc frame: room for size bytes of the object.
func AppendAlloc(b []byte, id raygo.ObjectID, size uint64) []byte {
	b, at := Begin(b, TypeAlloc)
	b = append(b, id[:]...)
	return End(u64(b, size), at)
}

// ParseAlloc reads an Alloc payload.
func ParseAlloc(p []byte) (id raygo.ObjectID, size uint64, err error) {
	c := cursor{b: p}
	id = c.object()
	size = c.u64()
	return id, size, c.end("alloc")
}

// AppendAlloced writes an Alloced frame: a ValueStored with the place, or a
// ValueFailed.
func AppendAlloced(b []byte, id raygo.ObjectID, v *Value) []byte {
	b, at := Begin(b, TypeAlloced)
	b = append(b, id[:]...)
	return End(v.Append(b), at)
}

// ParseAlloced reads an Alloced payload.
func ParseAlloced(p []byte) (Resolved, error) {
	r, err := ParseReady(p)
	if err != nil {
		return r, fmt.Errorf("alloced: %w", err)
	}
	return r, nil
}

// WantMode says how much of an object is wanted.
type WantMode uint8

// The modes of Want.
const (
	WantValue  WantMode = 0 // the value itself; stored bytes are pinned for the process
	WantLocal  WantMode = 1 // to know that it is ready and its bytes are on this machine
	WantExists WantMode = 2 // to know that it is ready somewhere
)

// AppendWant writes a Want frame: mode uint8, counted IDs.
func AppendWant(b []byte, mode WantMode, ids []raygo.ObjectID) []byte {
	b, at := Begin(b, TypeWant)
	b = append(b, byte(mode))
	return End(appendIDs(b, ids), at)
}

// ParseWant reads a Want payload.
func ParseWant(p []byte) (WantMode, []raygo.ObjectID, error) {
	c := cursor{b: p}
	m := WantMode(c.u8())
	ids := c.objects()
	return m, ids, c.end("want")
}

// AppendIDs writes a frame of type t that is a counted list of object IDs:
// Release, Borrow, Unpin, Abandon.
func AppendIDs(b []byte, t Type, ids []raygo.ObjectID) []byte {
	b, at := Begin(b, t)
	return End(appendIDs(b, ids), at)
}

// ParseIDs reads a counted list of object IDs.
func ParseIDs(p []byte) ([]raygo.ObjectID, error) {
	c := cursor{b: p}
	ids := c.objects()
	return ids, c.end("IDs")
}

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
