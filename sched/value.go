package sched

import raygo "github.com/raygo/raygo"

// ValueKind says what is known of an object's value.
type ValueKind uint8

// The kinds of value.
const (
	None      ValueKind = iota // not there yet
	Inline                     // Bytes hold it
	Stored                     // the object store holds Size bytes under Store
	Failed                     // Failure, or Bytes as they came from the process that failed
	Composite                  // objects 1..Parts of the same task
)

// Value is an outcome. Bytes are opaque: only the two ends decode them.
type Value struct {
	Kind    ValueKind
	Format  uint8
	Code    raygo.Code
	Bytes   []byte
	Failure *raygo.Failure
	Size    uint64
	Parts   uint32
	Store   raygo.ObjectID
}

func failed(f *raygo.Failure) Value { return Value{Kind: Failed, Code: f.Code, Failure: f} }

// sound is v, or a failure if v is nothing that a process may send as a value.
func sound(v Value) Value {
	if v.Kind == Inline || v.Kind == Stored || v.Kind == Failed && (v.Failure != nil || v.Bytes != nil) {
		return v
	}
	return failed(raygo.Fail(raygo.CodeRefused, "a process sent a value of kind %d where one is given", v.Kind))
}

// Outcome is one result of an attempt.
type Outcome struct {
	Index  uint32
	Value  Value
	Nested []raygo.ObjectID
}

// Resolved is an object with its value.
type Resolved struct {
	ID    raygo.ObjectID
	Value Value
}
