package world

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

// Load is a world that is measured: many peers, several owners, ordinary tasks in
// bursts.
type Load struct {
	Seed     uint64
	Peers    int
	CPUs     int
	Owners   int
	Tasks    int
	Shortest time.Duration // run times are drawn evenly between these
	Longest  time.Duration
	Share    float64 // of all CPUs that the tasks ask for while they come
	Burst    int     // tasks that come at once; 0: all at the beginning
	Latency  time.Duration
	Start    time.Duration // of a worker; 0: 40 ms
}

// Measured is what came of a Load.
type Measured struct {
	Tasks     int
	Makespan  time.Duration // from the first task's submission to the last one's end
	Best      time.Duration // the same of a scheduler that sees everything at no cost
	Waits     []time.Duration
	BestWaits []time.Duration
	Messages  map[string]int
	Bytes     map[string]int
	Steps     int
	Took      time.Duration // of real time
}

// Percentile is the value below which a share of durations lies.
func Percentile(ds []time.Duration, share float64) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	ds = slices.Sorted(slices.Values(ds))
	return ds[min(len(ds)-1, int(share*float64(len(ds))))]
}

// arrival is a task that comes to be.
type arrival struct {
	at, run time.Duration
	owner   int
}

func (l *Load) arrivals() []arrival {
	rng := rand.New(rand.NewPCG(l.Seed, 0x6c6f6164))
	rate := l.Share * float64(l.Peers*l.CPUs) / ((l.Shortest + l.Longest).Seconds() / 2) // tasks a second
	var out []arrival
	at := time.Duration(0)
	for len(out) < l.Tasks {
		n := l.Tasks
		if l.Burst > 0 {
			n = 1 + rng.IntN(2*l.Burst-1)
			at += time.Duration(rng.ExpFloat64() * float64(l.Burst) / rate * float64(time.Second))
		}
		owner := rng.IntN(l.Owners)
		for i := 0; i < n && len(out) < l.Tasks; i++ {
			if l.Burst == 0 {
				owner = i % l.Owners
			}
			out = append(out, arrival{at, l.Shortest + time.Duration(rng.Int64N(int64(l.Longest-l.Shortest)+1)), owner})
		}
	}
	return out
}

// freeAt is a heap of moments at which CPUs fall free.
type freeAt []time.Duration

func (h freeAt) Len() int           { return len(h) }
func (h freeAt) Less(i, k int) bool { return h[i] < h[k] }
func (h freeAt) Swap(i, k int)      { h[i], h[k] = h[k], h[i] }

// Push and Pop are what container/heap asks for.
func (h *freeAt) Push(x any) { *h = append(*h, x.(time.Duration)) }

// Pop takes the last one.
func (h *freeAt) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// omniscient is list scheduling by one that sees every CPU and every task at no
// cost: each task begins, in the order of coming, on the CPU that is free first.
func (l *Load) omniscient(as []arrival) (makespan time.Duration, waits []time.Duration) {
	cpus := make(freeAt, l.Peers*l.CPUs)
	for _, a := range as {
		start := max(cpus[0], a.at)
		cpus[0] = start + a.run
		heap.Fix(&cpus, 0)
		waits = append(waits, start-a.at)
		makespan = max(makespan, start+a.run)
	}
	return makespan, waits
}

// warmUp is how long the cluster has to meet before the tasks come.
const warmUp = 2 * time.Second

// Measure runs the load and reports what came of it.
func (l *Load) Measure() (*Measured, error) {
	if l.Start == 0 {
		l.Start = 40 * time.Millisecond
	}
	cfg := Config{Seed: l.Seed, CheckEvery: 1 << 30, MaxSteps: 1 << 40, Share: true, Sparse: true, KeepTrace: 1000, Net: Net{Latency: l.Latency, Jitter: l.Latency / 2}}
	for range l.Peers {
		cfg.Peers = append(cfg.Peers, Machine{
			Resources: sched.Resources{CPU: raygo.Unit * raygo.Quantity(l.CPUs), Memory: 1 << 34}, Start: l.Start, MaxWorkers: 64 + 16*l.CPUs,
		})
	}
	w := New(cfg)
	w.laws.off = true
	as := l.arrivals()
	m := &Measured{Tasks: len(as)}
	m.Best, m.BestWaits = l.omniscient(as)
	programs := make([]*Program, l.Owners)
	for i := range programs {
		programs[i] = &Program{Classes: []Class{Ordinary()}}
	}
	for _, a := range as {
		g := programs[a.owner]
		g.Tasks = append(g.Tasks, Task{At: a.at, Run: a.run})
	}
	last := time.Duration(0)
	w.laws.waits = func(r *run) {
		m.Waits = append(m.Waits, w.now-r.k.job.nodes[r.i].At)
		last = max(last, w.now+r.task.Run)
	}
	for i, g := range programs {
		w.Start(i*l.Peers/l.Owners, warmUp, g)
	}
	begin := time.Now()
	err := w.Run(warmUp+10*m.Best+time.Hour, w.over)
	m.Took = time.Since(begin)
	if err == nil && !w.over() {
		err = w.err
	}
	m.Makespan, m.Steps, m.Messages, m.Bytes = last-warmUp, w.Stats.Steps, w.Stats.Messages, w.Stats.Bytes
	return m, err
}
