package sched

import (
	"fmt"
	"slices"
	"strings"
	"time"

	raygo "github.com/raygo/raygo"
)

// poolKey says which tasks a worker can serve: those of one job, environment
// and set of GPUs. The job is part of it so that no program run can map
// another's objects or meet its leftovers.
type poolKey struct {
	job  raygo.JobID
	env  string
	gpus string
}

type workerState uint8

const (
	starting workerState = iota
	idle
	busy
	blockedState
	stopping
)

var workerStates = [...]string{"STARTING", "IDLE", "BUSY", "BLOCKED", "STOPPING"}

// worker is a process of the user's program. queue[0] is what it executes, the
// rest was sent ahead.
type worker struct {
	id    WorkerID
	key   poolKey
	job   *job
	proc  raygo.ProcID
	pid   int
	state workerState

	bound     *task // starting: the task it is started for, which holds its resources already
	queue     []*task
	calls     int
	maxCalls  int // the smallest MaxCalls of the classes it has served; 0: no end
	idleSince time.Time
	began     time.Time // when queue[0] became current
	noAhead   bool      // its current task turned out to be long
	recalled  bool
	timed     bool      // a timerRecall is set
	idleTimed bool      // a timerIdle is set
	tries     int       // starts of its pool that had failed when it was started
	since     time.Time // when its class was given a place on it

	oom       string
	killedFor *raygo.Failure
}

// warmUp starts workers ahead of need, once a job has shown that it has
// ordinary tasks: at its owner when it names a class of them, at another peer
// with the first task it is given. A start that a task waits for holds the task's
// CPU meanwhile; one at each peer that is merely asked would be many for nothing.
func (c *Core) warmUp(cl *class) {
	j := cl.job
	if j.warmed || cl.env != "" || cl.demand.gpu > 0 || cl.refused != "" || c.draining {
		return
	}
	j.warmed = true
	n := min(c.cpus(), c.cfg.MaxWorkers-len(c.order), 64)
	if j.owner != nil {
		n = min(n, c.keptWarm()-len(c.order)) // there may be many jobs
	}
	for range n - j.workers {
		c.startWorker(poolKey{job: j.id}, j, cl, nil, nil)
	}
}

// cpus is how many workers one pool may have idle.
func (c *Core) cpus() int { return max(1, int(c.led.total.cpu/raygo.Unit)) }

// keptWarm is how many workers all pools together may have idle.
func (c *Core) keptWarm() int { return max(c.cpus(), c.cfg.MaxWorkers/warmShare) }

func (c *Core) startWorker(key poolKey, j *job, cl *class, gpus []string, t *task) *worker {
	c.nextWorker++
	w := &worker{id: c.nextWorker, key: key, job: j, bound: t, tries: c.startFails[key]}
	c.workers[w.id] = w
	c.order = append(c.order, w)
	j.workers++
	c.emit(&StartWorker{Worker: w.id, Job: j.id, Env: cl.opts.Env, GPUs: gpus})
	return w
}

func (c *Core) workerStarted(e *WorkerStarted) {
	w := c.workers[e.Worker]
	if w == nil || w.state != starting || e.Proc == 0 || c.procs[e.Proc] != nil {
		return
	}
	w.proc, w.pid = e.Proc, e.PID
	delete(c.startFails, w.key)
	c.addProc(e.Proc, w.job)
	if o := w.job.owner; o != nil {
		c.send(o, &ProcJoined{Proc: e.Proc, Job: w.job.id})
	}
	t := w.bound
	w.bound = nil
	if t != nil && !c.unfounded(t) {
		c.give(t, w)
		return
	}
	c.rest(w)
}

// unfounded takes a task whose arguments were lost while its worker started off
// it: they are made again first.
func (c *Core) unfounded(t *task) bool {
	if t.foreign != nil || !c.lostDep(t) {
		return false
	}
	c.dropBound(t)
	c.rebuildDeps(t)
	return true
}

