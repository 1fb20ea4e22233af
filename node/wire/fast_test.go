package wire

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

// slow is what the library makes of a body.
func slow(k Kind, body []byte) (sched.Message, error) {
	m := fresh(k)
	return m, decode(body, m)
}

// agree fails if a body is read here and the library reads it as something else,
// or the message is written here and the library writes it otherwise. read says
// whether the body was read here.
func agree(t *testing.T, k Kind, body []byte) (read bool) {
	t.Helper()
	m := fastBody(k, body)
	want, err := slow(k, body)
	if m != nil && (err != nil || !reflect.DeepEqual(m, want)) {
		t.Fatalf("%.500x is read as\n%.500s, by the library as\n%.500s, %v", body, fmt.Sprintf("%+v", m), fmt.Sprintf("%+v", want), err)
	}
	if err == nil {
		agreeWritten(t, k, want)
	}
	return m != nil
}

// agreeWritten is the same of writing. body is the library's.
func agreeWritten(t *testing.T, k Kind, m sched.Message) (body []byte, written bool) {
	t.Helper()
	want, err := enc.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	have, ok := fastFrame(k, m)
	if ok && !bytes.Equal(have, append([]byte{Version, byte(k)}, want...)) {
		t.Fatalf("%+v is written as\n%x, by the library as\n%x", m, have[headSize:], want)
	}
	return want, ok
}

// dice makes messages of a seed, and counts what is left to the library in the
// last: what is written here but not read, and what is neither.
type dice struct {
	*rand.Rand
	allowRare       bool
	unread, neither int
}

func (d *dice) maybe() bool { return d.IntN(3) > 0 }

// number is near one of the sizes that heads have, or anywhere.
func (d *dice) number() uint64 {
	edges := []uint64{0, 0, 1, 23, 24, math.MaxUint8, math.MaxUint8 + 1, math.MaxUint16, math.MaxUint16 + 1, math.MaxInt32, math.MaxUint32, math.MaxUint32 + 1, math.MaxInt64, math.MaxUint64}
	if i := d.IntN(2 * len(edges)); i < len(edges) {
		return edges[i]
	}
	return d.Uint64() >> d.IntN(64)
}

func (d *dice) signed() int64 { return int64(d.number()) }

func (d *dice) id(into []byte) {
	for i := range into {
		into[i] = byte(d.Uint32())
	}
}

func (d *dice) bytes() []byte {
	if !d.maybe() {
		return nil
	}
	b := make([]byte, []int{0, 1, 23, 24, 255, 256, 300}[d.IntN(7)])
	d.id(b)
	return b
}

func (d *dice) text() string {
	if d.rare() {
		d.unread++
		return "no UTF-8: \xff\xfe"
	}
	return []string{"", "p1", "über €", "\x00", string(make([]byte, 24)), string(make([]byte, 256))}[d.IntN(6)]
}

func (d *dice) rare() bool { return d.allowRare && d.IntN(12) == 0 }

// failure is one now and then.
func (d *dice) failure() *raygo.Failure {
	if !d.rare() {
		return nil
	}
	d.neither++
	return raygo.Fail(raygo.CodePeerDied, "it died")
}

// list is nil, empty, short, or now and then longer than a head of one byte says.
func list[T any](d *dice, one func() T) []T {
	n := []int{-1, 0, 1, 2, 3}[d.IntN(5)]
	if n < 0 {
		return nil
	}
	if d.IntN(40) == 0 {
		n = 30
	}
	l := make([]T, n)
	for i := range l {
		l[i] = one()
	}
	return l
}

func (d *dice) object() (o raygo.ObjectID) { d.id(o[:]); return o }

func (d *dice) value() (v sched.Value) {
	if d.maybe() {
		v = sched.Value{
			Kind: sched.ValueKind(d.number()), Format: uint8(d.number()), Code: raygo.Code(d.number()), Bytes: d.bytes(), Failure: d.failure(),
			Size: d.number(), Parts: uint32(d.number()), Store: d.object(),
		}
	}
	return v
}

