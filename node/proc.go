package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

// Bounds on what one process can make the peer keep for it.
const (
	batchFrames = 256      // frames handled in one hold of the loop
	softBacklog = 16 << 20 // unread bytes after which notices wait
	maxMissed   = 4 << 20  // notices and answers that wait with them
	maxClasses  = 65_536
)

// proc is an attached process: a driver, a worker, or a command.
type proc struct {
	n      *Node
	id     raygo.ProcID
	conn   *ipc.Conn
	role   ipc.Role
	pid    int
	job    *job
	worker sched.WorkerID
	self   *worker // the worker it is
	hello  ipc.Hello

	classes map[uint32]sched.ClassID // its own numbers; the reader's
	batch   batch                    // the reader's, too

	asking atomic.Int32 // questions under way
	hungUp atomic.Bool  // the connection has ended

	goodbye *ipc.Goodbye // what it said last, or nil; its reader's

	// The loop guards the rest.
	dirty   bool
	sent    map[sched.ClassID]bool
	pins    map[raygo.ObjectID]int
	allocs  map[raygo.ObjectID]uint64            // room given, not sealed yet: size
	again   map[raygo.ObjectID]raygo.ObjectID    // of these, what is here already: where it is written
	waiting map[chan struct{}]context.CancelFunc // requests for room that wait
	missed  []missed                             // notices and answers that wait until it reads
	deaf    bool                                 // it missed too many and is being cut off
	gone    bool
}

// missed is a notice, or an answer to a Want, that its process was too slow for.
type missed struct {
	id     raygo.ObjectID
	wanted bool
	mode   uint8
	note   *sched.Notify // of another peer's job, whose core tells it once
}

// send appends a frame and marks the connection for flushing. The loop is held.
func (p *proc) send(fn func([]byte) []byte) {
	_ = p.conn.Append(fn) // a broken connection is its reader's to notice
	if !p.dirty {
		p.dirty = true
		p.n.dirty = append(p.n.dirty, p)
	}
}

// read handles frames until the connection ends. Frames are decoded outside the
// loop; all that have arrived are then stepped in one hold of it.
func (p *proc) read() error {
	for {
		t, payload, err := p.conn.Read()
		for n := 0; err == nil; n++ {
			if t == ipc.TypeResult {
				p.beforeResult()
			}
			var ev sched.Event
			if ev, err = p.decode(t, payload); err != nil {
				break
			}
			if ev != nil {
				p.batch.events = append(p.batch.events, ev)
			}
			if n >= batchFrames || !p.conn.Buffered() {
				break
			}
			t, payload, err = p.conn.Read()
		}
		p.batch.do(p.n)
		if err != nil {
			return err
		}
		p.waitForOwner()
	}
}

// beforeResult lets what came before a worker's result happen first if its
// output has to be told apart from the next task's.
func (p *proc) beforeResult() {
	if p.self == nil {
		return
	}
	if p.self.talks.Load() {
		p.batch.do(p.n)
	}
	p.boundary()
}

// serve reads to the end and says why it ended if that was the process's fault.
func (p *proc) serve() {
	err := p.read()
	if !errors.Is(err, io.EOF) && errors.Is(err, ipc.ErrFrame) {
		p.n.log.Warn("connection refused", "proc", p.id, "pid", p.pid, "err", err)
		p.hangUp(raygo.Fail(raygo.CodeRefused, "%v", err))
	}
	p.hungUp.Store(true)
	_ = p.conn.Close()
	n := p.n
	n.mu.Lock()
	p.forget()
	n.mu.Unlock()
}

// hangUp tells the process why, and closes.
func (p *proc) hangUp(f *raygo.Failure) {
	_ = p.conn.Send(func(b []byte) []byte { return ipc.AppendBody(b, ipc.TypeRefused, f) })
	_ = p.conn.Close()
}

// forget gives back what the process had of the store. The loop is held.
func (p *proc) forget() {
	p.gone = true
	delete(p.n.procs, p.id)
	delete(p.n.late, p)
	for id := range p.allocs {
		id = p.roomOf(id)
		p.n.store.Abort(id)
	}
	for id, k := range p.pins {
		for range k {
			p.n.store.Unpin(id)
		}
	}
	for _, giveUp := range p.waiting {
		giveUp()
	}
	p.allocs, p.pins = nil, nil
}

func (p *proc) bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ipc.ErrFrame, fmt.Sprintf(format, args...))
}

