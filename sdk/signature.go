package raygo

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
)

// signatureOf hashes the structure of a function's parameters and results, so
// that two builds of a program can tell whether they mean the same.
func signatureOf(kind string, types ...reflect.Type) string {
	var b strings.Builder
	b.WriteString(kind)
	for _, t := range types {
		b.WriteByte('|')
		describe(&b, t, nil)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:8])
}

// describe writes the structure of t. A type that contains itself is written as
// the number of levels up to where it began.
func describe(b *strings.Builder, t reflect.Type, above []reflect.Type) {
	for i, a := range above {
		if a == t {
			fmt.Fprintf(b, "^%d", len(above)-i)
			return
		}
	}
	above = append(above, t)
	switch {
	case t == typeTime:
		b.WriteString("time")
	case isLinked(t) || carriesItself(t):
		b.WriteString(t.String())
	case t.Kind() == reflect.Pointer:
		b.WriteByte('*')
		describe(b, t.Elem(), above)
	case t.Kind() == reflect.Slice:
		b.WriteString("[]")
		describe(b, t.Elem(), above)
	case t.Kind() == reflect.Array:
		fmt.Fprintf(b, "[%d]", t.Len())
		describe(b, t.Elem(), above)
	case t.Kind() == reflect.Map:
		b.WriteString("map[")
		describe(b, t.Key(), above)
		b.WriteByte(']')
		describe(b, t.Elem(), above)
	case t.Kind() == reflect.Struct:
		b.WriteByte('{')
		for f := range fieldsOf(t) {
			if f.IsExported() || f.Anonymous {
				b.WriteString(f.Name)
				b.WriteByte(' ')
				describe(b, f.Type, above)
				b.WriteString(f.Tag.Get("cbor"))
				b.WriteByte(';')
			}
		}
		b.WriteByte('}')
	default:
		b.WriteString(t.Kind().String())
	}
}
