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
	Kind    ValueKind      `cbor:"1,keyasint,omitempty"`
	Format  uint8          `cbor:"2,keyasint,omitempty"`
	Code    raygo.Code     `cbor:"3,keyasint,omitempty"`
	Bytes   []byte         `cbor:"4,keyasint,omitempty"`
	Failure *raygo.Failure `cbor:"5,keyasint,omitempty"`
	Size    uint64         `cbor:"6,keyasint,omitempty"`
	Parts   uint32         `cbor:"7,keyasint,omitempty"`
	Store   raygo.ObjectID `cbor:"8,keyasint,omitempty"`
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
	Index  uint32           `cbor:"1,keyasint,omitempty"`
	Value  Value            `cbor:"2,keyasint,omitempty"`
	Nested []raygo.ObjectID `cbor:"3,keyasint,omitempty"`
}

// Resolved is an object with its value.
type Resolved struct {
	ID    raygo.ObjectID `cbor:"1,keyasint,omitempty"`
	Value Value          `cbor:"2,keyasint,omitempty"`
}
