package raygo

import (
	"context"
	"runtime"
	"unsafe"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// GetAll waits for the values of refs and gives them in the order of refs. The
// first failure ends it at once. Many large values are better got in batches:
// all of them are in memory together.
func GetAll[T any](ctx context.Context, refs []Ref[T]) ([]T, error) {
	sc, err := scopeOf(ctx)
	if err != nil {
		return nil, err
	}
	vs := make([]T, len(refs))
	c := codecOf[T]()
	at := func(i int) *handle { return refs[i].h }
	if err := sc.waitAll(ctx, len(refs), at, c); err != nil {
		return nil, err
	}
	sc.s.hints.manyAtOnce(len(refs), at, sc.s.welcome.ViewBudget)
	ahead := 0
	for i := range refs {
		if i >= ahead {
			ahead = sc.wantAhead(i, len(refs), at)
		}
		if err := getInto(ctx, refs[i].h, c, unsafe.Pointer(&vs[i])); err != nil {
			return nil, err
		}
	}
	runtime.KeepAlive(refs)
	return vs, nil
}

// waitAll waits until every object exists, or one has failed.
func (sc *scope) waitAll(ctx context.Context, n int, at func(int) *handle, c *codec) error {
	s := sc.s
	var w *waiter
	var nodes []waitNode
	var want []words.ObjectID
	mode := ipc.WantExists
	if c.small() {
		mode = ipc.WantValue
	}
	for i := range n { // what no peer is asked about does not wait for what is
		h := at(i)
		if h == nil {
			return errZeroRef
		}
		if err := s.foreign(h.e); err != nil {
			return err
		}
	}
	s.mu.Lock()
	for i := 0; i < n && (w == nil || !w.done.Load()); i++ {
		e := at(i).e
		switch o := e.out.Load(); {
		case o == nil:
			if nodes == nil {
				w = &waiter{bad: -1, fast: true}
				nodes = make([]waitNode, 0, n-i)
			}
			nodes = append(nodes, waitNode{next: e.waiters, w: w, index: int32(i), level: levelExists})
			e.waiters = &nodes[len(nodes)-1]
			w.left++
			if !e.pushed && e.asked == askedNothing {
				e.asked = mode
				want = append(want, e.id)
			}
		case o.kind == ipc.ValueFailed:
			w = &waiter{bad: int32(i)}
			w.done.Store(true)
		}
	}
	s.mu.Unlock()
	if w == nil {
		return nil
	}
	for len(want) > 0 {
		k := min(len(want), ipc.MaxIDs)
		_, _ = s.out.append(ipc.AppendWant(nil, mode, want[:k]))
		want = want[k:]
	}
	err := sc.wait(ctx, ipc.BlockGet, w, pollGrace)
	if err != nil || w.bad >= 0 {
		s.mu.Lock()
		for i := range nodes {
			remove(&at(int(nodes[i].index)).e.waiters, &nodes[i])
		}
		s.mu.Unlock()
	}
	if err != nil {
		return waitError(ctx, "get all", err)
	}
	if w.bad >= 0 {
		e := at(int(w.bad)).e
		if o := e.out.Load(); o != nil && o.kind == ipc.ValueFailed {
			return o.failure(e.id)
		}
	}
	return nil
}

// wantAhead asks for the values from i on that are not at hand, as many as may
// be pinned at a time, and gives where it stopped.
func (sc *scope) wantAhead(i, n int, at func(int) *handle) int {
	s := sc.s
	var want []words.ObjectID
	var bytes uint64
	s.mu.Lock()
	for ; i < n && len(want) < 1000; i++ {
		h := at(i)
		if h == nil || h.e.s != s {
			continue
		}
		e, o := h.e, h.e.out.Load()
		if o == nil || o.kind != ipc.ValueElsewhere || e.asked == ipc.WantValue {
			continue
		}
		if bytes += o.size; bytes > s.welcome.ViewBudget/2 && len(want) > 0 {
			break
		}
		e.asked = ipc.WantValue
		want = append(want, e.id)
	}
	s.mu.Unlock()
	if len(want) > 0 {
		_, _ = s.out.append(ipc.AppendWant(nil, ipc.WantValue, want))
	}
	return max(i, 1)
}
