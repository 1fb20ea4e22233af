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

// JobStarted says that a driver attached with a job of its own. Info is what
// other peers are told of it.
type JobStarted struct {
	Job      raygo.JobID
	Driver   raygo.ProcID
	Detached bool
	Info     []byte
	// Platforms are those that there are builds of the program for; none means
	// all.
	Platforms []string
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
	Def      []byte // the caller's own description, passed on to other peers
}

// Submit asks for a call.
type Submit struct {
	Task    raygo.TaskID     `cbor:"1,keyasint"`
	Class   ClassID          `cbor:"2,keyasint,omitempty"`
	Proc    raygo.ProcID     `cbor:"3,keyasint"`
	Parent  raygo.TaskID     `cbor:"4,keyasint,omitempty"`
	Args    []byte           `cbor:"5,keyasint,omitempty"` // passed on as it is
	Deps    []raygo.ObjectID `cbor:"6,keyasint,omitempty"` // values the function needs
	Nested  []raygo.ObjectID `cbor:"7,keyasint,omitempty"` // refs that travel inside arguments
	Streams []raygo.TaskID   `cbor:"8,keyasint,omitempty"` // streams passed as arguments
}

// Put is a value that a process stored.
type Put struct {
	Object raygo.ObjectID   `cbor:"1,keyasint"`
	Proc   raygo.ProcID     `cbor:"2,keyasint"`
	Value  Value            `cbor:"3,keyasint,omitempty"`
	Nested []raygo.ObjectID `cbor:"4,keyasint,omitempty"`
}

// Want asks to be told when objects are ready.
type Want struct {
	Proc    raygo.ProcID     `cbor:"1,keyasint"`
	Mode    uint8            `cbor:"2,keyasint,omitempty"` // passed on in Notify
	Objects []raygo.ObjectID `cbor:"3,keyasint,omitempty"`
}

// Borrow adds holds of a process on objects; Release takes them away.
type Borrow struct {
	Proc    raygo.ProcID     `cbor:"1,keyasint"`
	Objects []raygo.ObjectID `cbor:"2,keyasint,omitempty"`
}

// Release takes holds of a process away.
type Release struct {
	Proc    raygo.ProcID     `cbor:"1,keyasint"`
	Objects []raygo.ObjectID `cbor:"2,keyasint,omitempty"`
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
	StatusDied // between peers only: its worker died, or could not run it
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
	Request   uint32       `cbor:"1,keyasint,omitempty"`
	Proc      raygo.ProcID `cbor:"2,keyasint"`
	Task      raygo.TaskID `cbor:"3,keyasint"`
	Force     bool         `cbor:"4,keyasint,omitempty"`
	Recursive bool         `cbor:"5,keyasint,omitempty"`
}

// StreamOpen subscribes a process to a stream.
type StreamOpen struct {
	Proc raygo.ProcID `cbor:"1,keyasint"`
	Task raygo.TaskID `cbor:"2,keyasint"`
}

// StreamTaken says that items below N are consumed.
type StreamTaken struct {
	Proc raygo.ProcID `cbor:"1,keyasint"`
	Task raygo.TaskID `cbor:"2,keyasint"`
	N    uint32       `cbor:"3,keyasint,omitempty"`
}

// StreamClose stops a producer and frees what was not consumed.
type StreamClose struct {
	Proc raygo.ProcID `cbor:"1,keyasint"`
	Task raygo.TaskID `cbor:"2,keyasint"`
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
	Missing []raygo.ObjectID // those that no holder had
	Denied  []string         // the holders that said so
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

// PeerUp says that a peer can be reached, or that what is known of it changed.
type PeerUp struct {
	Peer        string
	Incarnation uint64 // of its process: another one has forgotten everything
	Tag         uint32 // of its processes
	Totals      map[string]raygo.Quantity
	Labels      map[string]string
	Platform    string
	Tier        string
	Draining    bool
}

// PeerDown says that a peer is dead, has left, or lost its link: all that was in
// flight with it is void.
type PeerDown struct {
	Peer   string
	Reason string
}

// PeerDead says that a peer is dead, not only out of reach: what it owned can be
// taken over. PeerDown has come before.
type PeerDead struct {
	Peer   string
	Reason string
}

// JobShown asks this peer to make a detached job of its own known to a peer, so
// that a program there can attach to it.
type JobShown struct {
	Job  raygo.JobID
	Peer string
}

// HandOver asks for the jobs that outlive their driver to be given to their
// guardians; for each the answer is JobDone.
type HandOver struct{}

// PeerStats is what was measured of a peer: a round trip, and bytes a second.
type PeerStats struct {
	Peer string
	RTT  time.Duration
	Rate float64
}

// Received is a message of another core.
type Received struct {
	From string
	Msg  Message
}

// ProgramHere says that a job's program can be started on this peer.
type ProgramHere struct{ Job raygo.JobID }

// StoreUsed says how full the object store is, 0 to 1.
type StoreUsed struct{ Used float64 }

// Copied says that this peer has a copy of an object; Evicted that it has it no
// more; Named what its CID is.
type Copied struct{ Object raygo.ObjectID }

// Evicted says that a copy was dropped.
type Evicted struct{ Object raygo.ObjectID }

// Named tells an object's CID.
type Named struct {
	Object raygo.ObjectID
	CID    string
}

// FetchLost says that an object that a process was told of could not be brought;
// Denied are the holders that have it no more. The process is told again when
// there is something to tell.
type FetchLost struct {
	Proc   raygo.ProcID   `cbor:"1,keyasint"`
	Object raygo.ObjectID `cbor:"2,keyasint"`
	Mode   uint8          `cbor:"3,keyasint,omitempty"`
	Denied []string       `cbor:"4,keyasint,omitempty"`
}

// Replicate asks for copies of an object on n peers in all.
type Replicate struct {
	Proc   raygo.ProcID   `cbor:"1,keyasint"`
	Object raygo.ObjectID `cbor:"2,keyasint"`
	Copies int            `cbor:"3,keyasint,omitempty"`
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
func (*PeerUp) event()        {}
func (*PeerDown) event()      {}
func (*PeerDead) event()      {}
func (*JobShown) event()      {}
func (*HandOver) event()      {}
func (*PeerStats) event()     {}
func (*Received) event()      {}
func (*ProgramHere) event()   {}
func (*StoreUsed) event()     {}
func (*Copied) event()        {}
func (*Evicted) event()       {}
func (*Named) event()         {}
func (*FetchLost) event()     {}
func (*Replicate) event()     {}