// decode turns a frame into an event, copying what outlives the frame. Frames
// that are not the core's business are handled here and give none.
func (p *proc) decode(t ipc.Type, b []byte) (sched.Event, error) {
	if p.role == ipc.RoleCommand && t != ipc.TypeQuery {
		return nil, p.bad("a command may only ask questions, this is a frame of type %d", t)
	}
	switch t {
	case ipc.TypeSubmit:
		return p.decodeSubmit(b)
	case ipc.TypeResult:
		return p.decodeResult(b)
	case ipc.TypeYield:
		return p.decodeYield(b)
	case ipc.TypePut:
		return p.decodePut(b)
	case ipc.TypeRelease, ipc.TypeBorrow, ipc.TypeUnpin, ipc.TypeAbandon:
		return p.decodeIDs(t, b)
	case ipc.TypeWant:
		mode, ids, err := ipc.ParseWant(b)
		return &sched.Want{Proc: p.id, Mode: uint8(mode), Objects: ids}, err
	case ipc.TypeBlocked, ipc.TypeUnblocked, ipc.TypeStarted:
		return p.decodeMark(t, b)
	case ipc.TypeReturned:
		return p.decodeReturned(b)
	case ipc.TypeStreamOpen, ipc.TypeStreamTaken, ipc.TypeStreamClose:
		return p.decodeStream(t, b)
	case ipc.TypeReplicate:
		id, copies, err := ipc.ParseReplicate(b)
		return &sched.Replicate{Proc: p.id, Object: id, Copies: int(copies)}, err
	case ipc.TypeCancel:
		r, err := ipc.ParseCancel(b)
		return &sched.Cancel{Request: r.Request, Proc: p.id, Task: r.Task, Force: r.Force, Recursive: r.Recursive}, err
	case ipc.TypeAlloc:
		return nil, p.alloc(b)
	case ipc.TypeClass:
		return nil, p.defineClass(b)
	case ipc.TypeNote:
		return nil, p.note(b)
	case ipc.TypeGoodbye:
		return nil, p.farewell(b)
	case ipc.TypeQuery:
		return nil, p.query(b)
	case ipc.TypeHello:
		return nil, p.bad("a second hello")
	}
	return nil, nil // of a later minor version
}

func (p *proc) decodeSubmit(b []byte) (sched.Event, error) {
	s, err := ipc.ParseSubmit(b)
	if err != nil {
		return nil, err
	}
	cl, ok := p.classes[s.Class]
	if !ok {
		return nil, p.bad("submit of class %d, which was not defined", s.Class)
	}
	if s.Task.Job() != p.job.id || s.Task.Proc() != p.id {
		return nil, p.bad("submit of task %s, whose ID is not this process's to give", s.Task)
	}
	ev := p.batch.submit()
	*ev = sched.Submit{Task: s.Task, Class: cl, Proc: p.id, Parent: s.Parent, Args: bytes.Clone(s.Args.Raw), Nested: s.Args.Nested}
	for i := range s.Args.List {
		switch a := &s.Args.List[i]; a.Kind {
		case ipc.ArgRef, ipc.ArgGather:
			ev.Deps = append(ev.Deps, a.Refs...)
		case ipc.ArgStream:
			ev.Streams = append(ev.Streams, a.Stream)
		}
	}
	return ev, nil
}

func (p *proc) decodeResult(b []byte) (sched.Event, error) {
	r, err := ipc.ParseResult(b)
	if err != nil {
		return nil, err
	}
	if p.worker == 0 {
		return nil, p.bad("a result from a process that is no worker")
	}
	ev := p.batch.result(len(r.Outcomes))
	ev.Worker, ev.Task, ev.Award, ev.Status = p.worker, r.Task, r.Award, sched.Status(r.Status)
	ev.Run, ev.Items = time.Duration(r.RunNanos), r.Items
	for i := range r.Outcomes {
		if ev.Outcomes[i], err = p.outcome(r.Task, &r.Outcomes[i]); err != nil {
			return nil, err
		}
	}
	return ev, nil
}

func (p *proc) decodeYield(b []byte) (sched.Event, error) {
	y, err := ipc.ParseYield(b)
	if err != nil {
		return nil, err
	}
	if p.worker == 0 {
		return nil, p.bad("an item from a process that is no worker")
	}
	out, err := p.outcome(y.Task, &y.Outcome)
	return &sched.Yield{Worker: p.worker, Task: y.Task, Award: y.Award, Outcome: out}, err
}

func (p *proc) outcome(task raygo.TaskID, o *ipc.Outcome) (sched.Outcome, error) {
	v, err := p.take(task.Object(o.Index), &o.Value)
	return sched.Outcome{Index: o.Index, Value: v, Nested: o.Nested}, err
}

func (p *proc) decodePut(b []byte) (sched.Event, error) {
	r, nested, err := ipc.ParsePut(b)
	if err != nil {
		return nil, err
	}
	if r.ID.Job() != p.job.id || r.ID.Task().Proc() != p.id {
		return nil, p.bad("put of object %s, whose ID is not this process's to give", r.ID)
	}
	v, err := p.take(r.ID, &r.Value)
	return &sched.Put{Object: r.ID, Proc: p.id, Value: v, Nested: nested}, err
}

