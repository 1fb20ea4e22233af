package sched

import (
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
)

// bench is a core with running workers and nothing that checks.
type bench struct {
	c    *Core
	now  time.Time
	seq  uint32
	work []*Execute
	job  raygo.JobID
}

func newBench(cpus int, o raygo.Options) *bench {
	b := &bench{c: New(Config{Resources: Resources{CPU: raygo.Unit * raygo.Quantity(cpus)}}), now: time.Unix(1000, 0), job: raygo.JobID{1}}
	b.step(&JobStarted{Job: b.job, Driver: 1})
	for _, e := range append([]Effect(nil), b.step(&ClassDefined{Class: 1, Job: b.job, Options: o})...) {
		if w, ok := e.(*StartWorker); ok {
			b.step(&WorkerStarted{Worker: w.Worker, Proc: raygo.ProcID(100 + w.Worker), PID: 1})
		}
	}
	return b
}

func (b *bench) step(ev Event) []Effect {
	b.now = b.now.Add(time.Microsecond)
	out := b.c.Step(b.now, ev)
	for _, e := range out {
		if x, ok := e.(*Execute); ok {
			b.work = append(b.work, x)
		}
	}
	return out
}

func (b *bench) submit() raygo.TaskID {
	b.seq++
	var args [32]byte
	binary.LittleEndian.PutUint32(args[:], b.seq)
	id := raygo.NewTaskID(b.job, 1, b.seq)
	b.step(&Submit{Task: id, Class: 1, Proc: 1, Args: args[:]})
	return id
}

func (b *bench) finish(e *Execute) {
	b.step(&Result{Worker: e.Worker, Task: e.Task, Award: e.Award, Run: 20 * time.Microsecond, Outcomes: []Outcome{{Value: Value{Kind: Inline, Bytes: e.Args}}}})
}

// BenchmarkTask is one task after another: submit, execute, result, release.
func BenchmarkTask(b *testing.B) {
	s := newBench(2, raygo.DefaultOptions())
	b.ReportAllocs()
	for b.Loop() {
		id := s.submit()
		s.finish(s.work[0])
		s.work = s.work[:0]
		s.step(&Release{Proc: 1, Objects: []raygo.ObjectID{id.Object(0)}})
	}
}

// BenchmarkTasksAsync is the same with 1000 in flight.
func BenchmarkTasksAsync(b *testing.B) {
	s := newBench(2, raygo.DefaultOptions())
	b.ReportAllocs()
	for range 1000 {
		s.submit()
	}
	for b.Loop() {
		e := s.work[0]
		s.work = s.work[1:]
		s.submit()
		s.finish(e)
		s.step(&Release{Proc: 1, Objects: []raygo.ObjectID{e.Task.Object(0)}})
	}
}

// BenchmarkQueued is the memory of a queued task, arguments of 32 bytes
// included, and the end of a job with a million.
func BenchmarkQueued(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		s := newBench(2, raygo.DefaultOptions())
		begin := time.Now()
		for range n {
			s.submit()
		}
		b.ReportMetric(float64(time.Since(begin).Nanoseconds())/n, "ns/submit")
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/task")
		begin = time.Now()
		s.step(&JobEnded{Job: s.job})
		b.ReportMetric(time.Since(begin).Seconds(), "s/jobend")
	}
}
