package raygo

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/fxamacker/cbor/v2"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// encMode and the decoding modes are the CBOR of values: nanosecond times that
// stay times, no limit below that of the bytes that are there.
var (
	encMode = must(cbor.EncOptions{
		Time: cbor.TimeRFC3339Nano, TimeTag: cbor.EncTagRequired, NilContainers: cbor.NilContainerAsNull,
	}.UserBufferEncMode())
	decMode    = must(decOptions(reflect.TypeFor[map[string]any]()).DecMode())
	decModeAny = must(decOptions(nil).DecMode())
)

func decOptions(mapType reflect.Type) cbor.DecOptions {
	return cbor.DecOptions{
		IntDec: cbor.IntDecConvertSignedOrBigInt, DefaultMapType: mapType,
		MaxArrayElements: math.MaxInt32, MaxMapPairs: math.MaxInt32, MaxNestedLevels: 2*maxDepth + 2,
		TimeTag: cbor.DecTagOptional, UTF8: cbor.UTF8DecodeInvalid,
	}
}

func must[M any](m M, err error) M {
	if err != nil {
		panic(err)
	}
	return m
}

// codec carries the values of one type.
type codec struct {
	typ    reflect.Type
	fast   reflect.Kind // a kind that is written by hand; Invalid: by the CBOR library
	size   uintptr      // of the type
	raw    uintptr      // bytes of an element when the type travels as memory, else 0
	traits traits
	parts  []part // of a tuple
	stream bool   // a *Stream

	came atomic.Bool // the last value that was waited for is one that comes unasked, so the next may
}

// part is one field of a tuple.
type part struct {
	codec  *codec
	offset uintptr
}

var codecs sync.Map // reflect.Type to *codec

func codecOf[T any]() *codec { return codecFor(reflect.TypeFor[T]()) }

func codecFor(t reflect.Type) *codec {
	if c, ok := codecs.Load(t); ok {
		return c.(*codec)
	}
	c := &codec{typ: t, size: t.Size(), traits: traitsOf(t)}
	switch k := t.Kind(); {
	case isLinked(t):
		c.stream = k == reflect.Pointer
	case carriesItself(t):
	case k >= reflect.Bool && k <= reflect.Uint64, k == reflect.Float32, k == reflect.Float64, k == reflect.String:
		c.fast = k
	case k == reflect.Slice:
		c.raw = rawSize(t.Elem())
	case isTuple(t):
		for i := range t.NumField() {
			f := t.Field(i)
			c.parts = append(c.parts, part{codecFor(f.Type), f.Offset})
		}
	}
	got, _ := codecs.LoadOrStore(t, c)
	return got.(*codec)
}

// rawSize is the size of an element of a slice that travels as memory, 0 for
// others.
func rawSize(t reflect.Type) uintptr {
	if carriesItself(t) {
		return 0
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		return t.Size()
	}
	return 0
}

// sliceHeader is how a slice lies in memory.
type sliceHeader struct {
	data unsafe.Pointer
	len  int
	cap  int
}

// rawBytes is the memory of the slice at p.
func (c *codec) rawBytes(p unsafe.Pointer) []byte {
	h := (*sliceHeader)(p)
	return unsafe.Slice((*byte)(h.data), h.len*int(c.raw))
}

// isRaw reports whether the value at p travels as memory: a nil slice does not,
// so that it arrives as nil.
func (c *codec) isRaw(p unsafe.Pointer) bool {
	return c.raw > 0 && (*sliceHeader)(p).data != nil
}