// take copies a value out of a frame; a stored one is sealed.
func (p *proc) take(id raygo.ObjectID, v *ipc.Value) (sched.Value, error) {
	switch v.Kind {
	case ipc.ValueInline:
		return sched.Value{Kind: sched.Inline, Format: uint8(v.Format), Bytes: bytes.Clone(v.Bytes), Size: uint64(len(v.Bytes))}, nil
	case ipc.ValueFailed:
		return sched.Value{Kind: sched.Failed, Code: v.Code, Bytes: bytes.Clone(v.Bytes)}, nil
	case ipc.ValueComposite:
		return sched.Value{Kind: sched.Composite, Parts: v.Parts}, nil
	case ipc.ValueStored:
		return p.seal(id, v)
	}
	return sched.Value{}, p.bad("object %s: a value of kind %d where one is given", id, v.Kind)
}

func (p *proc) seal(id raygo.ObjectID, v *ipc.Value) (sched.Value, error) {
	p.n.mu.Lock()
	size, ok := p.allocs[id]
	delete(p.allocs, id)
	info, again := p.madeAgain(id)
	p.n.mu.Unlock()
	if !ok || v.ID != id || v.Size != size {
		return sched.Value{}, p.bad("object %s: stored value %s of %d bytes, for which no room was given", id, v.ID, v.Size)
	}
	if again && info.Size > 0 {
		return sched.Value{Kind: sched.Stored, Format: uint8(v.Format), Size: info.Size, Store: id}, nil
	}
	if again {
		f := raygo.Fail(raygo.CodeObjectLost, "object %s was freed while it was made again", id)
		return sched.Value{Kind: sched.Failed, Code: f.Code, Failure: f}, nil
	}
	if err := p.n.store.Seal(id); err != nil {
		return sched.Value{}, p.bad("object %s: %v", id, err)
	}
	return sched.Value{Kind: sched.Stored, Format: uint8(v.Format), Size: size, Store: id}, nil
}

func (p *proc) decodeIDs(t ipc.Type, b []byte) (sched.Event, error) {
	ids, err := ipc.ParseIDs(b)
	if err != nil {
		return nil, err
	}
	switch t {
	case ipc.TypeRelease:
		return &sched.Release{Proc: p.id, Objects: ids}, nil
	case ipc.TypeBorrow:
		return &sched.Borrow{Proc: p.id, Objects: ids}, nil
	}
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	for _, id := range ids {
		if t == ipc.TypeAbandon {
			if _, ok := p.allocs[id]; ok {
				delete(p.allocs, id)
				if _, again := p.madeAgain(id); again {
					continue
				}
				p.n.store.Abort(id)
			}
		} else if p.pins[id] > 0 {
			if p.pins[id]--; p.pins[id] == 0 {
				delete(p.pins, id)
			}
			p.n.store.Unpin(id)
		}
	}
	return nil, nil
}

func (p *proc) decodeMark(t ipc.Type, b []byte) (sched.Event, error) {
	m, err := ipc.ParseMark(b)
	if err != nil || p.worker == 0 {
		return nil, err
	}
	switch t {
	case ipc.TypeBlocked:
		return &sched.Blocked{Worker: p.worker, Task: m.Task, Award: m.Award, InWait: ipc.BlockKind(m.Arg) == ipc.BlockWait}, nil
	case ipc.TypeUnblocked:
		return &sched.Unblocked{Worker: p.worker, Task: m.Task, Award: m.Award}, nil
	default:
		return &sched.Started{Worker: p.worker, Task: m.Task, Award: m.Award}, nil
	}
}

func (p *proc) decodeReturned(b []byte) (sched.Event, error) {
	ms, err := ipc.ParseReturned(b)
	ev := &sched.Returned{Worker: p.worker}
	for _, m := range ms {
		ev.Tasks = append(ev.Tasks, sched.Mark{Task: m.Task, Award: m.Award})
	}
	return ev, err
}

func (p *proc) decodeStream(t ipc.Type, b []byte) (sched.Event, error) {
	task, k, err := ipc.ParseStreamMark(b)
	switch t {
	case ipc.TypeStreamOpen:
		return &sched.StreamOpen{Proc: p.id, Task: task}, err
	case ipc.TypeStreamTaken:
		return &sched.StreamTaken{Proc: p.id, Task: task, N: k}, err
	default:
		return &sched.StreamClose{Proc: p.id, Task: task}, err
	}
}

func (p *proc) defineClass(b []byte) error {
	var def ipc.Class
	local, err := ipc.ParseNumbered(b, &def)
	if err != nil {
		return err
	}
	if len(p.classes) >= maxClasses {
		return p.bad("more than %d classes: define one per function and set of options, not per call", maxClasses)
	}
	n := p.n
	n.mu.Lock()
	defer n.mu.Unlock()
	p.classes[local] = n.internClass(p.job, &def)
	return nil
}
