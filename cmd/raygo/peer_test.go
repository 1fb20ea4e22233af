package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/raygo/raygo/cmd/raygo/internal/demo"
	"github.com/raygo/raygo/sdk/p2p"
)

// home gives the test a runtime directory and a place for temporary files of
// its own, short enough for a socket's path.
func home(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("XDG_DATA_HOME", filepath.Join(dir, "data"))
	t.Setenv("RAYGO_ADDRESS", "")
	t.Setenv("TMPDIR", filepath.Join(dir, "tmp"))
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// servingPeer is a real peer in this process, found by $RAYGO_ADDRESS.
func servingPeer(t *testing.T) *p2p.Peer {
	t.Helper()
	home(t)
	p, err := p2p.Start(t.Context(), p2p.Config{NumCPUs: 2, ObjectStoreMemory: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("stop the peer: %v", err)
		}
	})
	t.Setenv("RAYGO_ADDRESS", p.Address())
	return p
}

// goSource writes n small Go files; err is in each three times as an
// identifier and once in a comment.
func goSource(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		text := fmt.Sprintf("package p // no err\n\nvar err, _ = err, err + %d\n", i)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%d.go", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func demoJSON(t *testing.T, dir string) demo.Result {
	t.Helper()
	code, out, errOut := try(t, "demo", dir, "--top", "2", "--format", "json")
	if code != exitDone {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	var r demo.Result
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return r
}

// behaviour 239
func TestDemoWithPeersOfItsOwnLeavesNothing(t *testing.T) {
	source := goSource(t, 5)
	dir := home(t)
	r := demoJSON(t, source)
	if r.Totals.Files != 5 || r.Totals.Lines != 15 || len(r.Top) != 2 || r.Top[0] != (demo.Entry{Word: "err", Count: 15}) || r.Word.Count != 20 {
		t.Errorf("the result is %+v", r)
	}
	tasks := 0
	for _, p := range r.Peers {
		tasks += p.Tasks
	}
	if len(r.Peers) != 3 || tasks != r.Tasks || !r.Peers[0].Driver {
		t.Errorf("%d tasks by peers %+v", r.Tasks, r.Peers)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "tmp")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDemoWithSoManyPeers(t *testing.T) {
	home(t)
	code, out, errOut := try(t, "demo", goSource(t, 40), "--peers", "2")
	if code != exitDone || !strings.Contains(out, "  peer 2, 12D3") || strings.Contains(out, "  peer 3, ") {
		t.Errorf("exit code %d: %s%s", code, out, errOut)
	}
	for _, args := range []string{"--peers 0", "--peers 17", "--peers 2 --address unix:///tmp/x"} {
		if code, _, errOut := try(t, append([]string{"demo"}, strings.Fields(args)...)...); code != exitUsage || !strings.Contains(errOut, "--peers") {
			t.Errorf("%s: exit code %d: %s", args, code, errOut)
		}
	}
}

func TestDemoOnANamedFolderThatIsNone(t *testing.T) {
	home(t)
	code, _, errOut := try(t, "demo", "/nowhere")
	if code != exitUsage || !strings.Contains(errOut, "raygo demo FOLDER") {
		t.Errorf("exit code %d: %s", code, errOut)
	}
	t.Setenv("GOROOT", t.TempDir())
	code, _, errOut = try(t, "demo")
	if code != exitUsage || !strings.Contains(errOut, "$GOROOT is") || !strings.Contains(errOut, "raygo demo FOLDER") {
		t.Errorf("exit code %d: %s", code, errOut)
	}
}

// TestCommandsOnARealPeer looks at what the demo left on a peer that goes on.
func TestCommandsOnARealPeer(t *testing.T) {
	p := servingPeer(t)
	r := demoJSON(t, goSource(t, 3))
	if r.Peer != p.ID() {
		t.Errorf("the demo ran on %s, not on the peer %s that serves", r.Peer, p.ID())
	}
	list := func(args ...string) (rows []map[string]any) {
		t.Helper()
		code, out, errOut := try(t, append(append([]string{"list"}, args...), "--format", "json")...)
		var l struct{ Rows []map[string]any }
		if err := json.Unmarshal([]byte(out), &l); code != 0 || err != nil {
			t.Fatalf("raygo list %v: exit code %d, %v: %s", args, code, err, errOut)
		}
		return l.Rows
	}
	tasks := list("tasks", "--filter", "job_id="+r.Job)
	if len(tasks) != r.Tasks {
		t.Fatalf("%d tasks are listed, %d were run", len(tasks), r.Tasks)
	}
	for _, row := range tasks {
		if row["state"] != "FINISHED" {
			t.Errorf("a task of a job that is done is %v", row["state"])
		}
	}
	jobs := list("jobs")
	for ; len(jobs) == 1 && jobs[0]["state"] == "RUNNING" && t.Context().Err() == nil; jobs = list("jobs") {
		pause(t.Context()) // the peer notices the end of the session
	}
	if len(jobs) != 1 || jobs[0]["job_id"] != r.Job || jobs[0]["state"] != "FINISHED" {
		t.Errorf("jobs are %v", jobs)
	}
	if nodes := list("nodes"); len(nodes) != 1 || nodes[0]["peer_id"] != p.ID() {
		t.Errorf("nodes are %v", nodes)
	}
	if objects := list("objects"); len(objects) != 0 {
		t.Errorf("a job that is over has objects: %v", objects)
	}
	list("workers")
	id := tasks[0]["task_id"].(string)
	for _, c := range []struct{ args, want string }{
		{"status", "Usage:"}, {"status", "/2 CPU"}, {"summary tasks", "total_tasks: "}, {"summary tasks", "FINISHED: "}, {"summary objects", "total_objects"},
		{"get task " + id, id}, {"get job " + r.Job, "raygo demo"}, {"get node " + p.ID()[:10], p.ID()},
		{"explain " + id, id}, {"memory", "Object store:"}, {"timeline", `"traceEvents":[`}, {"logs " + r.Job, ""},
		{"cancel " + id, "already done"}, {"status --format yaml", "resources_total:"},
	} {
		code, out, errOut := try(t, strings.Fields(c.args)...)
		if code != exitDone || !strings.Contains(out, c.want) {
			t.Errorf("raygo %s: exit code %d, %q is missing:\n%s%s", c.args, code, c.want, out, errOut)
		}
	}
	for _, args := range []string{"get task " + strings.Repeat("0", 40), "get object " + strings.Repeat("0", 48), "get job " + strings.Repeat("0", 16), "explain ff"} {
		if code, out, errOut := try(t, strings.Fields(args)...); code != exitFailed {
			t.Errorf("raygo %s: exit code %d, want 1:\n%s%s", args, code, out, errOut)
		}
	}
}
