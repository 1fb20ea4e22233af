package sched

import (
	"slices"

	raygo "github.com/raygo/raygo"
)

// stream is what is known of a generator's items. It outlives its task until
// nobody holds it.
type stream struct {
	id        raygo.TaskID
	task      *task // nil once settled
	fixed     bool
	limit     int // fixed: how many items there must be
	produced  uint32
	taken     uint32
	asked     uint32 // items below it were asked for by ID
	all       bool   // the list of all items was asked for
	held      []Outcome
	unheld    bool // nobody holds the stream; refs to items may still be held
	expected  int  // records of items that do not exist yet
	ended     bool
	failure   Value
	consumers []raygo.ProcID
}

// maxListed bounds the list behind Completed so that it fits a frame.
const maxListed = 500_000

// credit is the number of items that count as taken: a producer whose items
// were asked for by ID, or whose list of items is wanted, must not wait.
func (s *stream) credit() uint32 {
	if s.unheld || s.fixed || s.all {
		return raygo.StreamIndex
	}
	return max(s.taken, s.asked)
}

// expectItem notes that somebody refers to an item that is still to come.
func (c *Core) expectItem(s *stream, o *object) {
	if s.ended {
		return
	}
	s.expected++
	before := s.credit()
	if i := o.id.Index(); i == raygo.CompletedIndex {
		s.all = true
		for k := range s.produced { // what is there already; fixed ones come at the end
			if in := o.job.objects.get(s.id.Object(k)); in != nil && !s.fixed {
				in.contained++
				o.nested = append(o.nested, in.id)
			}
		}
	} else if i < raygo.StreamIndex {
		s.asked = max(s.asked, i+1)
	}
	c.markTask(o.job, s.id)
	c.extend(s, before)
}

// unexpectItem is called when such a reference goes away.
func (c *Core) unexpectItem(o *object) {
	s := o.job.streams[o.id.Task()]
	if s == nil || s.ended {
		return
	}
	if s.expected--; s.expected == 0 && s.unheld {
		c.stopProducer(s)
	}
}

func (c *Core) extend(s *stream, before uint32) {
	n := s.credit()
	switch {
	case n == before || s.task == nil:
	case s.task.worker != nil:
		c.emit(&Credit{Worker: s.task.worker.id, Task: s.id, N: n})
	case s.task.at != nil:
		c.send(s.task.at, &CreditTask{Task: s.id, N: n})
	}
}

func (c *Core) yield(e *Yield) {
	w, t := c.current(e.Worker, e.Task, e.Award)
	switch {
	case w == nil:
		c.dropOutcomes(e.Task, []Outcome{e.Outcome})
	case t.foreign != nil && !t.settled:
		c.toOwner(t.job, &Yielded{Task: t.id, Award: t.foreign.award, Outcome: e.Outcome})
	default:
		c.takeItem(t, e.Outcome)
	}
}

// takeItem takes an item of a generator's current attempt.
func (c *Core) takeItem(t *task, out Outcome) {
	t.reached = out.Index + 1
	if (t.regen || t.redo && t.stream != nil && out.Index < t.stream.produced) && !t.settled {
		wanted := c.refill(t, out)
		if t.until > 0 && t.reached >= t.until {
			defer c.enoughOf(t)
		}
		if wanted {
			return
		}
	}
	if t.stream == nil || t.settled || out.Index < t.stream.produced {
		c.dropOutcomes(t.id, []Outcome{out}) // produced by an earlier attempt already, or nobody wants more
		return
	}
	s, i := t.stream, out.Index
	out.Value = sound(out.Value)
	if i > s.produced || i >= raygo.MaxYields {
		worker, at := t.worker, t.at
		c.dropOutcomes(t.id, []Outcome{out})
		c.finishFailed(t, raygo.Fail(raygo.CodeApp, "it yielded item %d after %d items; the limit is %d", i, s.produced, raygo.MaxYields))
		if worker != nil {
			c.emit(&Stop{Worker: worker.id, Task: t.id, Award: t.award})
		} else if at != nil {
			c.send(at, &StopTask{Task: t.id, Award: t.award})
		}
		return
	}
	s.produced++
	c.markTask(t.job, t.id)
	if s.fixed {
		s.held = append(s.held, out)
		return
	}
	c.item(s, t.job, out)
	c.tellConsumers(s)
}

