package sched

import raygo "github.com/raygo/raygo"

// What is said about guardians and about taking a job over. See guard.go, ward.go
// and takeover.go.

// GuardedBy tells an executor who may take a job over from its owner. Yields says
// that the owner gives the job up to one of them now.
type GuardedBy struct {
	Job       raygo.JobID `cbor:"1,keyasint"`
	Guardians []string    `cbor:"2,keyasint,omitempty"`
	Yields    bool        `cbor:"3,keyasint,omitempty"`
}

// Guard brings a guardian's copy of a job's records up to date. Each record says
// how things are, not what changed: repetition does no harm.
type Guard struct {
	Job      raygo.JobID      `cbor:"1,keyasint"`
	Seq      uint64           `cbor:"2,keyasint"`
	First    bool             `cbor:"3,keyasint,omitempty"` // forget what you have of the job
	Over     bool             `cbor:"4,keyasint,omitempty"` // and be its guardian no more
	Rank     int              `cbor:"5,keyasint,omitempty"` // the guardian of rank 0 takes over first
	Epoch    uint32           `cbor:"6,keyasint,omitempty"`
	Driver   raygo.ProcID     `cbor:"7,keyasint,omitempty"`
	Builds   []string         `cbor:"8,keyasint,omitempty"`
	Info     []byte           `cbor:"9,keyasint,omitempty"`
	Finished int              `cbor:"10,keyasint,omitempty"`
	Failed   int              `cbor:"11,keyasint,omitempty"`
	Classes  []ClassOf        `cbor:"12,keyasint,omitempty"`
	Objects  []ObjectRecord   `cbor:"13,keyasint,omitempty"`
	Tasks    []TaskRecord     `cbor:"14,keyasint,omitempty"`
	NoObject []raygo.ObjectID `cbor:"15,keyasint,omitempty"` // gone
	NoTask   []raygo.TaskID   `cbor:"16,keyasint,omitempty"`
	Others   []string         `cbor:"17,keyasint,omitempty"` // all guardians
	Whole    bool             `cbor:"18,keyasint,omitempty"` // with this, the copy lacks nothing
}

// ObjectRecord is an object as its owner knows it.
type ObjectRecord struct {
	ID      raygo.ObjectID   `cbor:"1,keyasint"`
	Value   Value            `cbor:"2,keyasint,omitempty"`
	Nested  []raygo.ObjectID `cbor:"3,keyasint,omitempty"`
	Holders []string         `cbor:"4,keyasint,omitempty"`
	CID     string           `cbor:"5,keyasint,omitempty"`
	Copies  int              `cbor:"6,keyasint,omitempty"`
	Refs    int32            `cbor:"7,keyasint,omitempty"` // held by the job's driver
	Untaken bool             `cbor:"8,keyasint,omitempty"` // an item that no consumer has taken
}

// TaskRecord is a task as its owner knows it: unfinished, or how its lost results
// can be made again, or a stream that is still held.
type TaskRecord struct {
	ID      raygo.TaskID     `cbor:"1,keyasint"`
	Class   ClassID          `cbor:"2,keyasint"`
	Parent  raygo.TaskID     `cbor:"3,keyasint,omitempty"`
	Args    []byte           `cbor:"4,keyasint,omitempty"`
	Deps    []raygo.ObjectID `cbor:"5,keyasint,omitempty"`
	Pins    []raygo.ObjectID `cbor:"6,keyasint,omitempty"`
	Depth   int32            `cbor:"7,keyasint,omitempty"`
	Attempt uint32           `cbor:"8,keyasint,omitempty"`
	Award   uint32           `cbor:"9,keyasint,omitempty"`
	Created int64            `cbor:"10,keyasint,omitempty"`
	Pending *PendingRecord   `cbor:"11,keyasint,omitempty"`
	Lineage *LineageRecord   `cbor:"12,keyasint,omitempty"`
	Stream  *StreamRecord    `cbor:"13,keyasint,omitempty"`
}

// PendingRecord is what is more to say of an unfinished task.
type PendingRecord struct {
	At        string `cbor:"1,keyasint,omitempty"` // the peer that has it
	Sys       uint32 `cbor:"2,keyasint,omitempty"` // attempts that failed, by kind
	App       uint32 `cbor:"3,keyasint,omitempty"`
	OOM       uint32 `cbor:"4,keyasint,omitempty"`
	Cancelled bool   `cbor:"5,keyasint,omitempty"`
	Spares    bool   `cbor:"6,keyasint,omitempty"`
	Regen     bool   `cbor:"7,keyasint,omitempty"`
	Redo      bool   `cbor:"8,keyasint,omitempty"`
	Until     uint32 `cbor:"9,keyasint,omitempty"`
}

