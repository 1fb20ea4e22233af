package node

import (
	"slices"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/node/link"
	"github.com/raygo/raygo/node/wire"
	"github.com/raygo/raygo/sdk/ipc"
)

// Bounds of output on its way to the owner of its job. With a link that is behind,
// lines are dropped and counted.
const logBatch = 64 << 10 // bytes sent at once

// jobLog is output that waits to be sent to the owner of its job.
type jobLog struct {
	job raygo.JobID
	log ipc.Log
}

// logTo queues a line for a peer: the owner of the job, or one with drivers of it. It
// goes before the next message to that peer, so that it is there before the result,
// or when enough came together, or with the next beat. The loop is held.
func (n *Node) logTo(peer string, id raygo.JobID, l *ipc.Log) {
	r := n.remotes[peer]
	if r == nil {
		return
	}
	merged := false
	if k := len(r.logs); k > 0 {
		last := &r.logs[k-1]
		if merged = last.job == id && sameSource(&last.log, l); merged {
			last.log.Lines = append(last.log.Lines, l.Lines...)
		}
	}
	if !merged {
		own := *l
		own.Lines = slices.Clone(l.Lines) // more may be appended
		r.logs = append(r.logs, jobLog{id, own})
		r.logged += len(l.Function)
	}
	for _, line := range l.Lines {
		r.logged += len(line) + 16
	}
	if r.logged >= logBatch {
		n.flushLogs(r)
	}
}

// sameSource reports whether lines may be shown together.
func sameSource(a, b *ipc.Log) bool {
	return a.PID == b.PID && a.Stderr == b.Stderr && a.Function == b.Function && a.Peer == b.Peer && a.Warning == b.Warning && a.Hint == b.Hint
}

// flushLogs sends the lines that wait. The loop is held.
func (n *Node) flushLogs(r *remote) {
	logs := r.logs
	r.logs, r.logged = nil, 0
	if r.full || n.behind(r.id) {
		n.metrics.logsDropped.Add(float64(len(logs)))
		return
	}
	for i := range logs {
		frame, err := wire.Frame(wire.KindLog, &wire.Log{Job: logs[i].job, Body: ipc.Marshal(&logs[i].log)})
		if err == nil {
			err = n.mesh.links.Send(r.id, link.Task, frame)
		}
		if err != nil {
			n.metrics.logsDropped.Add(float64(len(logs[i].log.Lines)))
		}
	}
	n.touch(r)
}

// flushAllLogs sends what waits for every owner. The loop is held.
func (n *Node) flushAllLogs() {
	for _, r := range n.remotes {
		if len(r.logs) > 0 {
			n.flushLogs(r)
		}
	}
}

// foreignLog hands output that another peer sent to the job's drivers: at the owner
// from those who ran its tasks, elsewhere from the owner.
func (n *Node) foreignLog(peer string, body []byte) {
	var m wire.Log
	var l ipc.Log
	if wire.Decoded(body, &m) != nil || ipc.Unmarshal(m.Body, &l) != nil {
		return
	}
	n.mu.Lock()
	switch j := n.jobs[m.Job]; {
	case j == nil || !j.logs:
	case j.owner() == "":
		l.Peer = peer
		n.logToDrivers(j, &l)
	case j.owner() == peer:
		n.logToDrivers(j, &l)
	}
	flush := n.endTurn()
	n.mu.Unlock()
	flushAll(flush)
}

// logToDrivers shows lines to the job's drivers that read, here and, if the job is
// this peer's, elsewhere. The loop is held.
func (n *Node) logToDrivers(j *job, l *ipc.Log) {
	for _, p := range slices.Clone(j.drivers) {
		switch {
		case !p.hello.LogToDriver:
		case p.conn.Backlog() < softBacklog:
			p.send(func(b []byte) []byte { return ipc.AppendBody(b, ipc.TypeLog, l) })
		default:
			n.metrics.logsDropped.Inc()
		}
	}
	if j.owner() == "" {
		for peer := range j.readers {
			n.logTo(peer, j.id, l)
		}
	}
}

// tellReads tells the owner of a job whether there are drivers of it here. The loop
// is held.
func (n *Node) tellReads(j *job) {
	owner := j.owner()
	reads := ""
	if slices.ContainsFunc(j.drivers, func(p *proc) bool { return p.hello.LogToDriver }) {
		reads = owner
	}
	if owner == "" || j.ended || !j.logs || reads == j.reads {
		return
	}
	r := n.remotes[owner]
	if r == nil || r.full {
		return
	}
	frame, err := wire.Frame(wire.KindReadsLogs, &wire.ReadsLogs{Job: j.id, Reads: reads != ""})
	if err == nil {
		err = n.mesh.links.Send(owner, link.Task, frame)
	}
	if err != nil {
		n.log.Warn("ask for a job's output", "job", j.id, "owner", owner, "err", err)
		return
	}
	j.reads = reads
	n.touch(r)
}

// readsLogs notes who is to be sent a job's output.
func (n *Node) readsLogs(peer string, body []byte) {
	var m wire.ReadsLogs
	if wire.Decoded(body, &m) != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	j := n.jobs[m.Job]
	switch {
	case j == nil || j.owner() != "" || !j.detached:
	case !m.Reads:
		delete(j.readers, peer)
	case n.remotes[peer] != nil: // not the word of a link that has ended
		if j.readers == nil {
			j.readers = map[string]bool{}
		}
		j.readers[peer] = true
	}
}
