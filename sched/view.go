package sched

import (
	"fmt"
	"maps"
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
)

// TaskView is an unfinished task as lists show it.
type TaskView struct {
	ID       raygo.TaskID
	Parent   raygo.TaskID
	Job      raygo.JobID
	Function string
	Class    ClassID
	Attempt  uint32
	Depth    int
	State    raygo.TaskState
	PID      int
	Worker   WorkerID
	Created  time.Time
	Started  time.Time
	NoEvents bool
	Demand   map[string]float64
	Reason   string
	Peer     string // the peer that has it, "" for this one or none
	Foreign  bool   // another peer's task
}

// Tasks calls f for each unfinished task until f returns false. The order is
// unspecified.
func (c *Core) Tasks(f func(*TaskView) bool) {
	for _, j := range c.jobs {
		for _, t := range j.tasks.all() {
			v := c.view(t)
			if !f(&v) {
				return
			}
		}
	}
}

// RunsNow is the task that a worker executes, if any.
func (c *Core) RunsNow(id WorkerID) (task raygo.TaskID, function string, attempt uint32) {
	if w := c.workers[id]; w != nil && len(w.queue) > 0 {
		t := w.queue[0]
		return t.id, t.class.function, t.attempt
	}
	return raygo.TaskID{}, "", 0
}

// Task is one unfinished task, with the reason why it waits.
func (c *Core) Task(id raygo.TaskID) (TaskView, bool) {
	j := c.jobs[id.Job()]
	if j == nil || j.tasks.task(id) == nil {
		return TaskView{}, false
	}
	t := j.tasks.task(id)
	v := c.view(t)
	v.Demand = Shape(&t.class.opts)
	v.Reason = c.why(t)
	return v, true
}

func (c *Core) view(t *task) TaskView {
	v := TaskView{
		ID: t.id, Parent: t.parentID, Job: t.job.id, Function: t.class.function, Class: t.class.id, Attempt: t.attempt,
		Depth: int(t.depth), State: t.state, Created: when(t.created), NoEvents: t.class.opts.NoEvents,
	}
	v.Foreign = t.foreign != nil
	if t.at != nil {
		v.Peer = t.at.id
	}
	if t.worker != nil {
		v.PID, v.Worker = t.worker.pid, t.worker.id
		if t.state >= raygo.Running {
			v.Started = when(t.startedAt)
		}
	}
	return v
}

// why says in a sentence why a task is where it is.
func (c *Core) why(t *task) string {
	if t.at != nil {
		return "peer " + t.at.id + " has it"
	}
	switch t.state {
	case raygo.PendingArgsAvail:
		return fmt.Sprintf("it waits for %d argument(s) that do not have a value yet", t.waiting)
	case raygo.PendingNodeAssignment:
		if t.backingOff {
			return fmt.Sprintf("attempt %d failed; the next one waits for its backoff", t.attempt-1)
		}
		return c.whyPending(t)
	case raygo.PendingArgsFetch:
		return "it has a place and its resources; its argument bytes are being brought"
	case raygo.SubmittedToWorker:
		return fmt.Sprintf("it was sent ahead to worker %d, which still runs the task before it", t.worker.pid)
	default:
		return fmt.Sprintf("it runs on this peer, in worker %d", t.worker.pid)
	}
}

func (c *Core) whyPending(t *task) string {
	cl := t.class
	for _, w := range c.order {
		if w.bound == t {
			return "it has its resources and waits for a worker process to start"
		}
	}
	switch ok, short := c.led.fits(&cl.demand); {
	case c.shared(cl) && cl.asking != nil:
		return fmt.Sprintf("%d other peer(s) were asked for room and have not all answered", cl.asking.asked)
	case c.shared(cl):
		return c.whoHasNoRoom(cl)
	case cl.refused != "":
		return "infeasible: " + c.cannot(cl)
	case !ok:
		return fmt.Sprintf("not enough %s is free; %d task(s) of this class wait", short, cl.queue.n)
	case cl.short != "":
		return fmt.Sprintf("the last try lacked %s; %d task(s) of this class wait", cl.short, cl.queue.n)
	default:
		return fmt.Sprintf("%d task(s) of this class wait and others come first", cl.queue.n)
	}
}

// whoHasNoRoom counts the peers that could run a shared class's tasks, this one,
// which owns them, among them.
func (c *Core) whoHasNoRoom(cl *class) string {
	others := len(c.feasible(cl))
	all, who := others, "its owner is not one of them"
	if c.atHome(cl) {
		all, who = others+1, fmt.Sprintf("its owner and %d other(s)", others)
	}
	return fmt.Sprintf("none of the %d peer(s) that could run it has room (%s); what falls free is offered", all, who)
}

// Shape is what a task asks for, for people.
func Shape(o *raygo.Options) map[string]float64 {
	m := map[string]float64{raygo.CPU: o.CPU.Float()}
	if o.GPU > 0 {
		m[raygo.GPU] = o.GPU.Float()
	}
	if o.Memory > 0 {
		m[raygo.Memory] = float64(o.Memory)
	}
	for name, q := range o.Custom {
		m[name] = q.Float()
	}
	return m
}

// ObjectView is an object as lists show it.
type ObjectView struct {
	ID        raygo.ObjectID
	Value     Value
	Refs      int
	TaskPins  int
	Contained int
	Function  string
}

