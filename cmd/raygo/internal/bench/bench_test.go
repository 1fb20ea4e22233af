package bench

import (
	"context"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMain makes the test binary one of the processes of a benchmark.
func TestMain(m *testing.M) {
	ServeRole()
	os.Exit(m.Run())
}

// More under way than streams hold must not have both ends wait to be read.
func TestEchoWithMuchUnderWay(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := startStreams(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	const calls = 200_000
	if err := s.echo(ctx, calls, calls); err != nil {
		t.Errorf("%d calls under way: %v", calls, err)
	}
	cancel()
	if err := s.echo(ctx, calls, 1); err == nil {
		t.Error("an echo went on after its end")
	}
}

func TestFigures(t *testing.T) {
	f := figuresOf([]float64{5, 1, 3, 2, 4})
	want := &Figures{Median: 3, P10: 1.4, P90: 4.6, Samples: []float64{5, 1, 3, 2, 4}}
	if d := cmp.Diff(want, f); d != "" {
		t.Error(d)
	}
	if figuresOf(nil) != nil {
		t.Error("figures of nothing")
	}
	if d := cmp.Diff([]float64{2, 0.5}, ratios([]float64{4, 1, 9}, []float64{2, 2, 0})); d != "" {
		t.Error(d)
	}
}

func TestTargets(t *testing.T) {
	for _, x := range []struct {
		t            target
		value, ratio float64
		higher, want bool
		text         string
	}{
		{target{ratio: 2}, 100, 1.9, false, true, "≤ 2×"},
		{target{ratio: 2}, 100, 2.1, false, false, "≤ 2×"},
		{target{ratio: 0.4}, 100, 0.3, true, false, "≥ 0.4×"},
		{target{value: 25000}, 30000, 0.01, true, true, "≥ 25,000 u"},
		{target{value: 10, ratio: 1}, 11, 0.5, true, false, "≥ 10.0 u, ≥ 1×"},
		{target{}, 1, 1, true, true, ""},
	} {
		if got := x.t.met(x.value, x.ratio, x.higher); got != x.want {
			t.Errorf("%+v: met is %v", x, got)
		}
		if got := x.t.text("u", x.higher); got != x.text {
			t.Errorf("%+v: text is %q", x, got)
		}
	}
}

// Names are what reports are compared by.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	plain := regexp.MustCompile(`^[a-z0-9_A-Z]+$`)
	for _, w := range append(workloads(), clusterWorkloads(8, &Options{})...) {
		if seen[w.name] || !plain.MatchString(w.name) {
			t.Errorf("name %q: given twice or not plain", w.name)
		}
		seen[w.name] = true
		if w.what == "" || w.unit == "" || (w.floor == nil) != (w.beside == "") {
			t.Errorf("%s lacks a description", w.name)
		}
	}
}
