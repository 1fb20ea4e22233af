package objects

import (
	"os"
	"sync/atomic"

	"github.com/raygo/raygo"
)

// State says where an object's bytes are.
type State uint8

// The states of an object.
const (
	Writing   State = iota + 1 // allocated, not sealed
	InMemory                   // sealed; a copy may be on disk too
	Spilled                    // on disk only
	Restoring                  // on its way back from disk
)

// String is the state's name in lists.
func (s State) String() string {
	switch s {
	case Writing:
		return "writing"
	case InMemory:
		return "in memory"
	case Spilled:
		return "spilled"
	case Restoring:
		return "restoring"
	}
	return "unknown"
}

// Info describes one object.
type Info struct {
	Size   uint64
	Pins   int
	State  State
	OnDisk bool   // a spill file has a copy
	CID    string // empty while it is not known
}

// entry is one object. Store.mu guards it.
type entry struct {
	id      raygo.ObjectID
	job     *job
	size    uint64
	ext     Extent // whole pages; Size 0 when it has no range
	state   State
	pins    int
	busy    int  // uses by the store itself: hashing, spilling, reading, restoring
	deleted bool // goes when neither pinned, busy nor being written
	copied  bool // another peer has it too: dropped, never spilled
	cold    bool // its range was not touched before it was handed out

	manifest *Manifest     // nil until hashed
	name     string        // the manifest's CID; empty until somebody asked for it
	unwanted atomic.Bool   // deleted, for a hash under way: needs no mu
	hashing  chan struct{} // closed when the hash under way has ended; nil if none is
	disk     *location     // nil if no spill file has a copy
	waiters  []*pinWait    // admitted Pins that wait for the restore

	list       *entryList // which eviction list it is in, if any
	prev, next *entry
}

// pages is what the object takes of the limit.
func (e *entry) pages() int64 { return int64(roundUp(e.size)) }

// extent is what readers and writers are told.
func (e *entry) extent() Extent { return Extent{e.ext.Offset, e.size} }

// location is an object's place on disk.
type location struct {
	file *spillFile
	off  int64
}

// job is one job's arena and objects. Store.mu guards it.
type job struct {
	id      raygo.JobID
	arena   *os.File
	window  window
	ranges  *ranges
	entries map[raygo.ObjectID]*entry
	spill   *spillFile // takes the next spilled object; nil if none is open
	busy    int        // uses of the arena by the store itself
	idle    uint64     // the least that was retained since the last trim
	closed  bool
}

// entryList is a list of sealed, unpinned objects in memory, least recently used first.
type entryList struct{ first, last *entry }

func (l *entryList) pushBack(e *entry) {
	e.list, e.prev, e.next = l, l.last, nil
	if l.last != nil {
		l.last.next = e
	} else {
		l.first = e
	}
	l.last = e
}

// unlist takes e out of its list, if it is in one.
func (e *entry) unlist() {
	l := e.list
	if l == nil {
		return
	}
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		l.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		l.last = e.prev
	}
	e.list, e.prev, e.next = nil, nil, nil
}
