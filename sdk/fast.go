package raygo

import (
	"encoding/binary"
	"math"
	"reflect"
	"unicode/utf8"
	"unsafe"
)

// The major types of CBOR that are written and read by hand here.
const (
	cborUint  = 0 << 5
	cborNeg   = 1 << 5
	cborBytes = 2 << 5
	cborText  = 3 << 5
	cborArray = 4 << 5
	cborFalse = 0xf4
	cborTrue  = 0xf5
	cborNull  = 0xf6
	cborF32   = 0xfa
	cborF64   = 0xfb
)

// appendHead writes a head of CBOR: major type and argument, shortest form.
func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, major|27), n)
	}
}

// readHead reads what appendHead wrote; n is the head's length, 0 when there is
// none.
func readHead(b []byte) (major byte, arg uint64, n int) {
	if len(b) == 0 {
		return 0, 0, 0
	}
	major, low := b[0]&0xe0, b[0]&0x1f
	switch {
	case low < 24:
		return major, uint64(low), 1
	case low == 24 && len(b) >= 2:
		return major, uint64(b[1]), 2
	case low == 25 && len(b) >= 3:
		return major, uint64(binary.BigEndian.Uint16(b[1:])), 3
	case low == 26 && len(b) >= 5:
		return major, uint64(binary.BigEndian.Uint32(b[1:])), 5
	case low == 27 && len(b) >= 9:
		return major, binary.BigEndian.Uint64(b[1:]), 9
	}
	return 0, 0, 0
}

// appendFast writes the value of kind k at p.
func appendFast(b []byte, k reflect.Kind, p unsafe.Pointer) []byte {
	switch k {
	case reflect.Bool:
		if *(*bool)(p) {
			return append(b, cborTrue)
		}
		return append(b, cborFalse)
	case reflect.Int:
		return appendInt(b, int64(*(*int)(p)))
	case reflect.Int8:
		return appendInt(b, int64(*(*int8)(p)))
	case reflect.Int16:
		return appendInt(b, int64(*(*int16)(p)))
	case reflect.Int32:
		return appendInt(b, int64(*(*int32)(p)))
	case reflect.Int64:
		return appendInt(b, *(*int64)(p))
	case reflect.Uint:
		return appendHead(b, cborUint, uint64(*(*uint)(p)))
	case reflect.Uint8:
		return appendHead(b, cborUint, uint64(*(*uint8)(p)))
	case reflect.Uint16:
		return appendHead(b, cborUint, uint64(*(*uint16)(p)))
	case reflect.Uint32:
		return appendHead(b, cborUint, uint64(*(*uint32)(p)))
	case reflect.Uint64:
		return appendHead(b, cborUint, *(*uint64)(p))
	case reflect.Float32:
		return binary.BigEndian.AppendUint32(append(b, cborF32), math.Float32bits(*(*float32)(p)))
	case reflect.Float64:
		return binary.BigEndian.AppendUint64(append(b, cborF64), math.Float64bits(*(*float64)(p)))
	default: // reflect.String
		s := *(*string)(p)
		major := byte(cborText)
		if !utf8.ValidString(s) {
			major = cborBytes // a Go string may hold any bytes; CBOR text may not
		}
		return append(appendHead(b, major, uint64(len(s))), s...)
	}
}

func appendInt(b []byte, v int64) []byte {
	if v < 0 {
		return appendHead(b, cborNeg, uint64(^v))
	}
	return appendHead(b, cborUint, uint64(v))
}

// readFast reads what appendFast wrote, and reports false for anything else,
// which is then left to the CBOR library.
func readFast(b []byte, k reflect.Kind, p unsafe.Pointer) bool {
	switch k {
	case reflect.Bool:
		if len(b) != 1 || b[0] != cborTrue && b[0] != cborFalse {
			return false
		}
		*(*bool)(p) = b[0] == cborTrue
		return true
	case reflect.Float64:
		if len(b) != 9 || b[0] != cborF64 {
			return false
		}
		*(*float64)(p) = math.Float64frombits(binary.BigEndian.Uint64(b[1:]))
		return true
	case reflect.Float32:
		if len(b) != 5 || b[0] != cborF32 {
			return false
		}
		*(*float32)(p) = math.Float32frombits(binary.BigEndian.Uint32(b[1:]))
		return true
	}
	major, arg, n := readHead(b)
	if n == 0 {
		return false
	}
	if k == reflect.String {
		rest := b[n:]
		if uint64(len(rest)) != arg || major != cborBytes && (major != cborText || !utf8.Valid(rest)) {
			return false
		}
		*(*string)(p) = string(rest)
		return true
	}
	if n != len(b) || major > cborNeg {
		return false
	}
	return storeInt(k, p, major == cborNeg, arg)
}

// storeInt stores arg, or ^arg when negative, if kind k can hold it.
func storeInt(k reflect.Kind, p unsafe.Pointer, negative bool, arg uint64) bool {
	if k >= reflect.Uint {
		bits := [...]uint{64, 8, 16, 32, 64}[k-reflect.Uint]
		if negative || bits < 64 && arg>>bits != 0 {
			return false
		}
		switch bits {
		case 8:
			*(*uint8)(p) = uint8(arg)
		case 16:
			*(*uint16)(p) = uint16(arg)
		case 32:
			*(*uint32)(p) = uint32(arg)
		default:
			*(*uint64)(p) = arg
		}
		return true
	}
	bits := [...]uint{64, 8, 16, 32, 64}[k-reflect.Int]
	if arg>>(bits-1) != 0 {
		return false
	}
	v := int64(arg)
	if negative {
		v = ^v
	}
	switch bits {
	case 8:
		*(*int8)(p) = int8(v)
	case 16:
		*(*int16)(p) = int16(v)
	case 32:
		*(*int32)(p) = int32(v)
	default:
		*(*int64)(p) = v
	}
	return true
}