// item makes a produced item an object with a value.
func (c *Core) item(s *stream, j *job, out Outcome) {
	id := s.id.Object(out.Index)
	o := j.objects.get(id)
	if o == nil {
		o = c.newObject(j, id)
		if len(s.consumers) > 0 {
			o.submitter = s.consumers[0]
		}
	} else {
		s.expected--
	}
	o.streamHold = !s.unheld && out.Index >= s.taken
	if list := j.objects.get(s.id.Object(raygo.CompletedIndex)); list != nil {
		o.contained++
		list.nested = append(list.nested, id)
	}
	o.value = out.Value
	c.markObject(j, id)
	c.held(o)
	c.contain(o, out.Nested)
	c.announceItem(s, o)
	c.wake(o)
	c.look(o)
}

func (c *Core) announceItem(s *stream, o *object) {
	for _, w := range o.waiters {
		c.notify(w.proc, o, true, w.mode)
	}
	waiters := o.waiters
	o.waiters = nil
	for _, p := range s.consumers {
		if !slices.ContainsFunc(waiters, func(w waiter) bool { return w.proc == p }) {
			c.notify(p, o, false, 0)
		}
	}
}

func (c *Core) tellConsumers(s *stream) {
	for _, p := range s.consumers {
		c.tell(p, &StreamState{Proc: p, Task: s.id, Produced: s.produced, Ended: s.ended, Failure: s.failure})
	}
}

func (c *Core) streamOpen(e *StreamOpen) {
	p := c.procs[e.Proc]
	if p == nil {
		return
	}
	s := p.job.streams[e.Task]
	if s == nil {
		f := raygo.Fail(raygo.CodeObjectFreed, "stream %s was closed, or is of another job", e.Task)
		c.tell(p.id, &StreamState{Proc: p.id, Task: e.Task, Ended: true, Failure: failed(f)})
		return
	}
	if !slices.Contains(s.consumers, p.id) {
		s.consumers = append(s.consumers, p.id)
	}
	for i := s.taken; i < s.produced && !s.fixed; i++ {
		if o := p.job.objects.get(s.id.Object(i)); o != nil && o.value.Kind != None {
			c.notify(p.id, o, false, 0)
		}
	}
	if !s.fixed || s.ended {
		c.tell(p.id, &StreamState{Proc: p.id, Task: s.id, Produced: s.produced, Ended: s.ended, Failure: s.failure})
	}
}

func (c *Core) streamTaken(e *StreamTaken) {
	p := c.procs[e.Proc]
	if p == nil {
		return
	}
	s := p.job.streams[e.Task]
	if s == nil || min(e.N, s.produced) <= s.taken {
		return
	}
	before := s.credit()
	for i := s.taken; i < min(e.N, s.produced); i++ {
		c.unholdItem(p.job, s.id.Object(i))
	}
	s.taken = min(e.N, s.produced)
	c.markTask(p.job, s.id)
	c.extend(s, before)
}

func (c *Core) unholdItem(j *job, id raygo.ObjectID) {
	if o := j.objects.get(id); o != nil && o.streamHold {
		o.streamHold = false
		c.markObject(j, id)
		c.look(o)
	}
}

func (c *Core) streamClose(e *StreamClose) {
	if p := c.procs[e.Proc]; p != nil {
		id := e.Task.Object(raygo.StreamIndex)
		c.release(&Release{Proc: e.Proc, Objects: slices.Repeat([]raygo.ObjectID{id}, int(p.refs.get(id)))})
	}
}

// streamUnheld is called when nobody holds the stream any more: what was not
// taken goes, and the producer stops unless somebody holds refs of items that
// it has yet to make.
func (c *Core) streamUnheld(j *job, id raygo.TaskID) {
	s := j.streams[id]
	if s == nil {
		return
	}
	before := s.credit()
	s.unheld = true
	c.markTask(j, id)
	for i := s.taken; i < s.produced; i++ {
		c.unholdItem(j, s.id.Object(i))
	}
	if s.ended {
		delete(j.streams, id)
		return
	}
	if s.expected == 0 {
		c.stopProducer(s)
		return
	}
	c.extend(s, before)
}

