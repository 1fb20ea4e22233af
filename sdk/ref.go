package raygo

import (
	"context"
	"errors"
	"fmt"
	"sync"

	words "github.com/raygo/raygo"
)

// Ref is the promise of a value of type T. It is small and comparable: two refs
// of one object are equal. Its CBOR is the object's ID, so it can be part of
// arguments and results, where it arrives as a ref. A ref inside an any arrives
// as the bytes of its ID, since nothing says what it is.
type Ref[T any] struct {
	_ [0]*T
	h *handle
}

// AnyRef is met by every Ref and by *Stream.
type AnyRef interface {
	// ID is the object's ID in hexadecimal, "" when there is none.
	ID() string
	link() link
}

// link is what an AnyRef leads to.
type link struct {
	h  *handle
	st *streamCore
}

var errZeroRef = errors.New("this is the zero Ref: no call made it")

// ID is the object's ID in hexadecimal, "" for the zero Ref and for a call that
// could not be made.
func (r Ref[T]) ID() string {
	if r.h == nil || r.h.e.id.IsZero() {
		return ""
	}
	r.h.escape()
	return r.h.e.id.String()
}

// String is the object's ID.
func (r Ref[T]) String() string { return r.ID() }

func (r Ref[T]) link() link  { return link{h: r.h} }
func (r Ref[T]) linkedType() {}

// linkOf is r's link; a nil AnyRef is as the zero Ref.
func linkOf(r AnyRef) link {
	if r == nil {
		return link{}
	}
	return r.link()
}

// travel gives the ID under which a link leaves the process; the handle is nil
// for the zero Ref.
func (l link) travel() (*handle, words.ObjectID, error) {
	if l.st != nil {
		return nil, words.ObjectID{}, errors.New("a stream can be an argument of its own, not a part of another value")
	}
	if l.h == nil {
		return nil, words.ObjectID{}, nil
	}
	if err := l.h.localError(); err != nil {
		return nil, words.ObjectID{}, err
	}
	if o := l.h.e.out.Load(); o != nil && o == freed {
		return nil, words.ObjectID{}, freedError(l.h.e.id)
	}
	l.h.escape()
	return l.h, l.h.e.id, nil
}

// MarshalCBOR writes the object's ID as 24 bytes. A ref that is encoded outside
// of raygo's own calls leaves uncounted, so its object lives until Release or
// the end of the job.
func (r Ref[T]) MarshalCBOR() ([]byte, error) {
	h, id, err := r.link().travel()
	if err != nil {
		return nil, err
	}
	if h == nil {
		return []byte{cborNull}, nil
	}
	if h.e.encoding.Load() == 0 && h.e.s != nil {
		h.e.s.mu.Lock()
		h.e.leaked = true
		h.e.s.mu.Unlock()
		h.e.s.hints.leaked(id)
	}
	return append([]byte{cborBytes | 24, byte(len(id))}, id[:]...), nil
}

// UnmarshalCBOR reads what MarshalCBOR wrote, in a process that has a session
// of the same job.
func (r *Ref[T]) UnmarshalCBOR(b []byte) error {
	if len(b) == 1 && b[0] == cborNull {
		*r = Ref[T]{}
		return nil
	}
	major, n, at := readHead(b)
	var id words.ObjectID
	if major != cborBytes || n != uint64(len(id)) || len(b) != at+len(id) {
		return fmt.Errorf("decode a ref: want %d bytes, have %x", len(id), b)
	}
	copy(id[:], b[at:])
	s := sessionOfJob(id.Job())
	if s == nil {
		return fmt.Errorf("decode ref %s: this process has no session of its job", id)
	}
	r.h = s.intern(id)
	return nil
}

// RefOf gives the ref of an object by its ID, as Ref.ID prints it. The object
// must be of type T and of the session's job; it is for going on with a
// detached job.
func RefOf[T any](ctx context.Context, objectID string) Ref[T] {
	sc, err := scopeOf(ctx)
	if err != nil {
		return Ref[T]{h: failedHandle(nil, err)}
	}
	id, err := words.ParseObjectID(objectID)
	if err != nil {
		return Ref[T]{h: failedHandle(sc.s, err)}
	}
	if id.Job() != sc.s.welcome.Job {
		return Ref[T]{h: failedHandle(sc.s, fmt.Errorf("object %s belongs to job %s, this session to job %s: pass raygo.Attach", id, id.Job(), sc.s.welcome.Job))}
	}
	return Ref[T]{h: sc.s.intern(id)}
}

// sessions are those open in this process, for refs that are decoded without a
// context. A process has one, except in tests.
var sessions struct {
	sync.RWMutex
	open []*Session
}

func sessionOfJob(job words.JobID) *Session {
	sessions.RLock()
	defer sessions.RUnlock()
	for i := len(sessions.open) - 1; i >= 0; i-- {
		if s := sessions.open[i]; s.welcome.Job == job {
			return s
		}
	}
	return nil
}