// LineageRecord is how often lost results of a finished task were made again, and
// how far a generator came.
type LineageRecord struct {
	Rebuilds int    `cbor:"1,keyasint,omitempty"`
	Items    uint32 `cbor:"2,keyasint,omitempty"`
	Cut      bool   `cbor:"3,keyasint,omitempty"`
	Stream   bool   `cbor:"4,keyasint,omitempty"`
}

// StreamRecord is how far a generator is.
type StreamRecord struct {
	Produced uint32    `cbor:"1,keyasint,omitempty"`
	Taken    uint32    `cbor:"2,keyasint,omitempty"`
	Asked    uint32    `cbor:"3,keyasint,omitempty"`
	All      bool      `cbor:"4,keyasint,omitempty"`
	Unheld   bool      `cbor:"5,keyasint,omitempty"`
	Fixed    bool      `cbor:"6,keyasint,omitempty"`
	Limit    int       `cbor:"7,keyasint,omitempty"`
	Held     []Outcome `cbor:"8,keyasint,omitempty"`
	Ended    bool      `cbor:"9,keyasint,omitempty"`
	Failure  Value     `cbor:"10,keyasint,omitempty"`
}

// Guarded answers a Guard: its records are kept, or there is no room for them.
type Guarded struct {
	Job     raygo.JobID `cbor:"1,keyasint"`
	Seq     uint64      `cbor:"2,keyasint"`
	Refused bool        `cbor:"3,keyasint,omitempty"`
}

// Safe tells an executor how many of its messages about a job the guardians have
// the effects of.
type Safe struct {
	Job raygo.JobID `cbor:"1,keyasint"`
	N   uint64      `cbor:"2,keyasint"`
}

// TakeNow asks a guardian to take a job over: its owner leaves.
type TakeNow struct {
	Job raygo.JobID `cbor:"1,keyasint"`
}

// JobTaken says that the sender owns a job from now on. Executors answer with what
// they have of it.
type JobTaken struct {
	Job   raygo.JobID `cbor:"1,keyasint"`
	Epoch uint32      `cbor:"2,keyasint"`
}

// Rejoin is what an executor has of a job, for its new owner. There may be several;
// Last is set in the last one.
type Rejoin struct {
	Job     raygo.JobID      `cbor:"1,keyasint"`
	Epoch   uint32           `cbor:"2,keyasint"`
	Unknown bool             `cbor:"3,keyasint,omitempty"` // nothing: it was never told of the job
	Procs   []ProcHolds      `cbor:"4,keyasint,omitempty"`
	Tasks   []HeldTask       `cbor:"5,keyasint,omitempty"`
	Last    bool             `cbor:"6,keyasint,omitempty"`
	Holds   []raygo.ObjectID `cbor:"7,keyasint,omitempty"` // bytes that it has
	Owner   string           `cbor:"8,keyasint,omitempty"` // the one that it has, and is there: the sender of JobTaken is not believed
	Behind  uint32           `cbor:"9,keyasint,omitempty"` // the epoch of an owner that is gone, which is not below the sender's of JobTaken
}

// ProcHolds is what a process holds and waits for.
type ProcHolds struct {
	Proc    raygo.ProcID  `cbor:"1,keyasint"`
	Refs    []HeldRef     `cbor:"2,keyasint,omitempty"`
	Awaits  []Await       `cbor:"3,keyasint,omitempty"`
	Streams []StreamTaken `cbor:"4,keyasint,omitempty"`
	Cancels []Cancel      `cbor:"5,keyasint,omitempty"`
}

// HeldRef is how often a process holds an object.
type HeldRef struct {
	Object raygo.ObjectID `cbor:"1,keyasint"`
	N      int32          `cbor:"2,keyasint"`
}

// Await is an object that a process wants to be told of; Asked says that it has
// asked for it, in the mode given.
type Await struct {
	Object raygo.ObjectID `cbor:"1,keyasint"`
	Asked  bool           `cbor:"2,keyasint,omitempty"`
	Mode   uint8          `cbor:"3,keyasint,omitempty"`
}

// HeldTask is a task that an executor has, and under which award.
type HeldTask struct {
	Task  raygo.TaskID `cbor:"1,keyasint"`
	Award uint32       `cbor:"2,keyasint"`
}

func (*GuardedBy) message() {}
func (*Guard) message()     {}
func (*Guarded) message()   {}
func (*Safe) message()      {}
func (*TakeNow) message()   {}
func (*JobTaken) message()  {}
func (*Rejoin) message()    {}
