package world

import (
	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

// defaultAhead is how many items a generator that sets no bound may be ahead.
const defaultAhead = raygo.DefaultBackpressureItems

// sum computes the task's value from what came with it: not from what is known
// of the program, so that a wrong argument shows.
func (r *run) sum() uint64 {
	w := r.k.p.w
	h := mix(uint64(r.i), 7)
	g := r.k.job.Program
	values := map[raygo.ObjectID]*sched.Value{}
	for i := range r.x.Values {
		values[r.x.Values[i].ID] = &r.x.Values[i].Value
	}
	get := func(id raygo.ObjectID) uint64 {
		v := values[id]
		switch {
		case v == nil:
			w.Fail("%s executes %s without its argument %s", r.k.p.Name, show(r.x), show(id))
			return 0
		case v.Kind == sched.Inline:
			return w.parse(v).sum
		case v.Kind != sched.Stored:
			w.Fail("%s executes %s with an argument of kind %d", r.k.p.Name, show(r.x), v.Kind)
			return 0
		}
		o := r.k.p.store[v.Store]
		if o == nil {
			w.Fail("law 6: %s executes %s and %s is not in its store", r.k.p.Name, show(r.x), show(v.Store))
			return 0
		}
		return o.content.sum
	}
	for _, d := range r.task.Deps {
		id := r.k.job.id(d)
		n := g.parts(d)
		if n == 0 {
			h = mix(h, get(id.Object(0)))
			continue
		}
		s := uint64(0)
		for k := range n {
			s = mix(s, get(id.Object(uint32(k+1))))
		}
		h = mix(h, s)
	}
	for _, v := range r.values {
		h = mix(h, v)
	}
	return h
}

// finish reports the task's values.
func (r *run) finish() {
	k := r.k
	switch {
	case r.unlucky:
		f := raygo.Fail(raygo.CodeApp, "a child failed")
		r.report(sched.StatusFailed, []sched.Outcome{{Value: sched.Value{Kind: sched.Failed, Code: f.Code, Failure: f}}})
		return
	case int(r.x.Attempt) < r.task.FailFirst:
		f := raygo.Fail(raygo.CodeApp, "attempt %d fails", r.x.Attempt)
		r.report(sched.StatusRetry, []sched.Outcome{{Value: sched.Value{Kind: sched.Failed, Code: f.Code, Failure: f}}})
		return
	}
	sum := r.sum()
	var outs []sched.Outcome
	switch n := k.job.Program.parts(r.i); {
	case n > 0:
		outs = append(outs, sched.Outcome{Value: sched.Value{Kind: sched.Composite, Parts: uint32(n)}})
		for i := range n {
			outs = append(outs, r.outcome(uint32(i+1), content{sum: part(sum, i)}))
		}
	case k.job.Program.Classes[r.task.Class].Options.NumReturns == 0:
	default:
		c := content{sum: sum}
		if r.task.Puts > 0 {
			c.nested = []raygo.ObjectID{r.put(part(sum, 0))}
		}
		outs = append(outs, r.outcome(0, c))
	}
	r.report(sched.StatusOK, outs)
}

// put stores an object of the task's own.
func (r *run) put(sum uint64) raygo.ObjectID {
	k := r.k
	k.seq++
	id := raygo.NewTaskID(k.job.ID, k.proc, k.seq).Object(0)
	v := inline(content{sum: sum})
	if r.task.Puts > raygo.InlineLimit {
		v = k.p.keep(id, r.task.Puts, content{sum: sum})
	}
	if k.job.Program.Classes[r.task.Class].Options.Memoize {
		k.p.w.laws.inMemos[id] = nil
	}
	k.p.step(&sched.Put{Object: id, Proc: k.proc, Value: v})
	k.p.replicate(k.proc, id, r.task.Copies)
	return id
}

func (r *run) outcome(index uint32, c content) sched.Outcome {
	o := sched.Outcome{Index: index, Nested: c.nested}
	if r.task.Size > raygo.InlineLimit {
		o.Value = r.k.p.keep(r.x.Task.Object(index), r.task.Size, c)
	} else {
		o.Value = inline(c)
	}
	return o
}

// report ends the run.
func (r *run) report(status sched.Status, outs []sched.Outcome) {
	k := r.k
	k.p.w.laws.ran(r)
	r.over = true
	k.queue = k.queue[1:]
	k.waiting = false
	k.p.step(&sched.Result{
		Worker: k.id, Task: r.x.Task, Award: r.x.Award, Status: status, Run: k.p.w.now - r.began, Items: r.items, Outcomes: outs,
	})
	var refs []raygo.ObjectID
	for _, c := range r.children {
		refs = append(refs, c.Object(0))
	}
	for _, o := range outs {
		refs = append(refs, o.Nested...)
	}
	if len(refs) > 0 {
		k.p.step(&sched.Release{Proc: k.proc, Objects: refs})
	}
	k.next()
}

// produce makes the next item of a generator, or waits for its consumer, or
// ends.
func (r *run) produce() {
	limit := r.k.job.Program.Classes[r.task.Class].Options.BackpressureItems
	if limit == 0 {
		limit = defaultAhead
	}
	switch {
	case int(r.items) >= r.task.Items:
		r.report(sched.StatusOK, nil)
	case int64(r.items)-int64(r.taken) >= int64(limit):
		r.stalled = true
	default:
		r.later(r.length(), func() {
			i := r.items
			r.items++
			out := r.outcome(i, content{sum: part(r.sum(), int(i))})
			r.k.p.step(&sched.Yield{Worker: r.k.id, Task: r.x.Task, Award: r.x.Award, Outcome: out})
			r.produce()
		})
	}
}

func (k *worker) credit(e *sched.Credit) {
	if len(k.queue) == 0 || k.queue[0].x.Task != e.Task {
		return
	}
	r := k.queue[0]
	if r.taken = max(r.taken, e.N); r.stalled {
		r.stalled = false
		r.produce()
	}
}
