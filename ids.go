package raygo

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// JobID names one run of a driver. It is random, so two peers that never met
// cannot give the same one.
type JobID [8]byte

// NewJobID draws a fresh job ID.
func NewJobID() JobID {
	var j JobID
	_, _ = rand.Read(j[:]) // crypto/rand.Read never fails: it aborts the program instead.
	return j
}

// String is the ID in lower-case hexadecimal (16 characters).
func (j JobID) String() string { return hex.EncodeToString(j[:]) }

// IsZero reports whether j is the zero ID, which names no job.
func (j JobID) IsZero() bool { return j == JobID{} }

// ParseJobID reads what String wrote.
func ParseJobID(s string) (JobID, error) {
	var j JobID
	return j, parseHex("job", s, j[:])
}

// ProcID names one attached process (driver or worker) across the cluster: the
// upper half says which peer it is attached to (see PeerTag), the lower half
// counts that peer's processes.
type ProcID uint64

// TaskID names one call: job (8 bytes), submitting process (8), and a sequence
// number of that process (4). A submitter makes it without asking anybody,
// which is why Remote does not block. A Put takes a TaskID from the same
// sequence, so an ObjectID always has a unique maker.
type TaskID [20]byte

// NewTaskID composes a task ID.
func NewTaskID(job JobID, proc ProcID, seq uint32) TaskID {
	var t TaskID
	copy(t[:8], job[:])
	binary.BigEndian.PutUint64(t[8:16], uint64(proc))
	binary.BigEndian.PutUint32(t[16:20], seq)
	return t
}

// Job is the job the task belongs to.
func (t TaskID) Job() JobID { return JobID(t[:8]) }

// Proc is the process that submitted the task.
func (t TaskID) Proc() ProcID { return ProcID(binary.BigEndian.Uint64(t[8:16])) }

// Seq is the submitter's sequence number.
func (t TaskID) Seq() uint32 { return binary.BigEndian.Uint32(t[16:20]) }

// Object is the ID of the task's result number index.
func (t TaskID) Object(index uint32) ObjectID {
	var o ObjectID
	copy(o[:20], t[:])
	binary.BigEndian.PutUint32(o[20:], index)
	return o
}

// String is the ID in lower-case hexadecimal (40 characters).
func (t TaskID) String() string { return hex.EncodeToString(t[:]) }

// IsZero reports whether t is the zero ID, which names no task.
func (t TaskID) IsZero() bool { return t == TaskID{} }

// ParseTaskID reads what String wrote.
func ParseTaskID(s string) (TaskID, error) {
	var t TaskID
	return t, parseHex("task", s, t[:])
}

// ObjectID names a promise, known before its value: a task and an index. Index
// 0 is the result of an ordinary task. A task with n > 1 declared parts has its
// parts at 1..n and the composite of them at 0. Item i of a generator has index
// i; CompletedIndex is the list of all its items.
type ObjectID [24]byte

// CompletedIndex is the index of the object that a generator resolves when it
// has ended: the list of its item refs.
const CompletedIndex = ^uint32(0)

// StreamIndex is the index of the stream itself: whoever holds this object
// holds the stream, and when nobody does the producer is stopped.
const StreamIndex = CompletedIndex - 1

// Task is the task that makes the object.
func (o ObjectID) Task() TaskID { return TaskID(o[:20]) }

// Job is the job the object belongs to.
func (o ObjectID) Job() JobID { return JobID(o[:8]) }

// Index is the object's place among its task's results.
func (o ObjectID) Index() uint32 { return binary.BigEndian.Uint32(o[20:]) }

// String is the ID in lower-case hexadecimal (48 characters).
func (o ObjectID) String() string { return hex.EncodeToString(o[:]) }

// IsZero reports whether o is the zero ID, which names no object.
func (o ObjectID) IsZero() bool { return o == ObjectID{} }

// ParseObjectID reads what String wrote.
func ParseObjectID(s string) (ObjectID, error) {
	var o ObjectID
	return o, parseHex("object", s, o[:])
}

// PeerTag is the 32-bit tag of a peer that ProcIDs carry, so that the owner of
// an object can be guessed from its ID alone.
func PeerTag(p ProcID) uint32 { return uint32(p >> 32) }

func parseHex(what, s string, into []byte) error {
	if len(s) != 2*len(into) {
		return fmt.Errorf("parse %s ID %q: want %d hexadecimal characters, have %d", what, s, 2*len(into), len(s))
	}
	if _, err := hex.Decode(into, []byte(s)); err != nil {
		return fmt.Errorf("parse %s ID %q: %w", what, s, err)
	}
	return nil
}
