package node

import (
	"context"
	"time"

	"github.com/raygo/raygo/sched"
)

// do lets events happen, carries out what follows, and flushes.
func (n *Node) do(evs ...sched.Event) {
	n.mu.Lock()
	now := time.Now()
	for _, ev := range evs {
		n.stepAt(now, ev)
	}
	flush := n.endTurn()
	n.mu.Unlock()
	flushAll(flush)
}

// step lets one event happen, and whatever its effects give rise to at once.
func (n *Node) step(ev sched.Event) { n.stepAt(time.Now(), ev) }

func (n *Node) stepAt(now time.Time, ev sched.Event) {
	for _, e := range n.core.Step(now, ev) {
		n.carry(e)
	}
	for len(n.pending) > 0 {
		next := n.pending[0]
		n.pending = n.pending[1:]
		for _, e := range n.core.Step(now, next) {
			n.carry(e)
		}
	}
}

// later queues an event for the end of the step that is being carried out.
func (n *Node) later(ev sched.Event) { n.pending = append(n.pending, ev) }

// turnEnd is what to flush after a hold of the loop: connections of processes, and
// links to peers.
type turnEnd struct {
	n       *Node
	procs   []*proc
	remotes []*remote
}

// endTurn ends a hold of the loop: timers are set, and the connections to flush
// are handed to the caller, who does so without the lock.
func (n *Node) endTurn() turnEnd {
	n.afterTurn()
	flush := turnEnd{n, n.dirty, n.dirtyRemotes}
	n.dirty, n.dirtyRemotes = nil, nil
	for _, p := range flush.procs {
		p.dirty = false
	}
	for _, r := range flush.remotes {
		r.dirty = false
	}
	return flush
}

func (n *Node) afterTurn() {
	if next := n.core.Next(); !next.IsZero() && (n.armed.IsZero() || next.Before(n.armed)) {
		n.armed = next
		n.timer.Reset(time.Until(next))
	}
	if n.draining && !n.stopped {
		if c := n.core.Counts(); c.Unfinished == 0 || c.Running == 0 && c.Ready+c.Away == c.Yields {
			select {
			case <-n.idle:
			default:
				close(n.idle)
			}
		}
	}
}

func flushAll(e turnEnd) {
	for _, r := range e.remotes {
		e.n.mesh.links.Flush(r.id)
	}
	for _, p := range e.procs {
		_ = p.conn.Flush() // its reader sees the end of a broken connection
	}
}

// keepTime gives the core a Tick when it asked for one.
func (n *Node) keepTime(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.timer.C:
		}
		n.mu.Lock()
		n.armed = time.Time{}
		n.step(&sched.Tick{})
		flush := n.endTurn()
		n.mu.Unlock()
		flushAll(flush)
	}
}

// How often processes that did not read get what they missed, while there are
// such processes and while there are none.
const (
	latePeriod = 5 * time.Millisecond
	calmPeriod = 50 * time.Millisecond
)

// pushLate tells processes that were too slow a reader for their notices, once
// they read again.
func (n *Node) pushLate(ctx context.Context) error {
	t := time.NewTimer(calmPeriod)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		n.mu.Lock()
		for p := range n.late {
			n.catchUp(p)
		}
		n.flushAllLogs()
		if n.letGo() || len(n.late) > 0 {
			t.Reset(latePeriod)
		} else {
			t.Reset(calmPeriod)
		}
		flush := n.endTurn()
		n.mu.Unlock()
		flushAll(flush)
	}
}
