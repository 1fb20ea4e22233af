package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/node/launch"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

// Bounds on attached programs.
const (
	helloTimeout = 10 * time.Second
	maxConns     = 4096
)

// job is one run of a driver, as the peer keeps it.
type job struct {
	id        raygo.JobID
	of        atomic.Pointer[string] // the peer that it is of; nil for this one
	guest     bool                   // it was another peer's when it came here
	name      string
	program   *launch.Program
	binary    string // what to show
	functions map[string]string
	arena     *os.File
	arenaSize uint64
	dir       string
	pid       int
	started   time.Time
	guarded   *sched.JobGuarded // what was last to be published of it; nil: nothing
	detached  bool              // it outlives its driver, and its owner if there are others
	logs      bool
	drivers   []*proc
	readers   map[string]bool // peers with drivers of this peer's job
	reads     string          // the owner that was told of drivers here
	interned  map[string]sched.ClassID
	known     []sched.ClassID // classes that other peers defined
	ended     bool
	end       *ipc.Goodbye           // how it ends, once that is known
	platforms []string               // of the builds that there are
	binaries  map[string]string      // paths of builds for other platforms
	kept      chan struct{}          // closed when cid is known, or known not to be had
	cid       atomic.Pointer[string] // of the program, once it is kept
	builds    map[string]string      // CIDs of binaries; complete when kept is closed
	unusable  string                 // why another peer's job cannot run here; likewise
	cancel    context.CancelFunc     // of what goes on for another peer's job
}

// owner is the peer that the job is of, "" for this one.
func (j *job) owner() string {
	if p := j.of.Load(); p != nil {
		return *p
	}
	return ""
}

// accept serves the socket.
func (n *Node) accept(ctx context.Context) error {
	stop := context.AfterFunc(ctx, n.unlisten)
	defer stop()
	for {
		c, err := n.listener.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed) || ctx.Err() != nil:
			return nil
		case err != nil:
			n.log.Warn("accept on the socket", "err", err)
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				time.Sleep(10 * time.Millisecond) // out of descriptors: let some close
			}
			continue
		}
		n.wg.Go(func() { n.attach(c) })
	}
}

// attach serves a process that connected to the socket, to its end.
func (n *Node) attach(c *net.UnixConn) {
	n.serve(ipc.NewConn(c, 0))
}

// serve speaks the handshake on a connection and serves the process at its other
// end.
func (n *Node) serve(c *ipc.Conn) {
	p := n.newProc(c)
	defer func() { _ = p.conn.Close() }()
	version, err := p.greet()
	if err == nil {
		err = p.admit(version)
	}
	if err != nil {
		if !errors.Is(err, io.EOF) {
			n.log.Info("refused a program", "pid", p.pid, "err", err)
		}
		var f *raygo.Failure
		if !errors.As(err, &f) {
			f = raygo.Fail(raygo.CodeRefused, "%v", err)
		}
		p.hangUp(f)
		return
	}
	p.serve()
	n.driverEnded(p)
	n.do(&sched.ProcGone{Proc: p.id})
	n.mu.Lock()
	if p.job != nil {
		p.job.drivers = slices.DeleteFunc(p.job.drivers, func(q *proc) bool { return q == p })
		n.tellReads(p.job)
	}
	flush := n.endTurn()
	n.mu.Unlock()
	flushAll(flush)
}

func (n *Node) newProc(c *ipc.Conn) *proc {
	return &proc{
		n: n, conn: c, classes: map[uint32]sched.ClassID{}, sent: map[sched.ClassID]bool{},
		pins: map[raygo.ObjectID]int{}, allocs: map[raygo.ObjectID]uint64{}, waiting: map[chan struct{}]context.CancelFunc{},
	}
}

