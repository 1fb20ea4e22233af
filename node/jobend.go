package node

import (
	"strings"

	"github.com/raygo/raygo/sdk/ipc"
)

// endsAs notes how a job ends. What was known first counts: what follows is its
// consequence. The loop is held.
func (j *job) endsAs(state, reason string) {
	if j.end == nil {
		j.end = &ipc.Goodbye{State: state, Reason: reason}
	}
}

// farewell takes what a driver says last.
func (p *proc) farewell(b []byte) error {
	var g ipc.Goodbye
	if err := ipc.Unmarshal(b, &g); err != nil {
		return err
	}
	switch g.State {
	case ipc.JobFinished, ipc.JobFailed, ipc.JobStopped:
	default:
		return p.bad("a goodbye of a job that is %.20q", g.State)
	}
	if len(g.Reason) > ipc.MaxReason {
		g.Reason = strings.ToValidUTF8(g.Reason[:ipc.MaxReason], "")
	}
	p.goodbye = &g
	return nil
}

// driverEnded notes how a job ends whose driver is gone; a detached one goes on.
func (n *Node) driverEnded(p *proc) {
	n.mu.Lock()
	defer n.mu.Unlock()
	j := p.job
	switch g := p.goodbye; {
	case j == nil || j.detached || n.stopped:
	case g != nil:
		j.endsAs(g.State, g.Reason)
	default:
		j.endsAs(ipc.JobFailed, "the connection to its driver ended without a goodbye: the process was killed, crashed, or ended without closing its session")
	}
}

// howEnded is how a job ended of which nothing runs any more. The loop is held.
func (n *Node) howEnded(j *job) *ipc.Goodbye {
	if n.stopped {
		j.endsAs(ipc.JobStopped, "the peer stopped")
	}
	j.endsAs(ipc.JobFinished, "")
	return j.end
}
