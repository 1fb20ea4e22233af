package raygo

import "fmt"

// Code classifies a failure so that it keeps its meaning across processes.
// Codes are only ever appended: they are on the wire.
type Code uint8

// The failure codes, each with the SDK error it becomes.
const (
	CodeNone           Code = iota
	CodeApp                 // *TaskError: the function returned an error or panicked
	CodeCancelled           // ErrTaskCancelled
	CodeTaskTimeout         // ErrTaskTimeout: Timeout ran out
	CodeUnschedulable       // ErrUnschedulable
	CodeWorkerCrashed       // ErrWorkerCrashed
	CodePeerDied            // ErrPeerDied
	CodeOwnerDied           // ErrOwnerDied
	CodeObjectLost          // ErrObjectLost
	CodeObjectFreed         // ErrObjectFreed
	CodeOutOfMemory         // ErrOutOfMemory
	CodeStoreFull           // ErrStoreFull
	CodeOutOfDisk           // ErrOutOfDisk
	CodeCountMismatch       // *CountMismatchError
	CodeSetup               // the worker could not be started or lacks the function
	CodeRefused             // the request itself is not acceptable
	CodeQueueFull           // a bound was met; the message names it
	CodeJobEnded            // the job is over
	CodePendingTimeout      // PendingTimeout ran out: ErrTaskTimeout and ErrUnschedulable
)

var codeNames = [...]string{
	"NONE", "TASK_ERROR", "TASK_CANCELLED", "TASK_TIMEOUT", "UNSCHEDULABLE", "WORKER_DIED", "PEER_DIED", "OWNER_DIED",
	"OBJECT_LOST", "OBJECT_FREED", "OUT_OF_MEMORY", "STORE_FULL", "OUT_OF_DISK", "COUNT_MISMATCH", "SETUP_FAILED",
	"REFUSED", "QUEUE_FULL", "JOB_ENDED", "PENDING_TIMEOUT",
}

// String is the code's name in lists and JSON.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return fmt.Sprintf("CODE_%d", uint8(c))
}

// Retriable reports whether the failure is the system's, not the program's, so
// that it counts against MaxRetries.
func (c Code) Retriable() bool {
	return c == CodeWorkerCrashed || c == CodePeerDied || c == CodeObjectLost || c == CodeOutOfMemory
}

// Failure is an unsuccessful outcome as it travels. Where it was made it is
// encoded once; everybody between there and the getter passes the bytes on.
type Failure struct {
	Code     Code   `cbor:"1,keyasint"`
	Message  string `cbor:"2,keyasint,omitempty"`
	Function string `cbor:"3,keyasint,omitempty"`
	TaskID   string `cbor:"4,keyasint,omitempty"`
	Peer     string `cbor:"5,keyasint,omitempty"`
	Stack    string `cbor:"6,keyasint,omitempty"`
	Attempt  int    `cbor:"7,keyasint,omitempty"`
	PID      int    `cbor:"8,keyasint,omitempty"`
	Want     int    `cbor:"9,keyasint,omitempty"`  // CodeCountMismatch
	Got      int    `cbor:"10,keyasint,omitempty"` // CodeCountMismatch
	// Causes are the user's registered errors in the chain, outermost first.
	Causes []Cause `cbor:"11,keyasint,omitempty"`
}

// Cause is one registered error in a failure's chain: a sentinel has a name
// only, a registered type has its value too.
type Cause struct {
	Name  string `cbor:"1,keyasint"`
	Value []byte `cbor:"2,keyasint,omitempty"`
	Text  string `cbor:"3,keyasint,omitempty"`
}

// Error makes a Failure usable as a Go error inside a peer.
func (f *Failure) Error() string {
	if f.Function == "" {
		return f.Message
	}
	return f.Function + ": " + f.Message
}

// Fail makes a failure with a formatted message.
func Fail(code Code, format string, args ...any) *Failure {
	return &Failure{Code: code, Message: fmt.Sprintf(format, args...)}
}
