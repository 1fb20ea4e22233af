package raygo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"time"
	"unsafe"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// pollGrace is how long a Get or Wait whose time is already up still looks for
// what has arrived but was not read; fetchGrace, for bytes that are known to be
// there.
const (
	pollGrace  = time.Millisecond
	fetchGrace = time.Second
	fetchWarn  = time.Minute
)

// Get waits for the value of ref. A deadline of ctx that passes gives an error
// that is both ErrGetTimeout and context.DeadlineExceeded, and the object stays
// gettable; one that has passed already makes Get a poll.
func Get[T any](ctx context.Context, ref Ref[T]) (T, error) {
	var v T
	err := getInto(ctx, ref.h, codecOf[T](), unsafe.Pointer(&v))
	runtime.KeepAlive(ref.h)
	return v, err
}

// getInto stores the value of h's object at p.
func getInto(ctx context.Context, h *handle, c *codec, p unsafe.Pointer) error {
	sc, err := scopeOf(ctx)
	switch {
	case err != nil:
		return err
	case h == nil:
		return errZeroRef
	}
	if o := h.e.out.Load(); o != nil && o.kind == ipc.ValueInline {
		return c.decode(p, o.format, o.bytes, false)
	}
	return sc.get(ctx, h.e, c, p)
}

// get waits for e's value and stores it at p.
func (sc *scope) get(ctx context.Context, e *entry, c *codec, p unsafe.Pointer) error {
	if err := sc.s.foreign(e); err != nil {
		return err
	}
	for {
		done, err := sc.fromEntry(ctx, e, c, p)
		if done {
			return err
		}
		if err := sc.waitValue(ctx, e, c); err != nil {
			return waitError(ctx, "get "+e.id.String(), err)
		}
	}
}

// foreign is the error of getting an object of another session.
func (s *Session) foreign(e *entry) error {
	if e.s != nil && e.s != s {
		return fmt.Errorf("get %s: the ref belongs to another session", e.id)
	}
	return nil
}

// waitValue waits until e's value is at hand.
func (sc *scope) waitValue(ctx context.Context, e *entry, c *codec) error {
	s := sc.s
	n := waitNode{w: &waiter{left: 1, bad: -1}, level: levelValue}
	s.mu.Lock()
	l := e.level()
	if l == levelValue {
		s.mu.Unlock()
		return nil
	}
	n.next, e.waiters = e.waiters, &n
	// What is not said now is said when it turns out that only the value exists.
	unasked := l != levelExists && e.pushed && (c.small() || c.came.Load())
	want := e.asked != ipc.WantValue && !unasked
	if want {
		e.asked = ipc.WantValue
	}
	s.mu.Unlock()
	s.hints.waiting(e.id, s.welcome.Proc, s.seq.Load())
	if want {
		_, _ = s.out.append(ipc.AppendWant(nil, ipc.WantValue, []words.ObjectID{e.id}))
	}
	if l == levelExists || !e.pushed {
		warn := time.AfterFunc(fetchWarn, func() {
			fmt.Fprintf(os.Stderr, "raygo: get %s: no value after %s; nobody may have it any more\n", e.id, fetchWarn)
		})
		defer warn.Stop()
	}
	grace := pollGrace
	if l == levelExists {
		grace = fetchGrace
	}
	err := sc.wait(ctx, ipc.BlockGet, n.w, grace)
	if err != nil {
		s.mu.Lock()
		remove(&e.waiters, &n)
		s.mu.Unlock()
		return err
	}
	o := e.out.Load()
	c.came.Store(o != nil && o.kind == ipc.ValueInline && len(o.bytes) <= ipc.PushLimit)
	return nil
}

// wait waits for w. A ctx that has ended already leaves a moment for what has
// arrived.
func (sc *scope) wait(ctx context.Context, kind ipc.BlockKind, w *waiter, grace time.Duration) error {
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		moment, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		if err := sc.s.await(moment, w); err == nil || sc.s.failure() != nil {
			return err
		}
		return context.Cause(ctx)
	}
	if sc.task == nil {
		return sc.s.await(ctx, w)
	}
	return sc.task.blocked(ctx, kind, w)
}

// waitError is what a wait that ctx ended returns.
func waitError(ctx context.Context, what string, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded) && !errors.Is(err, ErrTaskTimeout) {
		return timeoutError(what)
	}
	return &systemError{kinds: []error{err, ctx.Err()}, text: fmt.Sprintf("%s: %v", what, err)}
}

