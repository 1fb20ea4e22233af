package raygo

import (
	"runtime"
	"weak"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// newEntry makes the entry of an object that this process made, without a
// handle.
func (s *Session) newEntry(id words.ObjectID) *entry {
	return &entry{s: s, id: id, asked: askedNothing}
}

// handleOf makes a handle whose end is noticed. The caller counts it in
// e.handles.
func handleOf(e *entry) *handle {
	h := &handle{e: e}
	if s := e.s; s == nil || !s.conf.inside {
		runtime.AddCleanup(h, (*entry).handleGone, e)
	}
	return h
}

// handleGone runs when no Ref points to a handle of e any more.
func (e *entry) handleGone() {
	s := e.s
	s.mu.Lock()
	s.letGo(e)
	s.mu.Unlock()
}

// letGo takes back one handle or internal use of e, and forgets it after the
// last. s.mu is held.
func (s *Session) letGo(e *entry) {
	if e.handles--; e.handles > 0 || e.leaked {
		return
	}
	s.table.drop(e)
	if o := e.out.Load(); o != nil && o.kind == ipc.ValueStored && o.stored.view == nil && o.stored.users == 0 {
		// It was brought, and nobody read it.
		e.out.Store(&outcome{kind: ipc.ValueElsewhere, format: o.format, size: o.size})
		s.unpin(e.id)
	}
	if n := e.claims; n > 0 {
		e.claims = 0
		s.release.add(e.id, int(n))
	}
}

// made registers the entry of an object that this process submitted or put.
func (s *Session) made(e *entry) *handle {
	e.handles, e.claims = 1, 1
	s.mu.Lock()
	s.table.put(e)
	s.touch()
	s.mu.Unlock()
	return handleOf(e)
}

// intern gives the handle for an ID that came from elsewhere: the one that is
// alive, or a new one, with a Borrow if the process did not hold the object.
func (s *Session) intern(id words.ObjectID) *handle {
	s.mu.Lock()
	h, fresh := s.internLocked(id)
	s.mu.Unlock()
	if fresh {
		if !s.conf.inside {
			runtime.AddCleanup(h, (*entry).handleGone, h.e)
		}
	}
	return h
}

func (s *Session) internLocked(id words.ObjectID) (h *handle, fresh bool) {
	e := s.table.get(id)
	if e == nil {
		e = s.newEntry(id)
		s.table.put(e)
		s.touch()
	} else if h := e.self.Value(); h != nil {
		return h, false
	}
	if e.claims == 0 {
		e.claims = 1
		s.borrow(id)
	}
	h = &handle{e: e}
	e.handles++
	e.self = weak.Make(h)
	return h, true
}

// useLocked finds or makes the entry of id for this process's own purposes: it
// is in the table until unuse, and the peer is not told. s.mu is held.
func (s *Session) useLocked(id words.ObjectID) *entry {
	e := s.table.get(id)
	if e == nil {
		e = s.newEntry(id)
		s.table.put(e)
	}
	e.handles++
	return e
}

func (s *Session) unuse(es ...*entry) {
	s.mu.Lock()
	for _, e := range es {
		s.letGo(e)
	}
	s.mu.Unlock()
}

// escape makes the handle findable by its ID, which is about to leave.
func (h *handle) escape() {
	e := h.e
	if e.s == nil {
		return
	}
	e.s.mu.Lock()
	if e.self.Value() == nil {
		e.self = weak.Make(h)
	}
	e.s.mu.Unlock()
}

// failedHandle is the handle of a call that could not be made.
func failedHandle(s *Session, err error) *handle {
	e := &entry{s: s}
	e.out.Store(&outcome{kind: ipc.ValueFailed, err: err})
	return &handle{e: e}
}

// localError is the error of a call that could not be made, nil for others.
func (h *handle) localError() error {
	if o := h.e.out.Load(); o != nil && o.kind == ipc.ValueFailed {
		return o.err
	}
	return nil
}

// touch notes that refs were made, which may be dropped. s.mu is held.
func (s *Session) touch() {
	if s.touched {
		return
	}
	s.touched = true
	select {
	case s.release.made <- struct{}{}:
	default:
	}
}
