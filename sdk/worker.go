package raygo

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"syscall"
	"time"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// worker is what a session adds in a process that a peer started: it runs the
// tasks that the peer sends, one at a time.
type worker struct {
	s     *Session
	calls int

	// Guarded by s.mu.
	queue    []queued
	current  *running
	classes  map[uint32]*classHere
	resume   map[words.TaskID]resume
	shutdown bool
	wakeup   *waiter // the executor waits for the queue

	ran    atomic.Bool // a task ran since the last time the worker was idle
	hosted *hosted     // it is part of this process instead of being one
}

// queued is an Execute that another goroutine than the executor read.
type queued struct {
	frame []byte
	mark  ipc.Mark
}

// classHere is a class as the worker knows it.
type classHere struct {
	class ipc.Class
	f     *function
	err   *words.Failure // the program lacks the function
}

func newWorker(s *Session) *worker {
	return &worker{s: s, classes: map[uint32]*classHere{}, resume: map[words.TaskID]resume{}}
}

// serve runs tasks until the peer ends the worker. It does not return.
func (w *worker) serve() {
	if runtime.GOMAXPROCS(0) < 2 {
		runtime.GOMAXPROCS(2) // or the socket is deaf while a task computes
	}
	// The kernel sends this when the peer is gone, however it went.
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go w.execute()
	<-term
	w.orphaned()
}

// execute is the executor. A task that ends its goroutine ends this one, and a
// new one takes over.
func (w *worker) execute() {
	clean := false
	defer func() {
		switch {
		case clean:
		case w.hosted != nil:
			w.s.routines.Go(w.execute)
		default:
			go w.execute()
		}
	}()
	debug.SetPanicOnFault(true)
	for {
		r := w.next()
		if r == nil {
			clean = true
			return
		}
		w.run(r)
	}
}

// next gives the next task.
func (w *worker) next() *running {
	s := w.s
	waited := false
	for {
		s.mu.Lock()
		if len(w.queue) > 0 {
			q := w.queue[0]
			w.queue = w.queue[1:]
			s.mu.Unlock()
			s.out.nudge(0)
			if r := w.begin(q.frame); r != nil {
				return r
			}
			continue
		}
		end := w.shutdown
		w.wakeup = &waiter{left: 1, bad: -1}
		wake := w.wakeup
		s.mu.Unlock()
		if end {
			w.exit()
			return nil
		}
		if !s.pump.take() {
			_ = s.out.flush()
			waited = true
			s.poke() // if it is the watch that reads, it need not any more
			if err := s.park(context.Background(), wake); err != nil {
				w.orphaned()
				return nil
			}
			continue
		}
		r, more := w.read(wake, &waited)
		if r != nil {
			return r
		}
		if !more {
			return nil
		}
	}
}

// read reads frames until one is a task, which it decodes where it lies, or
// until wake is done: another reader queued one.
func (w *worker) read(wake *waiter, waited *bool) (*running, bool) {
	s := w.s
	defer s.pump.give()
	for {
		if wake.done.Load() {
			return nil, true
		}
		if !s.conn.Buffered() {
			_ = s.out.flush()
			*waited = true
		}
		t, b, err := s.conn.Read()
		if err != nil {
			if s.interrupted(err) {
				continue
			}
			s.lost(err)
			return nil, false
		}
		if t == ipc.TypeExecute {
			if !*waited {
				s.out.nudge(0) // the last result need not wait for this task's end
			}
			if r := w.begin(b); r != nil {
				return r, true
			}
			continue
		}
		if err := s.handle(t, b); err != nil {
			s.lost(err)
			return nil, false
		}
	}
}

// handle acts on the frames that only workers get.
func (w *worker) handle(t ipc.Type, p []byte) error {
	s := w.s
	switch t {
	case ipc.TypeClass:
		var c ipc.Class
		id, err := ipc.ParseNumbered(p, &c)
		if err != nil {
			return err
		}
		s.mu.Lock()
		w.classes[id] = resolveClass(c)
		s.mu.Unlock()
	case ipc.TypeExecute:
		return w.enqueue(p)
	case ipc.TypeStop, ipc.TypeResume:
		m, err := ipc.ParseMark(p)
		if err != nil {
			return err
		}
		if t == ipc.TypeStop {
			w.stop(m)
		} else {
			w.resumed(m)
		}
	case ipc.TypeRecall:
		w.giveBack()
	case ipc.TypeCredit:
		task, n, err := ipc.ParseStreamMark(p)
		if err != nil {
			return err
		}
		w.credit(task, n)
	case ipc.TypeShutdown:
		s.mu.Lock()
		w.shutdown = true
		if w.wakeup != nil {
			w.wakeup.wake()
		}
		s.mu.Unlock()
	}
	return nil
}

