package link

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childOf has the address of the node that a child process connects to.
const childOf = "RAYGO_TEST_LINK_TO"

// child runs this test in another process, which connects to the node and
// answers every frame until it is killed. In that process it does not return.
func child(t *testing.T, to *node) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), childOf+"="+to.addr)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe() // ends with us
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// beChild is the other process.
func beChild(t *testing.T, addr string) {
	n := newNode(t, newKey(t), 0, nil)
	n.onFrame = func(p string, c Class, frames [][]byte) {
		for _, f := range frames {
			_ = n.mesh.Send(p, c, f)
		}
		n.mesh.Flush(p)
	}
	if err := n.mesh.Connect(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// A process that is paused for less than Silence keeps its link, and answers
// when it goes on; one that is killed is down at once.
func TestAPausedProcessKeepsItsLinkAndAKilledOneDoesNot(t *testing.T) {
	if addr := os.Getenv(childOf); addr != "" {
		beChild(t, addr)
		return
	}
	a := newNode(t, newKey(t), 0, func(c *Config) { c.Ping = 50 * time.Millisecond })
	cmd := child(t, a)
	var name string
	until(t, "the process is up", func() bool {
		e, ups := a.last(true)
		name = e.peer
		return ups == 1
	})
	send := func(text string) {
		if err := a.mesh.Send(name, Task, []byte(text)); err != nil {
			t.Fatal(err)
		}
		a.mesh.Flush(name)
	}
	send("before")
	until(t, "it answers", func() bool { return len(a.got(name, Task)) == 1 })
	_ = cmd.Process.Signal(syscall.SIGSTOP)
	until(t, "it has stopped", func() bool { return stopped(cmd.Process.Pid) })
	for range 1000 {
		send("meanwhile")
	}
	<-time.After(500 * time.Millisecond) // of pause: what is tested is that nothing happens in it
	if n := len(a.got(name, Task)); n != 1 {
		t.Errorf("a paused process has given %d answers", n)
	}
	_ = cmd.Process.Signal(syscall.SIGCONT)
	until(t, "it answers all", func() bool { return len(a.got(name, Task)) == 1001 })
	if e, downs := a.last(false); downs != 0 {
		t.Fatalf("the link went down: %s", e.reason)
	}
	began := time.Now()
	_ = cmd.Process.Kill()
	until(t, "it is down", func() bool { return !a.isUp(name) })
	t.Logf("a killed process was down after %s", time.Since(began))
	if e, _ := a.last(false); e.reason == "" {
		t.Error("there is no reason")
	}
}

// stopped reports whether every thread of a process has stopped.
func stopped(pid int) bool {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(stats) == 0 {
		return false
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if _, state, ok := strings.Cut(string(b), ") "); err == nil && (!ok || state[0] != 'T') {
			return false
		}
	}
	return true
}
