package sched

import (
	"time"

	raygo "github.com/raygo/raygo"
)

// ClassID names a class on this peer.
type ClassID uint32

// WorkerID names a worker process of this peer, for its whole life.
type WorkerID uint32

// Event is something that happened. The types are those of this file.
type Event interface{ event() }

// JobStarted says that a driver attached with a job of its own.
type JobStarted struct {
	Job      raygo.JobID
	Driver   raygo.ProcID
	Detached bool
}

// JobAttached says that another driver goes on with a detached job.
type JobAttached struct {
	Job    raygo.JobID
	Driver raygo.ProcID
}

// JobEnded ends a job: its driver is gone, or somebody cancelled it.
type JobEnded struct {
	Job    raygo.JobID
	Reason string
}

// ProcGone says that a driver's connection ended. Workers end by WorkerGone.
type ProcGone struct{ Proc raygo.ProcID }

// ClassDefined makes a class known.
type ClassDefined struct {
	Class    ClassID
	Job      raygo.JobID
	Function string
	Options  raygo.Options
}

// Submit asks for a call.
type Submit struct {
	Task    raygo.TaskID
	Class   ClassID
	Proc    raygo.ProcID
	Parent  raygo.TaskID
	Args    []byte           // passed on as it is
	Deps    []raygo.ObjectID // values the function needs
	Nested  []raygo.ObjectID // refs that travel inside arguments
	Streams []raygo.TaskID   // streams passed as arguments
}

// Put is a value that a process stored.
type Put struct {
	Object raygo.ObjectID
	Proc   raygo.ProcID
	Value  Value
	Nested []raygo.ObjectID
}

// Want asks to be told when objects are ready.
type Want struct {
	Proc    raygo.ProcID
	Mode    uint8 // passed on in Notify
	Objects []raygo.ObjectID
}

// Borrow adds holds of a process on objects; Release takes them away.
type Borrow struct {
	Proc    raygo.ProcID
	Objects []raygo.ObjectID
}

// Release takes holds of a process away.
type Release struct {
	Proc    raygo.ProcID
	Objects []raygo.ObjectID
}

// Status is how an attempt ended.
type Status uint8

// The statuses of an attempt, as in the protocol.
const (
	StatusOK Status = iota
	StatusFailed
	StatusRetry
	StatusNotStarted
	StatusCancelled
)

// Result ends an attempt.
type Result struct {
	Worker   WorkerID
	Task     raygo.TaskID
	Award    uint32
	Status   Status
	Run      time.Duration
	Items    uint32
	Outcomes []Outcome
}

// Yield is an item of a generator.
type Yield struct {
	Worker  WorkerID
	Task    raygo.TaskID
	Award   uint32
	Outcome Outcome
}

// Started says that a task sent ahead begins.
type Started struct {
	Worker WorkerID
	Task   raygo.TaskID
	Award  uint32
}

// Blocked says that a running task waits; Unblocked that it could go on.
type Blocked struct {
	Worker WorkerID
	Task   raygo.TaskID
	Award  uint32
	InWait bool
}

// Unblocked says that what a blocked task waited for is there.
type Unblocked struct {
	Worker WorkerID
	Task   raygo.TaskID
	Award  uint32
}

// Returned gives back tasks that a worker had not begun.
type Returned struct {
	Worker WorkerID
	Tasks  []Mark
}

// Mark names one execution.
type Mark struct {
	Task  raygo.TaskID
	Award uint32
}

// Cancel asks for a task to be cancelled. Request and Proc come back in
// Cancelled.
type Cancel struct {
	Request   uint32
	Proc      raygo.ProcID
	Task      raygo.TaskID
	Force     bool
	Recursive bool
}

// StreamOpen subscribes a process to a stream.
type StreamOpen struct {
	Proc raygo.ProcID
	Task raygo.TaskID
}

// StreamTaken says that items below N are consumed.
type StreamTaken struct {
	Proc raygo.ProcID
	Task raygo.TaskID
	N    uint32
}

// StreamClose stops a producer and frees what was not consumed.
type StreamClose struct {
	Proc raygo.ProcID
	Task raygo.TaskID
}

// WorkerStarted says that a worker registered.
type WorkerStarted struct {
	Worker WorkerID
	Proc   raygo.ProcID
	PID    int
}

// WorkerFailed says that a worker could not be started.
type WorkerFailed struct {
	Worker WorkerID
	Reason string
}

// WorkerGone says that a worker process ended.
type WorkerGone struct {
	Worker WorkerID
	Reason string // exit code or signal, last lines of stderr
	OOM    string // why the memory guard killed it, or ""
}

// KillForMemory asks for the newest retriable task's worker to be killed.
type KillForMemory struct{ Reason string }

// ArgsReady says that the bytes of a task's stored arguments are here and
// pinned.
type ArgsReady struct {
	Task  raygo.TaskID
	Award uint32
}

// ArgsFailed says that they cannot be had.
type ArgsFailed struct {
	Task    raygo.TaskID
	Award   uint32
	Failure *raygo.Failure
}

// MemoAnswer answers Memo: a value found, or nothing (Kind None).
type MemoAnswer struct {
	Task  raygo.TaskID
	Award uint32
	Value Value
}

// ObjectLost says that the bytes of a stored object are gone.
type ObjectLost struct {
	Object  raygo.ObjectID
	Failure *raygo.Failure
}

// Drain asks the peer to take no new tasks.
type Drain struct{}

// Tick only lets time pass.
type Tick struct{}

func (*JobStarted) event()    {}
func (*JobAttached) event()   {}
func (*JobEnded) event()      {}
func (*ProcGone) event()      {}
func (*ClassDefined) event()  {}
func (*Submit) event()        {}
func (*Put) event()           {}
func (*Want) event()          {}
func (*Borrow) event()        {}
func (*Release) event()       {}
func (*Result) event()        {}
func (*Yield) event()         {}
func (*Started) event()       {}
func (*Blocked) event()       {}
func (*Unblocked) event()     {}
func (*Returned) event()      {}
func (*Cancel) event()        {}
func (*StreamOpen) event()    {}
func (*StreamTaken) event()   {}
func (*StreamClose) event()   {}
func (*WorkerStarted) event() {}
func (*WorkerFailed) event()  {}
func (*WorkerGone) event()    {}
func (*KillForMemory) event() {}
func (*ArgsReady) event()     {}
func (*ArgsFailed) event()    {}
func (*MemoAnswer) event()    {}
func (*ObjectLost) event()    {}
func (*Drain) event()         {}
func (*Tick) event()          {}
