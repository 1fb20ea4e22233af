package raygo

import (
	"fmt"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// freed is the outcome of an object that this process released.
var freed = &outcome{kind: ipc.ValueFailed, err: ErrObjectFreed}

func freedError(id words.ObjectID) error {
	return &systemError{kinds: []error{ErrObjectFreed}, text: fmt.Sprintf("%v: %s was released by this process", ErrObjectFreed, id)}
}

// handle acts on one frame. The payload is valid until it returns. An error is
// the end of the connection.
func (s *Session) handle(t ipc.Type, p []byte) error {
	switch t {
	case ipc.TypeReady:
		r, err := ipc.ParseReady(p)
		if err == nil {
			s.ready(&r)
		}
		return err
	case ipc.TypeAlloced:
		r, err := ipc.ParseAlloced(p)
		if err == nil {
			s.alloced(&r)
		}
		return err
	case ipc.TypeStreamState:
		st, err := ipc.ParseStreamState(p)
		if err == nil {
			s.streamState(&st)
		}
		return err
	case ipc.TypeLog:
		var l ipc.Log
		if err := ipc.Unmarshal(p, &l); err != nil {
			return err
		}
		printLog(&l)
	case ipc.TypeAnswer:
		var a ipc.Answer
		n, err := ipc.ParseNumbered(p, &a)
		if err != nil {
			return err
		}
		s.answered(n, func(k *ask) { k.answer = a })
	case ipc.TypeCancelled:
		n, o, err := ipc.ParseCancelled(p)
		if err != nil {
			return err
		}
		s.answered(n, func(k *ask) { k.outcome = o })
	case ipc.TypeRefused:
		var f words.Failure
		if err := ipc.Unmarshal(p, &f); err != nil {
			return err
		}
		return errorOf(&f)
	default:
		if s.worker != nil {
			return s.worker.handle(t, p)
		}
	}
	return nil
}

// ready takes what the peer says of an object.
func (s *Session) ready(r *ipc.Resolved) {
	v := &r.Value
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.table.get(r.ID)
	if e == nil {
		s.readyUnknown(r)
		return
	}
	if old := e.out.Load(); old != nil && old.kind != ipc.ValueElsewhere {
		if v.Kind == ipc.ValueStored {
			s.unpin(r.ID)
		}
		return
	}
	s.resolve(e, outcomeOf(v))
}

// readyUnknown takes what the peer says of an object that is not in the table:
// an item of a stream, or something dropped meanwhile. s.mu is held.
func (s *Session) readyUnknown(r *ipc.Resolved) {
	if st := s.streams[r.ID.Task()]; st != nil && r.Value.Kind != ipc.ValueStored {
		st.stash(r.ID.Index(), outcomeOf(&r.Value))
		return
	}
	if r.Value.Kind == ipc.ValueStored {
		s.unpin(r.ID)
	}
}

// resolve sets what is known of e and wakes who waits for it. s.mu is held.
func (s *Session) resolve(e *entry, o *outcome) {
	e.out.Store(o)
	e.asked = askedNothing
	l := levelValue
	if o.kind == ipc.ValueElsewhere {
		l = levelExists
	}
	if e.waiters == nil {
		return
	}
	e.waiters = fire(e.waiters, l, o.kind == ipc.ValueFailed)
	if e.waiters != nil { // somebody wants the value itself
		e.asked = ipc.WantValue
		_, _ = s.out.append(ipc.AppendWant(nil, ipc.WantValue, []words.ObjectID{e.id}))
		s.out.later()
	}
}

// outcomeOf copies what a frame says.
func outcomeOf(v *ipc.Value) *outcome {
	o := &outcome{kind: v.Kind, format: v.Format, size: v.Size, parts: v.Parts}
	switch v.Kind {
	case ipc.ValueInline, ipc.ValueFailed:
		o.bytes = append([]byte(nil), v.Bytes...)
		o.size = uint64(len(v.Bytes))
	case ipc.ValueStored:
		o.stored = &stored{offset: v.Offset, size: v.Size}
	}
	return o
}

// unpin gives back the bytes of a stored value.
func (s *Session) unpin(id words.ObjectID) {
	_, _ = s.out.append(ipc.AppendIDs(nil, ipc.TypeUnpin, []words.ObjectID{id}))
	s.out.later()
}
