package node

import (
	"errors"
	"fmt"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/node/link"
	"github.com/raygo/raygo/node/member"
	"github.com/raygo/raygo/node/wire"
	"github.com/raygo/raygo/sched"
)

// remote is another peer to whose core there is a link. The loop guards it, but
// for the reader, which is the link's.
type remote struct {
	id     string
	client bool // it has jobs, and runs no tasks
	reader wire.Reader
	full   bool // its queue was: the link is being dropped, nothing more is sent
	dirty  bool // it has unflushed frames
	logs   []jobLog
	logged int             // bytes of logs
	held   []sched.Message // answers to its processes, while it does not keep up
}

// sendTo says something to another peer's core. What does not fit its queue
// breaks the link: both cores then know that it was not said. The loop is held.
func (n *Node) sendTo(e *sched.Send) {
	r := n.remotes[e.To]
	if r == nil || r.full {
		return // its end is on its way to the core
	}
	if !n.hold(r, e.Msg) {
		n.say(r, e.Msg)
	}
}

// say sends one message. The loop is held.
func (n *Node) say(r *remote, m sched.Message) {
	if len(r.logs) > 0 {
		n.flushLogs(r)
	}
	err := wire.Encode(m, func(frame []byte) error { return n.mesh.links.Send(r.id, link.Task, frame) })
	switch {
	case errors.Is(err, wire.ErrTooLarge):
		n.tooLarge(r, m, err)
	case err != nil:
		r.full = true
		n.log.Warn("a message to a peer was not sent: its link is dropped", "peer", r.id, "err", err)
		n.mesh.dropLater(r.id, "messages to it were not sent: "+err.Error())
		return
	}
	n.touch(r)
}

// touch has what was sent to a peer flushed at the end of the turn.
func (n *Node) touch(r *remote) {
	if !r.dirty {
		r.dirty = true
		n.dirtyRemotes = append(n.dirtyRemotes, r)
	}
}

// tooLarge answers for a message that cannot be sent: a single task, result or
// item that is longer than all messages. The loop is held.
func (n *Node) tooLarge(r *remote, m sched.Message, err error) {
	f := raygo.Fail(raygo.CodeRefused, "its values are too large to travel between peers in one piece: %v", err)
	switch m := m.(type) {
	case *sched.Assign:
		d := &sched.Done{}
		for i := range m.Tasks {
			d.Results = append(d.Results, sched.TaskResult{Task: m.Tasks[i].Task, Award: m.Tasks[i].Award, Status: sched.StatusDied, Failure: f})
		}
		n.later(&sched.Received{From: r.id, Msg: d})
	case *sched.Done:
		short := &sched.Done{Stands: m.Stands}
		for i := range m.Results {
			short.Results = append(short.Results, sched.TaskResult{Task: m.Results[i].Task, Award: m.Results[i].Award, Status: sched.StatusDied, Failure: f})
		}
		n.sendTo(&sched.Send{To: r.id, Msg: short})
	default:
		n.log.Error("a message is too large to be sent", "peer", r.id, "err", err)
		r.full = true
		n.mesh.dropLater(r.id, err.Error())
	}
}

// linkUp makes a link known to the core.
func (n *Node) linkUp(peer string, role member.Role, up *sched.PeerUp) {
	n.mu.Lock()
	if n.remotes[peer] != nil || n.stopped {
		n.mu.Unlock()
		return
	}
	n.remotes[peer] = &remote{id: peer, client: role != member.RolePeer}
	delete(n.dead, peer)
	n.step(up)
	flush := n.endTurn()
	n.mu.Unlock()
	flushAll(flush)
}

// peerChanged makes known what a linked peer offers now.
func (n *Node) peerChanged(up *sched.PeerUp) {
	n.mu.Lock()
	if n.remotes[up.Peer] != nil {
		n.step(up)
	}
	flush := n.endTurn()
	n.mu.Unlock()
	flushAll(flush)
}

// linkDown makes its end known.
func (n *Node) linkDown(peer, reason string) {
	n.mu.Lock()
	if n.remotes[peer] == nil {
		n.mu.Unlock()
		return
	}
	delete(n.remotes, peer)
	for _, j := range n.jobs {
		delete(j.readers, peer)
		if j.reads == peer {
			j.reads = ""
		}
	}
	n.step(&sched.PeerDown{Peer: peer, Reason: reason})
	if why, dead := n.dead[peer]; dead {
		delete(n.dead, peer)
		n.step(&sched.PeerDead{Peer: peer, Reason: why})
	}
	flush := n.endTurn()
	n.mu.Unlock()
	flushAll(flush)
}

// peerDead makes a peer's death known to the core, once its link is down.
func (n *Node) peerDead(peer, reason string) {
	n.mu.Lock()
	if n.remotes[peer] != nil {
		n.dead[peer] = reason
	} else {
		n.step(&sched.PeerDead{Peer: peer, Reason: reason})
	}
	flush := n.endTurn()
	n.mu.Unlock()
	flushAll(flush)
}

// taskFrames lets what another core said happen, all of it in one hold of the
// loop.
func (n *Node) taskFrames(peer string, frames [][]byte) error {
	n.mu.Lock()
	r := n.remotes[peer]
	n.mu.Unlock()
	if r == nil {
		return nil
	}
	evs := make([]sched.Event, 0, len(frames))
	for _, frame := range frames {
		k, m, body, err := r.reader.Read(frame)
		switch {
		case err != nil:
			n.do(evs...)
			return err
		case m != nil && r.client && ofExecutor(m):
			n.do(evs...)
			return fmt.Errorf("%T from a member whose role is not to run tasks", m)
		case m != nil:
			evs = append(evs, &sched.Received{From: peer, Msg: m})
		case k == wire.KindLog:
			n.foreignLog(peer, body)
		case k == wire.KindReadsLogs:
			n.readsLogs(peer, body)
		}
	}
	n.doFrom(r, evs)
	return nil
}

// doFrom lets events of a link happen unless it has ended meanwhile: what another
// session said is void.
func (n *Node) doFrom(r *remote, evs []sched.Event) {
	n.mu.Lock()
	if n.remotes[r.id] == r {
		now := time.Now()
		for _, ev := range evs {
			n.stepAt(now, ev)
		}
	}
	flush := n.endTurn()
	n.mu.Unlock()
	flushAll(flush)
}

// tagOf is the tag of a peer's processes.
func tagOf(raw []byte) uint32 {
	if len(raw) < 4 {
		return 1
	}
	b := raw[len(raw)-4:]
	return (uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])) | 1
}
