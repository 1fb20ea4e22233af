package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"time"

	raygo "github.com/raygo/raygo/sdk"
)

// Options say what to measure.
type Options struct {
	Only  string // a regular expression that names match; "" for all
	Runs  int    // pairs of workload and floor; 0 for the default
	Quick bool   // small and few, to see that everything works
	Full  bool   // with what takes long
	Peers int    // measure between so many peers, instead of on one; 0 for one
	Notes io.Writer
	// Profile is a directory for CPU profiles of this process and of the peer;
	// "" for none.
	Profile string
}

// Runs of a full and of a quick measurement.
const (
	defaultRuns = 7
	quickRuns   = 1
)

// ErrNothing says that Options.Only names no workload.
var ErrNothing = errors.New("no workload matches")

// Run measures.
func Run(ctx context.Context, o Options) (*Report, error) {
	only, err := regexp.Compile(o.Only)
	if err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrNothing, o.Only, err)
	}
	if o.Runs == 0 {
		o.Runs = defaultRuns
		if o.Quick {
			o.Runs = quickRuns
		}
	}
	// What is measured is what hints advise against.
	if err := os.Setenv(raygo.HintsEnv, "off"); err != nil {
		return nil, err
	}
	st := &stage{quick: o.Quick, profile: o.Profile}
	defer st.close()
	if st.dir, err = os.MkdirTemp("", "raygo-bench-"); err != nil {
		return nil, fmt.Errorf("make a place for sockets: %w", err)
	}
	rep := &Report{Time: time.Now().UTC().Truncate(time.Second), Go: runtime.Version(), CPUs: runtime.NumCPU(), Kernel: kernel(), Quick: o.Quick}
	all := workloads()
	if o.Peers > 0 {
		all = clusterWorkloads(o.Peers, &o)
	}
	for _, w := range all {
		if !only.MatchString(w.name) {
			continue
		}
		start := time.Now()
		row, err := w.measure(ctx, st, o.Runs)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		rep.Rows = append(rep.Rows, *row)
		fmt.Fprintf(o.Notes, "%s  (%s)\n", row.line(), time.Since(start).Round(10*time.Millisecond))
	}
	if len(rep.Rows) == 0 {
		return nil, fmt.Errorf("%w %q", ErrNothing, o.Only)
	}
	return rep, nil
}

// measure takes floor and workload in turns.
func (w *workload) measure(ctx context.Context, st *stage, runs int) (*Row, error) {
	if w.most > 0 {
		runs = min(runs, w.most)
	}
	var values, floors, cpu []float64
	for range runs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if w.floor != nil {
			f, err := w.floor(ctx, st)
			if err != nil {
				return nil, fmt.Errorf("floor (%s): %w", w.beside, err)
			}
			floors = append(floors, f)
		}
		before := st.cpuTime()
		v, err := w.run(ctx, st)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
		if w.ops != nil && before > 0 {
			cpu = append(cpu, float64(st.cpuTime()-before)/1e3/float64(w.ops(st)))
		}
	}
	row := &Row{
		Name: w.name, What: w.what, Unit: w.unit, HigherIsBetter: w.higher, Floor: w.beside,
		Value: figuresOf(values), FloorValue: figuresOf(floors), Ratio: figuresOf(ratios(values, floors)),
		CPU: figuresOf(cpu), Target: w.target.text(w.unit, w.higher),
	}
	ratio := 0.0
	if row.Ratio != nil {
		ratio = row.Ratio.Median
	}
	row.OK = w.target.met(row.Value.Median, ratio, w.higher)
	return row, nil
}
