package raygo

import (
	"context"
	"time"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// TaskInfo is what a task knows of itself.
type TaskInfo struct {
	JobID     string
	TaskID    string // "" in a driver
	Function  string
	Peer      string
	Attempt   int // from 0
	PID       int
	GPUIDs    []string
	Resources map[string]float64
}

// Info tells a task about itself. Outside of a task it has the job and the peer
// only; without a session it is empty.
func Info(ctx context.Context) TaskInfo {
	sc, err := scopeOf(ctx)
	if err != nil {
		return TaskInfo{}
	}
	w := sc.s.welcome
	in := TaskInfo{JobID: w.Job.String(), Peer: w.Peer, PID: sc.s.pid()}
	r := sc.task
	if r == nil {
		return in
	}
	in.TaskID, in.Function, in.Attempt = r.id.String(), r.class.class.Function, int(r.attempt)
	in.GPUIDs = append([]string(nil), w.GPUIDs...)
	in.Resources = resourcesOf(&r.class.class.Options)
	return in
}

func resourcesOf(o *words.Options) map[string]float64 {
	m := map[string]float64{}
	if o.CPU > 0 {
		m[words.CPU] = o.CPU.Float()
	}
	if o.GPU > 0 {
		m[words.GPU] = o.GPU.Float()
	}
	if o.Memory > 0 {
		m[words.Memory] = float64(o.Memory)
	}
	for k, q := range o.Custom {
		m[k] = q.Float()
	}
	return m
}

// Span names a part of a task in the timeline, from now until end is called.
func Span(ctx context.Context, name string) (end func()) {
	sc, err := scopeOf(ctx)
	if err != nil || sc.task == nil {
		return func() {}
	}
	start := time.Now()
	return func() { sc.note(&ipc.Note{Span: name, Start: start, End: time.Now()}) }
}

// Progress reports that done of total parts of the task's work are done.
func Progress(ctx context.Context, done, total int64) {
	sc, err := scopeOf(ctx)
	if err != nil || sc.task == nil {
		return
	}
	r := sc.task
	now := time.Now().UnixNano()
	if last := r.progress.Load(); done < total && (now-last < int64(progressEvery) || !r.progress.CompareAndSwap(last, now)) {
		return
	}
	sc.note(&ipc.Note{Done: done, Total: total})
}

// progressEvery is how often progress is sent on; more would only be noise.
const progressEvery = 50 * time.Millisecond

func (sc *scope) note(n *ipc.Note) {
	n.Task, n.Attempt = sc.task.id, sc.task.attempt
	_ = sc.s.out.soon(ipc.AppendBody(nil, ipc.TypeNote, n))
}
