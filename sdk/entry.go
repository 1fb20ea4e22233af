package raygo

import (
	"sync/atomic"
	"weak"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// handle is what Refs point to: two Refs are equal when their handles are the
// same. Nothing but Refs points to it, so that its end tells that of the last
// Ref; everything else is in the entry.
//
// The room at its end keeps handles apart: the runtime finds the place of a
// cleanup by going through those of the same 8 KiB, of which there would be a
// thousand.
type handle struct {
	e *entry
	_ [56]byte
}

// entry is one object as this process knows it.
type entry struct {
	s        *Session // nil for a call that failed before it had a session
	id       words.ObjectID
	out      atomic.Pointer[outcome] // nil until something is known
	encoding atomic.Int32            // encodings in progress that count this ref

	// The rest is guarded by s.mu.
	waiters *waitNode
	self    weak.Pointer[handle] // set when the ID may come back to this process
	handles int32                // handles alive, internal users counted
	claims  int32                // Releases that are owed to the peer
	parts   uint32               // of a composite, when known at submission
	asked   ipc.WantMode         // what was asked for; askedNothing if nothing
	pushed  bool                 // the peer tells of it unasked
	leaked  bool                 // left the process uncounted: never released on its own
}

const askedNothing ipc.WantMode = 255

// outcome is what is known of an object's value.
type outcome struct {
	kind   ipc.ValueKind
	format ipc.Format
	bytes  []byte // inline; failed: CBOR of the failure
	err    error  // failed here, never sent
	size   uint64
	parts  uint32
	stored *stored
}

// level says how much is known.
type level int8

const (
	levelNothing level = iota
	levelExists        // it is ready, its bytes are elsewhere
	levelValue         // its value is at hand
)

func (e *entry) level() level {
	switch o := e.out.Load(); {
	case o == nil:
		return levelNothing
	case o.kind == ipc.ValueElsewhere:
		return levelExists
	default:
		return levelValue
	}
}

// waitNode hangs a waiter on an entry or a stream.
type waitNode struct {
	next  *waitNode
	w     *waiter
	index int32
	level level
}

// fire tells the waiters of a list that the level is reached and returns those
// that want more. The session's mutex is held.
func fire(list *waitNode, l level, failed bool) *waitNode {
	var keep *waitNode
	for n := list; n != nil; {
		next := n.next
		if n.level > l {
			n.next, keep = keep, n
		} else {
			n.next = nil
			n.w.fired(n.index, failed)
		}
		n = next
	}
	return keep
}

// remove takes n out of a list.
func remove(list **waitNode, n *waitNode) {
	for at := list; *at != nil; at = &(*at).next {
		if *at == n {
			*at = n.next
			n.next = nil
			return
		}
	}
}

// table finds entries by ID. Results of this process's own calls have IDs in
// sequence, so they lie in chunks; all others are in a map.
type table struct {
	job    words.JobID
	proc   words.ProcID
	chunks map[uint32]*chunk
	other  map[words.ObjectID]*entry
	live   int
}

const chunkBits = 9

type chunk struct {
	live  int
	slots [1 << chunkBits]*entry
}

func (t *table) own(id *words.ObjectID) bool {
	return id.Index() == 0 && id.Task().Proc() == t.proc && id.Job() == t.job
}

func (t *table) get(id words.ObjectID) *entry {
	if !t.own(&id) {
		return t.other[id]
	}
	seq := id.Task().Seq()
	if c := t.chunks[seq>>chunkBits]; c != nil {
		return c.slots[seq&(1<<chunkBits-1)]
	}
	return nil
}

func (t *table) put(e *entry) {
	t.live++
	if !t.own(&e.id) {
		t.other[e.id] = e
		return
	}
	seq := e.id.Task().Seq()
	c := t.chunks[seq>>chunkBits]
	if c == nil {
		c = new(chunk)
		t.chunks[seq>>chunkBits] = c
	}
	c.slots[seq&(1<<chunkBits-1)] = e
	c.live++
}

func (t *table) drop(e *entry) {
	if t.get(e.id) != e {
		return
	}
	t.live--
	if !t.own(&e.id) {
		delete(t.other, e.id)
		return
	}
	seq := e.id.Task().Seq()
	c := t.chunks[seq>>chunkBits]
	c.slots[seq&(1<<chunkBits-1)] = nil
	if c.live--; c.live == 0 {
		delete(t.chunks, seq>>chunkBits)
	}
}
