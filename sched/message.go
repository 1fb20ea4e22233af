package sched

import (
	"time"

	raygo "github.com/raygo/raygo"
)

// Message is what one core says to another. Whoever carries messages keeps those
// between two cores in order and loses none, or says PeerDown to both. The tags
// are the wire's: numbers are only ever added.
type Message interface{ message() }

// JobOpen tells an executor of a job before anything else of it. Info is for the
// peers, not the cores: where the program is to be had.
type JobOpen struct {
	Job     raygo.JobID `cbor:"1,keyasint"`
	Info    []byte      `cbor:"2,keyasint,omitempty"`
	Guarded bool        `cbor:"3,keyasint,omitempty"` // it outlives its owner: see GuardedBy
}

// JobOver ends a job on its executors.
type JobOver struct {
	Job    raygo.JobID `cbor:"1,keyasint"`
	Reason string      `cbor:"2,keyasint,omitempty"`
	Full   bool        `cbor:"3,keyasint,omitempty"` // it was not opened: the receiver has as many there as it may
}

// ClassOf makes a class known under its sender's number.
type ClassOf struct {
	Class    ClassID       `cbor:"1,keyasint"`
	Job      raygo.JobID   `cbor:"2,keyasint"`
	Function string        `cbor:"3,keyasint"`
	Options  raygo.Options `cbor:"4,keyasint"`
	Def      []byte        `cbor:"5,keyasint,omitempty"`
}

// Call asks for bids: room for Want tasks of a class. It stands at the executor
// until as many slots were offered, or for standFor; another Call of the class
// takes its place.
type Call struct {
	Round uint64  `cbor:"1,keyasint"`
	Class ClassID `cbor:"2,keyasint"`
	Want  int     `cbor:"3,keyasint"`
	Depth int32   `cbor:"4,keyasint,omitempty"`
	Quiet bool    `cbor:"5,keyasint,omitempty"` // no answer is wanted before there are slots
	Brief bool    `cbor:"6,keyasint,omitempty"` // it stands for briefFor only
}

// Bid offers slots, which are reserved for a while, or says why there are none.
type Bid struct {
	Round   uint64        `cbor:"1,keyasint"`
	Class   ClassID       `cbor:"2,keyasint"` // the caller's number
	Slots   int           `cbor:"3,keyasint,omitempty"`
	Delay   time.Duration `cbor:"4,keyasint,omitempty"` // until the next ones, guessed
	Program bool          `cbor:"5,keyasint,omitempty"` // the job's program is here
	Warm    int           `cbor:"6,keyasint,omitempty"` // idle workers of the job
	Used    float64       `cbor:"7,keyasint,omitempty"` // CPUs in use, 0 to 1
	Stored  float64       `cbor:"8,keyasint,omitempty"` // object store in use, 0 to 1
	Reason  string        `cbor:"9,keyasint,omitempty"`
}

// Assign hands tasks to an executor. More says that others wait: the standing
// call goes on.
type Assign struct {
	Class ClassID    `cbor:"1,keyasint"`
	Tasks []Assigned `cbor:"2,keyasint"`
	More  bool       `cbor:"3,keyasint,omitempty"`
}

// Assigned is one task with all it needs.
type Assigned struct {
	Task    raygo.TaskID `cbor:"1,keyasint"`
	Parent  raygo.TaskID `cbor:"2,keyasint"`
	Attempt uint32       `cbor:"3,keyasint,omitempty"`
	Award   uint32       `cbor:"4,keyasint"`
	Depth   int32        `cbor:"5,keyasint,omitempty"`
	Args    []byte       `cbor:"6,keyasint,omitempty"`
	Values  []Resolved   `cbor:"7,keyasint,omitempty"`
	Sources []Source     `cbor:"8,keyasint,omitempty"`
	From    uint32       `cbor:"9,keyasint,omitempty"`
	Taken   uint32       `cbor:"10,keyasint,omitempty"`
	Stream  bool         `cbor:"11,keyasint,omitempty"`
	Created int64        `cbor:"12,keyasint,omitempty"`
}

// Source says where the bytes of a stored object are.
type Source struct {
	Object  raygo.ObjectID `cbor:"1,keyasint"`
	Size    uint64         `cbor:"2,keyasint"`
	Format  uint8          `cbor:"3,keyasint,omitempty"`
	CID     string         `cbor:"4,keyasint,omitempty"` // once it is known
	Holders []string       `cbor:"5,keyasint,omitempty"`
}

// Free gives reserved slots of a class back, and ends its standing call.
type Free struct {
	Class ClassID `cbor:"1,keyasint"`
}

// Done reports ends of tasks, and how the owner stands with the classes named.
type Done struct {
	Results []TaskResult `cbor:"1,keyasint,omitempty"`
	Stands  []Stand      `cbor:"2,keyasint,omitempty"`
}

// Stand is what an owner has at an executor for one class.
type Stand struct {
	Class   ClassID `cbor:"1,keyasint"` // the owner's number
	Slots   int     `cbor:"2,keyasint,omitempty"`
	Running int     `cbor:"3,keyasint,omitempty"`
	Seen    uint64  `cbor:"4,keyasint,omitempty"` // tasks assigned that have arrived
}

