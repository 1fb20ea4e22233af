package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// fakePeer answers every question with what answer gives, over a real socket.
func fakePeer(t *testing.T, answer func(q ipc.Query) (any, *raygo.Failure)) (address string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "peer.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { speak(c.(*net.UnixConn), answer) })
		}
	})
	return "unix://" + path
}

func speak(c *net.UnixConn, answer func(q ipc.Query) (any, *raygo.Failure)) {
	conn := ipc.NewConn(c, 0)
	defer conn.Close()
	for {
		kind, p, err := conn.Read()
		if err != nil {
			return
		}
		switch kind {
		case ipc.TypeHello:
			_, v, err := ipc.ParseHello(p)
			if err != nil {
				return
			}
			_ = conn.SendWelcome(&ipc.Welcome{Version: v, Peer: "12D3KooWfake"}, nil)
		case ipc.TypeQuery:
			var q ipc.Query
			n, err := ipc.ParseNumbered(p, &q)
			if err != nil {
				return
			}
			body, fail := answer(q)
			a := ipc.Answer{Failure: fail}
			if fail == nil {
				a.Body = ipc.Marshal(body)
			}
			_ = conn.Send(func(b []byte) []byte { return ipc.AppendNumbered(b, ipc.TypeAnswer, n, &a) })
		}
	}
}

// try runs the command as main does.
func try(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var o, e bytes.Buffer
	code = run(ctx, args, &o, &e)
	return code, o.String(), e.String()
}

const (
	job1  = "00000000000000aa"
	job2  = "00000000000000bb"
	task1 = "00000000000000aa000000010000000200000003"
	task2 = "00000000000000bb000000010000000200000004"
)

var someTasks = []ipc.TaskRow{
	{TaskID: task1, FuncName: "main.square", State: "RUNNING", JobID: job1, PeerID: "12D3KooWfake", WorkerPID: 7, Type: "NORMAL_TASK"},
	{TaskID: task2, Attempt: 1, FuncName: "main.cube", State: "FAILED", JobID: job2, ErrorType: "TASK_ERROR", ErrorMessage: "no\nluck"},
}

func taskAnswers(q ipc.Query) (any, *raygo.Failure) {
	one := ipc.Asked{Asked: 1, Answered: 1}
	switch q.Op {
	case ipc.QueryTasks:
		return ipc.Rows[ipc.TaskRow]{Rows: someTasks, Total: 5, Truncated: true, Peers: one}, nil
	case ipc.QueryJobs:
		return ipc.Rows[ipc.JobRow]{Rows: []ipc.JobRow{{JobID: job1}, {JobID: job2}}, Total: 2, Peers: one}, nil
	case ipc.QueryTask:
		return ipc.Rows[ipc.TaskRow]{Rows: someTasks[:1], Total: 1, Peers: one}, nil
	case ipc.QueryLogs:
		return ipc.LogChunk{Lines: []string{"of " + q.ID}}, nil
	case ipc.QueryObjects:
		return ipc.Rows[ipc.ObjectRow]{Peers: one}, nil
	}
	return nil, raygo.Fail(raygo.CodeRefused, "no %s here", q.Op)
}

