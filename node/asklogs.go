package node

import (
	"context"
	"strings"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// answerLogs sends what a task or a job has written; with Follow it goes on
// until that has ended.
func (n *Node) answerLogs(ctx context.Context, a *asker, q *ipc.Query) (*ipc.LogChunk, error) {
	log, running, err := n.logSource(q.ID)
	if err != nil {
		return nil, err
	}
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
			return chunk(last), nil
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

func (n *Node) logSource(id string) (log *logReader, running func() bool, err error) {
	if job, _, err := n.findJob(id); err == nil {
		return n.book.logs.ofJob(job), func() bool {
			n.mu.Lock()
			defer n.mu.Unlock()
			return n.jobs[job] != nil
		}, nil
	}
	task, err := n.findTask(id)
	if err != nil {
		return nil, nil, raygo.Fail(raygo.CodeRefused, "there is no task or job %s here", id)
	}
	return n.book.logs.ofTask(task), func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		_, ok := n.core.Task(task)
		return ok
	}, nil
}

func chunk(b []byte) *ipc.LogChunk {
	c := &ipc.LogChunk{Lines: []string{}}
	for line := range strings.Lines(string(b)) {
		c.Lines = append(c.Lines, strings.TrimSuffix(line, "\n"))
	}
	return c
}
