package world

import (
	"reflect"

	"github.com/raygo/raygo/sched"
)

// copied is a message as the other side would decode it: nothing is shared with
// what the sender keeps.
func copied(m sched.Message) sched.Message {
	return deep(reflect.ValueOf(m)).Interface().(sched.Message)
}

func deep(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		p := reflect.New(v.Type().Elem())
		p.Elem().Set(deep(v.Elem()))
		return p
	case reflect.Struct:
		s := reflect.New(v.Type()).Elem()
		for i := range v.NumField() {
			s.Field(i).Set(deep(v.Field(i)))
		}
		return s
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		s := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		if v.Type().Elem().Kind() == reflect.Uint8 {
			reflect.Copy(s, v)
			return s
		}
		for i := range v.Len() {
			s.Index(i).Set(deep(v.Index(i)))
		}
		return s
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		m := reflect.MakeMapWithSize(v.Type(), v.Len())
		for it := v.MapRange(); it.Next(); {
			m.SetMapIndex(deep(it.Key()), deep(it.Value()))
		}
		return m
	default:
		return v
	}
}

// frameHead is what the stream adds to a message: length and type.
const frameHead = 4

// size is the length of a message on the wire: CBOR with whole numbers as keys.
func size(m sched.Message) int { return frameHead + encoded(reflect.ValueOf(m)) }

func encoded(v reflect.Value) int {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return 1
		}
		return encoded(v.Elem())
	case reflect.Struct:
		n := 1
		for i := range v.NumField() {
			f := v.Field(i)
			if !f.IsZero() && (f.Kind() != reflect.Slice && f.Kind() != reflect.Map || f.Len() > 0) {
				n += 1 + encoded(f)
			}
		}
		return n
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return head(uint64(v.Len())) + v.Len()
		}
		n := head(uint64(v.Len()))
		for i := range v.Len() {
			n += encoded(v.Index(i))
		}
		return n
	case reflect.Array:
		return head(uint64(v.Len())) + v.Len() // IDs
	case reflect.Map:
		n := head(uint64(v.Len()))
		for it := v.MapRange(); it.Next(); {
			n += encoded(it.Key()) + encoded(it.Value())
		}
		return n
	case reflect.String:
		return head(uint64(v.Len())) + v.Len()
	case reflect.Float64:
		return 9
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n := v.Int(); n >= 0 {
			return head(uint64(n))
		}
		return head(uint64(-v.Int() - 1))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		return head(v.Uint())
	default:
		return 1
	}
}

// head is the length of a CBOR head with the argument n.
func head(n uint64) int {
	switch {
	case n < 24:
		return 1
	case n < 1<<8:
		return 2
	case n < 1<<16:
		return 3
	case n < 1<<32:
		return 5
	default:
		return 9
	}
}
