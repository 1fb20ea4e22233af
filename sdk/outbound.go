package raygo

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"
	"unsafe"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// outbound gathers the result of a task.
type outbound struct {
	r         *running
	ctx       context.Context
	enc       *encoder
	res       ipc.Result
	spans     []span // where each outcome's bytes are in enc
	concluded bool

	// Of a generator: bytes of the items that were yielded and not consumed.
	sizes   []int64
	ahead   int64
	counted uint32 // items that are not in sizes any more
}

// frameInline is how many inline bytes one frame may have; what is above goes
// through the store whatever its size.
const frameInline = 8 << 20

// span is what of the encoder's buffers belongs to one outcome.
type span struct{ from, to, nestedFrom, nestedTo int }

// result takes the function's value.
func result[R any](out *outbound, v R) error { return out.take(unsafe.Pointer(&v)) }

func (out *outbound) take(p unsafe.Pointer) error {
	c, opts := out.r.class.f.result, &out.r.class.class.Options
	switch {
	case opts.NumReturns == 0:
		return nil
	case len(c.parts) > 0:
		out.composite(len(c.parts))
		for i, pt := range c.parts {
			if err := out.add(uint32(i+1), pt.codec, unsafe.Add(p, pt.offset)); err != nil {
				return err
			}
		}
		return nil
	case opts.Parts() > 0:
		return out.slice(c, p, opts.NumReturns)
	}
	return out.add(0, c, p)
}

func (out *outbound) composite(n int) {
	out.res.Outcomes = append(out.res.Outcomes, ipc.Outcome{Value: ipc.Value{Kind: ipc.ValueComposite, Parts: uint32(n)}})
	out.spans = append(out.spans, span{})
}

// slice takes the n values of a function with NumReturns(n).
func (out *outbound) slice(c *codec, p unsafe.Pointer, n int) error {
	h := (*sliceHeader)(p)
	if h.len != n {
		return &CountMismatchError{Want: n, Got: h.len}
	}
	elem := codecFor(c.typ.Elem())
	out.composite(n)
	for i := range n {
		if err := out.add(uint32(i+1), elem, unsafe.Add(h.data, uintptr(i)*elem.size)); err != nil {
			return err
		}
	}
	return nil
}

// add encodes one outcome. A large one is written into the store here.
func (out *outbound) add(index uint32, c *codec, p unsafe.Pointer) error {
	o, sp, err := out.encode(index, c, p)
	if err != nil {
		return err
	}
	out.res.Outcomes = append(out.res.Outcomes, o)
	out.spans = append(out.spans, sp)
	return nil
}

func (out *outbound) encode(index uint32, c *codec, p unsafe.Pointer) (ipc.Outcome, span, error) {
	e := out.enc
	o := ipc.Outcome{Index: index, Value: ipc.Value{Kind: ipc.ValueInline}}
	sp := span{from: len(e.buf), nestedFrom: len(e.nested)}
	if c.isRaw(p) && len(c.rawBytes(p)) > words.InlineLimit {
		v, err := out.store(index, ipc.FormatRaw, c.rawBytes(p))
		o.Value = v
		return o, span{}, err
	}
	format, err := e.append(c, p)
	if err != nil {
		e.buf, e.nested = e.buf[:sp.from], e.nested[:sp.nestedFrom]
		return o, sp, fmt.Errorf("the result cannot be sent: %w", err)
	}
	o.Value.Format = format
	sp.to, sp.nestedTo = len(e.buf), len(e.nested)
	if sp.to-sp.from > words.InlineLimit || sp.to > frameInline {
		o.Value, err = out.store(index, format, e.buf[sp.from:])
		e.buf = e.buf[:sp.from]
		sp.from, sp.to = 0, 0
	}
	return o, sp, err
}

func (out *outbound) store(index uint32, f ipc.Format, b []byte) (ipc.Value, error) {
	return out.r.w.s.store(out.ctx, out.r.id.Object(index), f, b)
}

// fill points the outcomes at their bytes, once the buffers move no more.
func (out *outbound) fill() {
	for i := range out.res.Outcomes {
		o, sp := &out.res.Outcomes[i], out.spans[i]
		if o.Value.Kind == ipc.ValueInline {
			o.Value.Bytes = out.enc.buf[sp.from:sp.to]
		}
		o.Nested = out.enc.nested[sp.nestedFrom:sp.nestedTo]
	}
}

// conclude turns what the function returned into the attempt's status.
func (out *outbound) conclude(ctx context.Context, err error) {
	r := out.r
	out.concluded = true
	switch cause := context.Cause(ctx); {
	case r.stopped.Load() || errors.Is(cause, ErrTaskCancelled):
		out.fail(r.failure(words.CodeCancelled, "the task was cancelled"))
		out.res.Status = ipc.StatusCancelled
	case errors.Is(cause, ErrTaskTimeout):
		out.fail(r.failure(words.CodeTaskTimeout, fmt.Sprintf("ran longer than its Timeout of %s", r.class.class.Options.Timeout)))
	case err == nil:
		out.res.Status = ipc.StatusOK
	default:
		out.failWith(err)
	}
}

// failWith is the failure of a function that returned err.
func (out *outbound) failWith(err error) {
	r, opts := out.r, &out.r.class.class.Options
	var count *CountMismatchError
	if errors.As(err, &count) && err == error(count) { //nolint:errorlint // this very error, not one that wraps it
		f := r.failure(words.CodeCountMismatch, count.Error())
		f.Want, f.Got = count.Want, count.Got
		out.fail(f)
		return
	}
	f := r.failure(words.CodeApp, err.Error())
	var p *panicError
	if errors.As(err, &p) {
		f.Stack = p.stack
	}
	f.Causes = causesIn(err)
	out.fail(f)
	matches := slices.ContainsFunc(f.Causes, func(c words.Cause) bool { return slices.Contains(opts.RetryOn, c.Name) })
	if opts.RetryExceptions || matches {
		out.res.Status = ipc.StatusRetry
	}
}

// fail replaces what was gathered by a failure.
func (out *outbound) fail(f *words.Failure) {
	out.concluded = true
	var stored []words.ObjectID
	for i := range out.res.Outcomes {
		if o := &out.res.Outcomes[i]; o.Value.Kind == ipc.ValueStored {
			stored = append(stored, o.Value.ID)
		}
	}
	if len(stored) > 0 {
		_, _ = out.r.w.s.out.append(ipc.AppendIDs(nil, ipc.TypeAbandon, stored))
	}
	out.spans = append(out.spans[:0], span{})
	out.res.Status = ipc.StatusFailed
	out.res.Outcomes = append(out.res.Outcomes[:0], ipc.Outcome{
		Value: ipc.Value{Kind: ipc.ValueFailed, Code: f.Code, Bytes: ipc.Marshal(f)},
	})
}

// send hands the result over; the executor sends it when there is no more work
// at hand, or soon.
func (out *outbound) send() {
	s := out.r.w.s
	out.fill()
	out.res.Task, out.res.Award = out.r.id, out.r.award
	out.res.RunNanos = uint64(time.Since(out.r.start))
	frame := newEncoder(s)
	frame.buf = ipc.AppendResult(frame.buf, &out.res)
	_, _ = s.out.append(frame.buf)
	frame.free()
	out.enc.free()
}

// tuple is met by the Tuple types.
type tuple interface{ tuple() }

func isTuple(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.Implements(reflect.TypeFor[tuple]())
}