// greet reads the Hello.
func (p *proc) greet() (uint16, error) {
	_ = p.conn.SetReadDeadline(time.Now().Add(helloTimeout))
	defer func() { _ = p.conn.SetReadDeadline(time.Time{}) }()
	t, b, err := p.conn.Read()
	if err != nil {
		return 0, fmt.Errorf("read hello: %w", err)
	}
	if t != ipc.TypeHello {
		return 0, fmt.Errorf("%w: the first frame is of type %d, not hello", ipc.ErrFrame, t)
	}
	var version uint16
	p.hello, version, err = ipc.ParseHello(b)
	p.role = p.hello.Role
	return version, err
}

// admit gives a driver its job and a command its ear.
func (p *proc) admit(version uint16) error {
	n := p.n
	pid, uid, err := p.conn.PeerCred()
	if err != nil {
		return err
	}
	if uid != os.Getuid() && os.Getuid() != 0 && uid != 0 {
		return raygo.Fail(raygo.CodeRefused, "the peer serves user %d, this program runs as user %d", os.Getuid(), uid)
	}
	p.pid = pid
	w := &ipc.Welcome{Version: version, Peer: n.id, Socket: n.cfg.Socket, InlineLimit: raygo.InlineLimit, FirstSeq: 1}
	switch p.role {
	case ipc.RoleCommand:
		return n.enter(p, w, nil)
	case ipc.RoleDriver:
		if n.reads {
			return raygo.Fail(raygo.CodeRefused, "this machine's membership of the cluster is of the role read: it may look, and run nothing; 'raygo cluster invite --role client' beside a peer with the cluster's key makes an invite for programs")
		}
		j, err := n.jobFor(p)
		if err != nil {
			return err
		}
		w.Job, w.ArenaSize, w.ViewBudget = j.id, j.arenaSize, uint64(n.store.Usage().Limit)/4
		return n.enter(p, w, j)
	}
	return raygo.Fail(raygo.CodeRefused, "a process of role %q may not connect here", p.role)
}

// enter registers the process and welcomes it.
func (n *Node) enter(p *proc, w *ipc.Welcome, j *job) error {
	n.mu.Lock()
	f := n.closedTo(j)
	if f == nil && p.hello.Attach != "" && n.jobs[j.id] != j {
		f = raygo.Fail(raygo.CodeJobEnded, "job %s has just ended", j.id)
	}
	if f != nil {
		if j != nil && n.jobs[j.id] == nil && p.hello.Attach == "" {
			n.discard(j)
		}
		n.mu.Unlock()
		return f
	}
	n.nextProc++
	p.id = raygo.ProcID(uint64(n.tag)<<32 | uint64(n.nextProc))
	w.Proc = p.id
	n.procs[p.id] = p
	p.job = j
	if j != nil {
		fresh := n.jobs[j.id] == nil
		n.jobs[j.id] = j
		j.drivers = append(j.drivers, p)
		if fresh {
			n.step(&sched.JobStarted{Job: j.id, Driver: p.id, Detached: j.detached, Info: j.info(), Platforms: j.platforms})
		} else {
			n.step(&sched.JobAttached{Job: j.id, Driver: p.id})
			n.tellReads(j)
		}
	}
	// Nothing may be written before the Welcome: it is sent under the loop.
	var arena *os.File
	if j != nil {
		arena = j.arena
	}
	err := p.conn.SendWelcome(w, arena)
	if err != nil {
		p.forget()
		n.step(&sched.ProcGone{Proc: p.id})
	}
	flush := n.endTurn()
	n.mu.Unlock()
	flushAll(flush)
	return err
}

// closedTo says why no process may enter now. The loop is held.
func (n *Node) closedTo(j *job) *raygo.Failure {
	if n.stopped || n.draining && j != nil {
		return raygo.Fail(raygo.CodePeerDied, "the peer is stopping")
	}
	if len(n.procs) >= maxConns {
		return raygo.Fail(raygo.CodeQueueFull, "%d programs are attached to this peer, its limit", maxConns)
	}
	return nil
}

// discard gives back what jobFor took.
func (n *Node) discard(j *job) {
	n.store.CloseJob(j.id)
	n.mesh.withdrawJob(j.id)
	if j.cancel != nil {
		j.cancel()
	}
	if j.program != nil {
		_ = j.program.Close()
	}
}

