package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/raygo/raygo/sdk/ipc"
)

// A job that is over says how it ended, why, and how many tasks it had.
func TestHowJobsEnded(t *testing.T) {
	s := &seen{t: t, ctx: t.Context()}
	servingPeer(t)
	for _, c := range []struct {
		name, arg, state, reason string
		tasks                    int
		end                      func(job ipc.JobRow, run *exec.Cmd) // once it waits
	}{
		{name: "it returns", arg: "word", state: "FINISHED", tasks: 1},
		{name: "it returns an error", arg: "fail", state: "FAILED", reason: "told to fail", tasks: 1},
		{name: "it exits", arg: "0", state: "FAILED", reason: "without a goodbye"},
		{name: "it is interrupted", arg: "wait", state: "STOPPED", reason: "interrupted by a signal", end: func(_ ipc.JobRow, run *exec.Cmd) {
			_ = run.Process.Signal(syscall.SIGINT)
		}},
		{name: "it is killed", arg: "wait", state: "FAILED", reason: "without a goodbye", end: func(job ipc.JobRow, _ *exec.Cmd) {
			_ = syscall.Kill(job.PID, syscall.SIGKILL)
		}},
		{name: "it is cancelled", arg: "wait", state: "STOPPED", reason: "it was cancelled", end: func(job ipc.JobRow, run *exec.Cmd) {
			s.command("cancel", job.JobID)
			_ = run.Process.Signal(syscall.SIGTERM) // it waits for nothing of the job's
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			before := len(s.jobs())
			run := raygoRun(t, "", c.arg)
			out, err := run.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := run.Start(); err != nil {
				t.Fatal(err)
			}
			said := bufio.NewReader(out)
			if c.end != nil {
				if line, err := said.ReadString('\n'); line != "waiting\n" {
					t.Fatalf("the program said %q: %v", line, err)
				}
				job := s.jobs()[0]
				if job.State != "RUNNING" {
					t.Errorf("before its end: %+v", job)
				}
				c.end(job, run)
			}
			_, _ = io.Copy(io.Discard, said)
			_ = run.Wait() // what it exits with is another test's
			var job ipc.JobRow
			s.until("the job's end", func() bool {
				jobs := s.jobs()
				if len(jobs) != before+1 {
					return false
				}
				job = jobs[0]
				return !job.Ended.IsZero()
			})
			if job.State != c.state || !strings.Contains(job.Reason, c.reason) || c.reason == "" && job.Reason != "" || job.Tasks != c.tasks || job.Finished+job.Failed != c.tasks {
				t.Errorf("%+v, want %+v", job, c)
			}
			if out := s.command("list", "jobs", "--detail"); !strings.Contains(out, c.state) || !strings.Contains(out, c.reason) {
				t.Errorf("the list is\n%s", out)
			}
		})
	}
}

// jobs lists them, the latest first.
func (s *seen) jobs() []ipc.JobRow {
	s.t.Helper()
	var rows ipc.Rows[ipc.JobRow]
	if err := json.Unmarshal([]byte(s.command("list", "jobs", "--format", "json")), &rows); err != nil {
		s.t.Fatal(err)
	}
	return rows.Rows
}
