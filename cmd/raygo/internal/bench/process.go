package bench

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// process is this binary in one of its roles. It ends when its standard input
// does, and so with us.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// endTime is how long a process may take to end when it was asked to.
const endTime = 10 * time.Second

// startProcess starts a role and returns with the first line it says.
func startProcess(role string, args ...string) (*process, string, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, "", fmt.Errorf("find this program: %w", err)
	}
	p := &process{cmd: exec.Command(path)}
	p.cmd.Env = append(os.Environ(), RoleVariable+"="+strings.Join(append([]string{role}, args...), " "))
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's signals are for us
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, "", fmt.Errorf("start %s: %w", role, err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, "", fmt.Errorf("start %s: %w", role, err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, "", fmt.Errorf("start %s: %w", role, err)
	}
	line, err := p.line()
	if err != nil {
		p.stop()
		return nil, "", fmt.Errorf("start %s: %w", role, err)
	}
	return p, line, nil
}

// line reads what the process says next.
func (p *process) line() (string, error) {
	s, err := p.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("it ended without a word: %w", err)
	}
	return strings.TrimSpace(s), nil
}

// say writes a line to the process.
func (p *process) say(v any) error {
	_, err := fmt.Fprintln(p.in, v)
	return err
}

// stop ends the process and waits for it.
func (p *process) stop() {
	_ = p.in.Close()
	kill := time.AfterFunc(endTime, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	_ = p.cmd.Wait()
}
