package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
	"github.com/raygo/raygo/sdk/p2p"
)

// pause is a moment between two looks at something that will come.
func pause(ctx context.Context) {
	t := time.NewTimer(5 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// seen is a job on a peer of two CPUs, and the eyes of the commands on it.
type seen struct {
	t       *testing.T
	ctx     context.Context
	session *raygo.Session
	gate    string // the file that lets held tasks go
}

func look(t *testing.T) *seen {
	t.Helper()
	return attachTo(t, servingPeer(t))
}

// attachTo is look at a peer that is there already.
func attachTo(t *testing.T, p *p2p.Peer) *seen {
	t.Helper()
	ctx, s, err := raygo.Init(t.Context(), raygo.Address(p.Address()), raygo.LogToDriver(false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &seen{t: t, ctx: ctx, session: s, gate: filepath.Join(t.TempDir(), "go")}
}

// open lets the held tasks go.
func (s *seen) open() {
	s.t.Helper()
	if err := os.WriteFile(s.gate, nil, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// command runs raygo, which must succeed.
func (s *seen) command(args ...string) string {
	s.t.Helper()
	code, out, errOut := try(s.t, args...)
	if code != exitDone {
		s.t.Fatalf("raygo %v: exit code %d: %s", args, code, errOut)
	}
	return out
}

// tasks lists tasks with filters.
func (s *seen) tasks(filters ...string) []ipc.TaskRow {
	s.t.Helper()
	args := []string{"list", "tasks", "--format", "json"}
	for _, f := range filters {
		args = append(args, "--filter", f)
	}
	var rows ipc.Rows[ipc.TaskRow]
	if err := json.Unmarshal([]byte(s.command(args...)), &rows); err != nil {
		s.t.Fatal(err)
	}
	return rows.Rows
}

// until waits for something that can be seen.
func (s *seen) until(what string, ok func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	for !ok() {
		if ctx.Err() != nil {
			s.t.Fatalf("not seen: %s; the tasks are\n%s", what, s.command("list", "tasks", "--detail"))
		}
		pause(ctx)
	}
}

// untilStates waits until the tasks of a function are so many in each state.
func (s *seen) untilStates(function string, want map[string]int) {
	s.t.Helper()
	s.until(function+" in its states", func() bool {
		have := map[string]int{}
		for _, r := range s.tasks("func_name=" + function) {
			have[r.State]++
		}
		for state, n := range want {
			if have[state] != n {
				return false
			}
		}
		return true
	})
}

// taskOf is the hexadecimal ID of the task that makes ref.
func taskOf(ref raygo.Ref[int]) string { return ref.ID()[:40] }

// behaviours 211, 212 and 221
func TestStatesOfTasksThatWait(t *testing.T) {
	s := look(t)
	var held []raygo.Ref[int]
	for range 10 {
		held = append(held, holdTask.Remote(s.ctx, s.gate))
	}
	addTask.RemoteArgs(s.ctx, held[0], held[1])
	s.untilStates("raygo.hold", map[string]int{"RUNNING": 2, "PENDING_NODE_ASSIGNMENT": 8})
	s.untilStates("raygo.add", map[string]int{"PENDING_ARGS_AVAIL": 1})
	var rows ipc.Rows[ipc.TaskRow]
	if err := json.Unmarshal([]byte(s.command("list", "tasks", "--limit", "4", "--format", "json")), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows.Rows) != 4 || rows.Total != 11 || !rows.Truncated {
		t.Errorf("with a limit of 4: %d rows of %d, truncated %v", len(rows.Rows), rows.Total, rows.Truncated)
	}
	s.open()
	s.untilStates("raygo.hold", map[string]int{"FINISHED": 10})
	s.untilStates("raygo.add", map[string]int{"FINISHED": 1})
}

// behaviour 213
func TestStatesOfBlockedTasks(t *testing.T) {
	s := look(t)
	getTask.Remote(s.ctx, s.gate)
	waitTask.Remote(s.ctx, s.gate)
	s.untilStates("raygo.getChild", map[string]int{"RUNNING_IN_GET": 1})
	s.untilStates("raygo.waitChild", map[string]int{"RUNNING_IN_WAIT": 1})
	s.open()
	s.untilStates("raygo.getChild", map[string]int{"FINISHED": 1})
	s.untilStates("raygo.waitChild", map[string]int{"FINISHED": 1})
}

// behaviours 106, 214 and 230
func TestAttemptsAreRows(t *testing.T) {
	s := look(t)
	ref := onceTask.Remote(s.ctx, "no luck at first")
	if _, err := raygo.Get(s.ctx, ref); err != nil {
		t.Fatal(err)
	}
	var rows ipc.Rows[ipc.TaskRow]
	if err := json.Unmarshal([]byte(s.command("get", "task", taskOf(ref), "--format", "json")), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows.Rows) != 2 {
		t.Fatalf("%d attempts are shown, want 2: %+v", len(rows.Rows), rows.Rows)
	}
	byAttempt := map[int]ipc.TaskRow{}
	for _, r := range rows.Rows {
		byAttempt[r.Attempt] = r
	}
	if r := byAttempt[0]; r.State != "FAILED" || r.ErrorType != "TASK_ERROR" || !strings.Contains(r.ErrorMessage, "no luck at first") {
		t.Errorf("the first attempt is %+v", r)
	}
	if r := byAttempt[1]; r.State != "FINISHED" || r.WorkerPID == 0 {
		t.Errorf("the second attempt is %+v", r)
	}
}

// behaviour 215
func TestACrashIsAFailedAttempt(t *testing.T) {
	s := look(t)
	ref := crashTask.Remote(s.ctx, 3)
	if _, err := raygo.Get(s.ctx, ref); !errors.Is(err, raygo.ErrWorkerCrashed) {
		t.Fatalf("the error is %v", err)
	}
	rows := s.tasks("task_id=" + taskOf(ref))
	if len(rows) != 1 || rows[0].State != "FAILED" || rows[0].ErrorType != "WORKER_DIED" || !strings.Contains(rows[0].ErrorMessage, "3") {
		t.Errorf("the attempt is %+v", rows)
	}
}

// behaviour 216
func TestTheEndOfAJobFailsItsTasks(t *testing.T) {
	s := look(t)
	if _, err := raygo.Get(s.ctx, numberTask.Remote(s.ctx, 1)); err != nil {
		t.Fatal(err)
	}
	holdTask.Remote(s.ctx, s.gate)
	s.untilStates("raygo.hold", map[string]int{"RUNNING": 1})
	if err := s.session.Close(); err != nil {
		t.Fatal(err)
	}
	s.untilStates("raygo.hold", map[string]int{"FAILED": 1})
	s.untilStates("raygo.add1", map[string]int{"FINISHED": 1})
	if out := s.command("list", "jobs"); !strings.Contains(out, "FINISHED") {
		t.Errorf("the job is not over:\n%s", out)
	}
}

// behaviour 218
func TestATaskWithoutEventsLeavesNoRow(t *testing.T) {
	s := look(t)
	if _, err := raygo.Get(s.ctx, quietTask.Remote(s.ctx, 1)); err != nil {
		t.Fatal(err)
	}
	s.untilStates("raygo.add", map[string]int{"FINISHED": 1})
	if rows := s.tasks("func_name=raygo.quiet"); len(rows) != 0 {
		t.Errorf("there are rows: %+v", rows)
	}
}

// behaviour 220
func TestFiltersAreJoined(t *testing.T) {
	s := look(t)
	for _, x := range []int{1, 2} {
		if _, err := raygo.Get(s.ctx, numberTask.Options(raygo.Name("a=b")).Remote(s.ctx, x)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := raygo.Get(s.ctx, onceTask.Remote(s.ctx, "x")); err != nil {
		t.Fatal(err)
	}
	for want, filters := range map[int][]string{
		2: {"func_name=a=b"},
		1: {"state=FAILED", "func_name=raygo.once"},
		0: {"state=FAILED", "func_name!=raygo.once"},
		3: {"state=FINISHED", "job_id=" + s.session.JobID()},
	} {
		if rows := s.tasks(filters...); len(rows) != want {
			t.Errorf("%v: %d rows, want %d: %+v", filters, len(rows), want, rows)
		}
	}
}

// behaviour 224
func TestTheTimelineIsATrace(t *testing.T) {
	s := look(t)
	ref := spanTask.Remote(s.ctx, s.gate)
	s.untilStates("raygo.withSpan", map[string]int{"RUNNING": 1})
	s.open()
	if _, err := raygo.Get(s.ctx, ref); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "trace.json")
	s.command("timeline", "-o", file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var trace ipc.Timeline
	if err := json.Unmarshal(text, &trace); err != nil {
		t.Fatal(err)
	}
	var task, span *ipc.TraceEvent
	for i := range trace.Events {
		switch e := &trace.Events[i]; {
		case e.Phase == "X" && e.Name == "raygo.withSpan":
			task = e
		case e.Phase == "X" && e.Name == "inner":
			span = e
		}
	}
	if task == nil || span == nil {
		t.Fatalf("the task or its span is missing in %s", text)
	}
	if span.TS < task.TS || span.TS+span.Dur > task.TS+task.Dur || task.PID != span.PID || task.TID != span.TID {
		t.Errorf("the span %+v is not inside of the task %+v", span, task)
	}
}

// behaviour 225
func TestATasksLogIsItsOwn(t *testing.T) {
	s := look(t)
	one, two := sayTask.Remote(s.ctx, "first line", s.gate), sayTask.Remote(s.ctx, "second line", s.gate)
	logs := func(ref raygo.Ref[int]) string {
		_, out, _ := try(t, "logs", taskOf(ref))
		return out
	}
	s.until("the lines of running tasks", func() bool {
		return strings.Contains(logs(one), "first line") && strings.Contains(logs(two), "second line")
	})
	s.open()
	if _, err := raygo.GetAll(s.ctx, []raygo.Ref[int]{one, two}); err != nil {
		t.Fatal(err)
	}
	if out := logs(one); strings.Contains(out, "second") || strings.Count(out, "first line") != 1 {
		t.Errorf("the log of a task that is done is %q", out)
	}
	job := s.command("logs", s.session.JobID())
	if !strings.Contains(job, "first line") || !strings.Contains(job, "second line") {
		t.Errorf("the job's log is %q", job)
	}
}

func TestLogsFollowToTheTasksEnd(t *testing.T) {
	s := look(t)
	ref := sayTask.Remote(s.ctx, "a line", s.gate)
	s.untilStates("raygo.say", map[string]int{"RUNNING": 1})
	done := make(chan string, 1)
	go func() {
		_, out, errOut := try(t, "logs", "-f", taskOf(ref))
		done <- out + errOut
	}()
	s.open()
	select {
	case out := <-done:
		if out != "a line\n" {
			t.Errorf("followed: %q", out)
		}
	case <-time.After(15 * time.Second):
		t.Error("following does not end with the task")
	}
}

// behaviour 228
func TestStatusShowsWhatWaitsAndWhatNeverFits(t *testing.T) {
	s := look(t)
	for range 5 {
		holdTask.Remote(s.ctx, s.gate)
	}
	wish := wishTask.Remote(s.ctx, 1)
	var st ipc.ClusterStatus
	s.until("the demands", func() bool {
		if err := json.Unmarshal([]byte(s.command("status", "--format", "json")), &st); err != nil {
			t.Fatal(err)
		}
		have := map[string]ipc.Demand{}
		for _, d := range st.Demands {
			have[d.FuncName] = d
		}
		return have["raygo.hold"].Count == 3 && have["raygo.hold"].Infeasible == "" && strings.Contains(have["raygo.wish"].Infeasible, "unicorn")
	})
	if out := s.command("status"); !strings.Contains(out, "3 × raygo.hold {CPU=1}") || !strings.Contains(out, "fits no peer") {
		t.Errorf("status shows\n%s", out)
	}
	if out := s.command("explain", taskOf(wish)); !strings.Contains(out, "unicorn") {
		t.Errorf("explain does not say what is missing:\n%s", out)
	}
	if out := s.command("cancel", taskOf(wish)); !strings.HasPrefix(out, "1 never started") {
		t.Errorf("cancel says %q", out)
	}
}

func TestCancelOfAJobStopsAll(t *testing.T) {
	s := look(t)
	for range 4 {
		holdTask.Remote(s.ctx, s.gate)
	}
	s.untilStates("raygo.hold", map[string]int{"RUNNING": 2, "PENDING_NODE_ASSIGNMENT": 2})
	if out := s.command("cancel", s.session.JobID()); !strings.HasPrefix(out, "2 never started, 2 stopped") {
		t.Errorf("cancel says %q", out)
	}
	s.untilStates("raygo.hold", map[string]int{"FAILED": 4})
}

// behaviour 229
func TestALongListIsQuick(t *testing.T) {
	s := look(t)
	refs := raygo.Map(s.ctx, numberTask, make([]int, 10_000))
	if _, err := raygo.GetAll(s.ctx, refs); err != nil {
		t.Fatal(err)
	}
	c, err := ask.Dial(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began := time.Now()
	rows, err := ask.List[ipc.TaskRow](t.Context(), c, ipc.Query{Op: ipc.QueryTasks, Limit: 10_000})
	if err != nil || len(rows.Rows) != 10_000 {
		t.Fatalf("%d rows: %v", len(rows.Rows), err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("10,000 rows took %s", took)
	}
}

func TestReplayRunsTheSameCallAgain(t *testing.T) {
	s := look(t)
	a, err := raygo.Put(s.ctx, 20)
	if err != nil {
		t.Fatal(err)
	}
	good, bad := addTask.RemoteArgs(s.ctx, a, raygo.Val(22)), onceTask.Options(raygo.RetryExceptions(false)).Remote(s.ctx, "no luck")
	if _, err := raygo.Get(s.ctx, good); err != nil {
		t.Fatal(err)
	}
	if _, err := raygo.Get(s.ctx, bad); err == nil {
		t.Fatal("the call did not fail")
	}
	s.until("the program's CID", func() bool {
		return strings.Contains(s.command("list", "jobs", "--format", "json"), `"program_cid": "b`)
	})
	if out := s.command("replay", taskOf(good)); !strings.Contains(out, "result 0: 42") {
		t.Errorf("the replay says %q", out)
	}
	code, out, errOut := try(t, "replay", taskOf(bad))
	if code != exitFailed || !strings.Contains(out, "no luck") {
		t.Errorf("the replay of a failure: exit code %d, %q, %s", code, out, errOut)
	}
}