// encoder gathers encoded values and the objects inside them.
type encoder struct {
	s      *Session // whose refs may be inside; nil outside of a session
	buf    []byte
	nested []words.ObjectID
	slow   bytes.Buffer
	held   []*entry  // refs inside what is being encoded now
	keep   []*handle // refs that must live until the frame is on its way
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

func newEncoder(s *Session) *encoder {
	e := encoders.Get().(*encoder)
	e.s, e.buf, e.nested = s, e.buf[:0], e.nested[:0]
	return e
}

func (e *encoder) free() {
	clear(e.keep)
	e.s, e.keep = nil, e.keep[:0]
	if cap(e.buf) > 1<<20 || e.slow.Cap() > 1<<20 {
		return
	}
	encoders.Put(e)
}

// append writes the value at p at the end of e.buf.
func (e *encoder) append(c *codec, p unsafe.Pointer) (ipc.Format, error) {
	if c.isRaw(p) {
		e.buf = append(e.buf, c.rawBytes(p)...)
		return ipc.FormatRaw, nil
	}
	if c.fast != reflect.Invalid {
		e.buf = appendFast(e.buf, c.fast, p)
		return ipc.FormatCBOR, nil
	}
	return ipc.FormatCBOR, e.appendSlow(c, p)
}

func (e *encoder) appendSlow(c *codec, p unsafe.Pointer) error {
	v := reflect.NewAt(c.typ, p)
	if c.traits.links || c.traits.deep {
		if err := walkLinks(v.Elem(), 0, e.collect); err != nil {
			e.letGo()
			return fmt.Errorf("encode %s: %w", c.typ, err)
		}
	}
	e.slow.Reset()
	err := encMode.MarshalToBuffer(v.Interface(), &e.slow)
	e.letGo()
	if err != nil {
		return fmt.Errorf("encode %s: %w", c.typ, err)
	}
	e.buf = append(e.buf, e.slow.Bytes()...)
	return nil
}

// collect notes a ref that is about to be encoded. While it is noted its
// encoding is ours; at other times it leaves by a way that nobody counts.
func (e *encoder) collect(r AnyRef) error {
	h, id, err := r.link().travel()
	if err != nil || h == nil {
		return err
	}
	if e.s != nil && h.e.s != e.s {
		return fmt.Errorf("ref %s belongs to another session", id)
	}
	h.e.encoding.Add(1)
	e.held = append(e.held, h.e)
	e.keep = append(e.keep, h)
	e.nested = append(e.nested, id)
	return nil
}

func (e *encoder) letGo() {
	for _, x := range e.held {
		x.encoding.Add(-1)
	}
	clear(e.held)
	e.held = e.held[:0]
}

// decode reads the value at p from b. Nothing in it points into b unless view
// is set and the format is raw.
func (c *codec) decode(p unsafe.Pointer, f ipc.Format, b []byte, view bool) error {
	switch {
	case f == ipc.FormatRaw:
		return c.decodeRaw(p, b, view)
	case f != ipc.FormatCBOR:
		return fmt.Errorf("decode %s: the value has unknown format %d", c.typ, f)
	case c.fast != reflect.Invalid && readFast(b, c.fast, p):
		return nil
	}
	v := reflect.NewAt(c.typ, p)
	err := decMode.Unmarshal(b, v.Interface())
	if err != nil && c.traits.deep {
		v.Elem().SetZero()
		err = decModeAny.Unmarshal(b, v.Interface()) // an any that holds a map whose keys are no strings
	}
	if err != nil {
		return fmt.Errorf("decode %s: %w", c.typ, err)
	}
	return nil
}

func (c *codec) decodeRaw(p unsafe.Pointer, b []byte, view bool) error {
	if c.raw == 0 || len(b)%int(c.raw) != 0 {
		return fmt.Errorf("decode %s: the value is %d bytes of memory", c.typ, len(b))
	}
	n := len(b) / int(c.raw)
	if view && n > 0 && uintptr(unsafe.Pointer(&b[0]))%8 == 0 {
		*(*sliceHeader)(p) = sliceHeader{unsafe.Pointer(&b[0]), n, n}
		return nil
	}
	s := reflect.MakeSlice(c.typ, n, n)
	reflect.NewAt(c.typ, p).Elem().Set(s)
	copy(c.rawBytes(p), b)
	return nil
}
