package raygo

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"sync"
	"unsafe"

	"github.com/fxamacker/cbor/v2"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// callInline is how many bytes of arguments travel inside a call; what is above
// is put into the store first.
const callInline = 1 << 20

// call is one call of a remote function while its frame is written.
type call struct {
	sc     *scope
	ctx    context.Context
	co     *callOptions
	task   words.TaskID
	enc    *encoder
	frame  int // where the frame begins in enc.buf
	next   int // index of the next argument
	inline int // bytes of inline arguments
	refs   int
	stored []*handle // large arguments, held until the call is on its way
	held   []any     // streams among the arguments, likewise
	err    error
}

var calls = sync.Pool{New: func() any { return new(call) }}

// call begins a call.
func (co *callOptions) call(ctx context.Context) *call {
	c := calls.Get().(*call)
	*c = call{ctx: ctx, co: co, stored: c.stored[:0]}
	c.sc, c.err = scopeOf(ctx)
	if c.err == nil {
		c.err = co.err
	}
	if c.err == nil {
		c.err = c.begin()
	}
	return c
}

func (c *call) begin() error {
	s := c.sc.s
	id, err := c.co.classIn(s)
	if err != nil {
		return err
	}
	c.task = s.nextTask()
	c.enc = newEncoder(s)
	b, at := ipc.Begin(c.enc.buf, ipc.TypeSubmit)
	c.frame = at
	b = append(b, c.task[:]...)
	b = binary.LittleEndian.AppendUint32(b, id)
	if t := c.sc.task; t != nil {
		b = append(append(b, 1), t.id[:]...)
	} else {
		b = append(b, 0)
	}
	c.enc.buf = append(b, byte(len(c.co.f.params)))
	return nil
}

// classKey encodes a class so that equal ones are equal bytes: a program that
// calls Options for each of a million calls has one class, not a million.
var classKey = must(cbor.CanonicalEncOptions().EncMode())

// classIn gives the number by which s's peer knows these options, and tells the
// peer first if it does not.
func (co *callOptions) classIn(s *Session) (uint32, error) {
	if cl := co.class.Load(); cl != nil && cl.s == s {
		return cl.id, nil
	}
	s.defining.Lock()
	defer s.defining.Unlock()
	if cl := co.class.Load(); cl != nil && cl.s == s {
		return cl.id, nil
	}
	opts := co.words
	names, err := causeNames(co.retry)
	if err != nil {
		return 0, err
	}
	opts.RetryOn = names
	def := &ipc.Class{Function: co.f.name, Signature: co.f.sig, Options: opts, Caller: co.f.caller}
	key, err := classKey.Marshal(def)
	if err != nil {
		return 0, fmt.Errorf("describe the options of %s: %w", co.f.name, err)
	}
	id, known := s.classes[string(key)]
	if !known {
		id = uint32(len(s.classes) + 1)
		if _, err := s.out.append(ipc.AppendNumbered(nil, ipc.TypeClass, id, def)); err != nil {
			return 0, s.sendError(err)
		}
		s.classes[string(key)] = id
	}
	co.class.Store(&class{s: s, id: id})
	return id, nil
}

// sendError is the error of a frame that could not be sent.
func (s *Session) sendError(err error) error {
	if dead := s.failure(); dead != nil {
		return dead
	}
	return &systemError{kinds: []error{ErrPeerDied, err}, text: fmt.Sprintf("%v: %v", ErrPeerDied, err)}
}

// value adds an argument that is given by value.
func (c *call) value(p unsafe.Pointer) {
	if c.err != nil {
		return
	}
	cd := c.co.f.params[c.next]
	c.next++
	if st, ok := streamAt(cd, p); ok {
		c.stream(st, reflect.NewAt(cd.typ, p).Elem().Interface())
		return
	}
	if cd.isRaw(p) && len(cd.rawBytes(p)) > words.InlineLimit {
		c.sc.s.hints.large(c.co.f.name, cd.rawBytes(p))
		c.object(ipc.FormatRaw, cd.rawBytes(p), nil)
		return
	}
	e := c.enc
	at, nested := len(e.buf), len(e.nested)
	e.buf = append(e.buf, byte(ipc.ArgInline), 0, 0, 0, 0, 0)
	format, err := e.append(cd, p)
	if err != nil {
		c.fail(err)
		return
	}
	n := len(e.buf) - at - 6
	if n > words.InlineLimit || c.inline+n > callInline {
		body := append([]byte(nil), e.buf[at+6:]...)
		inside := append([]words.ObjectID(nil), e.nested[nested:]...)
		e.buf, e.nested = e.buf[:at], e.nested[:nested]
		c.object(format, body, inside)
		return
	}
	c.inline += n
	e.buf[at+1] = byte(format)
	binary.LittleEndian.PutUint32(e.buf[at+2:], uint32(n))
}