func TestListPrintsTheEnvelopeInJSON(t *testing.T) {
	addr := fakePeer(t, taskAnswers)
	code, out, errOut := try(t, "list", "tasks", "--address", addr, "--format", "json")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	var got struct {
		Rows      []map[string]any
		Total     int
		Truncated bool
		Peers     struct{ Asked, Answered int }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Total != 5 || !got.Truncated || got.Peers.Answered != 1 || len(got.Rows) != 2 {
		t.Errorf("envelope is %+v", got)
	}
	if got.Rows[0]["task_id"] != task1 || got.Rows[0]["func_name"] != "main.square" || got.Rows[1]["attempt"] != 1.0 {
		t.Errorf("rows are %v", got.Rows)
	}
}

func TestAnEmptyListIsAListInJSON(t *testing.T) {
	addr := fakePeer(t, taskAnswers)
	_, out, _ := try(t, "list", "objects", "--address", addr, "--format", "json")
	if !strings.Contains(out, `"rows": []`) {
		t.Errorf("an empty list is printed as %s", out)
	}
}

// behaviour 221
func TestListSaysThatRowsWereCutAndWhoAnswered(t *testing.T) {
	addr := fakePeer(t, taskAnswers)
	_, out, _ := try(t, "list", "tasks", "--address", addr)
	for _, want := range []string{"TASK_ID", "FUNC_NAME", "main.cube", "2 of 5 tasks shown", "1 of 1 peers answered"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if strings.Contains(out, "ERROR_MESSAGE") {
		t.Errorf("a detail column is shown without --detail:\n%s", out)
	}
	_, out, _ = try(t, "list", "tasks", "--detail", "--address", addr)
	if !strings.Contains(out, "ERROR_MESSAGE") || !strings.Contains(out, "no luck") {
		t.Errorf("--detail does not show every column:\n%s", out)
	}
}

func TestShortenedIDs(t *testing.T) {
	addr := fakePeer(t, taskAnswers)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"logs", job1}, 0, "of " + job1},
		{[]string{"logs", task1}, 0, "of " + task1},
		{[]string{"logs", task1[:20]}, 0, "of " + task1},
		{[]string{"logs", "00000000000000b"}, 0, "of " + job2},
		{[]string{"logs", "0000"}, 1, "could be any of 2"},
		{[]string{"logs", "ff"}, 1, `no job or task whose ID begins with "ff"`},
		{[]string{"get", "task", task1[:18]}, 0, "main.square"},
	} {
		code, out, errOut := try(t, append(c.args, "--address", addr)...)
		if code != c.code || !strings.Contains(out+errOut, c.want) {
			t.Errorf("raygo %v: exit code %d, want %d with %q: %s%s", c.args, code, c.code, c.want, out, errOut)
		}
	}
}

func TestARefusalIsFailureNotUsage(t *testing.T) {
	addr := fakePeer(t, taskAnswers)
	code, _, errOut := try(t, "memory", "--address", addr)
	if code != exitFailed || !strings.Contains(errOut, "no memory here") {
		t.Errorf("exit code %d: %s", code, errOut)
	}
}

// TestTaskSummaryIsRaysLayout compares with what ray summary tasks prints.
func TestTaskSummaryIsRaysLayout(t *testing.T) {
	at := time.Date(2026, 7, 22, 8, 54, 38, 332537000, time.Local)
	addr := fakePeer(t, func(ipc.Query) (any, *raygo.Failure) {
		return ipc.Summary{Time: at, Total: 7, Peers: ipc.Asked{Asked: 1, Answered: 1}, Groups: []ipc.SummaryGroup{
			{FuncName: "task_running_300_seconds", States: map[string]int{"RUNNING": 2}, Type: "NORMAL_TASK"},
			{FuncName: "main.square", States: map[string]int{"RUNNING": 1, "FINISHED": 4}, Type: "NORMAL_TASK"},
		}}, nil
	})
	_, out, errOut := try(t, "summary", "tasks", "--address", addr)
	want := `
======== Tasks Summary: 2026-07-22 08:54:38.332537 ========
Stats:
------------------------------------
total_actor_scheduled: 0
total_actor_tasks: 0
total_tasks: 7


Table (group by func_name):
------------------------------------
    FUNC_OR_CLASS_NAME        STATE_COUNTS    TYPE
0   task_running_300_seconds  RUNNING: 2      NORMAL_TASK
1   main.square               FINISHED: 4     NORMAL_TASK
                              RUNNING: 1
`
	if d := cmp.Diff(want, out); d != "" {
		t.Error(d)
	}
	if !strings.Contains(errOut, "1 of 1 peers answered") {
		t.Errorf("who answered is not said: %q", errOut)
	}
}
