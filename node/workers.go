package node

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/node/launch"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

// stopGrace is how long a worker that was asked to end may take.
const stopGrace = 5 * time.Second

// worker is a worker process of this peer.
type worker struct {
	id      sched.WorkerID
	job     *job
	gpus    []string
	started time.Time
	talks   atomic.Bool // it has written to its output

	// The loop guards the rest.
	process process
	proc    *proc // once it registered
	doomed  bool  // to be killed as soon as it is there
}

// startWorker starts a process and serves it to its end. The loop is held.
func (n *Node) startWorker(e *sched.StartWorker) {
	j := n.jobs[e.Job]
	if j == nil || n.stopped {
		n.later(&sched.WorkerFailed{Worker: e.Worker, Reason: "the peer is stopping"})
		return
	}
	w := &worker{id: e.Worker, job: j, gpus: e.GPUs, started: time.Now()}
	n.workers[w.id] = w
	n.wg.Go(func() { n.runWorker(w, e.Env) })
}

func (n *Node) runWorker(w *worker, env map[string]string) {
	program, err := n.launchable(n.ctx, w.job)
	if err != nil {
		n.workerFailed(w, err.Error())
		return
	}
	process, conn, err := n.startProcess(w, launch.Spec{
		Program: program, Job: w.job.id, Env: env, GPUIDs: w.gpus, Dir: w.job.dir,
		Name:   fmt.Sprintf("worker-%d", w.id),
		Output: func(stderr bool, line []byte) { n.output(w, stderr, line) },
	})
	if err != nil {
		n.workerFailed(w, err.Error())
		return
	}
	n.mu.Lock()
	w.process = process
	doomed := w.doomed
	n.mu.Unlock()
	if doomed {
		process.Kill()
	}
	p := n.newProc(conn)
	p.pid = process.PID()
	err = n.welcomeWorker(w, p)
	if err != nil {
		process.Kill()
		<-process.Done()
		_ = p.conn.Close()
		n.workerFailed(w, fmt.Sprintf("%v (%s)", err, exitText(process.Exit())))
		return
	}
	p.serve()
	// A worker that hung up is of no use any more, whatever it still does.
	process.Kill()
	<-process.Done()
	n.mu.Lock()
	delete(n.workers, w.id)
	n.mu.Unlock()
	n.do(&sched.WorkerGone{Worker: w.id, Reason: exitText(process.Exit())})
}

func (n *Node) workerFailed(w *worker, reason string) {
	n.mu.Lock()
	delete(n.workers, w.id)
	wanted := !w.doomed && !n.stopped
	n.mu.Unlock()
	if wanted {
		n.log.Warn("worker did not start", "worker", w.id, "program", w.job.binary, "err", reason)
	}
	n.do(&sched.WorkerFailed{Worker: w.id, Reason: reason})
}

// welcomeWorker speaks the handshake with a fresh worker.
func (n *Node) welcomeWorker(w *worker, p *proc) error {
	_ = p.conn.SetReadDeadline(time.Now().Add(n.cfg.WorkerStart))
	t, b, err := p.conn.Read()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the program did not register within %s; does its main call raygo.Main or raygo.Init?", n.cfg.WorkerStart)
	case err != nil:
		return fmt.Errorf("the program ended before it registered; does its main call raygo.Main or raygo.Init? %w", err)
	}
	_ = p.conn.SetReadDeadline(time.Time{})
	if t != ipc.TypeHello {
		return fmt.Errorf("%w: the worker's first frame is of type %d, not hello", ipc.ErrFrame, t)
	}
	h, version, err := ipc.ParseHello(b)
	if err != nil {
		return err
	}
	if h.Role != ipc.RoleWorker {
		return fmt.Errorf("the process says it is a %s", h.Role)
	}
	p.hello, p.role, p.worker, p.self, p.job = h, h.Role, w.id, w, w.job
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nextProc++
	p.id = raygo.ProcID(uint64(n.tag)<<32 | uint64(n.nextProc))
	n.procs[p.id] = p
	w.proc = p
	welcome := &ipc.Welcome{
		Version: version, Job: w.job.id, Proc: p.id, Peer: n.id, Socket: n.cfg.Socket, ArenaSize: w.job.arenaSize,
		InlineLimit: raygo.InlineLimit, GPUIDs: w.gpus, PID: p.pid, ViewBudget: uint64(n.store.Usage().Limit) / 4, FirstSeq: 1,
	}
	if err := p.conn.SendWelcome(welcome, w.job.arena); err != nil {
		p.forget()
		return err
	}
	n.step(&sched.WorkerStarted{Worker: w.id, Proc: p.id, PID: p.pid})
	flushAll(n.endTurn())
	return nil
}

// stopWorker asks a worker to end, or ends it. The loop is held.
func (n *Node) stopWorker(e *sched.StopWorker) {
	w := n.workers[e.Worker]
	switch {
	case w == nil:
	case w.process == nil:
		w.doomed = true
	case e.Kill || w.proc == nil:
		w.doomed = true
		w.process.Kill()
	default:
		w.proc.send(func(b []byte) []byte { b, at := ipc.Begin(b, ipc.TypeShutdown); return ipc.End(b, at) })
		process := w.process
		n.wg.Go(func() {
			t := time.NewTimer(stopGrace)
			defer t.Stop()
			select {
			case <-process.Done():
			case <-t.C:
				process.Kill()
			}
		})
	}
}

// exitText says how a process ended, for people.
func exitText(x launch.Exit) string {
	text := fmt.Sprintf("exit code %d", x.Code)
	if x.Signal != "" {
		text = "killed by signal " + x.Signal
	}
	if len(x.StderrTail) > 0 {
		text += "; the last it wrote on stderr:\n" + strings.Join(x.StderrTail, "\n")
	}
	return text
}
