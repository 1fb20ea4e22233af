package world

import (
	"fmt"
	"hash/fnv"
	"reflect"
	"strings"
	"time"

	"github.com/raygo/raygo/sched"
)

// trace keeps the last steps for a transcript, and a sum of all for the test
// that a seed is one run.
type trace struct {
	ring []entry
	n    int
	sum  uint64
}

type entry struct {
	at   time.Duration
	peer string
	ev   sched.Event
	out  []sched.Effect
	note string
}

func (t *trace) init(size int) { t.ring = make([]entry, size) }

func (t *trace) step(at time.Duration, peer string, ev sched.Event, out []sched.Effect) {
	t.ring[t.n%len(t.ring)] = entry{at: at, peer: peer, ev: ev, out: out}
	t.n++
	t.sum = t.sum*1099511628211 + uint64(at) + uint64(len(out))
}

func (t *trace) note(at time.Duration, format string, args ...any) {
	t.ring[t.n%len(t.ring)] = entry{at: at, note: fmt.Sprintf(format, args...)}
	t.n++
	h := fnv.New64a()
	h.Write([]byte(t.ring[(t.n-1)%len(t.ring)].note))
	t.sum = t.sum*1099511628211 + h.Sum64()
}

func (t *trace) text(words []string) string {
	var b strings.Builder
	for i := max(0, t.n-len(t.ring)); i < t.n; i++ {
		e := &t.ring[i%len(t.ring)]
		s := e.String()
		if len(words) == 0 || mentions(s, words) {
			b.WriteString(s)
		}
	}
	return b.String()
}

func mentions(s string, words []string) bool {
	for _, word := range words {
		if strings.Contains(s, word) {
			return true
		}
	}
	return false
}

func (e *entry) String() string {
	if e.note != "" {
		return fmt.Sprintf("%10s -- %s\n", e.at, e.note)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%10s %s <- %s\n", e.at, e.peer, show(e.ev))
	for _, x := range e.out {
		fmt.Fprintf(&b, "%10s        %s\n", "", show(x))
	}
	return b.String()
}

// show prints an event, effect or message in one line, without what is empty.
func show(x any) string {
	var b strings.Builder
	write(&b, reflect.ValueOf(x), 0)
	return b.String()
}

func write(b *strings.Builder, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			b.WriteString("nil")
			return
		}
		write(b, v.Elem(), depth)
	case reflect.Struct:
		b.WriteString(v.Type().Name() + "{")
		sep := ""
		for i := range v.NumField() {
			if f := v.Field(i); !f.IsZero() {
				b.WriteString(sep + v.Type().Field(i).Name + ":")
				write(b, f, depth+1)
				sep = " "
			}
		}
		b.WriteString("}")
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			fmt.Fprintf(b, "%x", v.Bytes())
			return
		}
		b.WriteString("[")
		for i := range min(v.Len(), 8) {
			if i > 0 {
				b.WriteString(" ")
			}
			write(b, v.Index(i), depth+1)
		}
		if v.Len() > 8 {
			fmt.Fprintf(b, " …%d", v.Len())
		}
		b.WriteString("]")
	default:
		if !v.CanInterface() {
			fmt.Fprintf(b, "%v", v)
			return
		}
		if s, ok := v.Interface().(fmt.Stringer); ok {
			text := s.String()
			if v.Kind() == reflect.Array && len(text) >= 40 { // job's number, process, number, index
				text = "j" + text[4:6] + "/" + strings.TrimLeft(text[16:32], "0") + "/" + strings.TrimLeft(text[32:40], "0") + "." + strings.TrimLeft(text[40:], "0")
			}
			b.WriteString(text)
			return
		}
		fmt.Fprintf(b, "%v", v.Interface())
	}
}
