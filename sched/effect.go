package sched

import (
	"time"

	raygo "github.com/raygo/raygo"
)

// Effect is something for the caller to do. None of them may block. The types
// are those of this file.
type Effect interface{ effect() }

// StartWorker starts a worker process; the answer is WorkerStarted or
// WorkerFailed, later WorkerGone.
type StartWorker struct {
	Worker WorkerID
	Job    raygo.JobID
	Env    map[string]string
	GPUs   []string
}

// StopWorker ends a worker: politely (it ends when idle), or at once.
type StopWorker struct {
	Worker WorkerID
	Kill   bool
}

// Execute hands a task to a worker. From is the number of items that a
// generator's earlier attempts produced.
type Execute struct {
	Worker  WorkerID
	Task    raygo.TaskID
	Attempt uint32
	Award   uint32
	Class   ClassID
	Args    []byte
	Values  []Resolved
	From    uint32
	Taken   uint32
	Stream  bool
}

// Fetch brings the bytes of stored objects here and pins them; the answer is
// ArgsReady or ArgsFailed.
type Fetch struct {
	Task    raygo.TaskID
	Award   uint32
	Objects []raygo.ObjectID
	Sources []Source // of those that may not be here
}

// Unpin undoes a Fetch, answered or not.
type Unpin struct {
	Task    raygo.TaskID
	Award   uint32
	Objects []raygo.ObjectID
}

// Memo asks whether a task's result is known; the answer is MemoAnswer.
type Memo struct {
	Task   raygo.TaskID
	Award  uint32
	Class  ClassID
	Args   []byte
	Values []Resolved
}

// MemoKeep offers the result of a task that Memo was asked about.
type MemoKeep struct {
	Task  raygo.TaskID
	Value Value
}

// Resume gives a blocked task its CPU back.
type Resume struct {
	Worker WorkerID
	Task   raygo.TaskID
	Award  uint32
}

// Recall asks a worker for the tasks it has not begun.
type Recall struct{ Worker WorkerID }

// Stop cancels the context of an attempt, or keeps it from starting.
type Stop struct {
	Worker WorkerID
	Task   raygo.TaskID
	Award  uint32
}

// Notify tells a process that an object is ready.
type Notify struct {
	Proc   raygo.ProcID   `cbor:"1,keyasint"`
	Object raygo.ObjectID `cbor:"2,keyasint"`
	Value  Value          `cbor:"3,keyasint,omitempty"`
	Wanted bool           `cbor:"4,keyasint,omitempty"`
	Mode   uint8          `cbor:"5,keyasint,omitempty"`
	Source *Source        `cbor:"6,keyasint,omitempty"` // set if the value is stored, and not surely here
}

// StreamState tells a process how far a stream is.
type StreamState struct {
	Proc     raygo.ProcID `cbor:"1,keyasint"`
	Task     raygo.TaskID `cbor:"2,keyasint"`
	Produced uint32       `cbor:"3,keyasint,omitempty"`
	Ended    bool         `cbor:"4,keyasint,omitempty"`
	Failure  Value        `cbor:"5,keyasint,omitempty"`
}

// Credit tells a generator's worker how many items were taken.
type Credit struct {
	Worker WorkerID
	Task   raygo.TaskID
	N      uint32
}

// Cancelled answers a Cancel.
type Cancelled struct {
	Proc    raygo.ProcID  `cbor:"1,keyasint"`
	Request uint32        `cbor:"2,keyasint,omitempty"`
	Outcome CancelOutcome `cbor:"3,keyasint,omitempty"`
}

// CancelOutcome is what a Cancel came to.
type CancelOutcome uint8

// The outcomes of Cancel, as in the protocol.
const (
	NeverStarted CancelOutcome = iota
	Stopped
	AlreadyDone
	Unreachable
)

// Delete frees the bytes of a stored object.
type Delete struct{ Object raygo.ObjectID }

// Ended is the record of an attempt that is over.
type Ended struct {
	Task     raygo.TaskID
	Parent   raygo.TaskID
	Job      raygo.JobID
	Function string
	Class    ClassID
	Attempt  uint32
	Depth    int
	PID      int
	Worker   WorkerID
	Peer     string // that had it, "" for this one or none
	State    raygo.TaskState
	Failure  Value
	Created  time.Time
	Started  time.Time
	Ended    time.Time
	Final    bool
	Args     []byte
	Values   []Resolved
}

// JobDone says that nothing of a job is left.
type JobDone struct {
	Job              raygo.JobID
	Finished, Failed int // its tasks
}

// Send says something to another peer's core.
type Send struct {
	To  string
	Msg Message
}

// JobOpened says that tasks of another peer's job will run here; JobDone ends
// it.
type JobOpened struct {
	Job   raygo.JobID
	Owner string
	Info  []byte
}

// JobTook says that this peer owns a job from now on that it was an executor and
// the guardian of. Its owner before was From.
type JobTook struct {
	Job    raygo.JobID
	From   string
	Epoch  uint32
	Driver raygo.ProcID // the one that it began with, which is gone
}

// JobGuarded says who owns a job that outlives its owner, this peer, and who may
// take it over: what others find it by. It comes whenever that changes.
type JobGuarded struct {
	Job       raygo.JobID
	Epoch     uint32
	Guardians []string
}

// JobMoved says that a job of another peer has a new owner.
type JobMoved struct {
	Job   raygo.JobID
	Owner string
}

// ClassKnown tells the caller of a class that another peer defined.
type ClassKnown struct {
	Class ClassID
	Job   raygo.JobID
	Def   []byte
}

// CopyHere asks for a copy of an object on this peer; the answer is Copied.
type CopyHere struct{ Source Source }

// Decided tells how a task was given its place.
type Decided struct {
	Task raygo.TaskID
	Peer string // "" for this one
}

// Warn is for the job's driver and the log.
type Warn struct {
	Job  raygo.JobID
	Text string
	Hint bool // advice on how the program is written, not a fault
}

// OOMKill records a kill by the memory guard; Victim is zero when there was
// nobody to kill.
type OOMKill struct {
	Worker   WorkerID
	Task     raygo.TaskID
	Function string
	Reason   string
}

func (*StartWorker) effect() {}
func (*StopWorker) effect()  {}
func (*Execute) effect()     {}
func (*Fetch) effect()       {}
func (*Unpin) effect()       {}
func (*Memo) effect()        {}
func (*MemoKeep) effect()    {}
func (*Resume) effect()      {}
func (*Recall) effect()      {}
func (*Stop) effect()        {}
func (*Notify) effect()      {}
func (*StreamState) effect() {}
func (*Credit) effect()      {}
func (*Cancelled) effect()   {}
func (*Delete) effect()      {}
func (*Ended) effect()       {}
func (*JobDone) effect()     {}
func (*Warn) effect()        {}
func (*OOMKill) effect()     {}
func (*Send) effect()        {}
func (*JobOpened) effect()   {}
func (*JobTook) effect()     {}
func (*JobMoved) effect()    {}
func (*JobGuarded) effect()  {}
func (*ClassKnown) effect()  {}
func (*CopyHere) effect()    {}
func (*Decided) effect()     {}
