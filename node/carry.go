package node

import (
	"context"
	"errors"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/objects"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

// carry does what the core decided. Nothing here blocks; the loop is held.
func (n *Node) carry(e sched.Effect) {
	switch e := e.(type) {
	case *sched.Execute:
		n.execute(e)
	case *sched.Notify:
		n.notify(e)
	case *sched.Send:
		n.sendTo(e)
	case *sched.Ended:
		n.ended(e)
	case *sched.Delete:
		n.store.Delete(e.Object)
		n.mesh.withdraw(e.Object)
	case *sched.StreamState:
		n.streamState(e)
	case *sched.Credit:
		if w := n.workers[e.Worker]; w != nil && w.proc != nil {
			w.proc.send(func(b []byte) []byte { return ipc.AppendStreamMark(b, ipc.TypeCredit, e.Task, e.N) })
		}
	case *sched.Fetch:
		n.fetch(e)
	case *sched.Unpin:
		n.unpin(e)
	case *sched.Resume:
		n.mark(e.Worker, ipc.TypeResume, ipc.Mark{Task: e.Task, Award: e.Award})
	case *sched.Stop:
		n.mark(e.Worker, ipc.TypeStop, ipc.Mark{Task: e.Task, Award: e.Award})
	case *sched.Recall:
		if w := n.workers[e.Worker]; w != nil && w.proc != nil {
			w.proc.send(func(b []byte) []byte { b, at := ipc.Begin(b, ipc.TypeRecall); return ipc.End(b, at) })
		}
	default:
		n.carryRare(e)
	}
}

func (n *Node) carryRare(e sched.Effect) {
	switch e := e.(type) {
	case *sched.StartWorker:
		n.startWorker(e)
	case *sched.StopWorker:
		n.stopWorker(e)
	case *sched.Memo:
		n.memoLookup(e)
	case *sched.MemoKeep:
		n.memoKeep(e)
	case *sched.Cancelled:
		n.cancelled(e)
	case *sched.Warn:
		n.warn(e.Job, e.Text, e.Hint)
	case *sched.OOMKill:
		if e.Worker == 0 {
			n.log.Debug("short of memory, and no task runs", "why", e.Reason)
			return
		}
		n.log.Warn("killed for memory", "worker", e.Worker, "task", e.Task, "function", e.Function, "why", e.Reason)
	case *sched.JobDone:
		n.jobDone(e)
	case *sched.JobOpened:
		n.jobOpened(e)
	case *sched.ClassKnown:
		n.classKnown(e)
	case *sched.CopyHere:
		n.copyHere(e)
	case *sched.JobTook:
		n.jobTook(e)
	case *sched.JobMoved:
		n.jobMoved(e)
	case *sched.JobGuarded:
		n.jobGuarded(e)
	}
}

func (n *Node) mark(id sched.WorkerID, t ipc.Type, m ipc.Mark) {
	if w := n.workers[id]; w != nil && w.proc != nil {
		w.proc.send(func(b []byte) []byte { return ipc.AppendMark(b, t, m) })
	}
}

func (n *Node) cancelled(e *sched.Cancelled) {
	if e.Proc == 0 {
		if ch := n.commands[e.Request]; ch != nil {
			delete(n.commands, e.Request)
			ch <- e.Outcome // buffered by its maker
		}
		return
	}
	if p := n.procs[e.Proc]; p != nil {
		p.send(func(b []byte) []byte { return ipc.AppendCancelled(b, e.Request, ipc.CancelOutcome(e.Outcome)) })
	}
}

// execute sends a task to its worker, with the class if the worker is new to it.
func (n *Node) execute(e *sched.Execute) {
	w := n.workers[e.Worker]
	if w == nil || w.proc == nil {
		return
	}
	p := w.proc
	if cl := n.classes[e.Class]; cl != nil && !p.sent[e.Class] {
		p.sent[e.Class] = true
		p.send(func(b []byte) []byte { return ipc.AppendNumbered(b, ipc.TypeClass, uint32(e.Class), &cl.def) })
	}
	x := ipc.Execute{Task: e.Task, Attempt: e.Attempt, Award: e.Award, Class: uint32(e.Class), Args: ipc.Args{Raw: e.Args}}
	if len(e.Values) > 0 {
		x.Values = make([]ipc.Resolved, len(e.Values))
		f := n.fetches[e.Task]
		for i := range e.Values {
			r := &e.Values[i]
			x.Values[i] = ipc.Resolved{ID: r.ID, Value: valueOf(&r.Value)}
			if r.Value.Kind == sched.Stored && f != nil {
				x.Values[i].Value = storedAt(&r.Value, f.extents[r.Value.Store])
			}
		}
	}
	p.send(func(b []byte) []byte {
		if e.Stream && (e.From > 0 || e.Taken > 0) {
			b = ipc.AppendStreamState(b, &ipc.StreamState{Task: e.Task, Produced: e.From})
			b = ipc.AppendStreamMark(b, ipc.TypeCredit, e.Task, e.Taken)
		}
		return ipc.AppendExecute(b, &x)
	})
}

// valueOf is a value as the protocol carries it. Stored bytes are Elsewhere until
// they are pinned for the reader.
func valueOf(v *sched.Value) ipc.Value {
	switch v.Kind {
	case sched.Inline:
		return ipc.Value{Kind: ipc.ValueInline, Format: ipc.Format(v.Format), Bytes: v.Bytes}
	case sched.Failed:
		if v.Bytes == nil && v.Failure != nil {
			v.Bytes = ipc.Marshal(v.Failure)
		}
		return ipc.Value{Kind: ipc.ValueFailed, Code: v.Code, Bytes: v.Bytes}
	case sched.Composite:
		return ipc.Value{Kind: ipc.ValueComposite, Parts: v.Parts}
	default:
		return ipc.Value{Kind: ipc.ValueElsewhere, Format: ipc.Format(v.Format), Size: v.Size}
	}
}

func storedAt(v *sched.Value, x objects.Extent) ipc.Value {
	return ipc.Value{Kind: ipc.ValueStored, Format: ipc.Format(v.Format), ID: v.Store, Offset: x.Offset, Size: v.Size}
}

// notify tells a process that an object is ready: with the value if that is
// small or was asked for.
func (n *Node) notify(e *sched.Notify) {
	p := n.procs[e.Proc]
	if p == nil {
		return
	}
	wantsValue := e.Wanted && ipc.WantMode(e.Mode) == ipc.WantValue
	if p.conn.Backlog() > softBacklog {
		p.miss(e)
		return
	}
	switch {
	case wantsValue && e.Value.Kind == sched.Stored:
		n.deliver(p, e)
		return
	case !wantsValue && e.Value.Kind == sched.Inline && len(e.Value.Bytes) > ipc.PushLimit:
		v := ipc.Value{Kind: ipc.ValueElsewhere, Format: ipc.Format(e.Value.Format), Size: uint64(len(e.Value.Bytes))}
		p.send(func(b []byte) []byte { return ipc.AppendReady(b, e.Object, &v) })
		return
	}
	v := valueOf(&e.Value)
	p.send(func(b []byte) []byte { return ipc.AppendReady(b, e.Object, &v) })
}

// miss keeps a notice for later. A process that misses too many is cut off.
func (p *proc) miss(e *sched.Notify) {
	switch {
	case p.deaf:
	case len(p.missed) >= maxMissed:
		p.deaf, p.missed = true, nil
		delete(p.n.late, p)
		p.n.wg.Go(func() {
			p.hangUp(raygo.Fail(raygo.CodeRefused, "this program does not read: more than %d answers wait for it", maxMissed))
		})
	default:
		m := missed{id: e.Object, wanted: e.Wanted, mode: e.Mode}
		if p.job != nil && p.job.owner() != "" { // the core here will not know it then
			note := *e
			m.note = &note
		}
		p.missed = append(p.missed, m)
		p.n.late[p] = struct{}{}
	}
}

// catchUp sends the notices that waited, once the process reads again.
func (n *Node) catchUp(p *proc) {
	for len(p.missed) > 0 && p.conn.Backlog() < softBacklog/2 {
		m := p.missed[0]
		p.missed = p.missed[1:]
		if m.note != nil {
			n.notify(m.note)
		} else if o, ok := n.core.Object(m.id); ok && o.Value.Kind != sched.None {
			n.notify(&sched.Notify{Proc: p.id, Object: m.id, Value: o.Value, Wanted: m.wanted, Mode: m.mode})
		} else if m.wanted {
			f := raygo.Fail(raygo.CodeObjectFreed, "object %s was released", m.id)
			n.notify(&sched.Notify{Proc: p.id, Object: m.id, Value: sched.Value{Kind: sched.Failed, Code: f.Code, Failure: f}, Wanted: true, Mode: m.mode})
		}
	}
	if len(p.missed) == 0 {
		p.missed = nil
		delete(n.late, p)
	}
}

func (p *proc) giveView(id raygo.ObjectID, v *sched.Value, x objects.Extent) {
	p.pins[v.Store]++
	out := storedAt(v, x)
	p.send(func(b []byte) []byte { return ipc.AppendReady(b, id, &out) })
}

// refuse answers that an object cannot be had. The loop is held.
func (p *proc) refuse(id raygo.ObjectID, f *raygo.Failure) {
	out := valueOf(&sched.Value{Kind: sched.Failed, Code: f.Code, Failure: f})
	p.send(func(b []byte) []byte { return ipc.AppendReady(b, id, &out) })
}

func (n *Node) streamState(e *sched.StreamState) {
	p := n.procs[e.Proc]
	if p == nil {
		return
	}
	s := ipc.StreamState{Task: e.Task, Produced: e.Produced, Ended: e.Ended}
	if e.Failure.Kind == sched.Failed {
		s.Failure = valueOf(&e.Failure)
	}
	p.send(func(b []byte) []byte { return ipc.AppendStreamState(b, &s) })
}

// fetch is the bytes of a task's arguments on their way or here.
type fetch struct {
	award   uint32
	extents map[raygo.ObjectID]objects.Extent
	cancel  context.CancelFunc // while they are on their way
	ids     []raygo.ObjectID
}

func (f *fetch) pinned(xs []objects.Extent) {
	f.extents = make(map[raygo.ObjectID]objects.Extent, len(xs))
	for i, id := range f.ids {
		f.extents[id] = xs[i]
	}
}

func (n *Node) unpin(e *sched.Unpin) {
	f := n.fetches[e.Task]
	if f == nil || f.award != e.Award {
		return
	}
	delete(n.fetches, e.Task)
	switch {
	case f.extents != nil:
		n.store.Unpin(f.ids...)
	case f.cancel != nil:
		f.cancel()
	}
}

// alloc answers a process that asks for room in the arena.
func (p *proc) alloc(b []byte) error {
	id, size, err := ipc.ParseAlloc(b)
	if err != nil {
		return err
	}
	if p.job == nil || id.Job() != p.job.id {
		return p.bad("alloc of object %s of another job", id)
	}
	n := p.n
	n.mu.Lock()
	x, ok := objects.Extent{}, false
	if n.allocating[id] == nil {
		x, ok = n.store.TryAlloc(p.roomOf(id), size)
	}
	if ok {
		p.allocated(id, size, x, nil)
	} else {
		p.allocLater(id, size)
	}
	flush := n.endTurn()
	n.mu.Unlock()
	flushAll(flush)
	return nil
}

// allocLater waits for room. A task that is tried again may ask for what an
// earlier attempt, whose process is gone, still waited for: then it waits until
// that has been given up. The loop is held.
func (p *proc) allocLater(id raygo.ObjectID, size uint64) {
	n := p.n
	earlier, done := n.allocating[id], make(chan struct{})
	ctx, cancel := context.WithCancel(n.ctx)
	n.allocating[id], p.waiting[done] = done, cancel
	n.wg.Go(func() {
		defer cancel()
		if earlier != nil {
			select {
			case <-earlier:
			case <-ctx.Done():
			}
		}
		n.mu.Lock()
		room := p.roomOf(id)
		n.mu.Unlock()
		x, err := n.store.Alloc(ctx, room, size)
		n.mu.Lock()
		if delete(p.waiting, done); n.allocating[id] == done {
			delete(n.allocating, id)
		}
		p.allocated(id, size, x, err)
		close(done)
		flush := n.endTurn()
		n.mu.Unlock()
		flushAll(flush)
	})
}

func (p *proc) allocated(id raygo.ObjectID, size uint64, x objects.Extent, err error) {
	var v ipc.Value
	switch {
	case err != nil:
		v = valueOf(&sched.Value{Kind: sched.Failed, Code: storeCode(err), Failure: storeFailure("store", id, err)})
	case p.gone:
		p.n.store.Abort(p.roomOf(id))
		return
	default:
		p.allocs[id] = size
		v = ipc.Value{Kind: ipc.ValueStored, ID: id, Offset: x.Offset, Size: size}
	}
	p.send(func(b []byte) []byte { return ipc.AppendAlloced(b, id, &v) })
}

// roomOf is the name under which an object is written: its own, or, when a task
// makes again what is here already, one that goes when it is written. The loop
// is held.
func (p *proc) roomOf(id raygo.ObjectID) raygo.ObjectID {
	if room, ok := p.again[id]; ok {
		return room
	}
	info, ok := p.n.store.Info(id)
	if !ok || info.State == objects.Writing {
		return id
	}
	p.n.nextScratch++
	room := raygo.NewTaskID(id.Job(), ^raygo.ProcID(0), p.n.nextScratch).Object(0)
	if p.again == nil {
		p.again = map[raygo.ObjectID]raygo.ObjectID{}
	}
	p.again[id] = room
	return room
}

// madeAgain drops what was written of an object that is here already.
func (p *proc) madeAgain(id raygo.ObjectID) (info objects.Info, again bool) {
	room, ok := p.again[id]
	if !ok {
		return info, false
	}
	delete(p.again, id)
	p.n.store.Abort(room)
	info, _ = p.n.store.Info(id)
	return info, true
}

func storeCode(err error) raygo.Code {
	switch {
	case errors.Is(err, objects.ErrOutOfDisk):
		return raygo.CodeOutOfDisk
	case errors.Is(err, objects.ErrStoreFull), errors.Is(err, objects.ErrTooLarge):
		return raygo.CodeStoreFull
	case errors.Is(err, objects.ErrNotFound):
		return raygo.CodeObjectFreed
	default:
		return raygo.CodeObjectLost
	}
}

func storeFailure(what string, id raygo.ObjectID, err error) *raygo.Failure {
	if id.IsZero() {
		return raygo.Fail(storeCode(err), "%s this task: %v", what, err)
	}
	return raygo.Fail(storeCode(err), "%s object %s: %v", what, id, err)
}

func (n *Node) ended(e *sched.Ended) {
	n.book.ended(e, n.classes[e.Class])
}
