package raygo

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"runtime"
	"unsafe"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// Stream is the items of a generator, in order, while it produces them. One
// goroutine at a time may consume a stream; items are consumed once. A Stream
// can be an argument of another task, which then consumes it. Dropping it is
// Close, once the garbage collector notices.
type Stream[T any] struct {
	core *streamCore
}

// streamCore is a stream without its type.
type streamCore struct {
	s    *Session
	task words.TaskID
	err  error // the call could not be made

	// Guarded by s.mu.
	next     uint32 // index of the next item
	produced uint32
	ended    bool
	failure  *outcome
	told     uint32 // items that the peer knows to be taken
	closed   bool
	waiters  []*waitNode
	items    map[uint32]*outcome // values that came with no one asking
}

func (st *Stream[T]) linkedType() {}

// link of a nil Stream is that of the zero Ref.
func (st *Stream[T]) link() link {
	if st == nil {
		return link{}
	}
	return link{st: st.core}
}

// ID names the stream, "" when its call could not be made.
func (st *Stream[T]) ID() string {
	if st.core.err != nil {
		return ""
	}
	return st.core.task.Object(words.StreamIndex).String()
}

// String is the stream's ID.
func (st *Stream[T]) String() string { return st.ID() }

func (st *Stream[T]) argOf(*Stream[T]) {}
func (st *Stream[T]) add(c *call) {
	if c.err == nil {
		c.next++
		c.stream(st.core, st)
	}
}

func (st *Stream[T]) coreOf() *streamCore { return st.core }

// streamAt gives the stream at p, if that is what the type is.
func streamAt(c *codec, p unsafe.Pointer) (*streamCore, bool) {
	if !c.stream {
		return nil, false
	}
	if *(*unsafe.Pointer)(p) == nil {
		return &streamCore{err: errors.New("the stream is nil")}, true
	}
	return reflect.NewAt(c.typ, p).Elem().Interface().(streamLike).coreOf(), true
}

// streamLike is met by every *Stream.
type streamLike interface {
	coreOf() *streamCore
	setCore(*streamCore)
}

// usable says whether the stream can be passed on in s.
func (st *streamCore) usable(s *Session) error {
	switch {
	case st.err != nil:
		return st.err
	case st.s != s:
		return errors.New("the stream belongs to another session")
	}
	return nil
}

// startStream sends the call of a generator.
func startStream[R any](c *call) *Stream[R] {
	core := c.submitStream()
	st := &Stream[R]{core: core}
	if core.err == nil && !core.s.conf.inside {
		runtime.AddCleanup(st, (*streamCore).close, core)
	}
	return st
}

func (c *call) submitStream() *streamCore {
	defer c.free()
	frame, err := c.finish()
	if err != nil {
		return &streamCore{err: err}
	}
	s := c.sc.s
	st := s.openStream(c.task)
	if err := s.out.soon(frame); err != nil {
		return &streamCore{err: s.sendError(err)}
	}
	return st
}

func (s *Session) openStream(task words.TaskID) *streamCore {
	st := &streamCore{s: s, task: task, items: map[uint32]*outcome{}}
	s.mu.Lock()
	s.streams[task] = st
	s.touch()
	s.mu.Unlock()
	return st
}

// stream makes the stream that a task gets as an argument. It is closed when
// the task ends.
func (in *inbound) stream(task words.TaskID, c *codec, p unsafe.Pointer) error {
	s := in.r.w.s
	s.borrow(task.Object(words.StreamIndex))
	st := s.openStream(task)
	_ = s.out.soon(ipc.AppendStreamMark(nil, ipc.TypeStreamOpen, task, 0))
	in.r.streams = append(in.r.streams, st)
	if !c.stream {
		return fmt.Errorf("a stream for a %s", c.typ)
	}
	v := reflect.New(c.typ.Elem())
	v.Interface().(streamLike).setCore(st)
	reflect.NewAt(c.typ, p).Elem().Set(v)
	return nil
}