// TaskResult is the end of one execution.
type TaskResult struct {
	Task     raygo.TaskID     `cbor:"1,keyasint"`
	Award    uint32           `cbor:"2,keyasint"`
	Status   Status           `cbor:"3,keyasint,omitempty"`
	Run      time.Duration    `cbor:"4,keyasint,omitempty"`
	Items    uint32           `cbor:"5,keyasint,omitempty"`
	Outcomes []Outcome        `cbor:"6,keyasint,omitempty"`
	Failure  *raygo.Failure   `cbor:"7,keyasint,omitempty"`  // StatusDied
	Cancel   CancelOutcome    `cbor:"8,keyasint,omitempty"`  // StatusCancelled
	Missing  []raygo.ObjectID `cbor:"9,keyasint,omitempty"`  // arguments that nobody had
	Denied   []string         `cbor:"10,keyasint,omitempty"` // holders that said so
}

// Yielded is an item of a generator.
type Yielded struct {
	Task    raygo.TaskID `cbor:"1,keyasint"`
	Award   uint32       `cbor:"2,keyasint"`
	Outcome Outcome      `cbor:"3,keyasint"`
}

// StopTask cancels an execution; Force ends its process.
type StopTask struct {
	Task  raygo.TaskID `cbor:"1,keyasint"`
	Award uint32       `cbor:"2,keyasint"`
	Force bool         `cbor:"3,keyasint,omitempty"`
}

// RecallTasks asks for up to N tasks of a class that have not begun.
type RecallTasks struct {
	Class ClassID `cbor:"1,keyasint"`
	N     int     `cbor:"2,keyasint"`
}

// CreditTask tells a generator's executor how many items were taken.
type CreditTask struct {
	Task raygo.TaskID `cbor:"1,keyasint"`
	N    uint32       `cbor:"2,keyasint"`
}

// ProcJoined and ProcLeft tell a job's owner of processes attached elsewhere.
type ProcJoined struct {
	Proc raygo.ProcID `cbor:"1,keyasint"`
	Job  raygo.JobID  `cbor:"2,keyasint"`
}

// ProcLeft says that such a process ended.
type ProcLeft struct {
	Proc raygo.ProcID `cbor:"1,keyasint"`
}

// FromProc passes on what a process attached elsewhere asks of its job's owner.
// One field is set.
type FromProc struct {
	Submit      *Submit      `cbor:"1,keyasint,omitempty"`
	Put         *Put         `cbor:"2,keyasint,omitempty"`
	Want        *Want        `cbor:"3,keyasint,omitempty"`
	Borrow      *Borrow      `cbor:"4,keyasint,omitempty"`
	Release     *Release     `cbor:"5,keyasint,omitempty"`
	Cancel      *Cancel      `cbor:"6,keyasint,omitempty"`
	StreamOpen  *StreamOpen  `cbor:"7,keyasint,omitempty"`
	StreamTaken *StreamTaken `cbor:"8,keyasint,omitempty"`
	StreamClose *StreamClose `cbor:"9,keyasint,omitempty"`
	Lost        *FetchLost   `cbor:"10,keyasint,omitempty"`
	Replicate   *Replicate   `cbor:"11,keyasint,omitempty"`
}

// ToProc passes the owner's answers on. One field is set.
type ToProc struct {
	Notify    *Notify      `cbor:"1,keyasint,omitempty"`
	State     *StreamState `cbor:"2,keyasint,omitempty"`
	Cancelled *Cancelled   `cbor:"3,keyasint,omitempty"`
}

// Holds tells an owner of copies that a peer has; Drops of copies that it has no
// more.
type Holds struct {
	Objects []raygo.ObjectID `cbor:"1,keyasint"`
}

// Drops says that copies are gone.
type Drops struct {
	Objects []raygo.ObjectID `cbor:"1,keyasint"`
}

// NamedAs tells an owner an object's CID.
type NamedAs struct {
	Object raygo.ObjectID `cbor:"1,keyasint"`
	CID    string         `cbor:"2,keyasint"`
}

// FreeObjects tells a holder that objects are not needed any more.
type FreeObjects struct {
	Objects []raygo.ObjectID `cbor:"1,keyasint"`
}

// CopyObject asks a peer to hold a copy.
type CopyObject struct {
	Source Source `cbor:"1,keyasint"`
}

// Leaving says that the sender drains: nothing more is to be placed there, and
// what only it holds is to be copied elsewhere.
type Leaving struct{}

// RollCall asks which of the sender's tasks a peer has; Present answers.
type RollCall struct {
	Number uint64 `cbor:"1,keyasint"`
}

// Present names the tasks that a peer has of another.
type Present struct {
	Number uint64         `cbor:"1,keyasint"`
	Tasks  []raygo.TaskID `cbor:"2,keyasint,omitempty"`
}

func (*RollCall) message()    {}
func (*Present) message()     {}
func (*JobOpen) message()     {}
func (*JobOver) message()     {}
func (*ClassOf) message()     {}
func (*Call) message()        {}
func (*Bid) message()         {}
func (*Assign) message()      {}
func (*Free) message()        {}
func (*Done) message()        {}
func (*Yielded) message()     {}
func (*StopTask) message()    {}
func (*RecallTasks) message() {}
func (*CreditTask) message()  {}
func (*ProcJoined) message()  {}
func (*ProcLeft) message()    {}
func (*FromProc) message()    {}
func (*ToProc) message()      {}
func (*Holds) message()       {}
func (*Drops) message()       {}
func (*NamedAs) message()     {}
func (*FreeObjects) message() {}
func (*CopyObject) message()  {}
func (*Leaving) message()     {}
