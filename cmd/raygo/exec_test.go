package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/raygo/raygo/sdk/ipc"
)

// raygoExec is raygo exec in a process of its own.
func raygoExec(t *testing.T, stdin string, args ...string) (code int, out, errOut string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "raygo", append([]string{"exec"}, args...)...)
	var o, e bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &o, &e
	_ = c.Run()
	return c.ProcessState.ExitCode(), o.String(), e.String()
}

func TestExecWithAPeerOfItsOwn(t *testing.T) {
	files := t.TempDir()
	dir := home(t)
	odd := filepath.Join(files, "it's odd.txt")
	if err := os.WriteFile(odd, []byte("two\nlines\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		stdin string
		args  []string
		code  int
		out   string
		err   string
	}{
		"text, in order":       {args: []string{"--", "sleep 0.{}; echo {}"}, stdin: "3\n1\n2\n", out: "3\n1\n2\n"},
		"a line of several":    {args: []string{"--", "echo $(({} * 2))", ":::", "4", "5"}, out: "8\n10\n"},
		"no braces":            {args: []string{"--", "echo", "a", ":::", "b c", "$HOME"}, out: "a b c\na $HOME\n"},
		"quoted for the shell": {args: []string{"--", "printf '%s|'", ":::", "b c", "$HOME", "it's", ""}, out: "b c|$HOME|it's||"},
		"a file":               {args: []string{"--", "wc -l < {}; basename {}", ":::", odd}, out: "2\nit's odd.txt\n"},
		"a file as text":       {args: []string{"--as", "text", "--", "echo", ":::", odd}, out: odd + "\n"},
		"a file it is not":     {args: []string{"--as", "file", "--", "echo", ":::", "/nowhere"}, code: exitFailed, err: "ship the input"},
		"several fail":         {args: []string{"--", "echo {}; exit {}", ":::", "0", "7", "1"}, code: exitFailed, out: "0\n7\n1\n", err: "2 of 3 commands failed"},
		"exit code":            {args: []string{"--", "exit {}", ":::", "7"}, code: exitFailed, err: "raygo: 7: exit code 7 on peer 12D3"},
		"a signal":             {args: []string{"--", "kill -9 $$ {}", ":::", "0"}, code: exitFailed, err: "exit code 137"},
		"no such program":      {args: []string{"--", "no-such-program", "x", ":::", "y"}, code: exitFailed, err: `"no-such-program" is not on that machine`},
		"its errors":           {args: []string{"--", "echo {} >&2", ":::", "oh"}, err: "oh\n"},
		"too much output":      {args: []string{"--max-output", "5", "--", "echo 123456789 {}", ":::", "x"}, out: "12345", err: "more than is kept"},
		"time is up":           {args: []string{"--timeout", "200ms", "--", "sleep 3600 & sleep {}", ":::", "3600"}, code: exitFailed, err: "timed out"},
		"halt":                 {args: []string{"--halt", "--jobs", "3", "--", "sleep {}; exit 1", ":::", "0", "3600", "3600"}, code: exitFailed, err: "1 of 3 commands failed; 2 were not run"},
		"nothing to do":        {args: []string{"--", "echo"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := raygoExec(t, c.stdin, c.args...)
			if code != c.code || out != c.out || !strings.Contains(errOut, c.err) || c.err == "" && errOut != "" {
				t.Errorf("exit code %d, want %d; wrote %q, want %q; said %q, want %q", code, c.code, out, c.out, errOut, c.err)
			}
		})
	}
	leavesNothing(t, dir)
}

func TestExecUsage(t *testing.T) {
	home(t)
	for _, args := range [][]string{{}, {"--"}, {"--", ":::", "x"}, {"--as", "what", "--", "echo"}, {"--jobs", "-1", "--", "echo"}, {"--num-cpus", "NaN", "--", "echo"}, {"--max-output", "0", "--", "echo"}} {
		if code, _, errOut := try(t, append([]string{"exec"}, args...)...); code != exitUsage {
			t.Errorf("%q: exit code %d: %s", args, code, errOut)
		}
	}
	if code, _, _ := try(t, "exec", "--address", "unix:///nowhere/at/all", "--", "echo"); code != exitNoPeer {
		t.Errorf("without a peer: exit code %d", code)
	}
}

// Over a cluster: commands run on all peers, files come along, and a failing one is
// run again as often as wanted.
func TestExecOverACluster(t *testing.T) {
	f := peersElsewhere(t, 3)
	t.Setenv("RAYGO_ADDRESS", f.Peers()[0].Address)
	dir := t.TempDir()
	var files []string
	for i := range 12 {
		files = append(files, filepath.Join(dir, fmt.Sprint("input", i)))
		if err := os.WriteFile(files[i], bytes.Repeat([]byte("x"), 200_000+i), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errOut := raygoExec(t, "", append([]string{"--format", "json", "--", "sleep 0.2; wc -c < {}", ":::"}, files...)...)
	var rows ipc.Rows[struct {
		Input  string `json:"input"`
		PeerID string `json:"peer_id"`
		Stdout string `json:"stdout"`
	}]
	if err := json.Unmarshal([]byte(out), &rows); code != exitDone || err != nil || rows.Total != len(files) {
		t.Fatalf("exit code %d, %v: %s%s", code, err, out, errOut)
	}
	peers := map[string]bool{}
	for i, r := range rows.Rows {
		if peers[r.PeerID] = true; r.Input != files[i] || strings.TrimSpace(r.Stdout) != fmt.Sprint(200_000+i) {
			t.Errorf("row %d: %+v", i, r)
		}
	}
	if len(peers) != 3 {
		t.Errorf("commands ran on %d of 3 peers", len(peers))
	}
	code, out, _ = raygoExec(t, "", "--retries", "2", "--format", "json", "--", "exit {}", ":::", "9")
	if code != exitFailed || !strings.Contains(out, `"tries": 3`) || !strings.Contains(out, `"exit_code": 9`) {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// Ctrl-C ends all that runs, what commands have started too.
func TestExecInterrupted(t *testing.T) {
	dir := home(t)
	c := exec.CommandContext(t.Context(), "raygo", "exec", "--", "sleep 3600 & echo $! {}; sleep 3600", ":::", "x")
	var errOut bytes.Buffer
	c.Stderr = &errOut
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	sleeps := func() int {
		n := 0
		all, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, path := range all {
			env, _ := os.ReadFile(path)
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			if bytes.Contains(env, []byte(dir)) && bytes.HasPrefix(line, []byte("sleep\x003600")) {
				n++
			}
		}
		return n
	}
	until := func(what string, n int) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); sleeps() != n; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("not within 20 s: %s; %d run", what, sleeps())
			}
		}
	}
	until("the command runs", 2)
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if _ = c.Wait(); c.ProcessState.ExitCode() != exitFailed || errOut.String() != "raygo: interrupted; what ran was ended\n" {
		t.Errorf("it ended with %v: %s", c.ProcessState, &errOut)
	}
	until("nothing of it is left", 0)
	leavesNothing(t, dir)
}
