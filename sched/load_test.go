package sched

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
)

// BenchmarkLoad80 is what placement costs and how long tasks of 100 ms wait at
// 80 % load, beside one queue that sees everything.
func BenchmarkLoad80(b *testing.B) {
	for _, n := range []int{10, 50} {
		b.Run(fmt.Sprintf("peers=%d", n), func(b *testing.B) {
			for b.Loop() {
				load80(b, n)
			}
		})
	}
}

func load80(b *testing.B, n int) {
	tw := newTown(b, n, 4)
	tw.quick = true
	tw.lag = 500 * time.Microsecond
	rng := rand.New(rand.NewPCG(1, 2))
	owners := max(1, n/10)
	var as []*site
	var cls []ClassID
	run := 100 * time.Millisecond
	for i := range owners {
		a := tw.sites[i*10].start()
		as = append(as, a)
		cls = append(cls, a.define("f", &kind{run: run}, opts()))
	}
	rate := 0.8 * float64(n*4) / run.Seconds() / float64(owners) // tasks a second per owner
	burst := 20
	tasks := 0
	dur := 20.0
	born := map[raygo.TaskID]time.Time{}
	var waits []time.Duration
	tw.ranAt = func(id raygo.TaskID) { waits = append(waits, tw.now.Sub(born[id])) }
	for i, a := range as {
		at := 0.0
		for at < dur {
			at += rng.ExpFloat64() * float64(burst) / rate
			tw.after(time.Duration(at*float64(time.Second)), func() {
				for range burst {
					id := a.submit(cls[i])
					born[id.Task()] = tw.now
				}
			})
			tasks += burst
		}
	}
	tw.run(60 * time.Second)
	slices.Sort(waits)
	ideal := omniscient(born, n*4, run)
	q := func(f float64) time.Duration { return waits[int(f*float64(len(waits)-1))].Round(time.Microsecond) }
	ctl := 0
	for k, v := range tw.sent {
		if k != "*sched.Assign" && k != "*sched.Done" && k != "*sched.ToProc" {
			ctl += v
		}
	}
	if len(waits) != tasks {
		b.Fatalf("%d of %d tasks began", len(waits), tasks)
	}
	b.ReportMetric(q(.5).Seconds()*1e3, "wait_p50_ms")
	b.ReportMetric(q(.99).Seconds()*1e3, "wait_p99_ms")
	b.ReportMetric(ideal[len(ideal)*99/100].Seconds()*1e3, "ideal_p99_ms")
	b.ReportMetric(float64(ctl)/float64(tasks), "control/task")
}

// omniscient are the waits of the same tasks on as many slots in one queue.
func omniscient(born map[raygo.TaskID]time.Time, slots int, run time.Duration) []time.Duration {
	var at []time.Time
	for _, b := range born {
		at = append(at, b)
	}
	slices.SortFunc(at, func(a, b time.Time) int { return a.Compare(b) })
	free := make([]time.Time, slots) // tasks are alike, so the oldest slot is the first to be free
	var waits []time.Duration
	for i, b := range at {
		s := &free[i%slots]
		start := b
		if s.After(b) {
			start = *s
		}
		*s = start.Add(run)
		waits = append(waits, start.Sub(b))
	}
	slices.Sort(waits)
	return waits
}
