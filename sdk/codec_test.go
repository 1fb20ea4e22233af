package raygo

import (
	"bytes"
	"math"
	"reflect"
	"testing"
	"unsafe"

	"github.com/fxamacker/cbor/v2"

	"github.com/raygo/raygo/sdk/ipc"
)

// decodable are one value of each kind that is decoded by hand or by reflection.
type decodable struct {
	A int            `cbor:"a"`
	B []byte         `cbor:"b"`
	C map[string]any `cbor:"c"`
	D []float64      `cbor:"d"`
	E *decodable     `cbor:"e"`
	F any            `cbor:"f"`
}

func FuzzDecode(f *testing.F) {
	for _, v := range []any{1, -1, "s", 1.5, true, nil, []int{1}, decodable{A: 1, F: "x"}, map[string]any{"k": 1}} {
		b, err := cbor.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, byte(0))
		f.Add(b, byte(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, format byte) {
		decodeAs[int](b, format)
		decodeAs[uint8](b, format)
		decodeAs[int16](b, format)
		decodeAs[string](b, format)
		decodeAs[bool](b, format)
		decodeAs[float32](b, format)
		decodeAs[[]float64](b, format)
		decodeAs[[]byte](b, format)
		decodeAs[any](b, format)
		decodeAs[decodable](b, format)
		decodeAs[[]Ref[int]](b, format)
		_, _, _ = readHead(b)
	})
}

func decodeAs[T any](b []byte, format byte) (T, error) {
	var v T
	err := codecOf[T]().decode(unsafe.Pointer(&v), ipc.Format(format), b, false)
	return v, err
}

// FuzzFastCodec holds what is written by hand against the library.
func FuzzFastCodec(f *testing.F) {
	f.Add(int64(0), 0.5, "text", true)
	f.Add(int64(math.MinInt64), math.Inf(1), "\xff", false)
	f.Fuzz(func(t *testing.T, i int64, x float64, s string, b bool) {
		same(t, i)
		same(t, int8(i))
		same(t, int16(i))
		same(t, int32(i))
		same(t, int(i))
		same(t, uint8(i))
		same(t, uint16(i))
		same(t, uint32(i))
		same(t, uint64(i))
		same(t, b)
		same(t, s)
		if x == x {
			same(t, x)
			same(t, float32(x))
		}
	})
}

func same[T comparable](t *testing.T, v T) {
	t.Helper()
	c := codecOf[T]()
	if c.fast == reflect.Invalid {
		t.Fatalf("%T is not written by hand", v)
	}
	b := appendFast(nil, c.fast, unsafe.Pointer(&v))
	var byHand, byLibrary T
	if !readFast(b, c.fast, unsafe.Pointer(&byHand)) || byHand != v {
		t.Errorf("%T %v: read back as %v from %x", v, v, byHand, b)
	}
	if s, ok := any(v).(string); ok && b[0]>>5 != 3 {
		if !bytes.HasSuffix(b, []byte(s)) {
			t.Errorf("%q is not in %x", s, b)
		}
		return // not UTF-8: bytes, which the library reads as such
	}
	if err := cbor.Unmarshal(b, &byLibrary); err != nil || byLibrary != v {
		t.Errorf("%T %v: the library reads %v, %v from %x", v, v, byLibrary, err, b)
	}
}

func TestFastCodecRefusesWhatDoesNotFit(t *testing.T) {
	for _, b := range [][]byte{{}, {0x18}, {0x38, 0xff}, {0x19, 1, 0}, {0xf6}, {0x01, 0x02}} {
		var n int8
		if readFast(b, reflect.Int8, unsafe.Pointer(&n)) && len(b) != 2 {
			t.Errorf("%x is read as the int8 %d", b, n)
		}
	}
	if _, err := decodeAs[int8]([]byte{0x19, 1, 0}, 0); err == nil {
		t.Error("256 is read as an int8")
	}
	if _, err := decodeAs[[]float64](make([]byte, 9), 1); err == nil {
		t.Error("9 bytes are read as float64s")
	}
	if _, err := decodeAs[int](make([]byte, 8), 1); err == nil {
		t.Error("memory is read as an int")
	}
}

// A type without refs pays nothing for those that have some.
func TestTraits(t *testing.T) {
	type plain struct {
		A []map[string]int
		B *[4]float64
	}
	type holds struct{ M map[string][]Ref[int] }
	type deep struct{ Next *deep }
	for _, c := range []struct {
		t    reflect.Type
		want traits
	}{
		{reflect.TypeFor[plain](), traits{}},
		{reflect.TypeFor[holds](), traits{links: true}},
		{reflect.TypeFor[deep](), traits{deep: true}},
		{reflect.TypeFor[[]any](), traits{links: true, deep: true}},
	} {
		if got := traitsOf(c.t); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.t, got, c.want)
		}
	}
}

func TestSignatures(t *testing.T) {
	type a struct{ X int }
	type b struct{ X int }
	type c struct{ X int64 }
	sig := func(ts ...reflect.Type) string { return signatureOf("func", ts...) }
	if sig(reflect.TypeFor[a]()) != sig(reflect.TypeFor[b]()) {
		t.Error("types of one structure have two signatures")
	}
	if sig(reflect.TypeFor[a]()) == sig(reflect.TypeFor[c]()) {
		t.Error("types of two structures have one signature")
	}
	if sig(reflect.TypeFor[*decodable]()) == "" {
		t.Error("a type that contains itself has no signature")
	}
}

func TestShortNames(t *testing.T) {
	for full, want := range map[string]string{
		"main.square":                              "main.square",
		"github.com/x/y/pkg.Do":                    "pkg.Do",
		"gopkg.in/yaml%2ev3.Unmarshal":             "yaml.v3.Unmarshal",
		"main.main.func1":                          "",
		"main.T.Method-fm":                         "",
		"github.com/x/y.init.func2":                "",
		"github.com/raygo/raygo/sdk_test.squareFn": "sdk_test.squareFn",
	} {
		got, err := shortName(full)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v; want %q", full, got, err, want)
		}
	}
}

func TestFenwick(t *testing.T) {
	f := make(fenwick, 10)
	f.add(3)
	f.add(7)
	f.add(0)
	for i, want := range []int32{0, 1, 1, 1, 2, 2, 2, 2, 3, 3} {
		if got := f.before(int32(i)); got != want {
			t.Errorf("before %d: %d, want %d", i, got, want)
		}
	}
}
