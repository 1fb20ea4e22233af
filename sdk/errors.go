package raygo

import (
	"errors"
	"fmt"
	"strings"

	words "github.com/raygo/raygo"
)

// The errors that are not the program's own. An error from Get wraps one of
// them and says more in its text.
var (
	// ErrNoSession is the error of a call whose context carries no session.
	ErrNoSession = errors.New("the context carries no raygo session: pass the ctx that Main, Init or the running task gave you (or one derived from it), not context.Background()")
	// ErrTaskCancelled is the outcome of a task that was cancelled.
	ErrTaskCancelled = errors.New("task cancelled")
	// ErrGetTimeout is a Get, Wait or stream whose context's deadline passed; it
	// is context.DeadlineExceeded too. The object stays gettable.
	ErrGetTimeout = errors.New("get timed out")
	// ErrTaskTimeout is the outcome of a task that ran longer than Timeout, or
	// waited longer than PendingTimeout.
	ErrTaskTimeout = errors.New("task timed out")
	// ErrUnschedulable is the outcome of a task for which there can be no place.
	ErrUnschedulable = errors.New("task cannot be placed")
	// ErrWorkerCrashed is the outcome of a task whose process ended under it.
	ErrWorkerCrashed = errors.New("worker crashed")
	// ErrPeerDied is the outcome of a task or a call whose peer ended.
	ErrPeerDied = errors.New("peer died")
	// ErrOwnerDied is the outcome of an object whose owner ended.
	ErrOwnerDied = errors.New("owner died")
	// ErrObjectLost is an object of which no copy is left.
	ErrObjectLost = errors.New("object lost")
	// ErrObjectFreed is an object that was released.
	ErrObjectFreed = errors.New("object freed")
	// ErrOutOfMemory is the outcome of a task that was ended to save memory.
	ErrOutOfMemory = errors.New("out of memory")
	// ErrStoreFull is a value for which the object store has no room.
	ErrStoreFull = errors.New("object store full")
	// ErrOutOfDisk is a value for which the spill disk has no room.
	ErrOutOfDisk = errors.New("out of disk")
	// ErrSetup is the outcome of a task whose worker could not be started or
	// lacks the function.
	ErrSetup = errors.New("worker setup failed")
	// ErrRefused is a request that the peer does not accept.
	ErrRefused = errors.New("refused")
	// ErrSessionClosed is the error of calls on a session that has ended.
	ErrSessionClosed = errors.New("session closed")
)

// TaskError is the failure of a remote function itself: the error it returned,
// or its panic.
type TaskError struct {
	Function string
	TaskID   string
	Peer     string
	Message  string
	Stack    string // where it panicked
	Attempt  int
	PID      int

	causes   []error
	failures []words.Cause
}

// Error is the function's name and its message.
func (e *TaskError) Error() string { return fmt.Sprintf("task %s: %s", e.Function, e.Message) }

// Unwrap gives the registered errors in the function's error, so that errors.Is
// and errors.As reach them.
func (e *TaskError) Unwrap() []error { return e.causes }

// CountMismatchError is the failure of every part of a task that returned or
// yielded another number of values than declared.
type CountMismatchError struct{ Want, Got int }

// Error names both counts.
func (e *CountMismatchError) Error() string {
	return fmt.Sprintf("the task declared %d values and returned %d", e.Want, e.Got)
}

// systemError is a sentinel with what was said about this case of it.
type systemError struct {
	kinds []error
	text  string
}

func (e *systemError) Error() string   { return e.text }
func (e *systemError) Unwrap() []error { return e.kinds }

// timeoutError is a wait that a deadline ended.
func timeoutError(what string) error {
	return &systemError{kinds: []error{ErrGetTimeout, contextDeadline}, text: what + ": " + ErrGetTimeout.Error()}
}

var codeErrors = map[words.Code][]error{
	words.CodeCancelled:      {ErrTaskCancelled},
	words.CodeTaskTimeout:    {ErrTaskTimeout},
	words.CodePendingTimeout: {ErrTaskTimeout, ErrUnschedulable},
	words.CodeUnschedulable:  {ErrUnschedulable},
	words.CodeWorkerCrashed:  {ErrWorkerCrashed},
	words.CodePeerDied:       {ErrPeerDied},
	words.CodeOwnerDied:      {ErrOwnerDied},
	words.CodeObjectLost:     {ErrObjectLost},
	words.CodeObjectFreed:    {ErrObjectFreed},
	words.CodeOutOfMemory:    {ErrOutOfMemory},
	words.CodeStoreFull:      {ErrStoreFull},
	words.CodeOutOfDisk:      {ErrOutOfDisk},
	words.CodeSetup:          {ErrSetup},
	words.CodeRefused:        {ErrRefused},
	words.CodeQueueFull:      {ErrRefused},
	words.CodeJobEnded:       {ErrSessionClosed},
}

// errorOf is the Go error that a failure becomes in the process that gets it.
func errorOf(f *words.Failure) error {
	switch f.Code {
	case words.CodeApp:
		return &TaskError{
			Function: f.Function, TaskID: f.TaskID, Peer: f.Peer, Message: f.Message, Stack: f.Stack,
			Attempt: f.Attempt, PID: f.PID, causes: causesOf(f.Causes), failures: f.Causes,
		}
	case words.CodeCountMismatch:
		return &CountMismatchError{Want: f.Want, Got: f.Got}
	}
	kinds := codeErrors[f.Code]
	text := f.Error()
	if len(kinds) > 0 && !strings.Contains(text, kinds[0].Error()) {
		text = strings.TrimSuffix(kinds[0].Error()+": "+text, ": ")
	}
	return &systemError{kinds: kinds, text: text}
}