func resolveClass(c ipc.Class) *classHere {
	k := &classHere{class: c, f: functionNamed(c.Function)}
	switch {
	case k.f == nil:
		k.err = words.Fail(words.CodeSetup, "the worker's program has no function %q: register it in a package-level variable of a package that the program always imports, not after the start", c.Function)
	case k.f.sig != c.Signature:
		k.err = words.Fail(words.CodeSetup, "function %q has other types in the worker's program (signature %s) than in the driver's (%s): they are different builds", c.Function, k.f.sig, c.Signature)
		k.f = nil
	}
	return k
}

// enqueue keeps a task that arrived while another runs. While the task is
// blocked nothing is kept: the peer places such tasks anew.
func (w *worker) enqueue(p []byte) error {
	e, err := ipc.ParseExecute(p)
	if err != nil {
		return err
	}
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if w.current != nil && w.current.state != stateRunning {
		return nil
	}
	w.queue = append(w.queue, queued{frame: append([]byte(nil), p...), mark: ipc.Mark{Task: e.Task, Award: e.Award}})
	if w.wakeup != nil {
		w.wakeup.wake()
	}
	return nil
}

// giveBack returns the tasks that have not begun.
func (w *worker) giveBack() {
	w.s.mu.Lock()
	var ms []ipc.Mark
	for _, q := range w.queue {
		ms = append(ms, q.mark)
	}
	w.queue = nil
	w.s.mu.Unlock()
	_ = w.s.out.now(ipc.AppendReturned(nil, ms))
}

// stop cancels the task's context, or takes it out of the queue.
func (w *worker) stop(m ipc.Mark) {
	s := w.s
	s.mu.Lock()
	if r := w.current; r != nil && r.id == m.Task && r.award == m.Award {
		r.stopped.Store(true)
		cancel := r.cancel
		s.mu.Unlock()
		cancel(ErrTaskCancelled)
		return
	}
	for i, q := range w.queue {
		if q.mark.Task == m.Task && q.mark.Award == m.Award {
			w.queue = append(w.queue[:i:i], w.queue[i+1:]...)
			s.mu.Unlock()
			_ = s.out.now(ipc.AppendResult(nil, &ipc.Result{Task: m.Task, Award: m.Award, Status: ipc.StatusNotStarted}))
			return
		}
	}
	s.mu.Unlock()
}

// free wakes the executor, which can read for itself again.
func (w *worker) free() {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if w.wakeup != nil {
		w.wakeup.wake()
	}
}

// exit ends an idle worker that was asked to.
func (w *worker) exit() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = w.s.out.flush()
	_ = w.s.conn.Drain(ctx)
	if w.hosted != nil {
		w.hosted.end()
		return
	}
	os.Exit(0)
}

// orphaned ends a worker whose peer is gone, and every process it started.
func (w *worker) orphaned() {
	if w.hosted != nil {
		w.hosted.end()
		return
	}
	if syscall.Getpgrp() == os.Getpid() {
		_ = syscall.Kill(0, syscall.SIGKILL)
	}
	os.Exit(1)
}

// Memory that a task left is given back when the worker is idle and there is
// more of it than this.
const idleGarbage = 64 << 20

// idle is called when nothing was read or run for a few milliseconds.
func (s *Session) idle() {
	if s.worker == nil || !s.worker.ran.Swap(false) {
		return
	}
	s.mu.Lock()
	busy := s.worker.current != nil
	s.mu.Unlock()
	if busy {
		s.worker.ran.Store(true)
		return
	}
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
	metrics.Read(sample)
	var held uint64
	for i := range sample {
		held += sample[i].Value.Uint64()
	}
	if held > idleGarbage+ballastSize {
		debug.FreeOSMemory()
	}
}