// jobFor makes a new job for a driver, or finds the one it attaches to.
func (n *Node) jobFor(p *proc) (*job, error) {
	h := &p.hello
	if h.Attach != "" {
		return n.jobToAttach(h)
	}
	prog, err := launch.OpenProgram(p.pid)
	if err != nil {
		return nil, fmt.Errorf("open the program of process %d: %w", p.pid, err)
	}
	j := &job{
		id: raygo.NewJobID(), name: h.JobName, program: prog, binary: h.Program, functions: h.Functions, dir: h.Dir, pid: p.pid,
		started: time.Now(), detached: h.Detached, logs: h.LogToDriver, interned: map[string]sched.ClassID{}, kept: make(chan struct{}),
		platforms: append(slices.Sorted(maps.Keys(h.Binaries)), platform), binaries: h.Binaries, builds: map[string]string{},
	}
	if j.arena, j.arenaSize, err = n.store.OpenJob(j.id); err != nil {
		_ = prog.Close()
		return nil, fmt.Errorf("open the job's arena: %w", err)
	}
	n.keepProgram(j)
	return j, nil
}

// registryDiff compares what two programs register; "" when the same.
func registryDiff(want, have map[string]string) string {
	var d []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		switch sig, ok := have[name]; {
		case !ok:
			d = append(d, "- "+name)
		case sig != want[name]:
			d = append(d, "~ "+name+" (other parameters or results)")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if _, ok := want[name]; !ok {
			d = append(d, "+ "+name)
		}
	}
	return strings.Join(d, ", ")
}

// internClass gives equal classes of a job one number. The loop is held.
func (n *Node) internClass(j *job, def *ipc.Class) sched.ClassID {
	key := string(ipc.Marshal(def))
	if id, ok := j.interned[key]; ok {
		return id
	}
	n.nextClass++
	cl := &class{id: n.nextClass, job: j.id, def: *def, row: sched.Shape(&def.Options)}
	n.classes[cl.id] = cl
	j.interned[key] = cl.id
	n.step(&sched.ClassDefined{Class: cl.id, Job: j.id, Function: def.Function, Options: def.Options, Def: []byte(key)})
	return cl.id
}

// jobDone forgets a job of which nothing runs any more. The loop is held.
func (n *Node) jobDone(e *sched.JobDone) {
	id := e.Job
	j := n.jobs[id]
	if j == nil || j.ended {
		return
	}
	if j.owner() == "" {
		row := n.jobRow(j, &sched.JobView{ID: id, Finished: e.Finished, Failed: e.Failed})
		end := n.howEnded(j)
		row.State, row.Reason, row.Ended = end.State, end.Reason, time.Now()
		n.book.jobEnded(row)
	}
	j.ended = true
	delete(n.jobs, id)
	for _, cl := range j.interned {
		delete(n.classes, cl)
	}
	for _, cl := range j.known {
		delete(n.classes, cl)
	}
	for t, f := range n.fetches {
		if t.Job() == id {
			delete(n.fetches, t)
			if f.cancel != nil {
				f.cancel()
			}
		}
	}
	why := raygo.Fail(raygo.CodeJobEnded, "the job was ended")
	if n.stopped {
		why = raygo.Fail(raygo.CodePeerDied, "the peer stopped")
	}
	for _, p := range j.drivers {
		p.pins, p.allocs = map[raygo.ObjectID]int{}, map[raygo.ObjectID]uint64{}
		p.send(func(b []byte) []byte { return ipc.AppendBody(b, ipc.TypeRefused, why) })
	}
	n.discard(j)
	n.memos.forget(id)
	if n.mesh != nil && j.detached {
		n.mesh.dht.DropOwner(id)
	}
}

// warn tells the job's drivers and the log.
func (n *Node) warn(id raygo.JobID, text string, hint bool) {
	if !hint {
		n.log.Warn(text, "job", id)
	}
	j := n.jobs[id]
	if j == nil || !j.logs {
		return
	}
	n.logToDrivers(j, &ipc.Log{Peer: n.id, Warning: !hint, Hint: hint, Lines: []string{text}})
}
