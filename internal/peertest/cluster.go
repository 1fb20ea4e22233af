package peertest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

// meetTime bounds how long peers may take to find each other.
const meetTime = 20 * time.Second

// Processes are raygo-peer processes on loopback that share a cluster of their
// own.
type Processes struct {
	t     testing.TB
	dir   string
	opts  Options
	peers []*Process

	bridges int
}

// Options say how the peers of a cluster are started. The zero value is fine.
type Options struct {
	// CPUs that each peer offers; 0 means 1, a negative number none.
	CPUs int
	// Args are further flags of every peer.
	Args []string
	// Each gives peer i flags of its own.
	Each func(i int) []string
	// Platform says for which os/arch the command of peer i is built; "" is this
	// machine's own.
	Platform func(i int) string
}

// Process is one raygo-peer process.
type Process struct {
	Ready node.Ready

	c      *Processes
	i      int
	args   []string // in place of those of a peer
	cmd    *exec.Cmd
	ended  chan error
	paused bool
}

// Cluster starts n peers, each found by the first one's address alone, and waits
// until every one sees all. They end with the test.
func Cluster(t testing.TB, n int, opts ...Options) *Processes {
	t.Helper()
	dir, err := os.MkdirTemp("", "rc") // short: it is part of sockets' paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c := &Processes{t: t, dir: dir}
	if len(opts) > 0 {
		c.opts = opts[0]
	}
	for range n {
		c.Add()
	}
	c.Meet()
	return c
}

// Add starts one more peer, which is told of the first alone. It does not wait
// until the others see it.
func (c *Processes) Add() *Process {
	c.t.Helper()
	p := &Process{c: c, i: len(c.peers)}
	c.peers = append(c.peers, p)
	p.Start()
	c.t.Cleanup(p.end)
	return p
}

// Join starts one more peer that has an invite and no other address.
func (c *Processes) Join(invite string) *Process {
	c.t.Helper()
	p := &Process{c: c, i: len(c.peers), args: []string{"--join", invite}}
	c.peers = append(c.peers, p)
	p.Start()
	c.t.Cleanup(p.end)
	return p
}

