package world

import (
	"slices"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

// value is what a process makes of a Notify: bytes that are elsewhere are
// brought. When they cannot be had the core is told, and tells again.
func (p *Peer) value(n *sched.Notify, proc raygo.ProcID, f func(c content, failed bool)) {
	switch n.Value.Kind {
	case sched.Inline:
		f(p.w.parse(&n.Value), false)
		return
	case sched.Stored:
	default:
		f(content{}, true)
		return
	}
	src := sched.Source{Object: n.Value.Store}
	if n.Source != nil {
		src = *n.Source
	}
	if src.Object != n.Value.Store {
		p.w.Fail("%s is told of %s with the source of %s", p.Name, show(n.Value.Store), show(src.Object))
	}
	p.bring(src, func(ok bool, denied []string) {
		if ok {
			f(p.store[src.Object].content, false)
			return
		}
		if p.attached[proc] == nil {
			return
		}
		p.w.laws.notFound(p, []raygo.ObjectID{src.Object})
		p.step(&sched.FetchLost{Proc: proc, Object: n.Object, Mode: n.Mode, Denied: denied})
	})
}

// index is which of the driver's calls makes an object, -1 for none.
func (j *Job) index(id raygo.ObjectID) int {
	i := int(id.Task().Seq()) - 1
	if id.Task().Proc() != j.proc || i >= len(j.nodes) {
		return -1
	}
	return i
}

// notify is told of a value.
func (j *Job) notify(n *sched.Notify) {
	i := j.index(n.Object)
	if i < 0 {
		j.inner(n)
		return
	}
	k := &j.nodes[i]
	if k.done {
		return
	}
	t := &j.Program.Tasks[i]
	if j.Program.Classes[t.Class].Options.Generator {
		j.item(i, n)
		return
	}
	v := &n.Value
	switch {
	case n.Object.Index() > 0:
		j.part(i, n)
	case v.Kind == sched.Failed:
		j.fails(i, v)
	case v.Kind == sched.Composite && k.parts == 0:
		k.parts = int(v.Parts)
		var ids []raygo.ObjectID
		for p := range v.Parts {
			ids = append(ids, j.id(i).Object(p+1))
		}
		j.owner.step(&sched.Want{Proc: j.proc, Objects: ids})
	case v.Kind == sched.Composite:
	case v.Kind == sched.Stored && !n.Wanted:
		if t.Get {
			return
		}
		j.settle(i)
	default:
		j.owner.value(n, j.proc, func(c content, failed bool) {
			if k.done || j.over {
				return
			}
			if want := j.sums[i]; c.sum != want {
				j.w.Fail("task %d has the value %x, want %x", i, c.sum, want)
			}
			if len(c.nested) > 0 {
				j.open++ // the inner value
				j.owner.step(&sched.Borrow{Proc: j.proc, Objects: c.nested})
				j.owner.step(&sched.Want{Proc: j.proc, Objects: c.nested, Mode: 1})
			}
			j.settle(i)
		})
	}
}

// fails notes a failure, which must be one that can be.
func (j *Job) fails(i int, v *sched.Value) {
	code := v.Code
	j.nodes[i].failed = code
	lost := code == raygo.CodeObjectLost && (j.w.hides || j.w.faulty && j.tookReleased(i))
	if !j.shaky[i] && !lost {
		text := ""
		if v.Failure != nil {
			text = v.Failure.Message
		}
		j.w.Fail("task %d (%s) failed with %s: %s", i, show(j.id(i)), code, text)
	}
	j.settle(i)
}

// tookReleased reports whether a call takes, at whatever remove, what the driver had put
// and has released since: its value cannot be made again when it is lost.
func (j *Job) tookReleased(i int) bool {
	return slices.ContainsFunc(j.Program.Tasks[i].Deps, func(d int) bool {
		return j.Program.Tasks[d].Put && !j.nodes[d].held || j.tookReleased(d)
	})
}

// part checks one value of several.
func (j *Job) part(i int, n *sched.Notify) {
	k := &j.nodes[i]
	if k.items == nil {
		k.items = map[uint32]bool{}
	}
	j.owner.value(n, j.proc, func(c content, failed bool) {
		index := n.Object.Index()
		if k.done || k.items[index] || j.over {
			return
		}
		k.items[index] = true
		if want := part(j.sums[i], int(index)-1); !failed && c.sum != want {
			j.w.Fail("part %d of task %d is %x, want %x", index, i, c.sum, want)
		} else if failed {
			j.fails(i, &n.Value)
			return
		}
		if k.parts--; k.parts == 0 {
			j.settle(i)
		}
	})
}

// inner is told of an object that a task had put and returned a ref to. It goes
// with the peer that has it: then an honest failure is all there can be.
func (j *Job) inner(n *sched.Notify) {
	if n.Mode != 1 || !n.Wanted {
		return
	}
	j.owner.value(n, j.proc, func(c content, failed bool) {
		if j.over {
			return
		}
		excused := (j.w.faulty || j.w.hides) && (n.Value.Code == raygo.CodeObjectLost || n.Value.Code == raygo.CodeObjectFreed || n.Value.Code == raygo.CodeOwnerDied)
		if failed && !excused {
			j.w.Fail("inner object %s failed with %s", show(n.Object), n.Value.Code)
		}
		j.owner.step(&sched.Release{Proc: j.proc, Objects: []raygo.ObjectID{n.Object}})
		if j.open--; j.open == 0 {
			j.end()
		}
	})
}

// item takes an item of a generator: held first, so that it is there when the
// stream lets it go.
func (j *Job) item(i int, n *sched.Notify) {
	k := &j.nodes[i]
	index := n.Object.Index()
	hidden := j.w.hides && n.Value.Code == raygo.CodeObjectLost
	if index >= raygo.MaxYields || n.Value.Kind == sched.Failed && !j.shaky[i] && !hidden {
		return
	}
	if k.items == nil {
		k.items = map[uint32]bool{}
	}
	if k.items[index] || n.Value.Kind == sched.Stored && !n.Wanted {
		if !k.items[index] {
			j.owner.step(&sched.Want{Proc: j.proc, Objects: []raygo.ObjectID{n.Object}})
		}
		return
	}
	j.owner.value(n, j.proc, func(c content, failed bool) {
		if k.items[index] || j.over || k.done {
			return
		}
		k.items[index] = true
		if want := part(j.sums[i], int(index)); !failed && c.sum != want {
			j.w.Fail("item %d of task %d is %x, want %x", index, i, c.sum, want)
		}
		for k.items[k.taken] {
			k.taken++
		}
		j.owner.step(&sched.StreamTaken{Proc: j.proc, Task: j.id(i), N: k.taken})
		j.streamOver(i)
	})
}

// stream is told how far a generator is.
func (j *Job) stream(s *sched.StreamState) {
	i := j.index(s.Task.Object(0))
	if i < 0 || j.nodes[i].done || !s.Ended {
		return
	}
	k := &j.nodes[i]
	if s.Failure.Kind == sched.Failed {
		k.failed = s.Failure.Code
		if !j.shaky[i] {
			j.w.Fail("generator %d (%s) failed with %s", i, show(j.id(i)), show(s.Failure))
		}
	} else if want := j.Program.Tasks[i].Items; int(s.Produced) != want {
		j.w.Fail("generator %d ended with %d items, want %d", i, s.Produced, want)
	}
	k.parts = int(s.Produced) + 1 // known from now on
	j.streamOver(i)
}

// streamOver closes a stream that ended when all its items were taken.
func (j *Job) streamOver(i int) {
	k := &j.nodes[i]
	if k.parts == 0 || int(k.taken) < k.parts-1 || k.done {
		return
	}
	k.held = false
	j.owner.step(&sched.StreamClose{Proc: j.proc, Task: j.id(i)})
	j.settle(i)
}

// cancelled is the answer to a cancel.
func (j *Job) cancelled(c *sched.Cancelled) {
	i, ok := j.asked[c.Request]
	if !ok {
		j.w.Fail("cancel %d of job %d was answered twice", c.Request, j.n)
		return
	}
	delete(j.asked, c.Request)
	j.w.laws.cancelled(j, i, c.Outcome)
	if j.open == 0 {
		j.end()
	}
}