func (d *dice) assigned() (a sched.Assigned) {
	if !d.maybe() {
		return a
	}
	a = sched.Assigned{
		Attempt: uint32(d.number()), Award: uint32(d.number()), Depth: int32(d.signed()), Args: d.bytes(),
		Values: list(d, func() sched.Resolved { return sched.Resolved{ID: d.object(), Value: d.value()} }),
		Sources: list(d, func() sched.Source {
			return sched.Source{Object: d.object(), Size: d.number(), Format: uint8(d.number()), CID: d.text(), Holders: list(d, d.text)}
		}),
		From: uint32(d.number()), Taken: uint32(d.number()), Stream: d.maybe(), Created: d.signed(),
	}
	d.id(a.Task[:])
	d.id(a.Parent[:])
	return a
}

func (d *dice) result() (r sched.TaskResult) {
	if !d.maybe() {
		return r
	}
	r = sched.TaskResult{
		Award: uint32(d.number()), Status: sched.Status(d.number()), Run: time.Duration(d.signed()), Items: uint32(d.number()),
		Outcomes: list(d, func() sched.Outcome {
			return sched.Outcome{Index: uint32(d.number()), Value: d.value(), Nested: list(d, d.object)}
		}),
		Failure: d.failure(), Cancel: sched.CancelOutcome(d.number()), Missing: list(d, d.object), Denied: list(d, d.text),
	}
	d.id(r.Task[:])
	return r
}

func (d *dice) message() (Kind, sched.Message) {
	d.unread, d.neither = 0, 0
	if d.IntN(2) == 0 {
		return KindDone, &sched.Done{Results: list(d, d.result), Stands: list(d, func() sched.Stand {
			return sched.Stand{Class: sched.ClassID(d.number()), Slots: int(d.signed()), Running: int(d.signed()), Seen: d.number()}
		})}
	}
	a := &sched.Assign{Class: sched.ClassID(d.number()), Tasks: list(d, d.assigned), More: d.maybe()}
	if a.Tasks == nil {
		d.neither++
	}
	return KindAssign, a
}

// What is written and read by hand is what the library writes and reads, and all
// but what is rare is.
func TestFastIsTheLibrary(t *testing.T) {
	for seed := range uint64(3000) {
		d := &dice{Rand: rand.New(rand.NewPCG(seed, 1)), allowRare: seed%2 == 0}
		k, m := d.message()
		body, written := agreeWritten(t, k, m)
		read := agree(t, k, body)
		if want := d.neither == 0; written != want {
			t.Fatalf("seed %d: written %v, want %v: %+v", seed, written, want, m)
		}
		if want := d.neither+d.unread == 0; read != want {
			t.Fatalf("seed %d: read %v, want %v: %+v", seed, read, want, m)
		}
	}
}

// A field that the messages get is written and read by hand too.
func TestFastKnowsEveryField(t *testing.T) {
	for k, m := range map[Kind]sched.Message{KindAssign: new(sched.Assign), KindDone: new(sched.Done)} {
		set(reflect.ValueOf(m).Elem())
		if body, written := agreeWritten(t, k, m); !written || !agree(t, k, body) {
			t.Errorf("%+v is left to the library", m)
		}
	}
}

// set gives every field something, but for failures.
func set(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			set(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		set(v.Index(1))
	case reflect.Array:
		set(v.Index(0))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("text")
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(-300)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(100)
	case reflect.Pointer:
	default:
		panic("what is a " + v.Type().String() + "?")
	}
}

// plain are bodies with each field that is read by hand.
func plain(t testing.TB) map[Kind][][]byte {
	all := map[Kind][][]byte{}
	add := func(k Kind, m sched.Message) {
		body, err := enc.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if fastBody(k, body) == nil {
			t.Fatalf("%+v is not read", m)
		}
		all[k] = append(all[k], body)
	}
	s := samples()
	done := s[KindDone].(*sched.Done)
	done.Results[0].Failure = nil
	done.Results[0].Run, done.Stands[0].Running = -time.Hour, -300
	add(KindDone, done)
	add(KindDone, &sched.Done{})
	assign := s[KindAssign].(*sched.Assign)
	assign.Tasks[0].Depth = -1
	add(KindAssign, assign)
	add(KindAssign, &sched.Assign{Tasks: []sched.Assigned{}})
	add(KindAssign, &sched.Assign{Class: 70000, Tasks: []sched.Assigned{{}, {}}})
	return all
}

