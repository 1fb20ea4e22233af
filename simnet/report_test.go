package simnet_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/raygo/raygo/simnet/world"
)

var report = flag.Bool("report", false, "measure placement at full size and write docs/placement.md")

// loads are what is measured: at full size, or at one that fits into a test run.
func loads(full bool) (names []string, ls []world.Load) {
	add := func(name string, l world.Load) { names, ls = append(names, name), append(ls, l) }
	peers, tasks, owners := 60, 6_000, 4
	if full {
		peers, tasks, owners = 1000, 100_000, 8
	}
	l := world.Load{
		Seed: 1, Peers: peers, CPUs: 4, Owners: owners, Tasks: tasks, Shortest: 100 * time.Millisecond, Longest: time.Second,
		Share: 0.8, Burst: 40, Latency: 500 * time.Microsecond,
	}
	add("bursts of 40 on average, 80 % load", l)
	l.Burst = 0
	add("all tasks at once", l)
	l.Burst, l.Share, l.Longest = 40, 0.8, 100*time.Millisecond
	add("bursts of 40, tasks of 100 ms, 80 % load", l)
	l.Start = ms
	add("the same with workers that start in 1 ms: what cold workers cost", l)
	l.Start = 0
	l.Burst, l.Peers, l.Owners, l.Tasks, l.Share = 200, peers/10, 1, tasks/4, 0.95
	add("one owner, a tenth of the peers, 95 % load: leases are reused", l)
	l.Shortest, l.Longest, l.Tasks = 5*time.Millisecond, 5*time.Millisecond, tasks
	add("the same with tasks of 5 ms", l)
	return names, ls
}

// Placement against a scheduler that sees everything, and what it costs in
// messages.
func TestReport(t *testing.T) {
	var text strings.Builder
	text.WriteString(reportHead)
	missed := t.Errorf
	if *report { // what is missed is said where it is read
		missed = func(format string, args ...any) { fmt.Fprintf(&text, "\nMissed: "+format+".\n", args...) }
	}
	names, ls := loads(*report)
	for i := range ls {
		l := &ls[i]
		m, err := l.Measure()
		if err != nil {
			t.Fatalf("%s: %v", names[i], err)
		}
		if len(m.Waits) < m.Tasks {
			t.Fatalf("%s: %d of %d tasks began", names[i], len(m.Waits), m.Tasks)
		}
		s := section(names[i], l, m)
		t.Log(s)
		text.WriteString(s)
		if over := float64(m.Makespan)/float64(m.Best) - 1; over > 0.1 {
			missed("%s: makespan is %.1f %% over the omniscient one, 10 are allowed", names[i], 100*over)
		}
		if place, carry := messages(m, aboutPlace), messages(m, carrying); place+carry > 4.5 || place > 2.7 {
			missed("%s: %.2f messages a task about places and %.2f with tasks and results: 2.7 and 4.5 together are allowed", names[i], place, carry)
		}
	}
	if *report {
		if err := os.WriteFile(filepath.Join("..", "docs", "placement.md"), []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

const reportHead = `# Placement in simulation

Cores of package sched in virtual time, links of 0.5 to 0.75 ms one way, workers that start in 40 ms
unless it says otherwise, none of them there in the beginning; written by
` + "`go test ./simnet -run Report -report`" + `. The omniscient scheduler sees every CPU and every task at no cost and
begins each task, in the order of coming, on the CPU that is free first. A wait is from a task's submission to its
beginning in a worker, the worker's start included. Bytes are those of the messages as CBOR with frame heads.
`

// Messages that settle where tasks go, and those that take them there and bring
// their results back. The rest is of jobs, classes and processes.
var (
	aboutPlace = []string{"Call", "Bid", "Free", "RecallTasks", "StopTask"}
	carrying   = []string{"Assign", "Done"}
)

// messages is how many of the kinds named were sent for each task, of all if
// none are.
func messages(m *world.Measured, kinds []string) float64 {
	n := 0
	for name, k := range m.Messages {
		if kinds == nil || slices.Contains(kinds, name) {
			n += k
		}
	}
	return float64(n) / float64(m.Tasks)
}

func section(name string, l *world.Load, m *world.Measured) string {
	var b strings.Builder
	total := 0
	for _, n := range m.Bytes {
		total += n
	}
	fmt.Fprintf(&b, "\n## %s\n\n%d peers of %d CPUs, %d owner(s), %d tasks of %s to %s.\n\n", strings.ToUpper(name[:1])+name[1:], l.Peers, l.CPUs, l.Owners, m.Tasks, l.Shortest, l.Longest)
	fmt.Fprintf(&b, "| | raygo | omniscient |\n|---|---|---|\n")
	fmt.Fprintf(&b, "| makespan | %.2f s (+%.1f %%) | %.2f s |\n", m.Makespan.Seconds(), 100*(float64(m.Makespan)/float64(m.Best)-1), m.Best.Seconds())
	for _, p := range []float64{0.5, 0.9, 0.99} {
		fmt.Fprintf(&b, "| wait, p%.0f | %.1f ms | %.1f ms |\n", 100*p, world.Percentile(m.Waits, p).Seconds()*1e3, world.Percentile(m.BestWaits, p).Seconds()*1e3)
	}
	fmt.Fprintf(&b, "\nMessages a task: %.2f about places, %.2f with tasks and results, %.2f in all; %d bytes.\n", messages(m, aboutPlace), messages(m, carrying), messages(m, nil), total/m.Tasks)
	fmt.Fprintf(&b, "A step of a core takes %.1f µs, simulation included; %.1f steps a task.\n\n", m.Took.Seconds()*1e6/float64(m.Steps), float64(m.Steps)/float64(m.Tasks))
	fmt.Fprintf(&b, "| message | a task | bytes a task |\n|---|---|---|\n")
	for _, k := range slices.SortedFunc(maps.Keys(m.Messages), func(a, b string) int { return m.Bytes[b] - m.Bytes[a] }) {
		fmt.Fprintf(&b, "| %s | %.3f | %.1f |\n", k, float64(m.Messages[k])/float64(m.Tasks), float64(m.Bytes[k])/float64(m.Tasks))
	}
	return b.String()
}
