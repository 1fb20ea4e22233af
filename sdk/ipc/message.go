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
