package behaviours

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

var (
	say       = raygo.Func2(sayFn)
	spanned   = raygo.Func1(spannedFn)
	silent    = raygo.Func1(silentFn, raygo.EnableTaskEvents(false))
	waitsIn   = raygo.Func2(waitsInFn)
	parentErr = raygo.Func1(parentErrFn)
)

// sayFn writes lines and a last one without an end.
func sayFn(_ context.Context, word string, lines int) (int, error) {
	for i := range lines {
		fmt.Printf("%s %d\n", word, i)
	}
	fmt.Fprintf(os.Stderr, "%s on stderr\n", word)
	return lines, nil
}

func spannedFn(ctx context.Context, dir string) (int, error) {
	end := raygo.Span(ctx, "inner work")
	raygo.Progress(ctx, 3, 10)
	v, err := raygo.Get(ctx, square.Remote(ctx, 2))
	end()
	return v, err
}

// silentFn leaves no row itself; its child does.
func silentFn(ctx context.Context, x int) (int, error) { return raygo.Get(ctx, square.Remote(ctx, x)) }

// waitsInFn waits for a child in Get or in Wait.
func waitsInFn(ctx context.Context, dir, how string) (int, error) {
	child := deaf.Remote(ctx, dir)
	if how == "wait" {
		_, _, err := raygo.Wait(ctx, []raygo.Ref[int]{child}, 1)
		return 1, err
	}
	return raygo.Get(ctx, child)
}

// parentErrFn submits a child that holds on and fails itself.
func parentErrFn(ctx context.Context, dir string) (int, error) {
	hold.Options(raygo.NumCPUs(0)).Remote(ctx, dir)
	for !fileExists(filepath.Join(dir, "began")) {
		time.Sleep(time.Millisecond)
	}
	return 0, errKnown
}

func tasks(t *testing.T, p *peertest.Peer, filters ...string) []ipc.TaskRow {
	t.Helper()
	var rows ipc.Rows[ipc.TaskRow]
	p.Ask(t, &ipc.Query{Op: ipc.QueryTasks, Filters: filters, Limit: 10_000}, &rows)
	return rows.Rows
}

func states(t *testing.T, p *peertest.Peer, function string) map[string]int {
	t.Helper()
	var s ipc.Summary
	p.Ask(t, &ipc.Query{Op: ipc.QuerySummary, ID: "tasks"}, &s)
	for _, g := range s.Groups {
		if strings.HasSuffix(g.FuncName, "."+function) {
			return g.States
		}
	}
	return nil
}

