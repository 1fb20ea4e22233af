package sched

import (
	"math/rand/v2"
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
)

// behaviours 60, 61, 62, 63, 66, 72, 242
func TestConcurrency(t *testing.T) {
	custom := func(n string, v float64) func(*raygo.Options) {
		return func(o *raygo.Options) { o.CPU = 0; o.Custom = map[string]raygo.Quantity{n: q(v)} }
	}
	for name, tt := range map[string]struct {
		set  func(*raygo.Options)
		want int
	}{
		"2 CPUs of 4":       {func(o *raygo.Options) { o.CPU = q(2) }, 2},
		"no CPU":            {func(o *raygo.Options) { o.CPU = 0 }, 30},
		"half":              {func(o *raygo.Options) { o.CPU = q(0.5) }, 8},
		"0.3":               {func(o *raygo.Options) { o.CPU = q(0.3) }, 13},
		"memory":            {func(o *raygo.Options) { o.CPU, o.Memory = 0, 400<<20 }, 2},
		"custom":            {custom("x", 0.4), 2},
		"absent":            {custom("y", 1), 0},
		"the scarcest":      {func(o *raygo.Options) { o.Custom = map[string]raygo.Quantity{"x": q(0.3)}; o.Memory = 1 << 20 }, 3},
		"whole GPUs":        {func(o *raygo.Options) { o.CPU, o.GPU = 0, q(2) }, 1},
		"thirds of GPUs":    {func(o *raygo.Options) { o.CPU, o.GPU = 0, q(0.3) }, 9},
		"a GPU and a half":  {func(o *raygo.Options) { o.GPU = q(1.5) }, 0},
		"smallest of a GPU": {func(o *raygo.Options) { o.CPU, o.GPU = 0, 1 }, 30},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, 4, func(c *Config) {
				c.Resources.GPUIDs, c.Resources.Custom = []string{"a", "b", "c"}, map[string]raygo.Quantity{"x": q(1)}
			})
			cl := s.define(opts(tt.set))
			for range 30 {
				s.submit(cl)
			}
			s.expect("at once", len(s.running), tt.want)
			for range 30 {
				for id := range s.running {
					s.ok(id, "v")
					break
				}
				if len(s.running) > tt.want {
					t.Fatalf("%d at once, want at most %d", len(s.running), tt.want)
				}
			}
			if tt.want > 0 {
				s.free()
			}
		})
	}
}

// behaviour 65 (the core's side): refused at once, not waiting for ever
func TestGPUFractionAboveOne(t *testing.T) {
	s := newSim(t, 4, func(c *Config) { c.Resources.GPUIDs = []string{"a", "b", "c"} })
	s.failed(s.submit(s.define(opts(func(o *raygo.Options) { o.GPU = q(1.5) }))).Object(0), raygo.CodeUnschedulable)
}

// GPU sets: workers see those they hold, fractions fill one GPU first.
func TestGPUSets(t *testing.T) {
	s := newSim(t, 8, func(c *Config) { c.Resources.GPUIDs = []string{"a", "b"} })
	third := s.define(opts(func(o *raygo.Options) { o.GPU = q(0.5) }))
	s.take()
	a, b := s.submit(third), s.submit(third)
	whole := s.submit(s.define(opts(func(o *raygo.Options) { o.GPU = q(1) })))
	var got []string
	for _, e := range find[*StartWorker](s.all) {
		got = append(got, gpuKey(e.GPUs))
	}
	s.expect("sets", got, []string{"a", "a", "b"})
	for _, id := range []raygo.TaskID{a, b, whole} {
		s.ok(id, "v")
	}
	s.free()
}

// behaviours 54, 62, 71, 73: sums stay exact over many tasks of odd sizes
func TestExactSums(t *testing.T) {
	s := newSim(t, 3, func(c *Config) {
		c.Resources.GPUIDs, c.Resources.Custom = []string{"a", "b"}, map[string]raygo.Quantity{"x": q(1)}
	})
	rng := rand.New(rand.NewPCG(1, 2))
	var cls []ClassID
	for range 12 {
		o := opts(func(o *raygo.Options) {
			o.CPU, o.GPU, o.Memory = raygo.Quantity(rng.IntN(20000)), raygo.Quantity(rng.IntN(10000)), int64(rng.IntN(1<<29))
			o.Custom = map[string]raygo.Quantity{"x": raygo.Quantity(rng.IntN(9999))}
		})
		cls = append(cls, s.define(o))
	}
	s.nocheck = true
	for i := range 10_000 {
		s.submit(cls[rng.IntN(len(cls))])
		for len(s.order) > 0 && (i%7 == 0 || len(s.running) > 2) {
			id := s.order[0]
			s.order = s.order[1:]
			if s.running[id] != nil {
				s.ok(id, "v")
			}
		}
		if i%500 == 0 {
			if err := s.c.Check(); err != nil {
				t.Fatal(err)
			}
		}
		s.all, s.ended = nil, nil
	}
	for len(s.running) > 0 {
		id := s.order[0]
		s.order = s.order[1:]
		if s.running[id] != nil {
			s.ok(id, "v")
		}
	}
	s.free()
	total, _ := s.c.Capacity()
	s.expect("total", total, map[string]float64{"CPU": 3, "GPU": 2, "memory": 1 << 30, "x": 1})
}

// behaviour 93: a big shape gets its turn among a stream of small ones, and
// equal ones share
func TestNoStarvation(t *testing.T) {
	s := newSim(t, 4)
	small, big := s.define(opts()), s.define(opts(func(o *raygo.Options) { o.CPU = q(4) }))
	for range 4 {
		s.submit(small)
	}
	b := s.submit(big)
	begin := s.now
	for s.running[b] == nil {
		s.submit(small)
		if len(s.running) == 0 || s.now.Sub(begin) > 10*time.Second {
			t.Fatalf("the big one waits after %s", s.now.Sub(begin))
		}
		for id := range s.running {
			s.ok(id, "v")
			break
		}
		s.tick(100 * time.Millisecond)
	}
	s.ok(b, "v")
	for len(s.running) > 0 {
		for id := range s.running {
			s.ok(id, "v")
			break
		}
	}
	s.free()
}

// behaviour 93: classes of one rank take turns, also when their tasks are short
// enough to be sent ahead; higher priority goes first
func TestTurns(t *testing.T) {
	s := newSim(t, 1)
	var cls []ClassID
	for range 5 {
		cls = append(cls, s.define(opts()))
	}
	high := s.define(opts(func(o *raygo.Options) { o.Priority = 1 }))
	of := map[raygo.TaskID]ClassID{}
	for range 400 {
		for _, cl := range cls {
			of[s.submit(cl)] = cl
		}
	}
	count := map[ClassID]int{}
	for i := range 1500 {
		id := s.order[i]
		e := s.exec(id)
		delete(s.running, id)
		count[of[id]]++
		s.now = s.now.Add(100 * time.Microsecond)
		s.one(&Result{Worker: e.Worker, Task: id, Award: e.Award, Run: 100 * time.Microsecond, Outcomes: []Outcome{{Value: inline("v")}}})
	}
	for _, cl := range cls {
		if count[cl] < 200 {
			t.Fatalf("runs by class: %v", count)
		}
	}
	h := s.submit(high)
	at := len(s.order)
	for i := 1500; s.running[h] == nil; i++ {
		if i > at {
			t.Fatal("the one of high priority waits behind new ones")
		}
		s.ok(s.order[i], "v")
	}
}