// object adds an argument that travels through the store.
func (c *call) object(f ipc.Format, b []byte, nested []words.ObjectID) {
	h, err := c.sc.putBytes(c.ctx, f, b, nested)
	if err != nil {
		c.fail(err)
		return
	}
	c.stored = append(c.stored, h)
	c.id(h.e.id)
}

func (c *call) id(id words.ObjectID) {
	c.refs++
	c.enc.buf = append(append(c.enc.buf, byte(ipc.ArgRef)), id[:]...)
}

// ref adds an argument that is the value of another object.
func (c *call) ref(h *handle) {
	if c.err != nil {
		return
	}
	c.next++
	if id, ok := c.object24(h); ok {
		c.id(id)
	}
}

// object24 gives the ID of a ref that is an argument, and holds the ref until
// the call is on its way.
func (c *call) object24(h *handle) (words.ObjectID, bool) {
	switch {
	case h == nil:
		c.fail(fmt.Errorf("argument %d: %w", c.next, errZeroRef))
	case h.localError() != nil:
		c.fail(h.failureAsArgument())
	case h.e.s != c.sc.s:
		c.fail(fmt.Errorf("argument %d: ref %s belongs to another session", c.next, h.e.id))
	default:
		c.enc.keep = append(c.enc.keep, h)
		return h.e.id, true
	}
	return words.ObjectID{}, false
}

func (h *handle) failureAsArgument() error {
	if h.e.out.Load() == freed {
		return freedError(h.e.id)
	}
	return h.localError()
}

// gather adds an argument that is a slice of the values of many objects.
func (c *call) gather(n int, at func(int) *handle) {
	if c.err != nil {
		return
	}
	c.next++
	b := append(c.enc.buf, byte(ipc.ArgGather))
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	for i := range n {
		id, ok := c.object24(at(i))
		if !ok {
			return
		}
		b = append(b, id[:]...)
	}
	c.refs += n
	c.enc.buf = b
}

// stream adds an argument that is a stream; held is the *Stream.
func (c *call) stream(st *streamCore, held any) {
	c.held = append(c.held, held)
	if err := st.usable(c.sc.s); err != nil {
		c.fail(err)
		return
	}
	c.enc.buf = append(append(c.enc.buf, byte(ipc.ArgStream)), st.task[:]...)
}

func (c *call) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// finish completes the frame, or gives the call's error.
func (c *call) finish() ([]byte, error) {
	if c.err != nil {
		return nil, c.err
	}
	e := c.enc
	if n := c.refs + len(e.nested); n > words.MaxArgs {
		return nil, fmt.Errorf("%d refs in the arguments, the limit is %d", n, words.MaxArgs)
	}
	b := binary.LittleEndian.AppendUint32(e.buf, uint32(len(e.nested)))
	for i := range e.nested {
		b = append(b, e.nested[i][:]...)
	}
	e.buf = ipc.End(b, c.frame)
	return e.buf[c.frame:], nil
}

// submit sends the call and gives the handle of its result.
func (c *call) submit() *handle {
	defer c.free()
	frame, err := c.finish()
	if err != nil {
		return failedHandle(c.session(), err)
	}
	s, opts := c.sc.s, &c.co.words
	e := s.newEntry(c.task.Object(0))
	e.pushed = true
	e.parts = uint32(opts.Parts())
	if opts.NumReturns == 0 {
		e.out.Store(&outcome{kind: ipc.ValueFailed, err: errNoResult})
		e.handles = 1
		err = s.out.soon(frame)
		if err != nil {
			return failedHandle(s, s.sendError(err))
		}
		return &handle{e: e}
	}
	h := s.made(e)
	if err := s.out.soon(frame); err != nil {
		return failedHandle(s, s.sendError(err))
	}
	return h
}

var errNoResult = errors.New("the task was declared with NumReturns(0): it keeps no result")

func (c *call) session() *Session {
	if c.sc == nil {
		return nil
	}
	return c.sc.s
}

func (c *call) free() {
	if c.enc != nil {
		c.enc.free()
	}
	runtime.KeepAlive(c.stored)
	runtime.KeepAlive(c.held)
	for _, h := range c.stored {
		c.sc.s.releaseHandle(h)
	}
	clear(c.stored)
	c.sc, c.ctx, c.co, c.enc, c.held = nil, nil, nil, nil, nil
	calls.Put(c)
}
