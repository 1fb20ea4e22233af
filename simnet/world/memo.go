package world

import (
	"fmt"
	"time"

	"github.com/raygo/raygo/sched"
)

// memoKey is what the result of a call is known by: its job, its function, and the
// contents of its arguments. There is none while those are not all here.
func (p *Peer) memoKey(e *sched.Memo) string {
	key := fmt.Sprintf("%s %d %x", e.Task.Job(), p.classes[e.Class].class, e.Args)
	for i := range e.Values {
		switch v := &e.Values[i].Value; v.Kind {
		case sched.Inline:
			key += fmt.Sprintf(" %x", v.Bytes)
		case sched.Stored:
			o := p.has(v.Store)
			if o == nil {
				return ""
			}
			key += fmt.Sprintf(" %x", o.content.sum)
		default:
			return ""
		}
	}
	return key
}

// memoLookup answers whether the result of a call is known, after as long as it
// takes to hash its arguments.
func (p *Peer) memoLookup(e *sched.Memo) {
	p.at(p.w.between(0, 3*time.Millisecond), func() {
		a := &sched.MemoAnswer{Task: e.Task, Award: e.Award}
		if key := p.memoKey(e); key != "" {
			v, ok := p.memos[key]
			if ok && v.Kind == sched.Stored {
				o, there := p.core.Object(v.Store)
				ok = there && o.Value.Kind == sched.Stored
			}
			if a.Value = v; !ok {
				a.Value = sched.Value{}
				p.asked[e.Task] = key
			}
		}
		_, waits := p.core.Task(e.Task)
		p.step(a)
		if a.Value.Kind == sched.None || !waits {
			return
		}
		if _, still := p.core.Task(e.Task); still {
			p.w.Fail("the result of task %s is known, and %s does not settle it", show(e.Task), p.Name)
		}
		p.w.laws.known[e.Task] = true
		p.w.Stats.Known++
	})
}

// memoKeep keeps a result for calls to come.
func (p *Peer) memoKeep(e *sched.MemoKeep) {
	if key, ok := p.asked[e.Task]; ok && (e.Value.Kind == sched.Inline || e.Value.Kind == sched.Stored) {
		p.memos[key] = e.Value
	}
	delete(p.asked, e.Task)
}
