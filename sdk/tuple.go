package raygo

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"unsafe"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// Tuple2 is the result of a function that returns two values, each an object of
// its own.
type Tuple2[A, B any] struct {
	A A
	B B
}

// Tuple3 is the result of a function that returns three values.
type Tuple3[A, B, C any] struct {
	A A
	B B
	C C
}

// Tuple4 is the result of a function that returns four values.
type Tuple4[A, B, C, D any] struct {
	A A
	B B
	C C
	D D
}

func (Tuple2[A, B]) tuple()       {}
func (Tuple3[A, B, C]) tuple()    {}
func (Tuple4[A, B, C, D]) tuple() {}

// Unpack2 gives the refs of the two parts of a result, before it exists.
func Unpack2[A, B any](r Ref[Tuple2[A, B]]) (Ref[A], Ref[B]) {
	h := partsOf(r.h, 2)
	return Ref[A]{h: h[0]}, Ref[B]{h: h[1]}
}

// Unpack3 gives the refs of the three parts of a result.
func Unpack3[A, B, C any](r Ref[Tuple3[A, B, C]]) (Ref[A], Ref[B], Ref[C]) {
	h := partsOf(r.h, 3)
	return Ref[A]{h: h[0]}, Ref[B]{h: h[1]}, Ref[C]{h: h[2]}
}

// Unpack4 gives the refs of the four parts of a result.
func Unpack4[A, B, C, D any](r Ref[Tuple4[A, B, C, D]]) (Ref[A], Ref[B], Ref[C], Ref[D]) {
	h := partsOf(r.h, 4)
	return Ref[A]{h: h[0]}, Ref[B]{h: h[1]}, Ref[C]{h: h[2]}, Ref[D]{h: h[3]}
}

// Unpack gives the refs of the parts of a call with NumReturns(n), before they
// exist. Of a ref that came from another process the number of parts is not
// known, so Unpack waits for the task; a ref of another kind of call gives nil.
func Unpack[T any](r Ref[[]T]) []Ref[T] {
	n := 0
	if r.h != nil && r.h.localError() == nil && r.h.e.s != nil {
		n = r.h.e.partCount()
	}
	if n == 0 {
		return nil
	}
	refs := make([]Ref[T], n)
	for i, h := range partsOf(r.h, n) {
		refs[i] = Ref[T]{h: h}
	}
	return refs
}

func (e *entry) partCount() int {
	if e.parts > 0 {
		return int(e.parts)
	}
	if e.pushed && e.out.Load() == nil {
		return 0 // this process made the call, without parts
	}
	sc := &scope{s: e.s}
	if e.level() == levelNothing {
		if err := sc.waitValue(e.s.ctx, e, codecOf[[]byte]()); err != nil {
			return 0
		}
	}
	if o := e.out.Load(); o != nil && o.kind == ipc.ValueComposite {
		return int(o.parts)
	}
	return 0
}

// partsOf gives the handles of the n parts of h's object.
func partsOf(h *handle, n int) []*handle {
	hs := make([]*handle, n)
	switch {
	case h == nil:
		h = failedHandle(nil, errZeroRef)
		fallthrough
	case h.localError() != nil:
		for i := range hs {
			hs[i] = h
		}
		return hs
	}
	s, task := h.e.s, h.e.id.Task()
	for i := range hs {
		hs[i] = s.intern(task.Object(uint32(i + 1)))
	}
	runtime.KeepAlive(h)
	return hs
}

// gather stores the parts of a composite value at p.
func (sc *scope) gather(ctx context.Context, e *entry, o *outcome, c *codec, p unsafe.Pointer) error {
	s, task, n := sc.s, e.id.Task(), int(o.parts)
	if len(c.parts) == 0 && c.raw == 0 && c.typ.Kind() != reflect.Slice {
		return fmt.Errorf("object %s has %d parts, which are no %s", e.id, n, c.typ)
	}
	es := make([]*entry, n)
	s.mu.Lock()
	var want []words.ObjectID
	for i := range es {
		es[i] = s.useLocked(task.Object(uint32(i + 1)))
		if es[i].level() == levelNothing && es[i].asked == askedNothing {
			es[i].asked = ipc.WantExists
			want = append(want, es[i].id)
		}
	}
	s.mu.Unlock()
	defer s.unuse(es...)
	if len(want) > 0 {
		_, _ = s.out.append(ipc.AppendWant(nil, ipc.WantExists, want))
	}
	return c.eachPart(n, p, func(i int, pc *codec, pp unsafe.Pointer) error {
		return sc.get(ctx, es[i], pc, pp)
	})
}
