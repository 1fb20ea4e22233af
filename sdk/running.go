package raygo

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// blockState is where a task is between running and having given its CPU back.
type blockState uint8

const (
	stateRunning  blockState = iota
	stateBlocked             // its CPU is given back
	stateResuming            // it asked for its CPU
)

// running is the task that a worker runs.
type running struct {
	w        *worker
	id       words.TaskID
	award    uint32
	attempt  uint32
	class    *classHere
	body     body
	refused  *words.Failure // it cannot run: what to answer
	ctx      context.Context
	cancel   context.CancelCauseFunc
	stopped  atomic.Bool
	progress atomic.Int64 // when progress was last sent
	start    time.Time
	maps     [][]byte // views of arguments, unmapped at the end
	streams  []*streamCore
	from     uint32 // items that earlier attempts yielded
	out      outbound
	scope    scope

	// Guarded by s.mu.
	state    blockState
	blockers int
	waits    []*waiter // those that wait for Resume
	views    []*entry  // views that Get gave out
	credit   uint32    // items of the task's stream that were consumed
	creditor *waiter   // the generator waits for credit
}

// begin decodes an Execute and makes it the current task, so that whoever reads
// next knows what a Stop or a Credit is about. It returns nil when the frame was
// not one.
func (w *worker) begin(frame []byte) *running {
	e, err := ipc.ParseExecute(frame)
	if err != nil {
		w.s.lost(err)
		return nil
	}
	r := &running{w: w, id: e.Task, award: e.Award, attempt: e.Attempt}
	r.ctx, r.cancel = context.WithCancelCause(w.s.ctx)
	w.s.mu.Lock()
	w.current = r
	r.class = w.classes[e.Class]
	r.from, r.credit = w.resume[e.Task].from, w.resume[e.Task].credit
	delete(w.resume, e.Task)
	w.s.mu.Unlock()
	switch {
	case r.class == nil:
		r.refused = words.Fail(words.CodeSetup, "the peer sent a task of class %d and never said what that is", e.Class)
	case r.class.err != nil:
		r.refused = r.class.err
	case len(e.Args.List) != len(r.class.f.params):
		r.refused = words.Fail(words.CodeSetup, "%s takes %d arguments and was sent %d", r.class.f.name, len(r.class.f.params), len(e.Args.List))
	default:
		in := &inbound{r: r, exec: &e}
		if r.body, err = r.class.f.prepare(in); err != nil {
			r.refused = words.Fail(words.CodeApp, "decode the arguments: %v", err)
		}
	}
	return r
}

// run runs a task and sends its result.
func (w *worker) run(r *running) {
	s := w.s
	out := &r.out
	out.r, out.enc = r, newEncoder(s)
	defer w.ended(r, out)
	r.start = time.Now()
	if r.refused != nil {
		out.fail(r.refused)
		return
	}
	ctx := r.ctx
	if d := r.class.class.Options.Timeout; d > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(r.ctx, d, ErrTaskTimeout)
		defer stop()
	}
	r.scope = scope{s: s, task: r}
	ctx = context.WithValue(ctx, scopeKey{}, &r.scope)
	out.ctx = ctx
	err := r.call(ctx, out)
	out.conclude(ctx, err)
}

// call runs the function. A panic is its error. A goroutine that ends itself is
// noticed by ended, since nothing after the call runs.
func (r *running) call(ctx context.Context, out *outbound) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{value: p, stack: string(debug.Stack())}
		}
	}()
	return r.body(ctx, out)
}

// panicError is a panic of the function.
type panicError struct {
	value any
	stack string
}

func (e *panicError) Error() string {
	if at, ok := e.value.(interface{ Addr() uintptr }); ok && at.Addr() >= 4096 {
		return fmt.Sprintf("panic: memory fault at %#x: a large value that a task was given is a read-only view, valid until the task ends; copy what must change or live longer", at.Addr())
	}
	return fmt.Sprintf("panic: %v", e.value)
}

// Unwrap gives the panic's value when it is an error.
func (e *panicError) Unwrap() error {
	err, _ := e.value.(error)
	return err
}

// ended sends the result and forgets the task. It runs also when the function
// ended its goroutine.
func (w *worker) ended(r *running, out *outbound) {
	s := w.s
	if !out.concluded {
		out.fail(r.failure(words.CodeApp, "the function ended its goroutine (runtime.Goexit) without returning"))
	}
	r.cancel(context.Canceled)
	for _, st := range r.streams {
		st.close()
	}
	for _, e := range r.takeViews() {
		s.dropView(e)
	}
	w.calls++
	w.ran.Store(true)
	s.mu.Lock()
	w.current = nil
	s.mu.Unlock()
	out.send()
	for _, b := range r.maps {
		_ = unmap(b)
	}
}

func (r *running) takeViews() []*entry {
	r.w.s.mu.Lock()
	defer r.w.s.mu.Unlock()
	vs := r.views
	r.views = nil
	return vs
}

// failure makes a failure of this attempt.
func (r *running) failure(code words.Code, message string) *words.Failure {
	f := &words.Failure{
		Code: code, Message: message, TaskID: r.id.String(), Peer: r.w.s.welcome.Peer,
		Attempt: int(r.attempt), PID: r.w.s.pid(),
	}
	if r.class != nil {
		f.Function = r.class.shown()
	}
	return f
}

func (k *classHere) shown() string {
	if k.class.Options.Name != "" {
		return k.class.Options.Name
	}
	return k.class.Function
}

// pid is this process's ID as the machine sees it.
func (s *Session) pid() int {
	if s.welcome.PID != 0 {
		return s.welcome.PID
	}
	return os.Getpid()
}

// blocked waits for w with the task's CPU given back. The first goroutine of a
// task that blocks gives it back, the last one to go on takes it again.
func (r *running) blocked(ctx context.Context, kind ipc.BlockKind, w *waiter) error {
	s := r.w.s
	s.mu.Lock()
	if w.done.Load() {
		s.mu.Unlock()
		return nil
	}
	r.blockers++
	first := r.state == stateRunning && r.w.current == r
	if first {
		r.state = stateBlocked
		r.w.queue = nil
	}
	s.mu.Unlock()
	if first {
		_, _ = s.out.append(ipc.AppendBlocked(nil, ipc.Mark{Task: r.id, Award: r.award, Arg: uint8(kind)}))
	}
	err := s.await(ctx, w)
	s.mu.Lock()
	r.blockers--
	if r.blockers > 0 || r.state == stateRunning || r.w.current != r {
		s.mu.Unlock()
		return err
	}
	last := r.state == stateBlocked
	r.state = stateResuming
	again := &waiter{left: 1, bad: -1}
	r.waits = append(r.waits, again)
	s.mu.Unlock()
	if last {
		_, _ = s.out.append(ipc.AppendUnblocked(nil, ipc.Mark{Task: r.id, Award: r.award, Arg: uint8(kind)}))
	}
	if rerr := s.await(context.Background(), again); rerr != nil && err == nil {
		err = rerr
	}
	return err
}

// resumed is the peer's word that the CPU is the task's again.
func (w *worker) resumed(m ipc.Mark) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	r := w.current
	if r == nil || r.id != m.Task || r.award != m.Award {
		return
	}
	r.state = stateRunning
	for _, x := range r.waits {
		x.fired(0, false)
	}
	r.waits = nil
}
