package sched

import (
	"fmt"
	"slices"

	raygo "github.com/raygo/raygo"
)

// Check verifies the laws that one core can break and returns the first breach.
// Tests call it after every step.
func (c *Core) Check() error {
	if err := c.checkLedger(); err != nil {
		return err
	}
	if err := c.checkProcs(); err != nil {
		return err
	}
	n := 0
	for _, j := range c.jobs {
		n += j.tasks.n
		if err := j.checkRefs(c); err != nil {
			return err
		}
		for _, t := range j.tasks.all() {
			if t.settled {
				return fmt.Errorf("settled task %s is still in its job's table", t.id)
			}
			if t.queued && t.worker != nil {
				return fmt.Errorf("task %s is queued and on a worker", t.id)
			}
		}
	}
	if n != c.tasks {
		return fmt.Errorf("%d unfinished tasks counted, %d in the tables", c.tasks, n)
	}
	return c.checkWorkers()
}

// checkLedger is law 3: free + held = total.
func (c *Core) checkLedger() error {
	l := newLedger(c.cfg.Resources)
	seen := map[*task]bool{}
	take := func(t *task) {
		if t == nil || seen[t] || !t.grant.held {
			return
		}
		seen[t] = true
		g := &t.grant
		l.free.cpu -= g.cpu
		l.free.memory -= t.class.demand.memory
		for _, a := range t.class.demand.custom {
			l.customFree[a.index] -= a.q
		}
		for _, i := range g.gpus {
			l.gpuFree[i] -= min(t.class.demand.gpu, raygo.Unit)
		}
	}
	for _, cl := range c.classes {
		for _, g := range slices.Concat(cl.reserved, cl.lease) {
			take(&task{class: cl, grant: g})
		}
	}
	for _, w := range c.order {
		take(w.bound)
		for _, t := range w.queue {
			take(t)
		}
	}
	if l.free != c.led.free {
		return fmt.Errorf("free is %+v, total less what tasks hold is %+v", c.led.free, l.free)
	}
	for i := range l.customFree {
		if l.customFree[i] != c.led.customFree[i] || l.customFree[i] < 0 {
			return fmt.Errorf("%s: free is %s, should be %s", l.names[i], c.led.customFree[i], l.customFree[i])
		}
	}
	for i := range l.gpuFree {
		if l.gpuFree[i] != c.led.gpuFree[i] || l.gpuFree[i] < 0 {
			return fmt.Errorf("GPU %d: free is %s, should be %s", i, c.led.gpuFree[i], l.gpuFree[i])
		}
	}
	if c.led.free.cpu < 0 || c.led.free.memory < 0 {
		return fmt.Errorf("more is held than there is: %+v", c.led.free)
	}
	return nil
}

// checkRefs is law 6: the counts of every object are what holds it, and what
// nothing holds is gone.
func (j *job) checkRefs(c *Core) error {
	if j.adopting != nil { // who holds what is being told
		return nil
	}
	refs, pins, in := map[raygo.ObjectID]int32{}, map[raygo.ObjectID]int32{}, map[raygo.ObjectID]int32{}
	for _, p := range c.procs {
		if p.job == j {
			for id, n := range p.refs.all() {
				refs[id] += n
			}
		}
	}
	for _, t := range j.tasks.all() {
		for _, id := range t.deps {
			pins[id]++
		}
		for _, id := range t.pins {
			pins[id]++
		}
	}
	for _, o := range j.objects.all() {
		for _, id := range o.nested {
			in[id]++
		}
	}
	for id, o := range j.objects.all() {
		if o.refs != refs[id] || o.taskPins != pins[id] || o.contained != in[id] {
			return fmt.Errorf("object %s counts refs %d, pins %d, containers %d; there are %d, %d, %d",
				id, o.refs, o.taskPins, o.contained, refs[id], pins[id], in[id])
		}
		if !o.needed() && o.lineagePins == 0 && (o.value.Kind != None || j.tasks.task(id.Task()) == nil) {
			return fmt.Errorf("object %s is needed by nothing and still there", id)
		}
	}
	return nil
}

// checkProcs is law 9 for what other peers have attached here.
func (c *Core) checkProcs() error {
	n := map[*peer]int{}
	for _, p := range c.procs {
		n[p.peer]++
	}
	for _, p := range c.peerOrder {
		if p.procs != n[p] || n[p] > maxTheirProcs {
			return fmt.Errorf("peer %s counts %d processes that are attached here; there are %d, and may be %d", p.id, p.procs, n[p], maxTheirProcs)
		}
	}
	return nil
}

func (c *Core) checkWorkers() error {
	if len(c.order) != len(c.workers) {
		return fmt.Errorf("%d workers in order, %d in the table", len(c.order), len(c.workers))
	}
	for _, w := range c.order {
		switch {
		case w.state == idle && len(w.queue) > 0:
			return fmt.Errorf("idle worker %d has %d tasks", w.id, len(w.queue))
		case w.state == busy && len(w.queue) == 0:
			return fmt.Errorf("busy worker %d has no task", w.id)
		}
		for i, t := range w.queue {
			if t.worker != w && !t.settled {
				return fmt.Errorf("task %s is in the queue of worker %d and says otherwise", t.id, w.id)
			}
			if i == 0 && !t.grant.held {
				return fmt.Errorf("task %s executes and holds nothing", t.id)
			}
			if i > 0 && t.grant.held {
				return fmt.Errorf("task %s was sent ahead and holds resources", t.id)
			}
		}
	}
	return nil
}
