package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/raygo/raygo/node/procs"
	"github.com/raygo/raygo/sdk/p2p"
)

// Variable names the environment variable that makes this binary a peer of a
// fleet: its settings, in JSON.
const Variable = "RAYGO_FLEET_PEER"

// settings are what one process is told.
type settings struct {
	Name      string
	Dir       string
	CPUs      float64
	Store     int64
	Bootstrap []string
	Resources []string // one of each
	Profile   string
}

// ready is the line that a process says when it serves.
type ready struct {
	ID      string
	Address string
	Addrs   []string
}

// Peer is one process.
type Peer struct {
	ID      string
	Address string   // for programs of this machine: unix:///PATH
	Addrs   []string // for other peers

	cmd *exec.Cmd
	in  io.WriteCloser
}

// PID is its process ID.
func (p *Peer) PID() int { return p.cmd.Process.Pid }

// startPeer starts a process and returns when it serves. It ends when its
// standard input does, and so with us, whatever happens to us.
func startPeer(ctx context.Context, s settings) (*Peer, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	told, err := json.Marshal(&s)
	if err != nil {
		return nil, err
	}
	p := &Peer{cmd: exec.Command(path)}
	// The key that the peers of one user share is of this fleet alone.
	p.cmd.Env = append(os.Environ(), Variable+"="+string(told), "XDG_RUNTIME_DIR="+s.Dir)
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's signals are for us
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	hurry := context.AfterFunc(ctx, func() { _ = p.in.Close() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	hurry()
	var r ready
	switch {
	case err != nil:
		err = errors.Join(ctx.Err(), errors.New("it ended before it served"))
	default:
		err = json.Unmarshal(line, &r)
	}
	if err != nil {
		p.stop()
		return nil, err
	}
	p.ID, p.Address, p.Addrs = r.ID, r.Address, r.Addrs
	return p, nil
}

// stop ends the process and waits for it.
func (p *Peer) stop() {
	_ = p.in.Close()
	kill := time.AfterFunc(endTime, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	_ = p.cmd.Wait()
}

// Serve makes this process a peer of a fleet if it was started as one, and then
// does not return.
func Serve() {
	told := os.Getenv(Variable)
	if told == "" {
		return
	}
	_ = os.Unsetenv(Variable)
	var s settings
	err := json.Unmarshal([]byte(told), &s)
	if err == nil {
		err = s.serve()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "raygo: a peer of this machine:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve runs the peer until standard input ends.
func (s *settings) serve() error {
	ctx, cancel := context.WithCancel(context.Background())
	var adapting sync.WaitGroup
	adapting.Go(func() { procs.Adapt(ctx) })
	defer adapting.Wait()
	defer cancel()
	go func() { // ends with standard input, or with the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	custom := map[string]float64{}
	for _, r := range s.Resources {
		custom[r] = 1
	}
	p, err := p2p.Start(ctx, p2p.Config{
		Resources: custom,
		DataDir:   s.place(""), Socket: s.place(".sock"), NumCPUs: s.CPUs, ObjectStoreMemory: s.Store,
		Bootstrap: s.Bootstrap,
	})
	if err != nil {
		return err
	}
	profile, err := Profile(s.Profile, "peer-"+s.Name)
	if err != nil {
		return errors.Join(err, p.Stop())
	}
	line, err := json.Marshal(&ready{ID: p.ID(), Address: p.Address(), Addrs: p.Addrs()})
	if err == nil {
		_, err = fmt.Fprintf(os.Stdout, "%s\n", line)
	}
	if err != nil {
		return errors.Join(err, p.Stop())
	}
	select {
	case <-ctx.Done():
	case <-p.Done():
	}
	profile()
	return p.Stop()
}
