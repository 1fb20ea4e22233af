package wire

import (
	"encoding/binary"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

// Assign and Done go to and fro with every task, so they are written and read
// here without reflection, byte for byte as enc does it. What is rare in them, a
// failure that is not encoded yet, leaves the whole message to enc and dec.

// The major types of CBOR that these messages have, in the top three bits of an
// item's first byte, and the items that are one byte.
const (
	majorUint  = 0
	majorNeg   = 1
	majorBytes = 2
	majorText  = 3
	majorArray = 4
	majorMap   = 5

	itemFalse = 0xf4
	itemTrue  = 0xf5
)

// fastFrame is the frame of an Assign or a Done; false if it is to be encoded by
// enc.
func fastFrame(k Kind, body any) ([]byte, bool) {
	var w fastWriter
	switch m := body.(type) {
	case *sched.Assign:
		if m.Tasks == nil {
			return nil, false
		}
		size := 32
		for i := range m.Tasks {
			t := &m.Tasks[i]
			size += 80 + len(t.Args) + 128*len(t.Sources)
			for j := range t.Values {
				size += 80 + len(t.Values[j].Value.Bytes)
			}
		}
		w.b = append(make([]byte, 0, size), Version, byte(k))
		w.assign(m)
	case *sched.Done:
		size := 32 + 32*len(m.Stands)
		for i := range m.Results {
			r := &m.Results[i]
			size += 48 + 32*len(r.Missing)
			for j := range r.Outcomes {
				size += 48 + len(r.Outcomes[j].Value.Bytes) + 32*len(r.Outcomes[j].Nested)
			}
		}
		w.b = append(make([]byte, 0, size), Version, byte(k))
		w.done(m)
	default:
		return nil, false
	}
	return w.b, !w.odd
}

// fastWriter appends items. odd says that something was left out that only enc
// writes.
//
// A map of these messages has fewer than 24 keys, all below 24, so its head is
// one byte, and so is each key. A method that writes a field takes the place of
// the map's head, where it counts itself, and the key.
type fastWriter struct {
	b   []byte
	odd bool
}

func (w *fastWriter) assign(m *sched.Assign) {
	at := w.open()
	w.uint(at, 1, uint64(m.Class))
	w.array(at, 2, len(m.Tasks))
	for i := range m.Tasks {
		w.assigned(&m.Tasks[i])
	}
	w.some(at, 3, m.More)
}

func (w *fastWriter) assigned(t *sched.Assigned) {
	at := w.open()
	w.bytes(at, 1, t.Task[:])
	w.bytes(at, 2, t.Parent[:])
	w.someUint(at, 3, uint64(t.Attempt))
	w.uint(at, 4, uint64(t.Award))
	w.someInt(at, 5, int64(t.Depth))
	w.someBytes(at, 6, t.Args)
	if len(t.Values) > 0 {
		w.array(at, 7, len(t.Values))
		for i := range t.Values {
			in := w.open()
			w.bytes(in, 1, t.Values[i].ID[:])
			w.value(in, 2, &t.Values[i].Value)
		}
	}
	if len(t.Sources) > 0 {
		w.array(at, 8, len(t.Sources))
		for i := range t.Sources {
			w.source(&t.Sources[i])
		}
	}
	w.someUint(at, 9, uint64(t.From))
	w.someUint(at, 10, uint64(t.Taken))
	w.some(at, 11, t.Stream)
	w.someInt(at, 12, t.Created)
}

func (w *fastWriter) source(s *sched.Source) {
	at := w.open()
	w.bytes(at, 1, s.Object[:])
	w.uint(at, 2, s.Size)
	w.someUint(at, 3, uint64(s.Format))
	if s.CID != "" {
		w.key(at, 4)
		w.text(s.CID)
	}
	w.someTexts(at, 5, s.Holders)
}

func (w *fastWriter) done(m *sched.Done) {
	at := w.open()
	if len(m.Results) > 0 {
		w.array(at, 1, len(m.Results))
		for i := range m.Results {
			w.result(&m.Results[i])
		}
	}
	if len(m.Stands) > 0 {
		w.array(at, 2, len(m.Stands))
		for i := range m.Stands {
			s, in := &m.Stands[i], w.open()
			w.uint(in, 1, uint64(s.Class))
			w.someInt(in, 2, int64(s.Slots))
			w.someInt(in, 3, int64(s.Running))
			w.someUint(in, 4, s.Seen)
		}
	}
}

func (w *fastWriter) result(r *sched.TaskResult) {
	at := w.open()
	w.bytes(at, 1, r.Task[:])
	w.uint(at, 2, uint64(r.Award))
	w.someUint(at, 3, uint64(r.Status))
	w.someInt(at, 4, int64(r.Run))
	w.someUint(at, 5, uint64(r.Items))
	if len(r.Outcomes) > 0 {
		w.array(at, 6, len(r.Outcomes))
		for i := range r.Outcomes {
			o, in := &r.Outcomes[i], w.open()
			w.someUint(in, 1, uint64(o.Index))
			w.value(in, 2, &o.Value)
			w.someObjects(in, 3, o.Nested)
		}
	}
	w.failure(r.Failure)
	w.someUint(at, 8, uint64(r.Cancel))
	w.someObjects(at, 9, r.Missing)
	w.someTexts(at, 10, r.Denied)
}

// value is never left out: its Store is an array, which enc never takes to be
// empty.
func (w *fastWriter) value(at int, key byte, v *sched.Value) {
	w.key(at, key)
	in := w.open()
	w.someUint(in, 1, uint64(v.Kind))
	w.someUint(in, 2, uint64(v.Format))
	w.someUint(in, 3, uint64(v.Code))
	w.someBytes(in, 4, v.Bytes)
	w.failure(v.Failure)
	w.someUint(in, 6, v.Size)
	w.someUint(in, 7, uint64(v.Parts))
	w.bytes(in, 8, v.Store[:])
}

func (w *fastWriter) failure(f *raygo.Failure) { w.odd = w.odd || f != nil }

// open begins a map and returns the place of its head.
func (w *fastWriter) open() int {
	w.b = append(w.b, majorMap<<5)
	return len(w.b) - 1
}

func (w *fastWriter) key(at int, key byte) {
	w.b[at]++
	w.b = append(w.b, key)
}

// head writes the shortest head of a major type and a number.
func (w *fastWriter) head(major byte, v uint64) {
	major <<= 5
	switch {
	case v < 24:
		w.b = append(w.b, major|byte(v))
	case v < 1<<8:
		w.b = append(w.b, major|24, byte(v))
	case v < 1<<16:
		w.b = binary.BigEndian.AppendUint16(append(w.b, major|25), uint16(v))
	case v < 1<<32:
		w.b = binary.BigEndian.AppendUint32(append(w.b, major|26), uint32(v))
	default:
		w.b = binary.BigEndian.AppendUint64(append(w.b, major|27), v)
	}
}

func (w *fastWriter) uint(at int, key byte, v uint64) {
	w.key(at, key)
	w.head(majorUint, v)
}

func (w *fastWriter) bytes(at int, key byte, b []byte) {
	w.key(at, key)
	w.head(majorBytes, uint64(len(b)))
	w.b = append(w.b, b...)
}

func (w *fastWriter) array(at int, key byte, n int) {
	w.key(at, key)
	w.head(majorArray, uint64(n))
}

func (w *fastWriter) text(s string) {
	w.head(majorText, uint64(len(s)))
	w.b = append(w.b, s...)
}

// The methods below write a field that is left out when it is empty.

func (w *fastWriter) some(at int, key byte, v bool) {
	if v {
		w.key(at, key)
		w.b = append(w.b, itemTrue)
	}
}

func (w *fastWriter) someUint(at int, key byte, v uint64) {
	if v != 0 {
		w.uint(at, key, v)
	}
}

func (w *fastWriter) someInt(at int, key byte, v int64) {
	switch {
	case v > 0:
		w.uint(at, key, uint64(v))
	case v < 0:
		w.key(at, key)
		w.head(majorNeg, uint64(^v))
	}
}

func (w *fastWriter) someBytes(at int, key byte, b []byte) {
	if len(b) > 0 {
		w.bytes(at, key, b)
	}
}

func (w *fastWriter) someTexts(at int, key byte, list []string) {
	if len(list) > 0 {
		w.array(at, key, len(list))
		for _, s := range list {
			w.text(s)
		}
	}
}

func (w *fastWriter) someObjects(at int, key byte, list []raygo.ObjectID) {
	if len(list) > 0 {
		w.array(at, key, len(list))
		for i := range list {
			w.head(majorBytes, uint64(len(list[i])))
			w.b = append(w.b, list[i][:]...)
		}
	}
}
