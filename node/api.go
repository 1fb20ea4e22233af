package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/gossip/topic"
	"github.com/raygo/raygo/node/launch"
	"github.com/raygo/raygo/objects"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

// ErrInUse is wrapped when another peer serves the socket or the data
// directory.
var ErrInUse = errors.New("in use by another peer")

// ErrConfig is wrapped by errors about the configuration.
var ErrConfig = errors.New("bad configuration")

// Node is a peer.
type Node struct {
	cfg      Config
	log      *slog.Logger
	dir      *dataDir
	id       string
	tag      uint32
	born     time.Time
	res      sched.Resources
	store    *objects.Store
	launcher *launch.Launcher
	listener *net.UnixListener
	socket   os.FileInfo // of the listener's file
	http     string
	book     *book
	metrics  *metrics
	mesh     *mesh // nil: this peer is alone for good
	reads    bool  // this peer is a member that may only look

	ctx    context.Context // ends when the peer stops at once
	cancel context.CancelFunc
	wg     sync.WaitGroup // connections, workers and everything they start

	mu sync.Mutex // the loop: guards core and all fields below

	core         *sched.Core
	procs        map[raygo.ProcID]*proc
	jobs         map[raygo.JobID]*job
	classes      map[sched.ClassID]*class
	workers      map[sched.WorkerID]*worker
	fetches      map[raygo.TaskID]*fetch
	allocating   map[raygo.ObjectID]chan struct{} // requests for room that wait; closed when one has ended
	memos        *memos
	pending      []sched.Event      // what effects gave rise to; stepped in the same turn
	dirty        []*proc            // connections with unflushed frames
	remotes      map[string]*remote // peers to which there is a link
	dead         map[string]string  // of them, those that are known to be dead, and why
	dirtyRemotes []*remote          // those with unflushed frames
	late         map[*proc]struct{}
	commands     map[uint32]chan sched.CancelOutcome // cancels asked for by commands
	timer        *time.Timer
	armed        time.Time
	nextProc     uint32
	nextScratch  uint32 // names for what is written of objects that are here
	nextClass    sched.ClassID
	nextAsk      uint32
	draining     bool
	stopped      bool
	idle         chan struct{} // closed when draining and nothing runs
	ballast      []byte
}

// ballastSize is how much of the heap is there for the garbage collector only:
// it makes its cycles as rare as they are in a process of that size. Nobody
// touches it, so it takes no memory.
const ballastSize = 32 << 20

// class is a function with options as the drivers and workers of a job know it.
type class struct {
	id  sched.ClassID
	job raygo.JobID
	def ipc.Class
	row map[string]float64 // its demand, for lists
}

// New validates cfg and prepares a peer: its directory, key and socket. Run
// serves it and gives everything back.
func New(cfg Config) (*Node, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	n := &Node{
		cfg: cfg, log: cfg.Logger, born: time.Now(),
		procs: map[raygo.ProcID]*proc{}, jobs: map[raygo.JobID]*job{}, classes: map[sched.ClassID]*class{},
		remotes: map[string]*remote{}, dead: map[string]string{}, workers: map[sched.WorkerID]*worker{}, fetches: map[raygo.TaskID]*fetch{}, allocating: map[raygo.ObjectID]chan struct{}{}, memos: newMemos(),
		late: map[*proc]struct{}{}, commands: map[uint32]chan sched.CancelOutcome{}, idle: make(chan struct{}),
		ballast: make([]byte, ballastSize),
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n, n.open()
}

// Run serves until ctx ends and everything the peer started has ended too. ready
// is called once, when programs can connect.
func (n *Node) Run(ctx context.Context, ready func(Ready)) error {
	defer n.close()
	stop := context.AfterFunc(ctx, n.cancel)
	defer stop()
	parts := []func(context.Context) error{n.store.Run, n.serveHTTP, n.guardMemory, n.mesh.run, n.keepTime, n.pushLate}
	if n.cfg.Simulation == nil {
		parts = append(parts, n.launcher.Run, n.accept)
	}
	errs := make(chan error, len(parts))
	inner, cancelParts := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelParts()
	for _, run := range parts {
		go func() { errs <- run(inner) }()
	}
	ended := 0
	first := n.meet()
	if first == nil {
		ready(Ready{Ready: true, ID: n.id, Addrs: n.mesh.addrs(), Socket: absolute(n.cfg.Socket), HTTP: n.http})
		select {
		case <-n.ctx.Done():
		case first = <-errs:
			ended++
		}
	}
	n.mesh.tell(topic.Notice{Kind: topic.Leaving})
	n.cancel()
	n.endAll()
	cancelParts()
	for ; ended < len(parts); ended++ {
		first = errors.Join(first, <-errs)
	}
	if errors.Is(first, context.Canceled) {
		return nil
	}
	return first
}

// Drain stops new tasks and waits for the running ones, at most
// Config.DrainTimeout. The second call waits for the same.
func (n *Node) Drain(ctx context.Context) error {
	n.mu.Lock()
	if !n.draining {
		n.draining = true
		n.log.Info("draining: no new tasks", "timeout", n.cfg.DrainTimeout)
		n.step(&sched.Drain{})
	}
	flush := n.endTurn()
	n.mu.Unlock()
	flushAll(flush)
	n.mesh.advertise(true)
	ctx, cancel := context.WithTimeout(ctx, n.cfg.DrainTimeout)
	defer cancel()
	select {
	case <-n.idle:
	case <-n.ctx.Done():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain: tasks still run after %s: %w", n.cfg.DrainTimeout, ctx.Err())
	}
	return n.handOver(ctx)
}

// endAll ends every job and waits until no process and no connection is left.
func (n *Node) endAll() {
	n.mu.Lock()
	n.stopped = true
	n.step(&sched.HandOver{}) // what was not given away by a drain
	for id, j := range n.jobs {
		if j.owner() == "" && !n.core.HasHeir(id) {
			n.step(&sched.JobEnded{Job: id, Reason: "the peer stopped"})
		}
	}
	for id, r := range n.remotes { // what runs here for others ends too
		r.full = true // it hears nothing more but what was said already
		n.step(&sched.PeerDown{Peer: id, Reason: "this peer stopped"})
		delete(n.remotes, id)
	}
	for id := range n.jobs { // and what goes on without this peer: nobody is told that it is over
		n.step(&sched.JobEnded{Job: id, Reason: "the peer stopped"})
	}
	procs := make([]*proc, 0, len(n.procs))
	for _, p := range n.procs {
		procs = append(procs, p)
	}
	flush := n.endTurn()
	n.mu.Unlock()
	flushAll(flush)
	n.unlisten()
	for _, p := range procs {
		if p.worker == 0 {
			p.hangUp(raygo.Fail(raygo.CodePeerDied, "the peer stopped"))
		}
	}
	n.wg.Wait()
}
