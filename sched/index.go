package sched

import (
	"iter"

	raygo "github.com/raygo/raygo"
)

// index finds what belongs to an object, or to a task by its result 0. A process
// numbers its tasks in sequence, so results 0 lie in chunks, neighbours next to
// each other; a map of them all would miss the cache at each look. Parts and
// items are in a map.
type index[V comparable] struct {
	job    raygo.JobID
	n      int
	chunks map[chunkKey]*chunk[V]
	other  map[raygo.ObjectID]V

	lastKey chunkKey // the chunk that was looked at last
	last    *chunk[V]
}

type chunkKey struct {
	proc raygo.ProcID
	high uint32
}

// chunkBits is small enough that one long-lived object keeps half a KiB.
const chunkBits = 6

type chunk[V comparable] struct {
	n     int
	slots [1 << chunkBits]V
}

func newIndex[V comparable](job raygo.JobID) *index[V] {
	return &index[V]{job: job, chunks: map[chunkKey]*chunk[V]{}, other: map[raygo.ObjectID]V{}}
}

// place is where in the chunks an object of index 0 lies.
func place(id raygo.ObjectID) (chunkKey, uint32) {
	t := id.Task()
	seq := t.Seq()
	return chunkKey{proc: t.Proc(), high: seq >> chunkBits}, seq & (1<<chunkBits - 1)
}

// get is what is kept for id, zero for nothing.
func (x *index[V]) get(id raygo.ObjectID) (v V) {
	if id.Index() != 0 {
		return x.other[id]
	}
	k, i := place(id)
	if k != x.lastKey || x.last == nil {
		c := x.chunks[k]
		if c == nil {
			return v
		}
		x.lastKey, x.last = k, c
	}
	if id.Job() != x.job {
		return v
	}
	return x.last.slots[i]
}

// task is get for a task.
func (x *index[V]) task(id raygo.TaskID) V { return x.get(id.Object(0)) }

// set keeps v for id, of the index's own job; zero removes.
func (x *index[V]) set(id raygo.ObjectID, v V) {
	var zero V
	old := x.get(id)
	switch {
	case old == zero && v != zero:
		x.n++
	case old != zero && v == zero:
		x.n--
	case v == zero:
		return
	}
	if id.Index() != 0 {
		if v == zero {
			delete(x.other, id)
		} else {
			x.other[id] = v
		}
		return
	}
	k, i := place(id)
	c := x.chunks[k]
	if c == nil {
		c = new(chunk[V])
		x.chunks[k] = c
	}
	c.slots[i] = v
	if old == zero {
		c.n++
	} else if v == zero {
		if c.n--; c.n == 0 {
			delete(x.chunks, k)
			x.last = nil
		}
	}
}

// drop removes what is kept for id.
func (x *index[V]) drop(id raygo.ObjectID) {
	var zero V
	x.set(id, zero)
}

// all yields everything, in no order.
func (x *index[V]) all() iter.Seq2[raygo.ObjectID, V] {
	var zero V
	return func(yield func(raygo.ObjectID, V) bool) {
		for k, c := range x.chunks {
			for i, v := range c.slots {
				if v != zero && !yield(raygo.NewTaskID(x.job, k.proc, k.high<<chunkBits|uint32(i)).Object(0), v) {
					return
				}
			}
		}
		for id, v := range x.other {
			if !yield(id, v) {
				return
			}
		}
	}
}
