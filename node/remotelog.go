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

// logToOwner queues a line of another peer's job. It goes before the next message
// to the owner, so that it is there before the result, or when enough came
// together, or with the next beat. The loop is held.
func (n *Node) logToOwner(j *job, l *ipc.Log) {
	r := n.remotes[j.owner()]
	if r == nil {
		return
	}
	if k := len(r.logs); k > 0 {
		last := &r.logs[k-1]
		if last.job == j.id && last.log.PID == l.PID && last.log.Stderr == l.Stderr && last.log.Function == l.Function {
			last.log.Lines = append(last.log.Lines, l.Lines...)
			l = nil
		}
	}
	if l != nil {
		r.logs = append(r.logs, jobLog{j.id, *l})
		r.logged += len(l.Function) + len(l.Lines[0])
	} else {
		r.logged += 16
	}
	if r.logged >= logBatch {
		n.flushLogs(r)
	}
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
	if !r.dirty {
		r.dirty = true
		n.dirtyRemotes = append(n.dirtyRemotes, r)
	}
}

// flushAllLogs sends what waits for every owner. The loop is held.
func (n *Node) flushAllLogs() {
	for _, r := range n.remotes {
		if len(r.logs) > 0 {
			n.flushLogs(r)
		}
	}
}

// foreignLog hands output that another peer's workers wrote to the job's drivers.
func (n *Node) foreignLog(peer string, body []byte) {
	var m wire.Log
	var l ipc.Log
	if wire.Decoded(body, &m) != nil || ipc.Unmarshal(m.Body, &l) != nil {
		return
	}
	l.Peer = peer
	n.mu.Lock()
	if j := n.jobs[m.Job]; j != nil && j.owner() == "" && j.logs {
		n.logToDrivers(j, &l)
	}
	flush := n.endTurn()
	n.mu.Unlock()
	flushAll(flush)
}

// logToDrivers shows lines to the job's drivers that read. The loop is held.
func (n *Node) logToDrivers(j *job, l *ipc.Log) {
	for _, p := range slices.Clone(j.drivers) {
		if p.conn.Backlog() < softBacklog {
			p.send(func(b []byte) []byte { return ipc.AppendBody(b, ipc.TypeLog, l) })
		} else {
			n.metrics.logsDropped.Inc()
		}
	}
}