// Bytes that were cut off or changed are read as the library reads them, or left
// to it.
func TestFastReadsSpoiltBytes(t *testing.T) {
	read, step := 0, 1
	if testing.Short() {
		step = 7
	}
	for k, bodies := range plain(t) {
		for _, body := range bodies {
			for n := range body {
				if agree(t, k, body[:n]) {
					t.Errorf("%x is read, though cut off", body[:n])
				}
			}
			for i, was := range body {
				b := slices.Clone(body)
				for c := 0; c < 256; c += step {
					if b[i] = byte(c); b[i] != was && agree(t, k, b) {
						read++
					}
				}
			}
		}
	}
	if read == 0 {
		t.Error("no change at all was read: nothing was compared")
	}
}

// What is not written like this is left to the library, which takes some of it.
func TestFastLeavesTheRestToTheLibrary(t *testing.T) {
	id := append([]byte{0x54}, make([]byte, 20)...)
	assign := func(task ...byte) []byte {
		return slices.Concat([]byte{0xa2, 1, 3, 2, 0x81, 0xa4, 1}, id, []byte{2}, id, []byte{4, 1}, task)
	}
	result := func(task ...byte) []byte {
		return slices.Concat([]byte{0xa1, 1, 0x81, 0xa3, 1}, task, []byte{2, 1, 4, 0x1b, 0, 0, 0, 1, 0, 0, 0, 0})
	}
	stands := func(n int) []byte {
		return slices.Concat([]byte{0xa1, 2, 0x9a, 0, byte(n >> 16), byte(n >> 8), byte(n)}, bytes.Repeat([]byte{0xa1, 1, 3}, n))
	}
	for name, c := range map[string]struct {
		kind Kind
		body []byte
		fast bool
		err  bool
	}{
		"as it should be":        {KindAssign, assign(6, 0x41, 9), true, false},
		"a number's longer head": {KindAssign, assign(5, 0x19, 0, 7), true, false},
		"an unknown key":         {KindAssign, assign(13, 1), false, false},
		"a key that is text":     {KindAssign, assign(0x61, 'a', 1), false, false},
		"a key twice":            {KindAssign, assign(4, 2), false, false},
		"keys in another order":  {KindAssign, assign(3, 2), false, false},
		"null":                   {KindAssign, assign(6, 0xf6), false, false},
		"bytes without an end":   {KindAssign, assign(6, 0x5f, 0x41, 9, 0xff), false, false},
		"a tag":                  {KindAssign, assign(6, 0xc2, 0x41, 9), false, false},
		"text for bytes":         {KindAssign, assign(6, 0x61, 'a'), false, true},
		"a number for a bool":    {KindAssign, assign(11, 1), false, true},
		"a number of 33 bits":    {KindAssign, assign(9, 0x1b, 0, 0, 0, 1, 0, 0, 0, 0), false, true},
		"less than any number":   {KindAssign, assign(12, 0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), false, true},
		"a negative count":       {KindAssign, assign(3, 0x20), false, true},
		"bytes after the end":    {KindAssign, append(assign(6, 0x41, 9), 0), false, true},
		"an ID as it should be":  {KindDone, result(id...), true, false},
		"an ID that is short":    {KindDone, result(append([]byte{0x53}, id[:19]...)...), false, false},
		"an ID that is long":     {KindDone, result(append([]byte{0x55}, id...)...), false, false},
		"no UTF-8":               {KindAssign, assign(8, 0x81, 0xa1, 4, 0x61, 0xff), false, true},
		"an array for a map":     {KindAssign, []byte{0x80}, false, true},
		"a map without an end":   {KindDone, []byte{0xbf, 0xff}, false, false},
		"as many as the limit":   {KindDone, stands(maxElements), true, false},
		"more than the limit":    {KindDone, stands(maxElements + 1), false, true},
		"nothing":                {KindDone, nil, false, true},
		"another message":        {KindFree, []byte{0xa1, 1, 3}, false, false},
	} {
		if fast := agree(t, c.kind, c.body); fast != c.fast {
			t.Errorf("%s: read by hand: %v", name, fast)
		}
		if _, err := Decode(append([]byte{Version, byte(c.kind)}, c.body...)); (err != nil) != c.err {
			t.Errorf("%s: decoded with %v", name, err)
		}
	}
}

