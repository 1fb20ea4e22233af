package raygo

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// PutOption is an option of Put.
type PutOption func(*putSettings)

type putSettings struct{ replicas int }

// Replicas has a large value copied behind the call until n peers hold it, and
// again when one of them dies. A value that was put cannot be made again: it is
// as durable as its copies. (Values up to 100 KiB live with their owner.)
func Replicas(n int) PutOption {
	return func(s *putSettings) { s.replicas = n }
}

// Put stores v and gives a ref to it, which can be passed to any number of tasks
// without another copy.
func Put[T any](ctx context.Context, v T, opts ...PutOption) (Ref[T], error) {
	var ps putSettings
	for _, o := range opts {
		o(&ps)
	}
	if ps.replicas < 0 || ps.replicas > maxReplicas {
		return Ref[T]{}, fmt.Errorf("put: Replicas(%d): want 0 to %d", ps.replicas, maxReplicas)
	}
	h, err := putValue(ctx, codecOf[T](), unsafe.Pointer(&v))
	if err == nil && ps.replicas > 1 && h.e.out.Load().kind == ipc.ValueElsewhere {
		err = h.e.s.out.soon(ipc.AppendReplicate(nil, h.e.id, uint32(ps.replicas)))
	}
	return Ref[T]{h: h}, err
}

// maxReplicas bounds the copies of one value.
const maxReplicas = 1024

func putValue(ctx context.Context, c *codec, p unsafe.Pointer) (*handle, error) {
	sc, err := scopeOf(ctx)
	if err != nil {
		return nil, err
	}
	if isLinked(c.typ) {
		return nil, fmt.Errorf("put a %s: it is a ref already; pass it on as it is, or put a struct or slice that holds it", c.typ)
	}
	if err := checkType(c.typ); err != nil {
		return nil, fmt.Errorf("put: %w", err)
	}
	if c.isRaw(p) && len(c.rawBytes(p)) > words.InlineLimit {
		return sc.putBytes(ctx, ipc.FormatRaw, c.rawBytes(p), nil)
	}
	e := newEncoder(sc.s)
	defer e.free()
	f, err := e.append(c, p)
	if err != nil {
		return nil, fmt.Errorf("put: %w", err)
	}
	return sc.putBytes(ctx, f, e.buf, e.nested)
}

// putBytes makes an object of encoded bytes.
func (sc *scope) putBytes(ctx context.Context, f ipc.Format, b []byte, nested []words.ObjectID) (*handle, error) {
	s := sc.s
	id := s.nextTask().Object(0)
	e := s.newEntry(id)
	e.pushed = true
	v := ipc.Value{Kind: ipc.ValueInline, Format: f, Bytes: b}
	o := &outcome{kind: ipc.ValueInline, format: f, size: uint64(len(b))}
	if len(b) > words.InlineLimit {
		var err error
		if v, err = s.store(ctx, id, f, b); err != nil {
			return nil, fmt.Errorf("put %d bytes: %w", len(b), err)
		}
		o.kind = ipc.ValueElsewhere
	} else {
		o.bytes = append([]byte(nil), b...)
	}
	e.out.Store(o)
	h := s.made(e)
	enc := newEncoder(s)
	enc.buf = ipc.AppendPut(enc.buf, id, &v, nested)
	err := s.out.soon(enc.buf)
	enc.free()
	if err != nil {
		return nil, s.sendError(err)
	}
	return h, nil
}

// allocWait waits for room in the arena.
type allocWait struct {
	w     waiter
	value ipc.Value
	fail  error
}

// store writes bytes into the arena as the object id.
func (s *Session) store(ctx context.Context, id words.ObjectID, f ipc.Format, b []byte) (ipc.Value, error) {
	a := &allocWait{w: waiter{left: 1, bad: -1}}
	s.mu.Lock()
	s.allocs[id] = a
	s.mu.Unlock()
	if _, err := s.out.append(ipc.AppendAlloc(nil, id, uint64(len(b)))); err != nil {
		return ipc.Value{}, s.sendError(err)
	}
	err := s.await(ctx, &a.w)
	s.mu.Lock()
	delete(s.allocs, id)
	if err == nil {
		err = a.fail
	} else if a.w.done.Load() && a.fail == nil {
		err = nil
	}
	s.mu.Unlock()
	if err != nil {
		if ctx.Err() != nil {
			_ = s.out.soon(ipc.AppendIDs(nil, ipc.TypeAbandon, []words.ObjectID{id}))
			return ipc.Value{}, waitError(ctx, "wait for room in the object store", err)
		}
		return ipc.Value{}, err
	}
	if err := s.arena.write(a.value.Offset, b); err != nil {
		_ = s.out.soon(ipc.AppendIDs(nil, ipc.TypeAbandon, []words.ObjectID{id}))
		return ipc.Value{}, err
	}
	return ipc.Value{Kind: ipc.ValueStored, Format: f, ID: id, Offset: a.value.Offset, Size: uint64(len(b))}, nil
}

func (s *Session) alloced(r *ipc.Resolved) {
	s.mu.Lock()
	a := s.allocs[r.ID]
	if a != nil {
		switch r.Value.Kind {
		case ipc.ValueStored:
			a.value = r.Value
		case ipc.ValueFailed:
			a.fail = outcomeOf(&r.Value).failure(r.ID)
		default:
			a.fail = errors.New("the peer's answer to a request for room makes no sense")
		}
		a.w.fired(0, false)
	}
	s.mu.Unlock()
	if a == nil && r.Value.Kind == ipc.ValueStored {
		_ = s.out.soon(ipc.AppendIDs(nil, ipc.TypeAbandon, []words.ObjectID{r.ID}))
	}
}

// Release gives up refs at once, without waiting for the garbage collector: of
// this process's refs to the same objects none can be used any more, nor can
// slices that Get returned as views of them. A stream that is released is
// closed.
func Release(refs ...AnyRef) {
	for _, r := range refs {
		switch l := linkOf(r); {
		case l.st != nil:
			l.st.close()
		case l.h != nil && l.h.e.s != nil && l.h.localError() == nil:
			l.h.e.s.releaseHandle(l.h)
		}
	}
}

func (s *Session) releaseHandle(h *handle) {
	e := h.e
	s.dropView(e)
	s.mu.Lock()
	claims := e.claims
	e.claims = 0
	s.table.drop(e)
	if e.out.Load() != freed {
		if o := e.out.Load(); o != nil && o.kind == ipc.ValueStored {
			s.unpin(e.id)
		}
		if e.waiters != nil {
			defer s.poke()
		}
		s.resolve(e, freed)
	}
	s.mu.Unlock()
	if claims > 0 {
		ids := make([]words.ObjectID, claims)
		for i := range ids {
			ids[i] = e.id
		}
		_ = s.out.soon(ipc.AppendIDs(nil, ipc.TypeRelease, ids))
	}
}
