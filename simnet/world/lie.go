package world

import (
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

// Lie says in which ways a peer is not honest. What it says of tasks that it was
// given has to be believed: it could as well have run them wrongly.
type Lie struct {
	Refuse  float64 // this share of the tasks it bid for it hands back
	Lose    float64 // and of these nothing is ever heard again
	Hide    float64 // it says so often that it has no bytes that it has
	Garbage float64 // chance of a message about what is not its own, for each that comes
}

func (l *Lie) any() bool { return *l != Lie{} }

// send passes on what the core says.
func (l *Lie) send(p *Peer, e *sched.Send) { p.w.send(p, e.To, e.Msg) }

// receive reports whether a message is kept from the core.
func (l *Lie) receive(p, from *Peer, msg sched.Message) bool {
	if !l.any() {
		return false
	}
	if p.w.chance(l.Garbage) {
		p.at(0, func() { l.slander(p) })
	}
	m, ok := msg.(*sched.Assign)
	if !ok {
		return false
	}
	for i := range m.Tasks {
		p.w.laws.given(p, m.Tasks[i].Task)
	}
	switch {
	case p.w.chance(l.Refuse):
		d := &sched.Done{}
		for i := range m.Tasks {
			d.Results = append(d.Results, sched.TaskResult{Task: m.Tasks[i].Task, Award: m.Tasks[i].Award, Status: sched.StatusNotStarted})
		}
		p.say(from, d)
	case p.w.chance(l.Lose):
	default:
		return false
	}
	return true
}

// say sends a message that the core knows nothing of.
func (p *Peer) say(to *Peer, m sched.Message) {
	s := p.w.sessions[pairOf(p.index, to.index)]
	if s != nil && s.up[s.side(p)] && !s.down[s.side(p)] {
		p.w.send(p, to.Name, m)
	}
}

// slander sends somebody something that is not the peer's to say.
func (l *Lie) slander(p *Peer) {
	w := p.w
	to := w.peers[w.rng.IntN(len(w.peers))]
	if len(w.jobs) == 0 || to == p {
		return
	}
	j := w.jobs[w.rng.IntN(len(w.jobs))]
	task := j.id(w.rng.IntN(len(j.nodes)))
	if w.rng.IntN(3) == 0 {
		task = raygo.NewTaskID(j.ID, raygo.ProcID(w.rng.Uint64()), uint32(w.rng.IntN(5)))
	}
	if j.owner == p || p.w.laws.wasGiven(p, task) {
		return
	}
	m := l.garbage(w, j, task)
	switch m := m.(type) {
	case *sched.JobOver:
		if j.owner == to {
			return // that is for it to say: it does not have the job
		}
	case *sched.ClassOf:
		if p.drives {
			m.Class |= 1 << 20 // a number of no class of its drivers' calls, which it could as well get wrong
		}
	}
	p.say(to, m)
}

func (l *Lie) garbage(w *World, j *Job, task raygo.TaskID) sched.Message {
	n := func(k int) uint32 { return uint32(w.rng.IntN(k)) }
	object := task.Object(n(2))
	objects := []raygo.ObjectID{object}
	wrong := sched.Value{Kind: sched.Inline, Bytes: []byte("a lie of some length")}
	class := sched.ClassID(n(6))
	if n(2) == 0 {
		class |= 1 << 31
	}
	many := []int{-1, 0, 1, 1 << 30, -1 << 40}[n(5)]
	switch n(24) {
	case 0:
		return &sched.Done{Results: []sched.TaskResult{{Task: task, Award: n(4), Outcomes: []sched.Outcome{{Value: wrong}}}}}
	case 1:
		return &sched.Done{Results: []sched.TaskResult{{Task: task, Award: n(4), Status: sched.Status(n(9)), Missing: objects, Denied: []string{"p0", "p1"}}}}
	case 2:
		return &sched.Done{Stands: []sched.Stand{{Class: class, Slots: many, Running: many, Seen: uint64(n(99))}}}
	case 3:
		return &sched.Bid{Round: uint64(n(9)), Class: class, Slots: max(many, -5), Delay: -time.Second, Warm: many}
	case 4:
		return &sched.FromProc{Submit: &sched.Submit{Task: task, Class: class, Proc: j.proc}}
	case 5:
		return &sched.FromProc{Release: &sched.Release{Proc: j.proc, Objects: objects}}
	case 6:
		return &sched.FromProc{Cancel: &sched.Cancel{Proc: j.proc, Task: task, Force: true, Recursive: true}}
	case 7:
		return &sched.FromProc{Put: &sched.Put{Object: object, Proc: j.proc, Value: wrong}}
	case 8:
		return &sched.ToProc{Notify: &sched.Notify{Proc: j.proc, Object: object, Value: wrong, Wanted: true}}
	case 9:
		return &sched.ToProc{Cancelled: &sched.Cancelled{Proc: j.proc, Request: n(3)}}
	case 10:
		return &sched.JobOver{Job: j.ID, Reason: "because"}
	case 11:
		return &sched.StopTask{Task: task, Award: n(4), Force: true}
	case 12:
		return &sched.RecallTasks{Class: class, N: many}
	case 13:
		return &sched.Holds{Objects: objects}
	case 14:
		return &sched.Drops{Objects: objects}
	case 15:
		return &sched.FreeObjects{Objects: objects}
	case 16:
		return &sched.NamedAs{Object: object, CID: "wrong"}
	case 17:
		return &sched.ProcJoined{Proc: j.proc + 1, Job: j.ID}
	case 18:
		return &sched.ProcLeft{Proc: j.proc}
	case 19:
		return &sched.ClassOf{Class: class, Job: j.ID, Function: "f", Options: raygo.DefaultOptions(), Def: []byte{0}}
	case 20:
		return &sched.Call{Round: uint64(n(9)), Class: class, Want: many}
	case 21:
		return &sched.Assign{Class: class, Tasks: []sched.Assigned{{Task: task, Award: n(4), Args: args(0)}}}
	case 22:
		return &sched.Yielded{Task: task, Award: n(4), Outcome: sched.Outcome{Index: n(3), Value: wrong}}
	default:
		return &sched.CreditTask{Task: task, N: n(9)}
	}
}