// A claim of many elements is no reason to make room for them.
func TestFastMakesRoomForWhatCame(t *testing.T) {
	const n = 1 << 20
	body := slices.Concat([]byte{0xa2, 1, 3, 2, 0x9a, 0, 0x10, 0, 0}, bytes.Repeat([]byte{0xa0}, n))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m := fastBody(KindAssign, body)
	runtime.ReadMemStats(&after)
	if made, most := after.TotalAlloc-before.TotalAlloc, uint64(8*len(body)); m != nil || made > most {
		t.Errorf("%d elements of %d bytes in %d bytes: %d bytes were made, at most %d are in proportion", n, unsafe.Sizeof(sched.Assigned{}), len(body), made, most)
	}
}

// What is read does not lie in the frame.
func TestFastCopies(t *testing.T) {
	for k, bodies := range plain(t) {
		for _, body := range bodies {
			want, err := slow(k, body)
			if err != nil {
				t.Fatal(err)
			}
			m := fastBody(k, body)
			clear(body)
			if !reflect.DeepEqual(m, want) {
				t.Errorf("%T changes with the frame it was read from", m)
			}
		}
	}
}

func FuzzFast(f *testing.F) {
	for k, bodies := range plain(f) {
		for _, body := range bodies {
			f.Add(k == KindDone, body)
		}
	}
	for seed := range uint64(20) {
		k, m := (&dice{Rand: rand.New(rand.NewPCG(seed, 2)), allowRare: true}).message()
		f.Add(k == KindDone, Encoded(m))
	}
	f.Fuzz(func(t *testing.T, done bool, body []byte) {
		k := KindAssign
		if done {
			k = KindDone
		}
		agree(t, k, body)
	})
}

// The messages of a small call, a task at a time and in batches, by hand and by
// the library.
func BenchmarkFast(b *testing.B) {
	for _, n := range []int{1, 64} {
		a, d := &sched.Assign{Class: 3}, &sched.Done{}
		for i := range n {
			id := raygo.NewTaskID(job, 1, uint32(i))
			a.Tasks = append(a.Tasks, sched.Assigned{Task: id, Parent: task, Award: 1, Args: make([]byte, 16), Created: 1 << 60})
			value := sched.Value{Kind: sched.Inline, Format: 1, Bytes: make([]byte, 16), Size: 16}
			d.Results = append(d.Results, sched.TaskResult{Task: id, Award: 1, Run: 50 * time.Microsecond, Outcomes: []sched.Outcome{{Value: value}}})
		}
		d.Stands = []sched.Stand{{Class: 3, Slots: 4, Running: 2, Seen: 1000}}
		for k, m := range map[Kind]sched.Message{KindAssign: a, KindDone: d} {
			body := Encoded(m)
			for name, once := range map[string]func() bool{
				"write/hand": func() bool { _, ok := fastFrame(k, m); return ok },
				"write/library": func() bool {
					b, err := enc.Marshal(m)
					return append([]byte{Version, byte(k)}, b...) != nil && err == nil
				},
				"read/hand":    func() bool { return fastBody(k, body) != nil },
				"read/library": func() bool { _, err := slow(k, body); return err == nil },
			} {
				b.Run(fmt.Sprintf("%s/%d/%s", reflect.TypeOf(m).Elem().Name(), n, name), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if !once() {
							b.Fatal("left to the other")
						}
					}
				})
			}
		}
	}
}
