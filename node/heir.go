package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/dht"
	"github.com/raygo/raygo/node/wire"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

// Jobs that outlive their driver also outlive the peer that owns them: who has
// them, how a program anywhere finds them, and how they change hands.

// Times of attaching to a job and of giving it away.
const (
	attachWait  = 15 * time.Second // for a job that changes hands
	attachRetry = 200 * time.Millisecond
	shownLook   = 2 * time.Millisecond
	yieldWait   = 5 * time.Second
)

// jobTook makes another peer's job one of this peer's. The loop is held.
func (n *Node) jobTook(e *sched.JobTook) {
	j := n.jobs[e.Job]
	if j == nil {
		return
	}
	j.of.Store(nil)
	j.detached, j.reads = true, ""
	n.metrics.jobsTaken.Inc()
	n.log.Warn("took a job over", "job", e.Job, "from", e.From, "epoch", e.Epoch)
}

// jobMoved notes who owns another peer's job now. The loop is held.
func (n *Node) jobMoved(e *sched.JobMoved) {
	if j := n.jobs[e.Job]; j != nil {
		j.of.Store(&e.Owner)
		n.tellReads(j)
	}
}

// jobGuarded has it published where a job is to be found. The loop is held.
func (n *Node) jobGuarded(e *sched.JobGuarded) {
	j := n.jobs[e.Job]
	if n.mesh == nil || n.stopped || j == nil {
		return
	}
	j.guarded = e
	n.wg.Go(func() { n.publish(e.Job) })
}

// publish puts the record of a job as it is now, one at a time: the last word is
// the one that stays, and that of a job which ended meanwhile does not.
func (n *Node) publish(id raygo.JobID) {
	m := n.mesh
	m.publishing.Lock()
	defer m.publishing.Unlock()
	now := func() *sched.JobGuarded {
		n.mu.Lock()
		defer n.mu.Unlock()
		if j := n.jobs[id]; j != nil && j.owner() == "" {
			return j.guarded
		}
		return nil
	}
	e := now()
	if e == nil {
		return
	}
	r := dht.OwnerRecord{Job: id, Epoch: uint64(e.Epoch), Peer: m.host.ID()}
	for _, g := range e.Guardians {
		if p, err := peer.Decode(g); err == nil {
			r.Guardians = append(r.Guardians, p)
		}
	}
	if err := m.dht.PutOwner(n.ctx, r); err != nil && n.ctx.Err() == nil {
		n.log.Warn("publish where a job is", "job", id, "err", err)
	}
	if now() == nil {
		m.dht.DropOwner(id)
	}
}

// show makes a detached job of this peer known to another, where a program
// attaches to it. A job of which it has only heard may be found in a while.
func (n *Node) show(peer string, id raygo.JobID) (*wire.ShowAnswer, error) {
	n.mu.Lock()
	j := n.jobs[id]
	a := &wire.ShowAnswer{}
	var err error
	switch {
	case j == nil || j.ended:
	case j.owner() != "":
		a.Heard = true
	case !j.detached:
		err = notDetached(id)
	default:
		a.Shown = true
		n.step(&sched.JobShown{Job: id, Peer: peer})
	}
	flush := n.endTurn()
	n.mu.Unlock()
	flushAll(flush)
	return a, err
}

func notDetached(id raygo.JobID) *raygo.Failure {
	return raygo.Fail(raygo.CodeRefused, "job %s is not detached: only its own driver may use it", id)
}

// jobToAttach finds the job that a driver goes on with, wherever it is.
func (n *Node) jobToAttach(h *ipc.Hello) (*job, error) {
	id, err := raygo.ParseJobID(h.Attach)
	if err != nil {
		return nil, raygo.Fail(raygo.CodeRefused, "%v", err)
	}
	ctx, cancel := context.WithTimeout(n.ctx, attachWait)
	defer cancel()
	j, err := n.jobHere(ctx, id)
	if err != nil {
		return nil, err
	}
	if d := registryDiff(j.functions, h.Functions); d != "" {
		return nil, raygo.Fail(raygo.CodeRefused, "this program is not the job's: %s", d)
	}
	return j, nil
}

// jobHere is a detached job that this peer owns, or that its owner has made known
// here. One that changes hands is waited for.
func (n *Node) jobHere(ctx context.Context, id raygo.JobID) (*job, error) {
	for {
		n.mu.Lock()
		j := n.jobs[id]
		n.mu.Unlock()
		if j != nil && j.owner() == "" {
			if !j.detached {
				return nil, notDetached(id)
			}
			return j, nil
		}
		again, err := n.seekJob(ctx, id, j)
		if err == nil {
			if j, err = n.jobShown(ctx, id); err == nil {
				return j, nil
			}
		}
		if !again {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(attachRetry):
		}
	}
}

// seekJob asks the owner of a job to make it known here. It reports whether it is
// worth trying again: somebody has heard of the job.
func (n *Node) seekJob(ctx context.Context, id raygo.JobID, known *job) (again bool, err error) {
	none := raygo.Fail(raygo.CodeRefused, "there is no job %s on this peer or on others that it knows of; list jobs shows those there are", id)
	if n.mesh == nil {
		return false, none
	}
	var owners []string
	if known != nil {
		owners, again = append(owners, known.owner()), true
	}
	if r, err := n.mesh.dht.Owner(ctx, id); err == nil {
		owners, again = append(owners, r.Peer.String()), true
	}
	owners = append(owners, n.mesh.linked()...)
	for _, p := range owners {
		if !n.mesh.who.isLinked(p) {
			continue
		}
		var a wire.ShowAnswer
		var f *raygo.Failure
		err := n.mesh.askFor(ctx, p, wire.OpShow, &wire.ShowAsk{Job: id}, &a)
		again = again || a.Heard
		switch {
		case a.Shown:
			return true, nil
		case errors.As(err, &f) && f.Code == raygo.CodeRefused:
			return false, f
		}
	}
	return again, none
}

// jobShown waits until the core knows a job that its owner makes known.
func (n *Node) jobShown(ctx context.Context, id raygo.JobID) (*job, error) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	for {
		n.mu.Lock()
		j := n.jobs[id]
		n.mu.Unlock()
		if j != nil && !j.ended {
			return j, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("job %s was not made known here: %w", id, ctx.Err())
		case <-time.After(shownLook):
		}
	}
}

// yieldJobs gives the jobs that outlive this peer away, and waits a little until
// others have them.
func (n *Node) yieldJobs(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, yieldWait)
	defer cancel()
	n.do(&sched.HandOver{})
	for {
		left := 0
		n.mu.Lock()
		for id, j := range n.jobs {
			if j.owner() == "" && n.core.HasHeir(id) {
				left++
			}
		}
		n.mu.Unlock()
		if left == 0 {
			return
		}
		select {
		case <-ctx.Done():
			n.log.Warn("jobs that were given away have not been taken: their guardians will find this peer dead", "jobs", left)
			return
		case <-time.After(soleEvery):
		}
	}
}
