package sched

import (
	"slices"

	raygo "github.com/raygo/raygo"
)

// What is said about a job between two owners, and put off until the new one knows
// all that the last one did.

// lateMost bounds what is put off while executors are waited for: then they are
// waited for no more.
const lateMost = 1 << 20

// repeat takes what this peer itself had said to the last owner.
func (c *Core) repeat(j *job, msg Message) {
	a := j.adopting
	switch m := msg.(type) {
	case *FromProc:
		switch {
		case m.Submit != nil:
			a.early = append(a.early, m.Submit)
		case m.Put != nil:
			a.early = append(a.early, m.Put)
		case m.Replicate != nil:
			a.late = append(a.late, m.Replicate)
		}
	case *Done:
		a.early = append(a.early, &ownWord{m})
	case *Yielded:
		a.early = append(a.early, &ownWord{m})
	case *Holds:
		a.late = append(a.late, &Copied{Object: m.Objects[0]})
	case *Drops:
		a.late = append(a.late, &Evicted{Object: m.Objects[0]})
	case *NamedAs:
		a.late = append(a.late, &Named{Object: m.Object, CID: m.CID})
	}
}

// ownWord is what this peer said as the executor of a task that is its own now.
type ownWord struct{ msg Message }

func (c *Core) ownWord(e *ownWord) {
	switch m := e.msg.(type) {
	case *Done:
		r := &m.Results[0]
		t := c.jobs[r.Task.Job()].tasks.task(r.Task)
		if t == nil || t.at != nil || t.worker != nil || r.Award < t.floor || r.Status == StatusNotStarted {
			c.dropOutcomes(r.Task, r.Outcomes)
			return
		}
		c.endedAt(t, nil, r)
	case *Yielded:
		if t := c.jobs[m.Task.Job()].tasks.task(m.Task); t != nil && m.Award >= t.floor {
			c.takeItem(t, m.Outcome)
			return
		}
		c.dropOutcomes(m.Task, []Outcome{m.Outcome})
	}
}

// tooEarly puts off what processes of this peer ask of a job that is between two
// owners.
func (c *Core) tooEarly(ev Event) bool {
	id, ok := asker(ev)
	if !ok {
		return false
	}
	if p := c.procs[id]; p != nil && p.job.adopting != nil && !p.job.adopting.closing {
		c.putOff(p.job, ev)
		return true
	}
	return false
}

// asker is the process that an event is from.
func asker(ev Event) (raygo.ProcID, bool) {
	switch e := ev.(type) {
	case *Submit:
		return e.Proc, true
	case *Put:
		return e.Proc, true
	case *Want:
		return e.Proc, true
	case *Borrow:
		return e.Proc, true
	case *Release:
		return e.Proc, true
	case *Cancel:
		return e.Proc, true
	case *StreamOpen:
		return e.Proc, true
	case *StreamTaken:
		return e.Proc, true
	case *StreamClose:
		return e.Proc, true
	case *FetchLost:
		return e.Proc, true
	case *Replicate:
		return e.Proc, true
	}
	return 0, false
}

// asEvent is what a process elsewhere asks for, as it would be here.
func (m *FromProc) asEvent() Event {
	switch {
	case m.Submit != nil:
		return m.Submit
	case m.Put != nil:
		return m.Put
	case m.Want != nil:
		return m.Want
	case m.Borrow != nil:
		return m.Borrow
	case m.Release != nil:
		return m.Release
	case m.Cancel != nil:
		return m.Cancel
	case m.StreamOpen != nil:
		return m.StreamOpen
	case m.StreamTaken != nil:
		return m.StreamTaken
	case m.StreamClose != nil:
		return m.StreamClose
	case m.Lost != nil:
		return m.Lost
	case m.Replicate != nil:
		return m.Replicate
	}
	return &Tick{}
}

func (c *Core) putOff(j *job, ev Event) {
	a := j.adopting
	if e, ok := ev.(*Submit); ok {
		own := *e // the caller's memory
		ev = &own
	}
	if a.late = append(a.late, ev); len(a.late) > lateMost {
		clear(a.waiting)
		c.adopted(j)
	}
}

// tooEarlyFrom is tooEarly for processes elsewhere. What their peer says again comes
// before all else that it says.
func (c *Core) tooEarlyFrom(p *peer, m *FromProc) bool {
	id, ok := asker(m.asEvent())
	pr := c.procs[id]
	if !ok || pr == nil || pr.job.adopting == nil {
		return false
	}
	a := pr.job.adopting
	switch {
	case a.closing:
		return false
	case a.waiting[p] && (m.Submit != nil || m.Put != nil):
		a.early = append(a.early, &Received{From: p.id, Msg: m})
	default:
		c.putOff(pr.job, &Received{From: p.id, Msg: m})
	}
	return true
}

// unknownYet puts off what an executor says of a task that is not known: its
// submission may be in what another has to say.
func (c *Core) unknownYet(p *peer, j *job, id raygo.TaskID, award uint32, msg Message) bool {
	if j.tasks.task(id) != nil {
		c.believe(p, id, award)
		return false
	}
	if j.adopting.closing {
		return false
	}
	j.adopting.early = append(j.adopting.early, &Received{From: p.id, Msg: msg})
	return true
}

// believe brings the place of a task up to what an executor says of it while a job
// has a new owner: the last one may have given it there after it last spoke to its
// guardians.
func (c *Core) believe(p *peer, id raygo.TaskID, award uint32) {
	j := c.jobs[id.Job()]
	if j == nil || j.adopting == nil {
		return
	}
	t := j.tasks.task(id)
	if t == nil || t.worker != nil || award < t.floor || t.at == p && t.award >= award || t.at != nil && t.at != p && award <= t.award {
		return
	}
	if t.at != nil {
		c.leavePeer(t)
	}
	delete(j.adopting.failed, id)
	t.floor = max(t.floor, award)
	c.seatTask(t, p, award)
}

// sayAgain takes what was put off: calls before what they need has been said are
// tried after it, and ends of tasks last.
func (c *Core) sayAgain(early []Event) {
	var ends []Event
	for again := true; again; {
		var rest []Event
		again = false
		for _, ev := range early {
			switch e := submission(ev); {
			case e == nil:
				ends = append(ends, ev)
			case c.knowsAll(e):
				again = true
				c.hearAgain(ev)
			default:
				rest = append(rest, ev)
			}
		}
		early = rest
	}
	for _, ev := range slices.Concat(early, ends) {
		c.hearAgain(ev)
	}
}

// hearAgain lets something happen that was put off.
func (c *Core) hearAgain(ev Event) {
	if r, ok := ev.(*Received); ok {
		c.received(r) // it was counted when it came
		return
	}
	c.apply(ev)
}

// submission is the call that an event brings; a put is one that needs nothing.
func submission(ev Event) *Submit {
	if r, ok := ev.(*Received); ok {
		m, ok := r.Msg.(*FromProc)
		if !ok {
			return nil
		}
		ev = m.asEvent()
	}
	switch e := ev.(type) {
	case *Submit:
		return e
	case *Put:
		return &Submit{Task: e.Object.Task(), Deps: e.Nested}
	}
	return nil
}

func (c *Core) knowsAll(e *Submit) bool {
	j := c.jobs[e.Task.Job()]
	for _, id := range slices.Concat(e.Deps, e.Nested) {
		if j == nil || c.object(j, id) == nil {
			return false
		}
	}
	return true
}
