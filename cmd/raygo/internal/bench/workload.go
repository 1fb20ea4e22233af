package bench

import (
	"context"
	"fmt"
)

// workload is one measurement with its floor.
type workload struct {
	name   string
	what   string // what one operation is
	unit   string
	higher bool // a higher figure is better
	target target
	most   int // runs at most; 0: as many as asked for
	run    sample
	beside string              // what the floor is
	floor  sample              // nil: there is none
	ops    func(st *stage) int // operations in a run, where their CPU time is of interest
}

// sample takes one figure.
type sample func(ctx context.Context, st *stage) (float64, error)

// target is what a workload has to reach; zero fields ask for nothing.
type target struct {
	ratio float64 // to the floor
	value float64
}

// met reports whether a figure and its ratio reach the target.
func (t target) met(value, ratio float64, higher bool) bool {
	if !higher {
		return (t.value == 0 || value <= t.value) && (t.ratio == 0 || ratio <= t.ratio)
	}
	return (t.value == 0 || value >= t.value) && (t.ratio == 0 || ratio >= t.ratio)
}

// text is the target in words of the table.
func (t target) text(unit string, higher bool) string {
	sign := "≤"
	if higher {
		sign = "≥"
	}
	switch {
	case t.ratio > 0 && t.value > 0:
		return fmt.Sprintf("%s %s %s, %s %.3g×", sign, figure(t.value), unit, sign, t.ratio)
	case t.ratio > 0:
		return fmt.Sprintf("%s %.3g×", sign, t.ratio)
	case t.value > 0:
		return fmt.Sprintf("%s %s %s", sign, figure(t.value), unit)
	}
	return ""
}

// workloads are all of them, in the order in which they run.
func workloads() []workload {
	var all []workload
	for _, part := range [][]workload{callWorkloads(), multiWorkloads(), smallWorkloads(), largeWorkloads(), refWorkloads(), queueWorkloads(), processWorkloads()} {
		all = append(all, part...)
	}
	return all
}
