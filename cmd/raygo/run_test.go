package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// raygoRun is raygo run with a program of the tests, in a process of its own.
func raygoRun(t *testing.T, stdin string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), "raygo", append([]string{"run", "./testdata/prog"}, args...)...)
	c.Stdin = strings.NewReader(stdin)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 20 * time.Second
	return c
}

func leavesNothing(t *testing.T, dir string) {
	t.Helper()
	if left, _ := os.ReadDir(filepath.Join(dir, "tmp")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRunGivesTheProgramItsStreamsAndItsPeer(t *testing.T) {
	dir := home(t)
	c := raygoRun(t, "input", "word")
	var out, errOut bytes.Buffer
	c.Stdout, c.Stderr = &out, &errOut
	if err := c.Run(); err != nil || out.String() != "9 bytes\n" {
		t.Errorf("%v, on stdout %q, on stderr %s", err, &out, &errOut)
	}
	if !strings.Contains(errOut.String(), "a task says hello") {
		t.Errorf("the task's output is not on stderr: %s", &errOut)
	}
	leavesNothing(t, dir)
}

func TestRunEndsWithTheProgramsExitCode(t *testing.T) {
	dir := home(t)
	for arg, code := range map[string]int{"7": 7, "0": 0, "fail": 1} {
		c := raygoRun(t, "", arg)
		if _ = c.Run(); c.ProcessState.ExitCode() != code {
			t.Errorf("%s: exit code %d, want %d", arg, c.ProcessState.ExitCode(), code)
		}
	}
	leavesNothing(t, dir)
}

// behaviours 231 and 239
func TestRunHandsSignalsOn(t *testing.T) {
	dir := home(t)
	c := raygoRun(t, "", "wait")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "waiting\n" {
		t.Errorf("the program said %q: %v", line, err)
	}
	_ = c.Process.Signal(syscall.SIGTERM)
	_, _ = io.Copy(io.Discard, out)
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d, want the program's 130", code)
	}
	leavesNothing(t, dir)
}

func TestRunUsesThePeerThatServes(t *testing.T) {
	p := servingPeer(t)
	c := raygoRun(t, "", "word")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	code, out, errOut := try(t, "list", "jobs")
	if code != exitDone || !strings.Contains(out, "prog") {
		t.Errorf("the job is not on the peer %s: %s%s", p.ID(), out, errOut)
	}
}
