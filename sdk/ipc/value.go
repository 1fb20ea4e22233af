package ipc

import (
	"fmt"

	raygo "github.com/raygo/raygo"
)

// ValueKind says where a value's bytes are.
type ValueKind uint8

// The kinds of value; their layout is in the package comment.
const (
	ValueNone      ValueKind = 0 // no value yet; never on the wire
	ValueInline    ValueKind = 1
	ValueStored    ValueKind = 2
	ValueFailed    ValueKind = 3
	ValueComposite ValueKind = 4
	ValueElsewhere ValueKind = 5
)

// Format says how a value's bytes are to be read.
type Format uint8

// The formats of a value.
const (
	FormatCBOR Format = 0
	FormatRaw  Format = 1
)

// Value is an outcome or an argument as it travels.
type Value struct {
	Kind   ValueKind
	Format Format
	Code   raygo.Code     // ValueFailed
	Bytes  []byte         // ValueInline; ValueFailed: CBOR raygo.Failure
	ID     raygo.ObjectID // ValueStored
	Offset uint64         // ValueStored: in the job's arena
	Size   uint64         // ValueStored, ValueElsewhere
	Parts  uint32         // ValueComposite
}

// Append writes the value at the end of b.
func (v *Value) Append(b []byte) []byte {
	b = append(b, byte(v.Kind))
	switch v.Kind {
	case ValueInline:
		b = append(b, byte(v.Format))
		b = u32(b, uint32(len(v.Bytes)))
		b = append(b, v.Bytes...)
	case ValueStored:
		b = append(b, byte(v.Format))
		b = append(b, v.ID[:]...)
		b = u64(b, v.Offset)
		b = u64(b, v.Size)
	case ValueFailed:
		b = append(b, byte(v.Code))
		b = u32(b, uint32(len(v.Bytes)))
		b = append(b, v.Bytes...)
	case ValueComposite:
		b = u32(b, v.Parts)
	case ValueElsewhere:
		b = append(b, byte(v.Format))
		b = u64(b, v.Size)
	default:
		panic(fmt.Sprintf("ipc: value of kind %d cannot travel", v.Kind))
	}
	return b
}

func (c *cursor) value() (v Value) {
	v.Kind = ValueKind(c.u8())
	switch v.Kind {
	case ValueInline:
		v.Format = Format(c.u8())
		v.Bytes = c.bytes()
	case ValueStored:
		v.Format = Format(c.u8())
		v.ID = c.object()
		v.Offset = c.u64()
		v.Size = c.u64()
		if c.err == nil && (v.Size > 1<<50 || v.Offset > 1<<50) {
			c.err = fmt.Errorf("%w: stored value at %d of %d bytes", ErrFrame, v.Offset, v.Size)
		}
	case ValueFailed:
		v.Code = raygo.Code(c.u8())
		v.Bytes = c.bytes()
	case ValueComposite:
		v.Parts = c.u32()
		if c.err == nil && v.Parts > raygo.MaxReturns {
			c.err = fmt.Errorf("%w: composite of %d parts, the limit is %d", ErrFrame, v.Parts, raygo.MaxReturns)
		}
	case ValueElsewhere:
		v.Format = Format(c.u8())
		v.Size = c.u64()
	default:
		if c.err == nil {
			c.err = fmt.Errorf("%w: value of unknown kind %d", ErrFrame, v.Kind)
		}
	}
	return v
}