// setCore is how a stream of unknown type gets its core.
func (st *Stream[T]) setCore(c *streamCore) { st.core = c }

// streamState takes what the peer says of a stream.
func (s *Session) streamState(m *ipc.StreamState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.streams[m.Task]
	if st == nil {
		if s.worker != nil && !m.Ended {
			s.worker.resume[m.Task] = resume{from: m.Produced}
		}
		return
	}
	st.produced = max(st.produced, m.Produced)
	st.ended = st.ended || m.Ended
	if m.Failure.Kind == ipc.ValueFailed {
		st.failure = outcomeOf(&m.Failure)
	}
	st.fire()
}

// fire wakes those that wait for the next item, if it or the end is there. s.mu
// is held.
func (st *streamCore) fire() {
	if !st.readyLocked() {
		return
	}
	for _, n := range st.waiters {
		n.w.fired(n.index, false)
	}
	st.waiters = nil
}

func (st *streamCore) readyLocked() bool {
	return st.err != nil || st.closed || st.next < st.produced || st.ended
}

// stash keeps the value of an item that nobody has taken yet. s.mu is held.
func (st *streamCore) stash(index uint32, o *outcome) {
	if index >= st.next && !st.closed && index < words.StreamIndex {
		st.items[index] = o
	}
}

var errStreamClosed = errors.New("the stream is closed")

// await waits for the next item and gives its index; false is the end.
func (st *streamCore) await(ctx context.Context) (uint32, bool, error) {
	sc, err := scopeOf(ctx)
	switch {
	case err != nil:
		return 0, false, err
	case st.err != nil:
		return 0, false, st.err
	case st.s != sc.s:
		return 0, false, errors.New("the stream belongs to another session")
	}
	for {
		st.s.mu.Lock()
		switch {
		case st.closed:
			st.s.mu.Unlock()
			return 0, false, errStreamClosed
		case st.next < st.produced:
			i := st.next
			st.s.mu.Unlock()
			return i, true, nil
		case st.ended:
			f := st.failure
			st.s.mu.Unlock()
			if f != nil {
				return st.next, false, f.failure(st.task.Object(st.next))
			}
			return st.next, false, nil
		}
		n := &waitNode{w: &waiter{left: 1, bad: -1}}
		st.waiters = append(st.waiters, n)
		st.s.mu.Unlock()
		st.tell()
		if err := sc.wait(ctx, ipc.BlockGet, n.w, pollGrace); err != nil {
			st.forget(n)
			return 0, false, waitError(ctx, "next item of stream "+st.task.String(), err)
		}
	}
}

func (st *streamCore) forget(n *waitNode) {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	for i, x := range st.waiters {
		if x == n {
			st.waiters = append(st.waiters[:i], st.waiters[i+1:]...)
			return
		}
	}
}

// taken moves past item i. The peer is told soon, since the producer may be
// waiting for it.
func (st *streamCore) taken(i uint32) {
	st.s.mu.Lock()
	st.next = max(st.next, i+1)
	delete(st.items, i)
	due := st.next-st.told >= 16 || st.next >= st.produced
	n := st.next
	if due {
		st.told = n
	}
	closed := st.closed
	st.s.mu.Unlock()
	if closed {
		return
	}
	if due {
		_ = st.s.out.soon(ipc.AppendStreamMark(nil, ipc.TypeStreamTaken, st.task, n))
	} else {
		st.s.out.mark(st)
	}
}

// tell says what was taken and not yet said.
func (st *streamCore) tell() {
	st.s.mu.Lock()
	n := st.next
	due := n > st.told && !st.closed
	st.told = max(st.told, n)
	st.s.mu.Unlock()
	if due {
		_, _ = st.s.out.append(ipc.AppendStreamMark(nil, ipc.TypeStreamTaken, st.task, n))
	}
}

// take makes the ref of item i.
func (st *streamCore) take(i uint32) *handle {
	h := st.s.intern(st.task.Object(i))
	st.s.mu.Lock()
	if o := st.items[i]; o != nil && h.e.out.Load() == nil {
		st.s.resolve(h.e, o)
	}
	delete(st.items, i)
	st.s.mu.Unlock()
	return h
}