func (c *Core) stopProducer(s *stream) {
	if s.task != nil && !s.task.settled {
		s.task.closed = !s.task.cancelled
		c.cancelTask(s.task, nil, raygo.Fail(raygo.CodeCancelled, "its stream was closed"), false, true)
	}
}

// endStream ends a stream after the items it has, with the failure v or without
// one (Kind None).
func (c *Core) endStream(s *stream, v Value) {
	if s.ended {
		return
	}
	j := s.task.job
	if s.fixed {
		want := s.limit
		if v.Kind == None && int(s.produced) != want {
			v = failed(&raygo.Failure{Code: raygo.CodeCountMismatch, Want: want, Got: int(s.produced), TaskID: s.id.String(),
				Function: s.task.class.function, Message: "the generator yielded another number of items than NumReturns says"})
		}
		if v.Kind == None {
			for _, out := range s.held {
				c.item(s, j, out)
			}
		} else {
			c.discard(s.id, s.held)
			s.produced = 0
		}
		s.held = nil
	}
	s.ended, s.failure, s.task = true, v, nil
	c.markTask(j, s.id)
	for i := uint32(0); c.shares && i < s.produced; i++ { // lost, and not made again
		if o := j.objects.get(s.id.Object(i)); o != nil && o.value.Kind == None {
			if v.Kind != None {
				c.rebuild(o) // it was there before the stream failed: it stays readable
				continue
			}
			c.resolve(j, o.id, failed(raygo.Fail(raygo.CodeObjectLost, "item %d was lost and not made again", i)), nil)
		}
	}
	last := s.asked
	if s.fixed {
		last = uint32(s.limit)
	}
	for i := s.produced; i < last; i++ {
		if o := j.objects.get(s.id.Object(i)); o != nil {
			c.resolve(j, o.id, s.absent(), nil)
		}
	}
	if id := s.id.Object(raygo.CompletedIndex); j.objects.get(id) != nil {
		c.resolve(j, id, s.list(), nil)
	}
	c.tellConsumers(s)
	if s.unheld {
		delete(j.streams, s.id)
	}
}

func (c *Core) discard(t raygo.TaskID, outs []Outcome) {
	for _, out := range outs {
		if out.Value.Kind == Stored {
			c.dropBytes(t.Object(out.Index))
		}
	}
}

// late makes the record of an object of a stream that has ended: the list of
// its items, or an item that never came.
func (c *Core) late(j *job, s *stream, id raygo.ObjectID) *object {
	o := c.newObject(j, id)
	switch i := id.Index(); {
	case i == raygo.CompletedIndex:
		o.value = s.list()
		for k := range s.produced {
			if in := j.objects.get(s.id.Object(k)); in != nil {
				in.contained++
				o.nested = append(o.nested, in.id)
			}
		}
	case i >= s.produced && i < raygo.StreamIndex:
		o.value = s.absent()
	default:
		j.objects.drop(id)
		return nil
	}
	c.look(o)
	return o
}

// absent is the value of an item that never came.
func (s *stream) absent() Value {
	if s.failure.Kind != None {
		return s.failure
	}
	return failed(&raygo.Failure{Code: raygo.CodeCountMismatch, Want: int(s.asked), Got: int(s.produced), TaskID: s.id.String(),
		Message: "the stream ended before this item"})
}

// list is the value behind Completed.
func (s *stream) list() Value {
	switch {
	case s.failure.Kind != None:
		return s.failure
	case s.produced > maxListed:
		return failed(raygo.Fail(raygo.CodeApp, "the stream has %d items, a list of them may have %d", s.produced, maxListed))
	}
	return Value{Kind: Inline, Bytes: listCBOR(s.id, s.produced)}
}

// listCBOR is a CBOR array of n byte strings, the IDs of a stream's items: what
// a slice of refs looks like to the SDK.
func listCBOR(t raygo.TaskID, n uint32) []byte {
	b := []byte{0x9a, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	for i := range n {
		id := t.Object(i)
		b = append(append(b, 0x58, byte(len(id))), id[:]...)
	}
	return b
}