// Refused runs a peer of its own that is expected to end by itself, and returns
// what it said.
func (c *Processes) Refused(args ...string) (string, error) {
	c.t.Helper()
	c.bridges++
	name := filepath.Join(c.dir, fmt.Sprintf("x%d", c.bridges))
	cmd := exec.Command(command(c.t), append([]string{"--data-dir", name, "--socket", name + ".sock", "--http", "off"}, args...)...)
	cmd.Env = c.environ()
	timer := time.AfterFunc(meetTime, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// environ makes the peers those of a user of their own.
func (c *Processes) environ() []string {
	return append(os.Environ(), "XDG_RUNTIME_DIR="+c.dir, "XDG_DATA_HOME="+filepath.Join(c.dir, "data"))
}

// Bridge starts a process that serves programs and offers nothing, joined to the
// first peer. It is none of the cluster's peers.
func (c *Processes) Bridge() *Process {
	c.t.Helper()
	c.bridges++
	p := &Process{c: c, i: 1000 + c.bridges, args: []string{"--bridge", c.peers[0].Ready.Addrs[0]}}
	p.Start()
	c.t.Cleanup(p.end)
	return p
}

// Peer is peer i, counted from 0.
func (c *Processes) Peer(i int) *Process { return c.peers[i] }

// Dir is the XDG_RUNTIME_DIR of the peers: who shares it is one of the user that
// they are of.
func (c *Processes) Dir() string { return c.dir }

// IDs are the IDs of the peers.
func (c *Processes) IDs() []string {
	var ids []string
	for _, p := range c.peers {
		ids = append(ids, p.Ready.ID)
	}
	return ids
}

// Meet waits until every peer that runs sees all that run.
func (c *Processes) Meet() {
	c.t.Helper()
	var live []*Process
	for _, p := range c.peers {
		if p.cmd != nil && !p.paused {
			live = append(live, p)
		}
	}
	deadline := time.Now().Add(meetTime)
	for _, p := range live {
		for {
			seen, err := p.sees()
			missing := ""
			for _, q := range live {
				if !seen[q.Ready.ID] {
					missing = q.Ready.ID
				}
			}
			if err == nil && missing == "" {
				break
			}
			if time.Now().After(deadline) {
				c.t.Fatalf("peer %d sees %v after %s, not %s (%v)", p.i, seen, meetTime, missing, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// sees are the peers that this one can reach.
func (p *Process) sees() (map[string]bool, error) {
	var rows ipc.Rows[ipc.NodeRow]
	if err := p.asker().Asked(&ipc.Query{Op: ipc.QueryNodes, Limit: 1000}, &rows); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for i := range rows.Rows {
		seen[rows.Rows[i].PeerID] = rows.Rows[i].Alive
	}
	return seen, nil
}

// Start starts the process, or starts it again with the same directory, identity
// and flags.
func (p *Process) Start() {
	t, c := p.c.t, p.c
	t.Helper()
	home := filepath.Join(c.dir, strconv.Itoa(p.i))
	cpus := c.opts.CPUs
	switch {
	case cpus == 0:
		cpus = 1
	case cpus < 0:
		cpus = 0
	}
	args := []string{"--data-dir", home, "--socket", filepath.Join(c.dir, fmt.Sprintf("%d.sock", p.i)), "--num-cpus", strconv.Itoa(cpus), "--http", "off", "--log-level", "warn"}
	switch {
	case p.args != nil:
		args = append(args, p.args...)
	case p.i > 0:
		args = append(args, "--bootstrap", c.peers[0].Ready.Addrs[0])
	}
	if p.args == nil {
		args = append(args, c.opts.Args...)
		if c.opts.Each != nil {
			args = append(args, c.opts.Each(p.i)...)
		}
	}
	name := command(t)
	if c.opts.Platform != nil && c.opts.Platform(p.i) != "" {
		name = Build(t, c.opts.Platform(p.i), "build", "github.com/raygo/raygo/cmd/raygo-peer")
	}
	cmd := exec.Command(name, args...)
	cmd.Env = c.environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = &prefixed{t: t, prefix: fmt.Sprintf("peer %d: ", p.i)}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start peer %d: %v", p.i, err)
	}
	p.cmd, p.paused, p.ended = cmd, false, make(chan error, 1)
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &p.Ready)
	}
	go func() { p.ended <- cmd.Wait() }()
	if err != nil {
		t.Fatalf("peer %d did not become ready: %v", p.i, err)
	}
}

// PID is the process's ID.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the process as a power cut would.
func (p *Process) Kill() {
	p.c.t.Helper()
	_ = p.cmd.Process.Kill()
	p.wait()
	p.cmd = nil
}

// Pause stops the process in its tracks; its workers go on.
func (p *Process) Pause() { p.signal(syscall.SIGSTOP); p.paused = true }

// Resume lets it go on.
func (p *Process) Resume() { p.signal(syscall.SIGCONT); p.paused = false }

// Drain asks the process to end in order, and waits until it has.
func (p *Process) Drain() { p.c.t.Helper(); DrainTogether(p) }

// DrainTogether is Drain of several at the same time.
func DrainTogether(all ...*Process) {
	for _, p := range all {
		p.c.t.Helper()
		p.signal(syscall.SIGTERM)
	}
	for _, p := range all {
		p.drained()
	}
}

// drained waits for the end of a process that was asked to end in order.
func (p *Process) drained() {
	p.c.t.Helper()
	select {
	case err := <-p.ended:
		if err != nil {
			p.c.t.Errorf("peer %d ended with: %v", p.i, err)
		}
		p.cmd = nil
	case <-time.After(2 * endTime):
		p.c.t.Fatalf("peer %d did not end within %s of SIGTERM", p.i, 2*endTime)
	}
}

func (p *Process) signal(s syscall.Signal) {
	p.c.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.c.t.Fatalf("signal %v to peer %d: %v", s, p.i, err)
	}
}

// wait waits for the process to be gone.
func (p *Process) wait() { p.log(<-p.ended) }

// log notes how the process ended: a killed one says so.
func (p *Process) log(err error) {
	if err != nil {
		p.c.t.Logf("peer %d ended: %v", p.i, err)
	}
}

// end ends a process that still runs when its test does.
func (p *Process) end() {
	if p.cmd == nil {
		return
	}
	if p.paused {
		p.Resume()
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // the second one stops at once
	select {
	case err := <-p.ended:
		p.log(err)
	case <-time.After(endTime):
		p.c.t.Errorf("peer %d did not end within %s; what it does:", p.i, endTime)
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // its stacks go to the log
		select {
		case err := <-p.ended:
			p.log(err)
		case <-time.After(endTime):
			_ = p.cmd.Process.Kill()
			p.wait()
		}
	}
	p.cmd = nil
}

func (p *Process) asker() *Peer { return &Peer{Ready: p.Ready, t: p.c.t} }

// Asked is Ask that returns the refusal.
func (p *Process) Asked(q *ipc.Query, body any) error { return p.asker().Asked(q, body) }

// Ask puts a question to the peer as a command does and decodes the answer.
func (p *Process) Ask(q *ipc.Query, body any) { p.c.t.Helper(); p.asker().Ask(p.c.t, q, body) }

// Logs are the lines that a task or a job wrote, wherever it ran, and the peers
// whose lines are missing.
func (p *Process) Logs(id string) ipc.LogChunk { p.c.t.Helper(); return p.asker().Logs(p.c.t, id) }

// Driver attaches the test to the peer as a driver of its own job, until the
// test ends.
func (p *Process) Driver(opts ...raygo.InitOption) context.Context {
	p.c.t.Helper()
	return p.asker().DriverFor(p.c.t, opts...)
}

// DriverFor is Driver for a subtest: the job ends with t.
func (p *Process) DriverFor(t testing.TB, opts ...raygo.InitOption) context.Context {
	t.Helper()
	return p.asker().DriverFor(t, opts...)
}

// prefixed passes a process's log on to the test's.
type prefixed struct {
	t      testing.TB
	prefix string
}

func (w *prefixed) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		_, _ = fmt.Fprint(w.t.Output(), w.prefix+line)
	}
	return len(b), nil
}

// Build has the go command make an executable for another platform, by "build" or
// "test -c" and a package, and returns its path.
func Build(t testing.TB, platform, how, pkg string) string {
	t.Helper()
	goos, arch, _ := strings.Cut(platform, "/")
	path := filepath.Join(t.TempDir(), filepath.Base(pkg)+"-"+arch)
	cmd := exec.Command("go", append(strings.Fields(how), "-o", path, pkg)...)
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+arch, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s for %s: %v\n%s", pkg, platform, err, out)
	}
	return path
}

// built is the raygo-peer command, built once for all tests of a process.
var built = sync.OnceValues(build)

func command(t testing.TB) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// build makes the command in a place of this module's own, where the go command
// finds it again when nothing has changed. Test processes that run at the same
// time take turns.
func build() (string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	name := strings.ReplaceAll(strings.Trim(strings.TrimSpace(string(root)), "/"), "/", "-")
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("raygo-peertest-%d", os.Getuid()), name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("wait for another test that builds: %w", err)
	}
	path := filepath.Join(dir, "raygo-peer")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/raygo/raygo/cmd/raygo-peer").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build raygo-peer: %w\n%s", err, out)
	}
	return path, nil
}
