package member

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// maxElements bounds lists in what is decoded; it is the most of any of them.
const maxElements = MaxDenied

// Everything signed or sent is CBOR in its one deterministic form, with whole
// numbers as keys; what is not in that form is refused, so that one meaning has
// one encoding.
var (
	encoding = must(cbor.CoreDetEncOptions().EncMode())
	decoding = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		MaxNestedLevels:   8,
		MaxArrayElements:  maxElements,
		MaxMapPairs:       32,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// encode is for types of this package, which can all be encoded.
func encode(v any) []byte { return must(encoding.Marshal(v)) }

var errNotCanonical = errors.New("it is not in its one valid encoding")

// decode reads at most limit bytes into v, which is a pointer.
func decode(b []byte, limit int, v any) error {
	if len(b) > limit {
		return fmt.Errorf("it has %d bytes, the limit is %d", len(b), limit)
	}
	if err := decoding.Unmarshal(b, v); err != nil {
		return err
	}
	if !bytes.Equal(encode(v), b) {
		return errNotCanonical
	}
	return nil
}
