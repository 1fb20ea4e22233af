package sched

import (
	"fmt"
	"time"

	raygo "github.com/raygo/raygo"
)

// An executor that takes a task and never speaks of it again would hang it. So
// an owner asks now and then what of its tasks a peer has; links keep order, so
// what was assigned before the question, has not ended before the answer, and is
// not in it, is lost.

// Times of the roll call.
const (
	rollEvery = 5 * time.Second  // tasks that are elsewhere longer are asked about
	rollWait  = 30 * time.Second // a peer that does not answer so long gets no more tasks
)

// rollLater makes sure that tasks elsewhere are asked about in time.
func (c *Core) rollLater() {
	if !c.rollTimed {
		c.rollTimed = true
		c.after(rollEvery, timer{kind: timerRoll})
	}
}

// rollDue asks every peer that has had a task of ours for long.
func (c *Core) rollDue() {
	c.rollTimed = false
	old := c.now.Add(-rollEvery).UnixNano()
	for _, p := range c.peerOrder {
		if len(p.running) == 0 {
			continue
		}
		c.rollLater()
		switch {
		case p.roll != 0 && c.now.Sub(p.rollAt) >= rollWait:
			p.roll = 0
			c.absent(p, map[raygo.TaskID]bool{}, fmt.Sprintf("peer %s has not said for %s what it does with its tasks", p.id, rollWait))
		case p.roll == 0 && p.hasSince(old):
			c.rolls++
			p.roll, p.rollAt = c.rolls, c.now
			c.send(p, &RollCall{Number: p.roll})
		}
	}
}

// hasSince reports whether a peer has had a task of ours since then or longer.
func (p *peer) hasSince(then int64) bool {
	for _, t := range p.running {
		if t.startedAt <= then {
			return true
		}
	}
	return false
}

// rollCalled answers at the end of the step, after the ends of tasks.
func (c *Core) rollCalled(from *peer, m *RollCall) {
	from.rolled = m.Number
	c.touch(from)
}

// present lists what this peer has of another's tasks.
func (c *Core) present(p *peer) *Present {
	m := &Present{Number: p.rolled}
	for _, j := range c.sortedJobs() {
		if j.owner != p {
			continue
		}
		for _, t := range sortedTasks(j.tasks) {
			m.Tasks = append(m.Tasks, t.id)
		}
	}
	p.rolled = 0
	return m
}

// presentAt takes the answer.
func (c *Core) presentAt(p *peer, m *Present) {
	if m.Number == 0 || m.Number != p.roll {
		return
	}
	p.roll = 0
	there := make(map[raygo.TaskID]bool, len(m.Tasks))
	for _, id := range m.Tasks {
		there[id] = true
	}
	c.absent(p, there, fmt.Sprintf("peer %s took it and does not have it", p.id))
}

// absent has tasks tried elsewhere that a peer was given before the last roll
// call and does not have. Such a peer breaks its word, and gets no more.
func (c *Core) absent(p *peer, there map[raygo.TaskID]bool, why string) {
	before := p.rollAt.UnixNano()
	for _, id := range sortedTaskIDs(p.running) {
		t := p.running[id]
		if t == nil || t.at != p || there[id] || t.startedAt >= before {
			continue
		}
		if !p.useless {
			p.useless = true
			c.topologyChanged()
			c.warn(t.job, why+": it gets no more tasks until it has been started anew")
		}
		c.leavePeer(t)
		c.lostAt(t, raygo.Fail(raygo.CodePeerDied, "%s", why))
	}
}
