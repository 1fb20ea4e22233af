package raygo_test

import (
	"bytes"
	"context"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	raygo "github.com/raygo/raygo/sdk"
)

type tree struct {
	Name  string
	Left  *tree
	Right *tree
}

type record struct {
	I     int
	U     uint64
	F     float64
	S     string
	B     bool
	Raw   []byte
	Nums  []int32
	List  [][]string
	Map   map[string]map[int]float64
	When  time.Time
	Ptr   *int
	Nil   *int
	Any   any
	Tree  *tree
	Array [4]float64
	Dur   time.Duration
}

type celsius float64

var (
	echoRecord  = raygo.Func1(echoRecordFn)
	echoBytes   = raygo.Func1(echoBytesFn)
	echoFloats  = raygo.Func1(echoFloatsFn)
	echoAny     = raygo.Func1(echoAnyFn)
	echoString  = raygo.Func1(echoStringFn)
	echoInt8    = raygo.Func1(echoInt8Fn)
	echoCelsius = raygo.Func1(echoCelsiusFn)
	writeToArg  = raygo.Func1(writeToArgFn)
)

func echoRecordFn(_ context.Context, r record) (record, error)       { return r, nil }
func echoBytesFn(_ context.Context, b []byte) ([]byte, error)        { return b, nil }
func echoFloatsFn(_ context.Context, b []float64) ([]float64, error) { return b, nil }
func echoAnyFn(_ context.Context, v any) (any, error)                { return v, nil }
func echoStringFn(_ context.Context, s string) (string, error)       { return s, nil }
func echoInt8Fn(_ context.Context, n int8) (int8, error)             { return n, nil }
func echoCelsiusFn(_ context.Context, n []celsius) (celsius, error)  { return n[0], nil }
func writeToArgFn(_ context.Context, b []byte) (int, error)          { b[0] = 1; return 1, nil }

// behaviour 2
func TestValuesRoundTrip(t *testing.T) {
	c := soon(t)
	n := 5
	want := record{
		I: math.MinInt64, U: math.MaxUint64, F: math.Inf(-1), S: "größer", B: true, Raw: []byte{1, 2}, Nums: []int32{-1, 7},
		List: [][]string{{"a"}, nil, {}}, Map: map[string]map[int]float64{"x": {1: 0.5}, "y": nil},
		When: time.Date(2026, 11, 23, 1, 2, 3, 456789, time.UTC), Ptr: &n, Any: map[string]any{"k": []any{int64(1), "z", nil, 2.5}},
		Tree: &tree{Name: "root", Left: &tree{Name: "leaf"}}, Array: [4]float64{1, 2, 3, 4}, Dur: time.Hour,
	}
	got, err := raygo.Get(c, echoRecord.Remote(c, want))
	if err != nil {
		t.Fatal(err)
	}
	if !got.When.Equal(want.When) {
		t.Errorf("time: %v, want %v", got.When, want.When)
	}
	got.When = want.When
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, v := range []any{nil, int64(-3), "s", 1.5, true, []any{"a"}, []byte("raw"), map[any]any{int64(1): "one"}} {
		got, err := raygo.Get(c, echoAny.Remote(c, v))
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("any %#v: got %#v, %v", v, got, err)
		}
	}
	for _, s := range []string{"", "a\xffb", strings.Repeat("long", 100_000)} {
		if got, err := raygo.Get(c, echoString.Remote(c, s)); err != nil || got != s {
			t.Errorf("string of %d bytes: got %d bytes, %v", len(s), len(got), err)
		}
	}
	for _, v := range []int8{-128, -1, 0, 23, 24, 127} {
		if got, err := raygo.Get(c, echoInt8.Remote(c, v)); err != nil || got != v {
			t.Errorf("int8 %d: got %d, %v", v, got, err)
		}
	}
	if got, err := raygo.Get(c, echoCelsius.Remote(c, []celsius{36.6})); err != nil || got != 36.6 {
		t.Errorf("celsius: %v, %v", got, err)
	}
}

// behaviour 2, behaviour 14, behaviour 25
func TestRawSlicesOfAllSizes(t *testing.T) {
	c := soon(t)
	for _, n := range []int{0, 1, 100 << 10, 100<<10 + 1, 3 << 20} {
		b := bytes.Repeat([]byte{7}, n)
		got, err := raygo.Get(c, echoBytes.Remote(c, b))
		if err != nil || !bytes.Equal(got, b) || got == nil {
			t.Errorf("%d bytes: got %d, %v", n, len(got), err)
		}
		ref, err := raygo.Put(c, b)
		if err != nil {
			t.Fatal(err)
		}
		got, err = raygo.Get(c, echoBytes.RemoteArgs(c, ref))
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("%d bytes by ref: got %d, %v", n, len(got), err)
		}
		raygo.Release(ref)
		if _, err := raygo.Get(c, ref); err == nil {
			t.Error("a released ref can be got")
		}
	}
	if got, err := raygo.Get(c, echoBytes.Remote(c, nil)); err != nil || got != nil {
		t.Errorf("nil: got %v, %v", got, err)
	}
	fs := make([]float64, 500_000)
	for i := range fs {
		fs[i] = float64(i)
	}
	if got, err := raygo.Get(c, echoFloats.Remote(c, fs)); err != nil || !reflect.DeepEqual(got, fs) {
		t.Errorf("floats: %d, %v", len(got), err)
	}
}

// behaviour 36
func TestLargeValuesAreReadOnlyViews(t *testing.T) {
	c := soon(t)
	ref, err := raygo.Put(c, make([]byte, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	a, err := raygo.Get(c, ref)
	if err != nil {
		t.Fatal(err)
	}
	b, err := raygo.Get(c, ref)
	if err != nil {
		t.Fatal(err)
	}
	if &a[0] != &b[0] {
		t.Error("two Gets copied the value")
	}
	_, err = raygo.Get(c, writeToArg.RemoteArgs(c, ref))
	if err == nil || !strings.Contains(err.Error(), "fault") {
		t.Errorf("writing to a view: %v", err)
	}
	if n, err := raygo.Get(c, square.Remote(c, 3)); err != nil || n != 9 {
		t.Errorf("after the fault: %d, %v", n, err)
	}
}