// rest makes a worker idle. A task that waits for another worker to start
// rather takes this one.
func (c *Core) rest(w *worker) {
	w.state, w.idleSince = idle, c.now
	for _, s := range c.order {
		if s.state == starting && s.bound != nil && s.key == w.key {
			t := s.bound
			s.bound = nil
			if !c.unfounded(t) {
				c.give(t, w)
				return
			}
		}
	}
	if !w.idleTimed {
		w.idleTimed = true
		c.after(min(idleOverLimit, c.cfg.WorkerIdle), timer{kind: timerIdle, work: w})
	}
}

// owns reports whether a worker holds refs: its end would drop them.
func (c *Core) owns(w *worker) bool {
	p := c.procs[w.proc]
	return p != nil && (p.refs.n > 0 || p.held > 0)
}

// overLimit reports whether more workers of a pool are idle than there are CPUs,
// or more of all pools than are kept warm.
func (c *Core) overLimit(key poolKey) bool {
	n, all := 0, 0
	for _, o := range c.order {
		if o.state == idle {
			if all++; o.key == key {
				n++
			}
		}
	}
	return n > c.cpus() || all > c.keptWarm()
}

// reap stops a worker that has been idle long enough, unless it holds refs.
func (c *Core) reap(w *worker) {
	w.idleTimed = false
	if w.state != idle {
		return
	}
	limit := c.cfg.WorkerIdle
	if c.overLimit(w.key) {
		limit = min(limit, idleOverLimit)
	}
	if rest := w.idleSince.Add(limit).Sub(c.now); rest > 0 || c.owns(w) {
		if rest <= 0 || rest > idleOverLimit {
			rest = idleOverLimit // the number of idle ones may change meanwhile
		}
		w.idleTimed = true
		c.after(rest, timer{kind: timerIdle, work: w})
		return
	}
	c.stopWorker(w, false)
}

func (c *Core) stopWorker(w *worker, kill bool) {
	if w.state == stopping && !kill {
		return
	}
	c.leaveClass(w)
	w.state = stopping
	c.emit(&StopWorker{Worker: w.id, Kill: kill})
}

func (c *Core) workerFailed(e *WorkerFailed) {
	w := c.workers[e.Worker]
	if w == nil || w.state != starting && w.state != stopping {
		return
	}
	t, was := w.bound, w.state
	w.bound = nil
	c.forget(w)
	if was == stopping || w.job.ended {
		c.dropBound(t)
		return
	}
	if w.tries == c.startFails[w.key] { // those started together count as one try
		c.startFails[w.key]++
	}
	if c.startFails[w.key] >= startTries {
		c.failPool(w, e.Reason)
		delete(c.startFails, w.key)
		c.dropBound(t)
		if t != nil && !t.settled {
			c.finishFailed(t, setupFailure(e.Reason))
		}
		return
	}
	c.warn(w.job, "a worker did not start, trying again: "+e.Reason)
	c.dropBound(t)
	if t != nil && !t.settled {
		c.enqueue(t, true)
	}
}

func setupFailure(reason string) *raygo.Failure {
	return raygo.Fail(raygo.CodeSetup, "its worker could not be set up: %s", reason)
}

// dropBound takes back the resources of a task whose worker did not come.
func (c *Core) dropBound(t *task) {
	if t != nil {
		c.led.give(&t.class.demand, &t.grant)
		t.job.running--
		t.class.active--
	}
}

// failPool fails every task that only a worker like w could run. Others go on.
func (c *Core) failPool(w *worker, reason string) {
	for _, cl := range slices.Clone(c.ready) {
		if cl.job != w.job || cl.env != w.key.env || (cl.demand.gpu > 0) != (w.key.gpus != "") {
			continue
		}
		for t := cl.queue.head(); t != nil; t = cl.queue.head() {
			cl.queue.remove(t)
			c.finishFailed(t, setupFailure(reason))
		}
	}
	for _, o := range c.order {
		if t := o.bound; t != nil && o.key == w.key {
			c.unbind(t)
			c.finishFailed(t, setupFailure(reason))
		}
	}
}

func (c *Core) forget(w *worker) {
	delete(c.workers, w.id)
	if i := slices.Index(c.order, w); i >= 0 {
		c.order = slices.Delete(c.order, i, i+1)
	}
	w.job.workers--
	c.jobMayBeDone(w.job)
}