// Refs yields the ref of each item as it is produced. An error ends it: that of
// the producer at its position, or that of ctx, after which the stream can be
// read on.
func (st *Stream[T]) Refs(ctx context.Context) iter.Seq2[Ref[T], error] {
	return func(yield func(Ref[T], error) bool) {
		defer runtime.KeepAlive(st)
		for {
			i, ok, err := st.core.await(ctx)
			if err != nil {
				yield(Ref[T]{}, err)
				return
			}
			if !ok {
				return
			}
			h := st.core.take(i)
			st.core.taken(i)
			if !yield(Ref[T]{h: h}, nil) {
				return
			}
		}
	}
}

// Values yields the value of each item as it is produced, always as a copy of
// its own, and frees the item.
func (st *Stream[T]) Values(ctx context.Context) iter.Seq2[T, error] {
	c := codecOf[T]()
	return func(yield func(T, error) bool) {
		defer runtime.KeepAlive(st)
		for {
			i, ok, err := st.core.await(ctx)
			if err == nil && !ok {
				return
			}
			var v T
			if err == nil {
				err = st.core.value(ctx, i, c, unsafe.Pointer(&v))
			}
			if err != nil {
				yield(v, err)
				return
			}
			st.core.taken(i)
			if !yield(v, nil) {
				return
			}
		}
	}
}

// value stores item i at p. The stream itself keeps the item alive until it is
// taken, so nobody else need hold it.
func (st *streamCore) value(ctx context.Context, i uint32, c *codec, p unsafe.Pointer) error {
	st.s.mu.Lock()
	o := st.items[i]
	if o != nil && o.kind == ipc.ValueInline {
		st.s.mu.Unlock()
		return c.decode(p, o.format, o.bytes, false)
	}
	e := st.s.useLocked(st.task.Object(i))
	if o != nil && e.out.Load() == nil {
		st.s.resolve(e, o)
	}
	st.s.mu.Unlock()
	defer st.s.unuse(e)
	sc, err := scopeOf(ctx)
	if err != nil {
		return err
	}
	own := *sc
	own.copy = true
	return own.get(ctx, e, c, p)
}

// Take gives the refs of the first n items at once, before they exist. They
// count as taken: the iterators go on after them.
func (st *Stream[T]) Take(n int) []Ref[T] {
	refs := make([]Ref[T], max(n, 0))
	core := st.core
	for i := range refs {
		if core.err != nil {
			refs[i] = Ref[T]{h: failedHandle(core.s, core.err)}
			continue
		}
		refs[i] = Ref[T]{h: core.take(uint32(i))}
	}
	if core.err == nil && n > 0 {
		core.taken(uint32(n - 1))
	}
	runtime.KeepAlive(st)
	return refs
}

// Completed gives the ref of the list of all item refs. It is ready when the
// producer has ended, and has its error if there was one.
func (st *Stream[T]) Completed() Ref[[]Ref[T]] {
	if st.core.err != nil {
		return Ref[[]Ref[T]]{h: failedHandle(st.core.s, st.core.err)}
	}
	defer runtime.KeepAlive(st)
	return Ref[[]Ref[T]]{h: st.core.s.intern(st.core.task.Object(words.CompletedIndex))}
}

// Close stops the producer, unless another process consumes the stream too, and
// frees what was not consumed.
func (st *Stream[T]) Close() { st.core.close() }

func (st *streamCore) close() {
	if st.err != nil {
		return
	}
	s := st.s
	s.mu.Lock()
	was := st.closed
	st.closed = true
	st.items = nil
	if len(st.waiters) > 0 {
		defer s.poke()
	}
	st.fire()
	if s.streams[st.task] == st {
		delete(s.streams, st.task)
	}
	s.mu.Unlock()
	if !was {
		_ = s.out.soon(ipc.AppendStreamMark(nil, ipc.TypeStreamClose, st.task, 0))
	}
}
