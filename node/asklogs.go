package node

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

// answerLogs sends what a task or a job has written; with Follow it goes on
// until that has ended.
func (n *Node) answerLogs(ctx context.Context, a *asker, q *ipc.Query) (*ipc.LogChunk, error) {
	job, task, err := n.whoseLog(q.ID)
	if err != nil {
		return nil, err
	}
	log, running := n.logSource(job, task)
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	var last []byte // the answer that has no successor is the last one
	for {
		more := q.Follow && running() && !a.gone()
		for {
			b, err := log.next()
			if err != nil {
				return nil, err
			}
			if len(b) == 0 {
				break
			}
			a.logs(last)
			last = b
		}
		if !more {
			c := chunk(last)
			c.Ran = n.ranElsewhere(job, task)
			return c, nil
		}
		a.logs(last)
		last = nil
		select {
		case <-ctx.Done():
			return nil, raygo.Fail(raygo.CodePeerDied, "the peer is stopping")
		case <-tick.C:
		}
	}
}

func (a *asker) logs(b []byte) {
	if len(b) > 0 {
		a.part(ipc.Marshal(chunk(b)))
	}
}

// whoseLog is the job, or if it is one the task, of that ID. Jobs that other
// peers owned are in no book here once they have ended, but what their tasks
// wrote is kept.
func (n *Node) whoseLog(id string) (raygo.JobID, raygo.TaskID, error) {
	job, _, err := n.findJob(id)
	if err != nil {
		job, err = n.book.logs.findJob(id)
	}
	if err == nil {
		return job, raygo.TaskID{}, nil
	}
	task, err := n.findTask(id)
	if err != nil {
		return raygo.JobID{}, raygo.TaskID{}, raygo.Fail(raygo.CodeRefused, "there is no task or job %s here", id)
	}
	return task.Job(), task, nil
}

// logSource is what the task, or the job if that is zero, wrote here, and
// whether more may come.
func (n *Node) logSource(job raygo.JobID, task raygo.TaskID) (log *logReader, running func() bool) {
	if task.IsZero() {
		return n.book.logs.ofJob(job), func() bool {
			n.mu.Lock()
			defer n.mu.Unlock()
			return n.jobs[job] != nil
		}
	}
	return n.book.logs.ofTask(task), func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		_, ok := n.core.Task(task)
		return ok
	}
}

// ranElsewhere are the other peers that are known here to have run attempts of a
// task, or of a job if that is zero.
func (n *Node) ranElsewhere(job raygo.JobID, task raygo.TaskID) []string {
	peers := map[string]bool{}
	n.mu.Lock()
	n.core.Tasks(func(v *sched.TaskView) bool {
		if v.Peer != "" && v.Job == job && (task.IsZero() || v.ID == task) {
			peers[v.Peer] = true
		}
		return true
	})
	n.mu.Unlock()
	n.book.ranElsewhere(job, task, peers)
	return slices.Sorted(maps.Keys(peers))
}

func chunk(b []byte) *ipc.LogChunk {
	c := &ipc.LogChunk{Lines: []string{}}
	for line := range strings.Lines(string(b)) {
		c.Lines = append(c.Lines, strings.TrimSuffix(line, "\n"))
	}
	return c
}
