package launch

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// drainWait is how long the output of an ended process is read on when a
// process that it left behind still holds the pipe.
const drainWait = 2 * time.Second

// Process is one worker.
type Process struct {
	l    *Launcher
	os   *os.Process
	pid  int
	tmp  string
	conn *net.UnixConn
	out  *output
	err  *output
	done chan struct{}
	exit Exit // set before done is closed

	mu     sync.Mutex // guards reaped: a reaped process's ID is not ours to signal
	reaped bool
}

func newProcess(l *Launcher, s *Spec, r *request, tmp string) *Process {
	p := &Process{l: l, os: r.proc, pid: r.proc.Pid, tmp: tmp, conn: r.wires.conn, done: make(chan struct{})}
	base := ""
	if l.cfg.LogDir != "" {
		base = filepath.Join(l.cfg.LogDir, fmt.Sprintf("worker-%s-%d", s.Job, p.pid))
	}
	p.out = newOutput(r.wires.out, false, s.Output, base, ".out", l.log)
	p.err = newOutput(r.wires.err, true, s.Output, base, ".err", l.log)
	return p
}

// begin reads and watches the process until it has ended.
func (p *Process) begin() {
	go p.out.run()
	go p.err.run()
	go p.watch()
}

// PID is the process's ID as this machine counts, whatever the process itself
// sees.
func (p *Process) PID() int { return p.pid }

// Conn is the peer's end of the worker's connection. The caller closes it; what
// the worker wrote before its end can still be read afterwards.
func (p *Process) Conn() *net.UnixConn { return p.conn }

// Done is closed when the process is reaped, its group dead, its output read and
// its temporary directory removed.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit says how the process ended. It waits for Done.
func (p *Process) Exit() Exit {
	<-p.done
	return p.exit
}

// Kill ends the process and what it started (the namespace or the process
// group), at once. It does not wait.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = unix.Kill(-p.pid, unix.SIGKILL) // ESRCH: the group is gone already
		_ = p.os.Kill()
	}
}

// DrainOutput passes on, to Spec.Output, what the worker has written so far. When
// it returns, every whole line written before the call was passed on.
func (p *Process) DrainOutput() {
	p.out.drain()
	p.err.drain()
}

// RSS is the memory the process has in use, in bytes; 0 when it has ended.
func (p *Process) RSS() int64 { return residentBytes(p.pid) }

// watch waits for the process and clears up after it.
func (p *Process) watch() {
	defer p.l.forget(p)
	for {
		err := unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	// It is dead but not reaped: its ID still names its group and nobody else's.
	_ = unix.Kill(-p.pid, unix.SIGKILL)
	p.mu.Lock()
	state, err := p.os.Wait()
	p.reaped = true
	p.mu.Unlock()
	until := time.Now().Add(drainWait)
	p.out.endBy(until)
	p.err.endBy(until)
	p.exit = exitOf(state, err)
	p.exit.StderrTail = p.err.tail.lines()
	if err := os.RemoveAll(p.tmp); err != nil {
		p.l.log.Warn("a worker's temporary directory stays", "pid", p.pid, "err", err)
	}
	pruneLogs(p.l.cfg.LogDir, MaxLogFiles)
	close(p.done)
}

func exitOf(state *os.ProcessState, err error) Exit {
	if err != nil {
		return Exit{Code: -1, Signal: "unknown: " + err.Error()}
	}
	ws, ok := state.Sys().(syscall.WaitStatus)
	if ok && ws.Signaled() {
		return Exit{Code: -1, Signal: ws.Signal().String()}
	}
	return Exit{Code: state.ExitCode()}
}

// residentBytes reads the second field of /proc/<pid>/statm.
func residentBytes(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}
