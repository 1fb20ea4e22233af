package wire

import (
	"encoding/binary"
	"math"
	"time"
	"unicode/utf8"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

// fastBody reads the body of an Assign or a Done as this package writes it: keys
// in order, each known and once, no item of another type than its field's. nil
// says that the body is another message's or not of that shape, which may yet be
// sound: dec has the last word on it, and gives the same message for all that is
// read here.
func fastBody(k Kind, body []byte) sched.Message {
	r := fastReader{b: body}
	var m sched.Message
	switch k {
	case KindAssign:
		a := new(sched.Assign)
		r.assign(a)
		m = a
	case KindDone:
		d := new(sched.Done)
		r.done(d)
		m = d
	default:
		return nil
	}
	if r.bad || len(r.b) > 0 {
		return nil
	}
	return m
}

// fastReader takes items off b. After the first that is not as it should be
// nothing is left, so that all that follows ends soon.
type fastReader struct {
	b   []byte
	bad bool
}

// The least bytes that this package writes for elements of arrays: what their
// memory is bounded by.
const (
	leastObject   = 2 + 24
	leastTask     = 1 + 20
	leastValue    = 2 + leastObject
	leastAssigned = 1 + 2*(1+leastTask) + 2
	leastResolved = 1 + 1 + leastObject + 1 + leastValue
	leastSource   = 1 + 1 + leastObject + 2
	leastResult   = 1 + 1 + leastTask + 2
	leastOutcome  = 1 + 1 + leastValue
	leastStand    = 1 + 2
	leastText     = 1
)

func (r *fastReader) assign(m *sched.Assign) {
	for f := r.open(); r.next(&f); {
		switch f.key {
		case 1:
			m.Class = unsigned[sched.ClassID](r)
		case 2:
			m.Tasks = make([]sched.Assigned, r.count(leastAssigned))
			for i := range m.Tasks {
				r.assigned(&m.Tasks[i])
			}
		case 3:
			m.More = r.bool()
		default:
			r.fail()
		}
	}
}

func (r *fastReader) assigned(t *sched.Assigned) {
	for f := r.open(); r.next(&f); {
		switch f.key {
		case 1:
			r.fill(t.Task[:])
		case 2:
			r.fill(t.Parent[:])
		case 3:
			t.Attempt = unsigned[uint32](r)
		case 4:
			t.Award = unsigned[uint32](r)
		case 5:
			t.Depth = signed[int32](r)
		case 6:
			t.Args = r.bytes()
		case 7:
			t.Values = make([]sched.Resolved, r.count(leastResolved))
			for i := range t.Values {
				r.resolved(&t.Values[i])
			}
		case 8:
			t.Sources = make([]sched.Source, r.count(leastSource))
			for i := range t.Sources {
				r.source(&t.Sources[i])
			}
		case 9:
			t.From = unsigned[uint32](r)
		case 10:
			t.Taken = unsigned[uint32](r)
		case 11:
			t.Stream = r.bool()
		case 12:
			t.Created = signed[int64](r)
		default:
			r.fail()
		}
	}
}

func (r *fastReader) resolved(v *sched.Resolved) {
	for f := r.open(); r.next(&f); {
		switch f.key {
		case 1:
			r.fill(v.ID[:])
		case 2:
			r.value(&v.Value)
		default:
			r.fail()
		}
	}
}

func (r *fastReader) source(s *sched.Source) {
	for f := r.open(); r.next(&f); {
		switch f.key {
		case 1:
			r.fill(s.Object[:])
		case 2:
			s.Size = unsigned[uint64](r)
		case 3:
			s.Format = unsigned[uint8](r)
		case 4:
			s.CID = r.text()
		case 5:
			s.Holders = r.texts()
		default:
			r.fail()
		}
	}
}

func (r *fastReader) done(m *sched.Done) {
	for f := r.open(); r.next(&f); {
		switch f.key {
		case 1:
			m.Results = make([]sched.TaskResult, r.count(leastResult))
			for i := range m.Results {
				r.result(&m.Results[i])
			}
		case 2:
			m.Stands = make([]sched.Stand, r.count(leastStand))
			for i := range m.Stands {
				r.stand(&m.Stands[i])
			}
		default:
			r.fail()
		}
	}
}

func (r *fastReader) stand(s *sched.Stand) {
	for f := r.open(); r.next(&f); {
		switch f.key {
		case 1:
			s.Class = unsigned[sched.ClassID](r)
		case 2:
			s.Slots = signed[int](r)
		case 3:
			s.Running = signed[int](r)
		case 4:
			s.Seen = unsigned[uint64](r)
		default:
			r.fail()
		}
	}
}

// result leaves key 7, a failure, to dec.
func (r *fastReader) result(t *sched.TaskResult) {
	for f := r.open(); r.next(&f); {
		switch f.key {
		case 1:
			r.fill(t.Task[:])
		case 2:
			t.Award = unsigned[uint32](r)
		case 3:
			t.Status = unsigned[sched.Status](r)
		case 4:
			t.Run = signed[time.Duration](r)
		case 5:
			t.Items = unsigned[uint32](r)
		case 6:
			t.Outcomes = make([]sched.Outcome, r.count(leastOutcome))
			for i := range t.Outcomes {
				r.outcome(&t.Outcomes[i])
			}
		case 8:
			t.Cancel = unsigned[sched.CancelOutcome](r)
		case 9:
			t.Missing = r.objects()
		case 10:
			t.Denied = r.texts()
		default:
			r.fail()
		}
	}
}

func (r *fastReader) outcome(o *sched.Outcome) {
	for f := r.open(); r.next(&f); {
		switch f.key {
		case 1:
			o.Index = unsigned[uint32](r)
		case 2:
			r.value(&o.Value)
		case 3:
			o.Nested = r.objects()
		default:
			r.fail()
		}
	}
}

// value leaves key 5, a failure, to dec.
func (r *fastReader) value(v *sched.Value) {
	for f := r.open(); r.next(&f); {
		switch f.key {
		case 1:
			v.Kind = unsigned[sched.ValueKind](r)
		case 2:
			v.Format = unsigned[uint8](r)
		case 3:
			v.Code = unsigned[raygo.Code](r)
		case 4:
			v.Bytes = r.bytes()
		case 6:
			v.Size = unsigned[uint64](r)
		case 7:
			v.Parts = unsigned[uint32](r)
		case 8:
			r.fill(v.Store[:])
		default:
			r.fail()
		}
	}
}

func (r *fastReader) fail() { r.b, r.bad = nil, true }

// fields are where a map is being read: how many are left, and the key of this one.
type fields struct{ left, key byte }

// open takes the head of a map. No map has 24 keys: the count of one that claims
// more only has to be too large.
func (r *fastReader) open() fields { return fields{left: byte(min(r.head(majorMap), 24))} }

// next takes the key of the next field; false at the map's end.
func (r *fastReader) next(f *fields) bool {
	if f.left == 0 {
		return false
	}
	if len(r.b) == 0 || r.b[0] <= f.key || r.b[0] >= 24 {
		r.fail()
		return false
	}
	f.left--
	f.key, r.b = r.b[0], r.b[1:]
	return true
}

// item takes an item's head: its major type and number.
func (r *fastReader) item() (major byte, v uint64) {
	if len(r.b) == 0 {
		r.fail()
		return 0, 0
	}
	major, v = r.b[0]>>5, uint64(r.b[0]&31)
	r.b = r.b[1:]
	switch {
	case v < 24:
		return major, v
	case v == 24 && len(r.b) >= 1:
		v, r.b = uint64(r.b[0]), r.b[1:]
	case v == 25 && len(r.b) >= 2:
		v, r.b = uint64(binary.BigEndian.Uint16(r.b)), r.b[2:]
	case v == 26 && len(r.b) >= 4:
		v, r.b = uint64(binary.BigEndian.Uint32(r.b)), r.b[4:]
	case v == 27 && len(r.b) >= 8:
		v, r.b = binary.BigEndian.Uint64(r.b), r.b[8:]
	default:
		r.fail()
		return 0, 0
	}
	return major, v
}

// head is the number of an item that must be of a major type; 0 if it is not.
func (r *fastReader) head(want byte) uint64 {
	if len(r.b) > 0 {
		if v := r.b[0] ^ want<<5; v < 24 { // most are
			r.b = r.b[1:]
			return uint64(v)
		}
	}
	return r.longHead(want)
}

func (r *fastReader) longHead(want byte) uint64 {
	major, v := r.item()
	if major != want {
		r.fail()
		return 0
	}
	return v
}

func unsigned[T ~uint8 | ~uint32 | ~uint64](r *fastReader) T {
	v := r.head(majorUint)
	if uint64(T(v)) != v {
		r.fail()
	}
	return T(v)
}

func signed[T ~int | ~int32 | ~int64](r *fastReader) T {
	major, u := r.item()
	v := int64(u)
	if major == majorNeg {
		v = ^v
	}
	if major > majorNeg || u > math.MaxInt64 || int64(T(v)) != v {
		r.fail()
	}
	return T(v)
}

func (r *fastReader) bool() bool {
	if len(r.b) == 0 || r.b[0] != itemFalse && r.b[0] != itemTrue {
		r.fail()
		return false
	}
	v := r.b[0] == itemTrue
	r.b = r.b[1:]
	return v
}

// string takes a string of a major type, which lies in the frame.
func (r *fastReader) string(major byte) []byte {
	n := r.head(major)
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	s := r.b[:n]
	r.b = r.b[n:]
	return s
}

func (r *fastReader) bytes() []byte { return append([]byte{}, r.string(majorBytes)...) }

func (r *fastReader) text() string {
	s := r.string(majorText)
	if !utf8.Valid(s) {
		r.fail()
	}
	return string(s)
}

// fill takes a string of exactly as many bytes as there is room for.
func (r *fastReader) fill(id []byte) {
	s := r.string(majorBytes)
	if len(s) != len(id) {
		r.fail()
		return
	}
	copy(id, s)
}

// count takes the head of an array whose elements have at least so many bytes.
func (r *fastReader) count(least int) int {
	n := r.head(majorArray)
	if n > maxElements || n > uint64(len(r.b)/least) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *fastReader) texts() []string {
	list := make([]string, r.count(leastText))
	for i := range list {
		list[i] = r.text()
	}
	return list
}

func (r *fastReader) objects() []raygo.ObjectID {
	list := make([]raygo.ObjectID, r.count(leastObject))
	for i := range list {
		r.fill(list[i][:])
	}
	return list
}
