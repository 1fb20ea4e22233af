package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	raygo "github.com/raygo/raygo/sdk"
)

// runTask runs one command in a worker, which is this same binary.
var runTask = raygo.Func2(runCommand, raygo.Name("exec"))

// Call is one command to run.
type Call struct {
	Words []string // one: a line for the shell, more: a program and its arguments
	Input string   // what takes the place of {}: text, or the base name of a file
	File  bool     // the input is a file, whose bytes come along
	Most  int64    // bytes of output that are kept of each stream
}

// Ended is how a command ended.
type Ended struct {
	Code   int    // exit code; 128 and the signal's number if a signal ended it
	Why    string // what else there is to say
	Out    []byte
	Err    []byte
	Peer   string
	Took   time.Duration
	Cutoff bool // it wrote more than is kept
}

// finish is how long a command gets to end after SIGTERM.
const finish = 2 * time.Second

// runCommand is what a worker does. That a command fails is no failure of the task:
// it ran, and is not run again for it.
func runCommand(ctx context.Context, c Call, body []byte) (Ended, error) {
	began := time.Now()
	e := Ended{Peer: raygo.Info(ctx).Peer}
	dir, err := os.MkdirTemp("", "exec-")
	if err != nil {
		return e, fmt.Errorf("make a directory for the command: %w", err)
	}
	defer os.RemoveAll(dir)
	input := c.Input
	if c.File {
		input = filepath.Join(dir, c.Input)
		if err := os.WriteFile(input, body, 0o600); err != nil {
			return e, fmt.Errorf("write the input for the command: %w", err)
		}
	}
	words := fill(c.Words, input)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	out, errOut := &capped{most: c.Most}, &capped{most: c.Most}
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = dir, out, errOut, environ(os.Environ())
	cmd.Cancel = func() error {
		endRest(syscall.SIGTERM)
		return os.ErrProcessDone // what became of it is told by its end
	}
	cmd.WaitDelay = finish
	// A parent-death signal is sent when the thread that started the process ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	endRest(syscall.SIGKILL) // what it left running
	if ctx.Err() != nil {
		return e, ctx.Err()
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		e.Code = exit.ExitCode()
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			e.Code, e.Why = 128+int(ws.Signal()), "ended by signal: "+ws.Signal().String()
		}
	case errors.Is(err, exec.ErrWaitDelay): // it left a process behind that kept its output open
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		e.Code, e.Why = 127, fmt.Sprintf("command %q is not on that machine", words[0])
	default:
		e.Code, e.Why = 126, err.Error()
	}
	e.Out, e.Err, e.Cutoff = out.kept.Bytes(), errOut.kept.Bytes(), out.cut || errOut.cut
	e.Took = time.Since(began)
	return e, nil
}

// fill puts the input in the place of each {}, or at the end where there is none. A
// single word is a line for the shell, in which the input is one word.
func fill(words []string, input string) []string {
	line := len(words) == 1
	if line {
		input = quote(input)
	}
	out := make([]string, 0, len(words)+2)
	found := false
	for _, w := range words {
		found = found || strings.Contains(w, "{}")
		out = append(out, strings.ReplaceAll(w, "{}", input))
	}
	switch {
	case line && !found:
		return []string{"sh", "-c", out[0] + " " + input}
	case line:
		return []string{"sh", "-c", out[0]}
	case !found:
		out = append(out, input)
	}
	return out
}

// quote makes one word of the shell of s, which is left as it is if it is one.
func quote(s string) string {
	special := func(r rune) bool {
		return !strings.ContainsRune("%+,-./:=@_", r) && (r > 'z' || !unicode.IsDigit(r) && !unicode.IsLetter(r))
	}
	if s != "" && !strings.ContainsFunc(s, special) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// environ is the worker's environment without what makes it a worker.
func environ(all []string) []string {
	var out []string
	for _, kv := range all {
		if !strings.HasPrefix(kv, "RAYGO_") {
			out = append(out, kv)
		}
	}
	return out
}

// endRest signals what the command started. A worker's process group has nobody but
// it and what its one task started.
func endRest(sig syscall.Signal) {
	self, group := os.Getpid(), syscall.Getpgrp()
	if group != self {
		return // not a worker's process: nothing of this group is ours to end
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == self {
			continue
		}
		if g, err := syscall.Getpgid(pid); err == nil && g == group {
			_ = syscall.Kill(pid, sig)
		}
	}
}

// capped keeps the first bytes that are written to it.
type capped struct {
	kept bytes.Buffer
	most int64
	cut  bool
}

// Write takes all of b, and keeps what there is room for.
func (c *capped) Write(b []byte) (int, error) {
	keep := b
	if room := c.most - int64(c.kept.Len()); int64(len(b)) > room {
		keep, c.cut = b[:room], true
	}
	c.kept.Write(keep)
	return len(b), nil
}
