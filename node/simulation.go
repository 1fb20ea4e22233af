package node

import (
	"context"
	"errors"
	"os"
	"sync"

	"github.com/libp2p/go-libp2p"

	"github.com/raygo/raygo/node/host"
	"github.com/raygo/raygo/node/launch"
	"github.com/raygo/raygo/sdk/ipc"
)

// Simulation takes the place of what a peer has of its machine: its network, its
// worker processes, and the socket of programs, which attach by Node.Attach. The
// program of every job is this one, and every peer has it. All the rest is as it
// is on a real machine; package simnet makes clusters of such peers.
type Simulation struct {
	// Transport carries connections, in place of TCP and the handshake on it.
	Transport libp2p.Option
	// Worker serves tasks on conn as a worker process does, until the peer ends
	// it or ctx ends.
	Worker func(ctx context.Context, conn *ipc.Conn) error
}

// process is a worker process, or what stands for one.
type process interface {
	PID() int
	Kill()
	Done() <-chan struct{}
	Exit() launch.Exit
	DrainOutput()
}

// startProcess starts a worker process and gives the connection with it.
func (n *Node) startProcess(w *worker, spec launch.Spec) (process, *ipc.Conn, error) {
	s := n.cfg.Simulation
	if s == nil {
		p, err := n.launcher.Start(n.ctx, spec)
		if err != nil {
			return nil, nil, err
		}
		return p, ipc.NewConn(p.Conn(), 0), nil
	}
	ours, theirs := ipc.Pipe(0)
	ctx, cancel := context.WithCancel(n.ctx)
	p := &simulated{cancel: cancel, conn: theirs, done: make(chan struct{})}
	n.wg.Go(func() {
		err := s.Worker(ctx, theirs)
		cancel()
		p.end(err)
	})
	return p, ours, nil
}

// simulated is a worker in this process. It cannot be killed: Kill cuts it off,
// and what it computes is of no use to anybody.
type simulated struct {
	cancel context.CancelFunc
	conn   *ipc.Conn
	once   sync.Once
	done   chan struct{}
	exit   launch.Exit
}

func (p *simulated) end(err error) {
	p.once.Do(func() {
		if err != nil && !errors.Is(err, context.Canceled) {
			p.exit = launch.Exit{Code: 1, StderrTail: []string{err.Error()}}
		}
		close(p.done)
	})
}

// PID is this process.
func (p *simulated) PID() int { return os.Getpid() }

// Kill cuts the worker off.
func (p *simulated) Kill() {
	p.once.Do(func() {
		p.exit = launch.Exit{Code: -1, Signal: "SIGKILL"}
		close(p.done)
	})
	p.cancel()
	_ = p.conn.Close()
}

// Done is closed when the worker has ended or was cut off.
func (p *simulated) Done() <-chan struct{} { return p.done }

// Exit is how it ended.
func (p *simulated) Exit() launch.Exit { return p.exit }

// DrainOutput does nothing: the worker's output is its host's.
func (p *simulated) DrainOutput() {}

// Attach serves a program over a connection inside this process, to its end.
func (n *Node) Attach(conn *ipc.Conn) { n.wg.Go(func() { n.serve(conn) }) }

// tier is how workers are isolated here.
func (n *Node) tier() string {
	if n.cfg.Simulation != nil {
		return "simulated"
	}
	return string(n.launcher.Tier())
}

// Linked are the IDs of the peers that this one has a link with.
func (n *Node) Linked() []string {
	if n.mesh == nil {
		return nil
	}
	return n.mesh.who.linkedPeers()
}

// wired has the host of a simulated machine use its network, with the handshake
// of all members.
func (m *mesh) wired(cfg host.Config) host.Config {
	if s := m.n.cfg.Simulation; s != nil {
		cfg.Transport = libp2p.ChainOptions(s.Transport, m.stand.Membership.Security())
	}
	return cfg
}
