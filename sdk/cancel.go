package raygo

import (
	"context"
	"errors"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// Outcome is what a Cancel came to.
type Outcome int

// The outcomes of Cancel.
const (
	NeverStarted Outcome = iota // the task had not begun and never will
	Stopped                     // the task ran and has ended
	AlreadyDone                 // the task had ended before
	Unreachable                 // the task goes on without listening; its result will be discarded
)

// String is the outcome's name.
func (o Outcome) String() string {
	if o < NeverStarted || o > Unreachable {
		return "Unknown"
	}
	return [...]string{"NeverStarted", "Stopped", "AlreadyDone", "Unreachable"}[o]
}

// CancelOption is an option of Cancel.
type CancelOption func(*ipc.CancelRequest)

// Force kills the task's process instead of cancelling its context.
func Force() CancelOption { return func(r *ipc.CancelRequest) { r.Force = true } }

// Recursive says whether the tasks that the task submitted are cancelled too,
// which they are unless it is false.
func Recursive(on bool) CancelOption { return func(r *ipc.CancelRequest) { r.Recursive = on } }

// Cancel cancels the task behind ref and says what that came to. Get then gives
// ErrTaskCancelled; the task is not retried.
func Cancel(ctx context.Context, ref AnyRef, opts ...CancelOption) (Outcome, error) {
	sc, err := scopeOf(ctx)
	if err != nil {
		return Unreachable, err
	}
	var task words.TaskID
	switch l := linkOf(ref); {
	case l.st != nil && l.st.err != nil:
		return NeverStarted, l.st.err
	case l.st != nil:
		task = l.st.task
	case l.h == nil:
		return Unreachable, errZeroRef
	case l.h.e.id.IsZero():
		return NeverStarted, l.h.localError()
	default:
		task = l.h.e.id.Task()
	}
	if task.Job() != sc.s.welcome.Job {
		return Unreachable, errors.New("cancel: the ref belongs to another job")
	}
	req := ipc.CancelRequest{Task: task, Recursive: true}
	for _, o := range opts {
		o(&req)
	}
	k, err := sc.s.ask(ctx, func(n uint32) []byte {
		req.Request = n
		return ipc.AppendCancel(nil, req)
	})
	if err != nil {
		return Unreachable, err
	}
	return Outcome(k.outcome), nil
}
