package replay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/raygo/raygo/sdk/ipc"
)

// process is a worker of the program, started as a peer starts one.
type process struct {
	cmd  *exec.Cmd
	conn *ipc.Conn
	done chan error // takes how it ended, once
}

// workerFD is the first descriptor that os/exec passes on beside the standard
// ones.
const workerFD = 3

func startProcess(spec *ipc.ReplaySpec, out, errOut io.Writer) (*process, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket for the process: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "worker")
	defer theirs.Close()
	ours := os.NewFile(uintptr(fds[0]), "peer")
	defer ours.Close() // net.FileConn has a copy
	c, err := net.FileConn(ours)
	if err != nil {
		return nil, fmt.Errorf("make a socket for the process: %w", err)
	}
	cmd := exec.Command(spec.Program)
	cmd.Env = environment(spec.Env)
	cmd.Stdout, cmd.Stderr = out, errOut
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("start the program: %w", err)
	}
	p := &process{cmd: cmd, conn: ipc.NewConn(c.(*net.UnixConn), 0), done: make(chan error, 1)}
	go func() { p.done <- cmd.Wait() }() // ends with the process; end waits for it
	return p, nil
}

// serial lets the process's output and ours go to one writer. A file needs no
// such care, and the process can have it itself.
func serial(w io.Writer) io.Writer {
	if _, ok := w.(*os.File); ok {
		return w
	}
	return &serialWriter{w: w}
}

type serialWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *serialWriter) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

// environment is ours with the task's own, and nothing that leads the process
// to a real peer.
func environment(task map[string]string) []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "RAYGO_") {
			env = append(env, kv)
		}
	}
	for k, v := range task {
		env = append(env, k+"="+v)
	}
	return append(env, fmt.Sprintf("RAYGO_WORKER_FD=%d", workerFD))
}

// end makes sure that the process and what it started are gone, and says how
// the process ended.
func (p *process) end() error {
	_ = p.conn.Close()
	_ = unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL)
	err := <-p.done
	p.done <- err
	return err
}

// exited says how the process ended by itself, for people.
func (p *process) exited() error {
	err := <-p.done
	p.done <- err
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("the process ended with %w", exit)
	}
	return errors.New("the process ended with exit code 0")
}
