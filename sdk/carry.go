package raygo

import (
	"encoding"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// Types that carry themselves: how they look inside is their own affair.
var (
	typeCBORMarshaler   = reflect.TypeFor[cbor.Marshaler]()
	typeCBORUnmarshaler = reflect.TypeFor[cbor.Unmarshaler]()
	typeBinMarshaler    = reflect.TypeFor[encoding.BinaryMarshaler]()
	typeBinUnmarshaler  = reflect.TypeFor[encoding.BinaryUnmarshaler]()
	typeTime            = reflect.TypeFor[time.Time]()
	typeBigInt          = reflect.TypeFor[big.Int]()
	typeLinked          = reflect.TypeFor[linked]()
)

// linked is a type that stands for an object: Ref and Stream.
type linked interface{ linkedType() }

func isLinked(t reflect.Type) bool {
	return t.Implements(typeLinked) && t.Kind() != reflect.Interface
}

// carriesItself reports whether values of t are encoded by their own methods.
func carriesItself(t reflect.Type) bool {
	if t == typeTime || t == typeBigInt {
		return true
	}
	p := reflect.PointerTo(t)
	return p.Implements(typeCBORMarshaler) && p.Implements(typeCBORUnmarshaler) ||
		p.Implements(typeBinMarshaler) && p.Implements(typeBinUnmarshaler)
}

// checkType says whether every value of t can be carried, as far as t tells.
func checkType(t reflect.Type) error {
	return checkTypeAt(t, t.String(), map[reflect.Type]bool{})
}

func checkTypeAt(t reflect.Type, at string, seen map[reflect.Type]bool) error {
	if seen[t] || isLinked(t) || carriesItself(t) {
		return nil
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Uintptr, reflect.Complex64, reflect.Complex128:
		return fmt.Errorf("%s: a %s cannot be carried to another process", at, t.Kind())
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return fmt.Errorf("%s: an interface with methods (%s) cannot be decoded on the other side: use a concrete type, or any", at, t)
		}
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return checkTypeAt(t.Elem(), at, seen)
	case reflect.Map:
		if err := checkTypeAt(t.Key(), at+" (key)", seen); err != nil {
			return err
		}
		return checkTypeAt(t.Elem(), at+" (value)", seen)
	case reflect.Struct:
		return checkStruct(t, at, seen)
	}
	return nil
}

func checkStruct(t reflect.Type, at string, seen map[reflect.Type]bool) error {
	carried, hidden := 0, 0
	for f := range fieldsOf(t) {
		if !f.IsExported() && !f.Anonymous {
			hidden++
			continue
		}
		carried++
		if err := checkTypeAt(f.Type, at+"."+f.Name, seen); err != nil {
			return err
		}
	}
	if carried == 0 && hidden > 0 {
		return fmt.Errorf("%s: struct %s has no exported fields, so nothing of it would be carried", at, t)
	}
	return nil
}

// fieldsOf yields the fields of a struct that its tags do not exclude.
func fieldsOf(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			f := t.Field(i)
			tag, ok := f.Tag.Lookup("cbor")
			if !ok {
				tag = f.Tag.Get("json")
			}
			if name, _, _ := strings.Cut(tag, ","); name == "-" {
				continue
			}
			if !yield(f) {
				return
			}
		}
	}
}

// traits are what a walk over values of a type has to look for.
type traits struct {
	links bool // may hold a Ref or a Stream
	deep  bool // may nest without bound, or in a circle
}

var traitTable sync.Map // reflect.Type to traits

func traitsOf(t reflect.Type) traits {
	if v, ok := traitTable.Load(t); ok {
		return v.(traits)
	}
	tr := findTraits(t, map[reflect.Type]bool{})
	traitTable.Store(t, tr)
	return tr
}

func findTraits(t reflect.Type, above map[reflect.Type]bool) (tr traits) {
	if isLinked(t) {
		return traits{links: true}
	}
	if above[t] {
		return traits{deep: true}
	}
	if carriesItself(t) {
		return traits{}
	}
	above[t] = true
	defer delete(above, t)
	switch t.Kind() {
	case reflect.Interface:
		return traits{links: true, deep: true}
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return findTraits(t.Elem(), above)
	case reflect.Map:
		k, v := findTraits(t.Key(), above), findTraits(t.Elem(), above)
		return traits{links: k.links || v.links, deep: k.deep || v.deep}
	case reflect.Struct:
		for f := range fieldsOf(t) {
			if f.IsExported() || f.Anonymous {
				x := findTraits(f.Type, above)
				tr.links, tr.deep = tr.links || x.links, tr.deep || x.deep
			}
		}
	}
	return tr
}

// maxDepth bounds the nesting of a value, so that one which contains itself is
// an error and not the end of the process.
const maxDepth = 10_000

// walkLinks visits the refs and streams inside v.
func walkLinks(v reflect.Value, depth int, visit func(AnyRef) error) error {
	if depth > maxDepth {
		return fmt.Errorf("the value nests deeper than %d levels, or contains itself", maxDepth)
	}
	t := v.Type()
	if isLinked(t) {
		if v.Kind() == reflect.Pointer && v.IsNil() || !v.CanInterface() {
			return nil
		}
		return visit(v.Interface().(AnyRef))
	}
	if tr := traitsOf(t); !tr.links && !tr.deep {
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return walkLinks(v.Elem(), depth+1, visit)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if err := walkLinks(v.Index(i), depth+1, visit); err != nil {
				return err
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if err := walkLinks(it.Key(), depth+1, visit); err != nil {
				return err
			}
			if err := walkLinks(it.Value(), depth+1, visit); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := t.Field(i); f.IsExported() || f.Anonymous {
				if err := walkLinks(v.Field(i), depth+1, visit); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