// Objects calls f for each object until f returns false. The order is
// unspecified.
func (c *Core) Objects(f func(*ObjectView) bool) {
	for _, j := range c.jobs {
		for _, o := range j.objects.all() {
			if o.id.Index() == raygo.StreamIndex {
				continue
			}
			v := viewObject(o)
			if !f(&v) {
				return
			}
		}
	}
}

// Object is one object.
func (c *Core) Object(id raygo.ObjectID) (ObjectView, bool) {
	j := c.jobs[id.Job()]
	if j == nil || j.objects.get(id) == nil {
		return ObjectView{}, false
	}
	return viewObject(j.objects.get(id)), true
}

func viewObject(o *object) ObjectView {
	v := ObjectView{ID: o.id, Value: o.value, Refs: int(o.refs), TaskPins: int(o.taskPins), Contained: int(o.contained)}
	if t := o.job.tasks.task(o.id.Task()); t != nil {
		v.Function = t.class.function
	}
	return v
}

// WorkerView is a worker as lists show it.
type WorkerView struct {
	ID    WorkerID
	PID   int
	Job   raygo.JobID
	State string
	GPUs  string
	Task  raygo.TaskID
	Func  string
	Calls int
}

// Workers lists the worker processes by age.
func (c *Core) Workers() []WorkerView {
	vs := make([]WorkerView, 0, len(c.order))
	for _, w := range c.order {
		v := WorkerView{ID: w.id, PID: w.pid, Job: w.key.job, State: workerStates[w.state], GPUs: w.key.gpus, Calls: w.calls}
		if len(w.queue) > 0 {
			v.Task, v.Func = w.queue[0].id, w.queue[0].class.function
		}
		vs = append(vs, v)
	}
	return vs
}

// JobView is a job's counts.
type JobView struct {
	ID       raygo.JobID
	Detached bool
	Pending  int
	Finished int
	Failed   int
	Running  int
	Heirs    []string // guardians that have a whole copy of its records
}

// Jobs lists the jobs that are not over.
func (c *Core) Jobs() []JobView {
	var vs []JobView
	for _, j := range c.jobs {
		vs = append(vs, JobView{ID: j.id, Detached: j.detached, Pending: j.tasks.n, Finished: j.finished, Failed: j.failed, Running: j.running, Heirs: j.heirs()})
	}
	slices.SortFunc(vs, func(a, b JobView) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return vs
}

// heirs are the guardians that could go on with a job if this peer died now.
func (j *job) heirs() (ids []string) {
	if j.guards == nil {
		return nil
	}
	for _, g := range j.guards.slots {
		if g != nil && g.safe != nil {
			ids = append(ids, g.peer.id)
		}
	}
	return ids
}

// DemandView counts the tasks of one class that wait for a place.
type DemandView struct {
	Shape      map[string]float64
	Function   string
	Count      int
	Infeasible string
}

// Demands lists what waits for a place.
func (c *Core) Demands() []DemandView {
	var vs []DemandView
	for _, cl := range c.ready {
		if cl.queue.n > 0 {
			vs = append(vs, DemandView{Shape: Shape(&cl.opts), Function: cl.function, Count: cl.queue.n, Infeasible: c.infeasible(cl)})
		}
	}
	return vs
}

// infeasible is why tasks of the class can run nowhere, if they cannot.
func (c *Core) infeasible(cl *class) string {
	if cl.refused == "" || c.shared(cl) {
		return ""
	}
	return c.cannot(cl)
}

// Counts are the core's totals.
type Counts struct {
	Unfinished, Ready, Running, OOMKills int
	Impostors                            int // requests of peers that had no right to them
	PastBound                            int // jobs and processes of other peers that there was no room for
	Away                                 int // tasks of ours that other peers have
	Yields                               int // of Ready and Away, those of jobs that go on elsewhere when this peer ends
}

// Counts returns the totals.
func (c *Core) Counts() Counts {
	n := Counts{Unfinished: c.tasks, OOMKills: c.oomKills, Impostors: c.impostors, PastBound: c.pastBound}
	for _, cl := range c.ready {
		n.Ready += cl.queue.n
		if c.HasHeir(cl.job.id) {
			n.Yields += cl.queue.n
		}
	}
	for _, p := range c.peerOrder {
		n.Away += len(p.running)
		for _, t := range p.running {
			if t.job.guards != nil && c.HasHeir(t.job.id) {
				n.Yields++
			}
		}
	}
	for _, w := range c.order {
		if w.state == busy || w.state == blockedState {
			n.Running++
		}
	}
	return n
}

// Capacity is the machine's total and free resources.
func (c *Core) Capacity() (total, free map[string]float64) {
	l := c.led
	total = map[string]float64{raygo.CPU: l.total.cpu.Float(), raygo.Memory: float64(l.total.memory)}
	free = map[string]float64{raygo.CPU: l.free.cpu.Float(), raygo.Memory: float64(l.free.memory)}
	if len(l.gpuIDs) > 0 {
		total[raygo.GPU] = float64(len(l.gpuIDs))
		var q raygo.Quantity
		for _, f := range l.gpuFree {
			q += f
		}
		free[raygo.GPU] = q.Float()
	}
	for i, name := range l.names {
		total[name], free[name] = l.customTotal[i].Float(), l.customFree[i].Float()
	}
	return maps.Clone(total), free
}
