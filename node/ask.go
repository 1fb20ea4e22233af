package node

import (
	"context"
	"slices"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

// findJob resolves a job's ID or a unique beginning of one; running reports
// whether it still is.
func (n *Node) findJob(prefix string) (id raygo.JobID, running bool, err error) {
	var ids []string
	n.mu.Lock()
	for id := range n.jobs {
		ids = append(ids, id.String())
	}
	n.mu.Unlock()
	live := slices.Clone(ids)
	n.book.mu.Lock()
	n.book.jobs.each(func(r *ipc.JobRow) { ids = append(ids, r.JobID) })
	n.book.mu.Unlock()
	s, err := one("job", prefix, ids)
	if err != nil {
		return id, false, err
	}
	id, err = raygo.ParseJobID(s)
	return id, slices.Contains(live, s), err
}

// cancelFor cancels a task, or every task of a job and the job with it.
func (n *Node) cancelFor(ctx context.Context, q *ipc.Query) (*ipc.CancelReport, error) {
	report := &ipc.CancelReport{}
	job, running, err := n.findJob(q.ID)
	if err != nil {
		id, err := n.findTask(q.ID)
		if err != nil || !n.owns(id.Job()) {
			return nil, raygo.Fail(raygo.CodeRefused, "there is no task or job %s here", q.ID)
		}
		return report, n.cancelTasks(ctx, []raygo.TaskID{id}, q.Force, report)
	}
	if !n.owns(job) {
		return nil, raygo.Fail(raygo.CodeRefused, "job %s is another peer's", q.ID)
	}
	if !running {
		return report, nil
	}
	n.mu.Lock()
	n.core.Tasks(func(v *sched.TaskView) bool {
		if v.Job == job {
			if v.State >= raygo.Running || v.Peer != "" { // another peer may have begun it
				report.Stopped++
			} else {
				report.NeverStarted++
			}
		}
		return true
	})
	if j := n.jobs[job]; j != nil {
		j.endsAs(ipc.JobStopped, "it was cancelled")
	}
	n.mu.Unlock()
	n.do(&sched.JobEnded{Job: job, Reason: "it was cancelled"})
	return report, nil
}

// owns reports whether a job is, or was, of this peer.
func (n *Node) owns(id raygo.JobID) (own bool) {
	n.mu.Lock()
	j := n.jobs[id]
	n.mu.Unlock()
	if j != nil {
		return j.owner() == ""
	}
	n.book.mu.Lock()
	defer n.book.mu.Unlock()
	n.book.jobs.each(func(r *ipc.JobRow) { own = own || r.JobID == id.String() })
	return own
}

func (n *Node) cancelTasks(ctx context.Context, ids []raygo.TaskID, force bool, report *ipc.CancelReport) error {
	ctx, cancel := context.WithTimeout(ctx, cancelWait)
	defer cancel()
	for _, id := range ids {
		answer := make(chan sched.CancelOutcome, 1)
		n.mu.Lock()
		n.nextAsk++
		ask := n.nextAsk
		n.commands[ask] = answer
		n.step(&sched.Cancel{Request: ask, Task: id, Force: force, Recursive: true})
		flush := n.endTurn()
		n.mu.Unlock()
		flushAll(flush)
		select {
		case <-ctx.Done():
			n.mu.Lock()
			delete(n.commands, ask)
			n.mu.Unlock()
			report.Unreachable++
		case outcome := <-answer:
			switch outcome {
			case sched.NeverStarted:
				report.NeverStarted++
			case sched.Stopped:
				report.Stopped++
			case sched.AlreadyDone:
				report.AlreadyDone++
			default:
				report.Unreachable++
			}
		}
	}
	return nil
}

// replay gathers what it takes to run an attempt again.
func (n *Node) replay(ctx context.Context, q *ipc.Query) (*ipc.ReplaySpec, error) {
	id, err := n.findTask(q.ID)
	if err != nil {
		return nil, err
	}
	var e *sched.Ended
	var def *ipc.Class
	n.book.mu.Lock()
	n.book.replays.each(func(r **sched.Ended) {
		if (*r).Task == id {
			e = *r
		}
	})
	if all := n.book.attempts.of(id); len(all) > 0 {
		def = &all[0].class.def
	}
	n.book.mu.Unlock()
	program, cid := n.programOf(ctx, id.Job())
	switch {
	case e == nil || def == nil:
		return nil, raygo.Fail(raygo.CodeRefused, "the arguments of task %s are not kept: it has not ended, had more than %d KiB of them, or %d tasks ended since", id, maxReplaySize>>10, maxReplays)
	case program == "":
		return nil, raygo.Fail(raygo.CodeRefused, "the program of job %s is not kept any more", id.Job())
	}
	spec := &ipc.ReplaySpec{
		Program: program, CID: cid, Class: *def, Task: id.String(), Attempt: e.Attempt,
		Args: e.Args, Values: map[string][]byte{}, Env: def.Options.Env,
	}
	for i := range e.Values {
		b, err := n.replayValue(ctx, &e.Values[i])
		if err != nil {
			return nil, err
		}
		spec.Values[e.Values[i].ID.String()] = b
	}
	return spec, nil
}

func (n *Node) replayValue(ctx context.Context, r *sched.Resolved) ([]byte, error) {
	switch r.Value.Kind {
	case sched.Inline:
		return append([]byte{r.Value.Format}, r.Value.Bytes...), nil
	case sched.Stored:
		if r.Value.Size > ipc.MaxFrame/2 {
			return nil, raygo.Fail(raygo.CodeRefused, "argument %s has %d bytes, too many to replay", r.ID, r.Value.Size)
		}
		b := make([]byte, r.Value.Size+1)
		b[0] = r.Value.Format
		if _, err := n.store.Read(ctx, r.Value.Store, 0, b[1:]); err != nil {
			return nil, raygo.Fail(raygo.CodeObjectFreed, "argument %s is not there any more: %v", r.ID, err)
		}
		return b, nil
	}
	return nil, raygo.Fail(raygo.CodeRefused, "argument %s was put together of parts; such a task cannot be replayed", r.ID)
}
