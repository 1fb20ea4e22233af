package node

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// traceEvents is how many events of a timeline are sent in one answer.
const traceEvents = 10_000

// answerTimeline sends the peer's history as a Chrome trace, in parts. The query's
// ID, if any, is what to count time from, in Unix nanoseconds.
func (n *Node) answerTimeline(a *asker, q *ipc.Query) *ipc.Timeline {
	origin := n.born
	if t, err := strconv.ParseInt(q.ID, 10, 64); err == nil {
		origin = time.Unix(0, t)
	}
	ended, _ := n.book.endedSince(0)
	n.book.mu.Lock()
	spans := make([]span, 0, len(n.book.spans.all))
	n.book.spans.each(func(s *span) { spans = append(spans, *s) })
	n.book.mu.Unlock()
	events := trace(origin, ended, spans)
	for len(events) > traceEvents {
		a.part(ipc.Marshal(&ipc.Timeline{Events: events[:traceEvents]}))
		events = events[traceEvents:]
	}
	return &ipc.Timeline{Events: events}
}

// trace is an event for each attempt in the lane of its worker, the spans that
// tasks named inside of them, and arrows from parents to children.
func trace(born time.Time, ended []attempt, spans []span) []ipc.TraceEvent {
	events := make([]ipc.TraceEvent, 0, len(ended)+len(spans))
	micros := func(t time.Time) float64 { return float64(t.Sub(born).Nanoseconds()) / 1e3 }
	began := map[raygo.TaskID]*attempt{} // parents, by the attempt that succeeded or was the last
	parents := map[raygo.TaskID]bool{}
	for i := range ended {
		parents[ended[i].parent] = true
	}
	for i := range ended {
		if a := &ended[i]; parents[a.task] && !a.started.IsZero() {
			began[a.task] = a
		}
	}
	for i := range ended {
		a := &ended[i]
		if a.started.IsZero() {
			continue
		}
		start, end := micros(a.started), micros(a.ended)
		events = append(events, ipc.TraceEvent{
			Name: a.function, Cat: "task", Phase: "X", TS: start, Dur: end - start, PID: 1, TID: a.pid,
			Args: map[string]string{"task_id": a.task.String(), "attempt": fmt.Sprint(a.attempt), "state": a.state.String(), "job_id": a.task.Job().String()},
		})
		if up := began[a.parent]; up != nil && !a.started.Before(up.started) {
			id := fmt.Sprintf("%s.%d", a.task, a.attempt)
			at := min(max(micros(a.created), micros(up.started)), micros(up.ended))
			events = append(events,
				ipc.TraceEvent{Name: "submit", Cat: "flow", Phase: "s", TS: at, PID: 1, TID: up.pid, ID: id},
				ipc.TraceEvent{Name: "submit", Cat: "flow", Phase: "f", BP: "e", TS: start, PID: 1, TID: a.pid, ID: id})
		}
	}
	for i := range spans {
		s := &spans[i]
		start := micros(s.note.Start)
		events = append(events, ipc.TraceEvent{
			Name: s.note.Span, Cat: "span", Phase: "X", TS: start, Dur: micros(s.note.End) - start, PID: 1, TID: s.pid,
			Args: map[string]string{"task_id": s.note.Task.String()},
		})
	}
	return slices.Clip(events)
}
