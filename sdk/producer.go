package raygo

import (
	"context"
	"fmt"
	"iter"
	"unsafe"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// resumed is what a worker is told before a generator's second attempt.
type resume struct {
	from   uint32 // items that earlier attempts yielded
	credit uint32
}

// produce runs a generator: each item is sent when it is yielded, and the
// generator waits while its consumer is too far behind.
func produce[R any](ctx context.Context, out *outbound, seq iter.Seq2[R, error]) error {
	if seq == nil {
		return nil
	}
	for v, err := range seq {
		if err != nil {
			return err
		}
		if err := out.yield(ctx, unsafe.Pointer(&v)); err != nil {
			return err
		}
	}
	return nil
}

// yield sends one item. Items that an earlier attempt sent are only counted.
func (out *outbound) yield(ctx context.Context, p unsafe.Pointer) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r, i := out.r, out.res.Items
	if i >= words.MaxYields {
		return fmt.Errorf("a generator can yield at most %d items", words.MaxYields)
	}
	if i < r.from {
		out.res.Items++
		out.sizes = append(out.sizes, 0)
		return nil
	}
	o, sp, err := out.encode(i, r.class.f.result, p)
	if err != nil {
		return fmt.Errorf("item %d: %w", i, err)
	}
	e := out.enc
	size := int64(o.Value.Size)
	if o.Value.Kind == ipc.ValueInline {
		o.Value.Bytes = e.buf[sp.from:sp.to]
		size = int64(len(o.Value.Bytes))
	}
	o.Nested = e.nested[sp.nestedFrom:sp.nestedTo]
	frame := newEncoder(r.w.s)
	frame.buf = ipc.AppendYield(frame.buf, &ipc.Yield{Task: r.id, Award: r.award, Outcome: o})
	err = r.w.s.out.soon(frame.buf)
	frame.free()
	clear(e.keep)
	e.buf, e.nested, e.keep = e.buf[:0], e.nested[:0], e.keep[:0]
	if err != nil {
		return err
	}
	out.res.Items++
	return out.await(ctx, size)
}

// await waits while more is unconsumed than the generator's options allow.
func (out *outbound) await(ctx context.Context, size int64) error {
	r, opts := out.r, &out.r.class.class.Options
	if opts.FixedYields {
		return nil
	}
	s := r.w.s
	out.sizes = append(out.sizes, size)
	out.ahead += size
	for {
		s.mu.Lock()
		for out.counted < out.res.Items && out.counted < r.credit {
			out.ahead -= out.sizes[0]
			out.sizes = out.sizes[1:]
			out.counted++
		}
		behind := int(out.res.Items - out.counted)
		if behind < opts.BackpressureItems && (out.ahead < opts.BackpressureBytes || behind == 0) {
			s.mu.Unlock()
			return nil
		}
		w := &waiter{left: 1, bad: -1}
		r.creditor = w
		s.mu.Unlock()
		if err := r.blocked(ctx, ipc.BlockGet, w); err != nil {
			return err
		}
	}
}

// credit is the peer's word of how many items of a stream were taken.
func (w *worker) credit(task words.TaskID, n uint32) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if r := w.current; r != nil && r.id == task {
		r.credit = max(r.credit, n)
		if r.creditor != nil {
			r.creditor.fired(0, false)
			r.creditor = nil
		}
		return
	}
	if k, ok := w.resume[task]; ok {
		k.credit = max(k.credit, n)
		w.resume[task] = k
	}
}