// behaviour 211, behaviour 212, behaviour 213, behaviour 228
func TestStatesOfTasks(t *testing.T) {
	p := peertest.Start(t, node.Config{})
	ctx := p.Driver()
	dir := t.TempDir()
	var held []raygo.Ref[int]
	for range 10 {
		held = append(held, deaf.Remote(ctx, dir))
	}
	dependent := square.RemoteArgs(ctx, held[9])
	big := square.Options(raygo.NumCPUs(64)).Remote(ctx, 1)
	eventually(t, "2 run, 8 wait", func() bool {
		s := states(t, p, "deafFn")
		return s["RUNNING"] == 2 && s["PENDING_NODE_ASSIGNMENT"] == 8
	})
	if s := states(t, p, "squareFn"); s["PENDING_ARGS_AVAIL"] != 1 || s["PENDING_NODE_ASSIGNMENT"] != 1 {
		t.Fatalf("dependents: %v", s)
	}
	var st ipc.ClusterStatus
	p.Ask(t, &ipc.Query{Op: ipc.QueryStatus}, &st)
	found := map[string]int{}
	for _, d := range st.Demands {
		found[fmt.Sprintf("%v %v", d.Shape["CPU"], d.Infeasible != "")] = d.Count
	}
	if found["1 false"] != 8 || found["64 true"] != 1 {
		t.Fatalf("demands: %+v", st.Demands)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := raygo.Get(ctx, dependent); err != nil {
		t.Fatal(err)
	}
	if _, err := raygo.Cancel(ctx, big); err != nil {
		t.Fatal(err)
	}
	for how, want := range map[string]string{"get": "RUNNING_IN_GET", "wait": "RUNNING_IN_WAIT"} {
		dir := t.TempDir()
		ref := waitsIn.Remote(ctx, dir, how)
		eventually(t, want, func() bool { return states(t, p, "waitsInFn")[want] == 1 })
		if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := raygo.Get(ctx, ref); err != nil {
			t.Fatal(err)
		}
	}
}

// behaviour 214, behaviour 215, behaviour 230
func TestRowsOfAttempts(t *testing.T) {
	p := peertest.Start(t, node.Config{})
	ctx := p.Driver()
	if _, err := raygo.Get(ctx, flaky.Options(raygo.RetryExceptions(true)).Remote(ctx, t.TempDir(), 1, "")); err != nil {
		t.Fatal(err)
	}
	ref := crashUntil.Options(raygo.MaxRetries(1)).Remote(ctx, t.TempDir(), 1)
	if _, err := raygo.Get(ctx, ref); err != nil {
		t.Fatal(err)
	}
	for function, kind := range map[string]string{"flakyFn": "TASK_ERROR", "crashUntilFn": "WORKER_DIED"} {
		rows := slices.DeleteFunc(tasks(t, p), func(r ipc.TaskRow) bool { return !strings.HasSuffix(r.FuncName, function) })
		slices.SortFunc(rows, func(a, b ipc.TaskRow) int { return a.Attempt - b.Attempt })
		if len(rows) != 2 || rows[0].State != "FAILED" || rows[1].State != "FINISHED" || rows[0].ErrorType != kind || rows[0].ErrorMessage == "" || rows[0].Ended.IsZero() {
			t.Fatalf("%s: %+v", function, rows)
		}
		var all ipc.Rows[ipc.TaskRow]
		p.Ask(t, &ipc.Query{Op: ipc.QueryTask, ID: rows[0].TaskID}, &all)
		if all.Total != 2 {
			t.Fatalf("attempts of %s: %+v", function, all)
		}
		var x ipc.Explanation
		p.Ask(t, &ipc.Query{Op: ipc.QueryExplain, ID: rows[0].TaskID}, &x)
		if len(x.Decisions) != 2 || !strings.Contains(x.Decisions[0], kind) {
			t.Fatalf("explain %s: %+v", function, x)
		}
	}
}

// behaviour 216, behaviour 227, behaviour 231
func TestAfterTheJob(t *testing.T) {
	p := peertest.Start(t, node.Config{HTTP: "127.0.0.1:0"})
	ctx, s, err := raygo.Init(context.Background(), raygo.Address("unix://"+p.Ready.Socket), raygo.JobName("short"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raygo.Get(ctx, square.Remote(ctx, 3)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	hold.Remote(ctx, dir)
	eventually(t, "it begins", func() bool { return fileExists(filepath.Join(dir, "began")) })
	scrape := func() string {
		r, err := http.Get("http://" + p.Ready.HTTP + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	series := fmt.Sprintf("job=%q", s.JobID())
	if !strings.Contains(scrape(), series) {
		t.Fatal("a running job has no series")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the series are gone", func() bool { return !strings.Contains(scrape(), series) })
	rows := tasks(t, p, "job_id="+s.JobID())
	got := map[string]string{}
	for _, r := range rows {
		got[r.FuncName[strings.LastIndex(r.FuncName, ".")+1:]] = r.State + " " + r.ErrorMessage
	}
	if got["squareFn"] != "FINISHED " || !strings.HasPrefix(got["holdFn"], "FAILED job finished") {
		t.Fatalf("%v", got)
	}
	var jobs ipc.Rows[ipc.JobRow]
	p.Ask(t, &ipc.Query{Op: ipc.QueryJobs, Filters: []string{"name=short"}}, &jobs)
	if jobs.Total != 1 || jobs.Rows[0].State != "FINISHED" || jobs.Rows[0].Finished != 1 || jobs.Rows[0].Failed != 1 {
		t.Fatalf("%+v", jobs)
	}
}

// behaviour 217
func TestDescendantsOfAFailedParent(t *testing.T) {
	p := peertest.Start(t, node.Config{})
	ctx := p.Driver()
	if _, err := raygo.Get(ctx, parentErr.Remote(ctx, t.TempDir())); err == nil {
		t.Fatal("no error")
	}
	eventually(t, "the child is marked", func() bool { return states(t, p, "holdFn")["FAILED"] == 1 })
}

// behaviour 218
func TestTasksWithoutEvents(t *testing.T) {
	p := peertest.Start(t, node.Config{})
	ctx := p.Driver()
	if v, err := raygo.Get(ctx, silent.Remote(ctx, 5)); err != nil || v != 25 {
		t.Fatalf("%d, %v", v, err)
	}
	rows := tasks(t, p)
	if len(rows) != 1 || !strings.HasSuffix(rows[0].FuncName, "squareFn") {
		t.Fatalf("%+v", rows)
	}
}

// behaviour 220, behaviour 221
func TestFiltersAndLimits(t *testing.T) {
	p := peertest.Start(t, node.Config{})
	ctx := p.Driver()
	var refs []raygo.Ref[int]
	for i := range 20 {
		refs = append(refs, square.Options(raygo.Name("a=b")).Remote(ctx, i))
	}
	if _, err := raygo.GetAll(ctx, refs); err != nil {
		t.Fatal(err)
	}
	_, _ = raygo.Get(ctx, fail.Remote(ctx, "no"))
	for _, c := range []struct {
		filters []string
		want    int
	}{
		{nil, 21},
		{[]string{"func_name=a=b"}, 20},
		{[]string{"func_name!=a=b"}, 1},
		{[]string{"state=FAILED", "error_type=TASK_ERROR"}, 1},
		{[]string{"state=FAILED", "func_name=a=b"}, 0},
	} {
		if got := tasks(t, p, c.filters...); len(got) != c.want {
			t.Errorf("%v: %d rows, want %d", c.filters, len(got), c.want)
		}
	}
	var rows ipc.Rows[ipc.TaskRow]
	p.Ask(t, &ipc.Query{Op: ipc.QueryTasks, Limit: 5}, &rows)
	if len(rows.Rows) != 5 || rows.Total != 21 || !rows.Truncated {
		t.Fatalf("limit 5: %d of %d, truncated %v", len(rows.Rows), rows.Total, rows.Truncated)
	}
	for _, bad := range []string{"no_such_column=1", "nonsense", "=x"} {
		if err := p.Asked(&ipc.Query{Op: ipc.QueryTasks, Filters: []string{bad}}, &rows); err == nil || !strings.Contains(err.Error(), "column") {
			t.Errorf("filter %q: %v", bad, err)
		}
	}
}

// behaviour 223, behaviour 224
func TestTimeline(t *testing.T) {
	p := peertest.Start(t, node.Config{})
	ctx := p.Driver()
	const long = 300 * time.Millisecond
	if _, err := raygo.Get(ctx, sleep.Remote(ctx, long)); err != nil {
		t.Fatal(err)
	}
	if _, err := raygo.Get(ctx, spanned.Remote(ctx, "")); err != nil {
		t.Fatal(err)
	}
	var tl ipc.Timeline
	p.Ask(t, &ipc.Query{Op: ipc.QueryTimeline}, &tl)
	by := map[string]ipc.TraceEvent{}
	for _, e := range tl.Events {
		if e.Phase == "X" {
			by[e.Name[strings.LastIndex(e.Name, ".")+1:]] = e
		}
	}
	if d := time.Duration(by["sleepFn"].Dur * 1e3); d < long || d > long+long/10+50*time.Millisecond {
		t.Errorf("a task of %s took %s", long, d)
	}
	outer, inner, child := by["spannedFn"], by["inner work"], by["squareFn"]
	if inner.TS < outer.TS || inner.TS+inner.Dur > outer.TS+outer.Dur+1000 || inner.TID != outer.TID {
		t.Errorf("the span %+v is not inside its task %+v", inner, outer)
	}
	if child.TS < outer.TS || child.TS+child.Dur > outer.TS+outer.Dur {
		t.Errorf("the child %+v is not inside its parent %+v", child, outer)
	}
	arrows := 0
	for _, e := range tl.Events {
		if e.Phase == "s" || e.Phase == "f" {
			arrows++
		}
	}
	if arrows != 2 {
		t.Errorf("%d ends of arrows from parent to child", arrows)
	}
}

// behaviour 225
func TestLogsOfOneTask(t *testing.T) {
	p := peertest.Start(t, node.Config{CPUs: 1})
	ctx := p.Driver(raygo.LogToDriver(false))
	words := []string{"first", "second", "third"}
	for _, w := range words {
		if _, err := raygo.Get(ctx, say.Options(raygo.Name(w)).Remote(ctx, w, 50)); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range words {
		row := tasks(t, p, "func_name="+w)
		if len(row) != 1 {
			t.Fatalf("%s: %+v", w, row)
		}
		var c ipc.LogChunk
		p.Ask(t, &ipc.Query{Op: ipc.QueryLogs, ID: row[0].TaskID}, &c)
		for _, line := range c.Lines {
			if !strings.HasPrefix(line, w) {
				t.Fatalf("the log of %s has %q", w, line)
			}
		}
		if len(c.Lines) != 51 {
			t.Fatalf("the log of %s has %d lines", w, len(c.Lines))
		}
	}
}

// behaviour 229
func TestQuestionsAmongManyTasks(t *testing.T) {
	p := peertest.Start(t, node.Config{})
	ctx := p.Driver()
	dir := t.TempDir()
	gate := deaf.Remote(ctx, dir)
	var refs []raygo.Ref[int]
	for range 10_000 {
		refs = append(refs, square.RemoteArgs(ctx, gate))
	}
	eventually(t, "all are listed", func() bool { return states(t, p, "squareFn")["PENDING_ARGS_AVAIL"] == 10_000 })
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { _, err := raygo.GetAll(ctx, refs); done <- err }()
	for asked := 0; ; asked++ {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
			tasks(t, p, "state=RUNNING")
		}
	}
}
