package world

import (
	"fmt"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

// memo is a result that a peer keeps for calls to come.
type memo struct {
	value  sched.Value
	task   raygo.TaskID     // that made it
	nested []raygo.ObjectID // what it names: who gets the result must find them
}

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
			if m := p.memos[key]; m != nil && p.good(m) {
				p.w.laws.lacks(p, m)
				a.Value = m.value
			} else {
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
		m := &memo{value: e.Value, task: e.Task}
		if e.Value.Kind == sched.Inline {
			m.nested = p.w.parse(&e.Value).nested
		} else if o := p.has(e.Value.Store); o != nil {
			m.nested = o.content.nested
		}
		if p.memos[key] = m; len(m.nested) > 0 {
			p.nesting = append(p.nesting, m)
		}
	}
	delete(p.asked, e.Task)
}

// good reports whether a result can still be given to calls: it has its bytes.
func (p *Peer) good(m *memo) bool {
	if m.value.Kind != sched.Stored {
		return true
	}
	o, ok := p.core.Object(m.value.Store)
	return ok && o.Value.Kind == sched.Stored
}

// parting is who let a value go that a memoized call had put, and when.
type parting struct {
	peer *Peer
	proc raygo.ProcID
	at   time.Duration
}

// letGo notes who lets values go that memoized calls have put.
func (l *laws) letGo(p *Peer, e *sched.Release) {
	for _, id := range e.Objects {
		if old, ok := l.inMemos[id]; ok {
			l.inMemos[id] = append(old, parting{p, e.Proc, l.w.now})
		}
	}
}

// memos is what a known result promises: what is nested in it is there as long as
// calls are given it.
func (l *laws) memos() {
	for _, p := range l.w.peers {
		if !p.answers() {
			continue
		}
		for _, m := range p.nesting {
			if j := l.w.byJob[m.task.Job()]; !j.over && p.good(m) {
				l.lacks(p, m)
			}
		}
	}
}

// lacks fails if what is nested in a known result is not there any more.
func (l *laws) lacks(p *Peer, m *memo) {
	for _, id := range m.nested {
		if _, ok := p.core.Object(id); ok {
			continue
		}
		text := "nobody let it go"
		for i, by := range l.inMemos[id] {
			if i == 0 {
				text = "let go by"
			}
			text += fmt.Sprintf(" process %x of %s at %s", uint64(by.proc), by.peer.Name, by.at)
		}
		l.w.Fail("law 6: %s gives calls the result of memoized task %s, and object %s nested in it is there no more: %s", p.Name, show(m.task), show(id), text)
		return
	}
}