// small reports whether no value of the type can be above ipc.PushLimit, so
// that it comes unasked.
func (c *codec) small() bool { return c.fast != reflect.Invalid && c.fast != reflect.String }

// fromEntry stores the value of e at p if it is at hand.
func (sc *scope) fromEntry(ctx context.Context, e *entry, c *codec, p unsafe.Pointer) (bool, error) {
	o := e.out.Load()
	if o == nil {
		return false, nil
	}
	switch o.kind {
	case ipc.ValueInline:
		return true, c.decode(p, o.format, o.bytes, false)
	case ipc.ValueFailed:
		return true, o.failure(e.id)
	case ipc.ValueStored:
		return sc.fromStore(e, o, c, p)
	case ipc.ValueComposite:
		return true, sc.gather(ctx, e, o, c, p)
	}
	return false, nil
}

// failure is the error of a failed outcome.
func (o *outcome) failure(id words.ObjectID) error {
	if o == freed {
		return freedError(id)
	}
	if o.err != nil {
		return o.err
	}
	var f words.Failure
	if err := ipc.Unmarshal(o.bytes, &f); err != nil {
		return fmt.Errorf("object %s failed, and its failure cannot be read: %w", id, err)
	}
	return errorOf(&f)
}

// fromStore stores at p the value of e that lies in the arena: as a view if it
// is plain memory and the budget allows, otherwise as a copy.
func (sc *scope) fromStore(e *entry, o *outcome, c *codec, p unsafe.Pointer) (bool, error) {
	s, st := sc.s, o.stored
	s.mu.Lock()
	if e.out.Load() != o {
		s.mu.Unlock()
		return false, nil
	}
	st.users++
	view := o.format == ipc.FormatRaw && c.raw > 0 && !sc.copies(st)
	if view && st.view == nil {
		s.pinned += st.size
	}
	mapped := st.view
	s.mu.Unlock()
	var err error
	switch {
	case view && mapped == nil:
		err = sc.giveView(e, st, c, p)
	case view:
		err = c.decode(p, o.format, mapped, true)
	default:
		err = s.copyOut(o, c, p)
	}
	s.mu.Lock()
	if st.users--; st.users == 0 && st.view == nil && e.out.Load() == o {
		e.out.Store(&outcome{kind: ipc.ValueElsewhere, format: o.format, size: o.size})
		s.unpin(e.id)
	}
	s.mu.Unlock()
	return true, err
}

// copies reports whether the value must be copied: it does not fit into the
// budget of views. s.mu is held.
func (sc *scope) copies(st *stored) bool {
	return sc.copy || st.view == nil && sc.s.pinned+st.size > sc.s.welcome.ViewBudget
}

// giveView maps a value and stores the slice over it at p.
func (sc *scope) giveView(e *entry, st *stored, c *codec, p unsafe.Pointer) error {
	s := sc.s
	b, err := s.arena.view(st)
	s.mu.Lock()
	if err != nil || st.view != nil {
		s.pinned -= st.size // another goroutine was first, or there is no view
	}
	if err == nil && st.view == nil {
		st.view = b
		if sc.task != nil {
			sc.task.views = append(sc.task.views, e)
		}
		b = nil
	}
	view := st.view
	s.mu.Unlock()
	if b != nil && err == nil {
		_ = unmap(b)
	}
	if err != nil {
		return err
	}
	return c.decode(p, ipc.FormatRaw, view, true)
}

// copyOut copies a value out of the arena and decodes it.
func (s *Session) copyOut(o *outcome, c *codec, p unsafe.Pointer) error {
	if o.format == ipc.FormatRaw && c.raw > 0 {
		n := int(o.stored.size) / int(c.raw)
		reflect.NewAt(c.typ, p).Elem().Set(reflect.MakeSlice(c.typ, n, n))
		return s.arena.read(o.stored, c.rawBytes(p))
	}
	b := make([]byte, o.stored.size)
	if err := s.arena.read(o.stored, b); err != nil {
		return err
	}
	return c.decode(p, o.format, b, false)
}

// dropView takes back the view of e that was given out.
func (s *Session) dropView(e *entry) {
	s.mu.Lock()
	o := e.out.Load()
	var view []byte
	if o != nil && o.stored != nil && o.stored.view != nil {
		view, o.stored.view = o.stored.view, nil
		s.pinned -= o.stored.size
		e.out.Store(&outcome{kind: ipc.ValueElsewhere, format: o.format, size: o.size})
		s.unpin(e.id)
	}
	s.mu.Unlock()
	if view != nil {
		_ = unmap(view)
	}
}
