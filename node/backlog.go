package node

import (
	"time"

	"github.com/raygo/raygo/node/link"
	"github.com/raygo/raygo/sched"
)

// Bounds of what waits for a peer that does not keep up. Its link's own bound is
// far above them: who meets that loses the link.
const (
	linkBacklog = 16 << 20 // bytes queued for it after which others wait
	maxHeld     = 1 << 20  // answers to its processes that wait
	backlogLook = time.Millisecond
)

// behind reports whether a peer does not keep up with what is sent to it.
func (n *Node) behind(peer string) bool {
	return n.mesh.links.Queued(peer, link.Task) > linkBacklog
}

// waitForOwner keeps a process of another peer's job from asking for more while
// its owner does not keep up: its connection fills, and it waits in turn.
func (p *proc) waitForOwner() {
	if p.job == nil || p.job.owner() == "" {
		return
	}
	for p.n.behind(p.job.owner()) {
		select {
		case <-p.n.ctx.Done():
			return
		case <-time.After(backlogLook):
		}
	}
}

// hold keeps an answer to a process elsewhere back while its peer does not keep
// up, and those after it, since they are told in order. The loop is held.
func (n *Node) hold(r *remote, m sched.Message) bool {
	if _, ok := m.(*sched.ToProc); !ok || len(r.held) == 0 && !n.behind(r.id) {
		return false
	}
	if len(r.held) >= maxHeld {
		r.full = true
		n.mesh.dropLater(r.id, "it does not read: too many answers wait for its processes")
		return true
	}
	r.held = append(r.held, m)
	return true
}

// letGo sends what was held back, as far as peers keep up. It reports whether some
// is left. The loop is held.
func (n *Node) letGo() (left bool) {
	for _, r := range n.remotes {
		for len(r.held) > 0 && !r.full && !n.behind(r.id) {
			m := r.held[0]
			r.held = r.held[1:]
			n.say(r, m)
		}
		if len(r.held) == 0 {
			r.held = nil
		}
		left = left || r.held != nil
	}
	return left
}