func (c *Core) workerGone(e *WorkerGone) {
	w := c.workers[e.Worker]
	if w == nil {
		return
	}
	if w.proc == 0 {
		c.workerFailed(&WorkerFailed{Worker: e.Worker, Reason: e.Reason})
		return
	}
	c.leaveClass(w)
	c.procGone(w.proc)
	queue := w.queue
	w.queue = nil
	w.state = stopping
	for i, t := range queue {
		if i == 0 {
			c.attemptDied(t, w, e)
		} else {
			c.release1(t)
			c.backToQueue(t)
		}
	}
	c.forget(w)
}

// attemptDied handles the end of the process that executed t: its resources
// come back now, and once.
func (c *Core) attemptDied(t *task, w *worker, e *WorkerGone) {
	c.release1(t)
	if t.settled {
		t.worker = nil
		c.answerCancels(t, Stopped)
		return
	}
	f := w.killedFor
	if f != nil {
		clone := *f
		f = &clone
	}
	oom := e.OOM
	if oom == "" {
		oom = w.oom
	}
	switch {
	case t.cancelled:
		f = raygo.Fail(raygo.CodeCancelled, "cancelled by force")
	case f != nil:
	case oom != "":
		f = raygo.Fail(raygo.CodeOutOfMemory, "its worker was killed because the machine was short of memory: %s", oom)
	default:
		f = raygo.Fail(raygo.CodeWorkerCrashed, "its worker process %d ended: %s", w.pid, e.Reason)
	}
	f.PID = w.pid
	c.retryOrFail(t, f, failed(f))
}

// release1 gives back everything one execution holds but the worker itself.
func (c *Core) release1(t *task) {
	if !c.keep(t.class, &t.grant) {
		c.led.give(&t.class.demand, &t.grant)
	}
	c.dropFetch(t)
	t.job.running--
	t.class.active--
	if i := slices.Index(c.resume, t); i >= 0 {
		c.resume = slices.Delete(c.resume, i, i+1)
	}
}

func (c *Core) dropFetch(t *task) {
	if t.fetched == nil {
		return
	}
	c.emit(&Unpin{Task: t.id, Award: t.award, Objects: t.fetched})
	t.fetched = nil
}

// leaveClass takes w off the list of workers that execute its class.
func (c *Core) leaveClass(w *worker) {
	if len(w.queue) == 0 {
		return
	}
	cl := w.queue[0].class
	if i := slices.Index(cl.workers, w); i >= 0 {
		cl.workers = slices.Delete(cl.workers, i, i+1)
	}
}

// killForMemory kills the worker of the newest retriable task; only if there is
// none, that of the newest task.
func (c *Core) killForMemory(e *KillForMemory) {
	var victim *worker
	for _, w := range c.order {
		if len(w.queue) == 0 || w.state != busy && w.state != blockedState || w.oom != "" {
			continue
		}
		if victim == nil || newer(w, victim) {
			victim = w
		}
	}
	if victim == nil {
		c.emit(&OOMKill{Reason: e.Reason})
		return
	}
	t := victim.queue[0]
	victim.oom = e.Reason
	c.oomKills++
	c.emit(&OOMKill{Worker: victim.id, Task: t.id, Function: t.class.function, Reason: e.Reason})
	c.warn(victim.job, fmt.Sprintf("killed worker %d, which ran %s: %s", victim.pid, t.class.function, e.Reason))
	c.stopWorker(victim, true)
}

// newer orders victims: retriable before not, then the later start.
func newer(a, b *worker) bool {
	x, y := a.queue[0], b.queue[0]
	xr, yr := x.class.opts.MaxRetries != 0, y.class.opts.MaxRetries != 0
	if xr != yr {
		return xr
	}
	return x.startedAt > y.startedAt
}

// limitCalls notes a class's MaxCalls.
func (w *worker) limitCalls(n int) {
	if n > 0 && (w.maxCalls == 0 || n < w.maxCalls) {
		w.maxCalls = n
	}
}

func gpuKey(ids []string) string { return strings.Join(ids, ",") }
