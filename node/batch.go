package node

import "github.com/raygo/raygo/sched"

// batch gathers the events of the frames that have arrived. Events of the path
// of every task lie in slabs that are used again: the core keeps what is in an
// event, never the event.
type batch struct {
	events   []sched.Event
	submits  []sched.Submit
	results  []sched.Result
	outcomes []sched.Outcome
}

func (b *batch) submit() *sched.Submit {
	b.submits = append(b.submits, sched.Submit{})
	return &b.submits[len(b.submits)-1] // one in a slab that is outgrown stays valid
}

// result gives a result with room for n outcomes.
func (b *batch) result(n int) *sched.Result {
	at := len(b.outcomes)
	for range n {
		b.outcomes = append(b.outcomes, sched.Outcome{})
	}
	b.results = append(b.results, sched.Result{Outcomes: b.outcomes[at : at+n : at+n]})
	return &b.results[len(b.results)-1]
}

// do lets the events happen and forgets them.
func (b *batch) do(n *Node) {
	if len(b.events) == 0 {
		return
	}
	n.do(b.events...)
	clear(b.events)
	clear(b.submits)
	clear(b.results)
	clear(b.outcomes)
	b.events, b.submits, b.results, b.outcomes = b.events[:0], b.submits[:0], b.results[:0], b.outcomes[:0]
}
