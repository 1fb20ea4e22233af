package node

import (
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

// attempt is one execution that ended.
type attempt struct {
	task, parent raygo.TaskID
	class        *class
	function     string
	attempt      uint32
	depth        int
	pid          int
	state        raygo.TaskState
	peer         string // that had it, "" for this one
	failure      sched.Value
	created      time.Time
	started      time.Time
	ended        time.Time
}

// record is an attempt as it is kept: there are many of them.
type record struct {
	task, parent raygo.TaskID
	class        *class
	failure      *sched.Value
	function     string
	created      int64 // nanoseconds, 0: never
	started      int64
	ended        int64
	attempt      uint32
	depth        int32
	pid          int32
	peer         *string // nil for this one
	state        raygo.TaskState
}

func (r *record) fill(e *sched.Ended, cl *class) {
	*r = record{
		task: e.Task, parent: e.Parent, class: cl, function: e.Function, attempt: e.Attempt, depth: int32(e.Depth), pid: int32(e.PID), state: e.State,
		created: nanos(e.Created), started: nanos(e.Started), ended: nanos(e.Ended),
	}
	if e.Failure.Kind != sched.None {
		v := e.Failure
		r.failure = &v
	}
}

func (r *record) unpack() attempt {
	a := attempt{
		task: r.task, parent: r.parent, class: r.class, function: r.function, attempt: r.attempt, depth: int(r.depth), pid: int(r.pid), state: r.state,
		created: fromNanos(r.created), started: fromNanos(r.started), ended: fromNanos(r.ended),
	}
	if r.failure != nil {
		a.failure = *r.failure
	}
	if r.peer != nil {
		a.peer = *r.peer
	}
	return a
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// historyPart is small enough that making one is no pause.
const historyPart = 1024

// history keeps the last so many attempts. It grows by parts, so that no task
// pays for the growth of all.
type history struct {
	limit int
	ever  int
	parts []*[historyPart]record
}

func newHistory(limit int) history {
	return history{limit: limit, parts: make([]*[historyPart]record, (limit+historyPart-1)/historyPart)}
}

// slot is where the next attempt goes.
func (h *history) slot() *record {
	i := h.ever % h.limit
	h.ever++
	part := h.parts[i/historyPart]
	if part == nil {
		part = new([historyPart]record)
		h.parts[i/historyPart] = part
	}
	return &part[i%historyPart]
}

func (h *history) len() int { return min(h.ever, h.limit) }

// dropped is how many were kept once and are no more.
func (h *history) dropped() int { return h.ever - h.len() }

// copy is what is kept, oldest first.
func (h *history) copy() []record {
	all := make([]record, 0, h.len())
	for i := h.dropped(); i < h.ever; i++ {
		at := i % h.limit
		all = append(all, h.parts[at/historyPart][at%historyPart])
	}
	return all
}

// peersOf adds the other peers that ran attempts of a task, or of a job if that
// is zero.
func (h *history) peersOf(job raygo.JobID, task raygo.TaskID, peers map[string]bool) {
	for i := h.dropped(); i < h.ever; i++ {
		at := i % h.limit
		r := &h.parts[at/historyPart][at%historyPart]
		if r.peer != nil && r.task.Job() == job && (task.IsZero() || r.task == task) {
			peers[*r.peer] = true
		}
	}
}

// of are the attempts of one task, oldest first.
func (h *history) of(task raygo.TaskID) []attempt {
	var all []attempt
	for i := h.dropped(); i < h.ever; i++ {
		at := i % h.limit
		if r := &h.parts[at/historyPart][at%historyPart]; r.task == task {
			all = append(all, r.unpack())
		}
	}
	return all
}
