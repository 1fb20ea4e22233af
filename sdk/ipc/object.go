package ipc

import (
	"fmt"

	raygo "github.com/raygo/raygo"
)

// AppendReady writes a Ready frame: object ID (24), value.
func AppendReady(b []byte, id raygo.ObjectID, v *Value) []byte {
	b, at := Begin(b, TypeReady)
	b = append(b, id[:]...)
	b = v.Append(b)
	return End(b, at)
}

// ParseReady reads a Ready payload; the result points into it.
func ParseReady(p []byte) (r Resolved, err error) {
	c := cursor{b: p}
	r.ID = c.object()
	r.Value = c.value()
	return r, c.end("ready")
}

// AppendPut writes a Put frame: object ID (24), value, nested refs.
func AppendPut(b []byte, id raygo.ObjectID, v *Value, nested []raygo.ObjectID) []byte {
	b, at := Begin(b, TypePut)
	b = append(b, id[:]...)
	b = v.Append(b)
	b = appendIDs(b, nested)
	return End(b, at)
}

// ParsePut reads a Put payload; the result points into it.
func ParsePut(p []byte) (r Resolved, nested []raygo.ObjectID, err error) {
	c := cursor{b: p}
	r.ID = c.object()
	r.Value = c.value()
	nested = c.objects()
	return r, nested, c.end("put")
}

// AppendReplicate writes a Replicate frame: copies of the object on so many peers
// in all.
func AppendReplicate(b []byte, id raygo.ObjectID, copies uint32) []byte {
	b, at := Begin(b, TypeReplicate)
	b = append(b, id[:]...)
	return End(u32(b, copies), at)
}

// ParseReplicate reads a Replicate payload.
func ParseReplicate(p []byte) (id raygo.ObjectID, copies uint32, err error) {
	c := cursor{b: p}
	id = c.object()
	copies = c.u32()
	return id, copies, c.end("replicate")
}

// AppendAlloc writes an Alloc frame: room for size bytes of the object.
func AppendAlloc(b []byte, id raygo.ObjectID, size uint64) []byte {
	b, at := Begin(b, TypeAlloc)
	b = append(b, id[:]...)
	return End(u64(b, size), at)
}

// ParseAlloc reads an Alloc payload.
func ParseAlloc(p []byte) (id raygo.ObjectID, size uint64, err error) {
	c := cursor{b: p}
	id = c.object()
	size = c.u64()
	return id, size, c.end("alloc")
}

// AppendAlloced writes an Alloced frame: a ValueStored with the place, or a
// ValueFailed.
func AppendAlloced(b []byte, id raygo.ObjectID, v *Value) []byte {
	b, at := Begin(b, TypeAlloced)
	b = append(b, id[:]...)
	return End(v.Append(b), at)
}

// ParseAlloced reads an Alloced payload.
func ParseAlloced(p []byte) (Resolved, error) {
	r, err := ParseReady(p)
	if err != nil {
		return r, fmt.Errorf("alloced: %w", err)
	}
	return r, nil
}

// WantMode says how much of an object is wanted.
type WantMode uint8

// The modes of Want.
const (
	WantValue  WantMode = 0 // the value itself; stored bytes are pinned for the process
	WantLocal  WantMode = 1 // to know that it is ready and its bytes are on this machine
	WantExists WantMode = 2 // to know that it is ready somewhere
)

// AppendWant writes a Want frame: mode uint8, counted IDs.
func AppendWant(b []byte, mode WantMode, ids []raygo.ObjectID) []byte {
	b, at := Begin(b, TypeWant)
	b = append(b, byte(mode))
	return End(appendIDs(b, ids), at)
}

// ParseWant reads a Want payload.
func ParseWant(p []byte) (WantMode, []raygo.ObjectID, error) {
	c := cursor{b: p}
	m := WantMode(c.u8())
	ids := c.objects()
	return m, ids, c.end("want")
}

// AppendIDs writes a frame of type t that is a counted list of object IDs:
// Release, Borrow, Unpin, Abandon.
func AppendIDs(b []byte, t Type, ids []raygo.ObjectID) []byte {
	b, at := Begin(b, t)
	return End(appendIDs(b, ids), at)
}

// ParseIDs reads a counted list of object IDs.
func ParseIDs(p []byte) ([]raygo.ObjectID, error) {
	c := cursor{b: p}
	ids := c.objects()
	return ids, c.end("IDs")
}
