package node

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/node/machine"
	"github.com/raygo/raygo/objects"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

const normalTask = "NORMAL_TASK"

// liveRow is the row of an unfinished task.
func (n *Node) liveRow(v *sched.TaskView, progress map[raygo.TaskID]ipc.Note) ipc.TaskRow {
	r := ipc.TaskRow{
		TaskID: v.ID.String(), Attempt: int(v.Attempt), FuncName: v.Function, State: v.State.String(), JobID: v.Job.String(),
		PeerID: n.id, WorkerPID: v.PID, Type: normalTask, Created: v.Created, Started: v.Started, Depth: v.Depth, Reason: v.Reason,
	}
	if !v.Parent.IsZero() {
		r.ParentTaskID = v.Parent.String()
	}
	if v.Peer != "" {
		r.PeerID = v.Peer
	}
	if p, ok := progress[v.ID]; ok {
		r.Progress = progressText(&p)
	}
	return r
}

// row is the row of an attempt that ended.
func (a *attempt) row(peer string) ipc.TaskRow {
	r := ipc.TaskRow{
		TaskID: a.task.String(), Attempt: int(a.attempt), FuncName: a.function, State: a.state.String(), JobID: a.task.Job().String(),
		PeerID: peer, WorkerPID: a.pid, Type: normalTask, Resources: a.class.row, Created: a.created, Started: a.started, Ended: a.ended, Depth: a.depth,
	}
	if a.peer != "" {
		r.PeerID = a.peer
	}
	if !a.parent.IsZero() {
		r.ParentTaskID = a.parent.String()
	}
	if a.state == raygo.Failed {
		r.ErrorType = a.failure.Code.String()
		if f := failureOf(&a.failure); f != nil {
			r.ErrorMessage = f.Message
		}
	}
	return r
}

func failureOf(v *sched.Value) *raygo.Failure {
	if v.Failure != nil {
		return v.Failure
	}
	var f raygo.Failure
	if v.Bytes == nil || ipc.Unmarshal(v.Bytes, &f) != nil {
		return nil
	}
	return &f
}

// taskRows lists live tasks first, the oldest at the top, then attempts that
// ended, newest first.
func (n *Node) taskRows(q *ipc.Query) (*ipc.Rows[ipc.TaskRow], error) {
	f, err := newFilter[ipc.TaskRow](q)
	if err != nil {
		return nil, err
	}
	add := func(v *liveTask) {
		if f.full() {
			f.count(1)
			return
		}
		row := n.liveRow(&v.TaskView, nil)
		row.Progress = v.progress
		if v.class != nil {
			row.Resources = v.class.row
		}
		f.add(&row)
	}
	before := n.book.everEnded()
	var live []liveTask
	n.eachLive(func(part []liveTask) {
		if len(live)+len(part) <= maxRows {
			live = append(live, part...)
			return
		}
		for i := range part {
			add(&part[i])
		}
	})
	slices.SortFunc(live, func(a, b liveTask) int { return a.Created.Compare(b.Created) })
	for i := range live {
		add(&live[i])
	}
	ended, fresh := n.book.endedSince(before)
	twice, away := attemptsOf(live, fresh), n.tellers()
	for i := range ended {
		a := &ended[len(ended)-1-i]
		switch {
		case i < fresh && twice[attemptKey{a.task, a.attempt}]:
		case away[a.peer]:
		case f.full():
			f.count(1)
		default:
			row := a.row(n.id)
			f.add(&row)
		}
	}
	return &f.rows, nil
}

// attemptKey names an attempt.
type attemptKey struct {
	task    raygo.TaskID
	attempt uint32
}

// attemptsOf are the attempts that were listed as live, if some ended meanwhile.
func attemptsOf(live []liveTask, fresh int) map[attemptKey]bool {
	if fresh == 0 {
		return nil
	}
	m := make(map[attemptKey]bool, len(live))
	for i := range live {
		m[attemptKey{live[i].ID, live[i].Attempt}] = true
	}
	return m
}

// objectRows lists the objects of this peer's jobs.
func (n *Node) objectRows(q *ipc.Query) (*ipc.Rows[ipc.ObjectRow], error) {
	f, err := newFilter[ipc.ObjectRow](q)
	if err != nil {
		return nil, err
	}
	var views []sched.ObjectView
	add := func(v *sched.ObjectView) {
		if f.full() {
			f.count(1)
			return
		}
		row := n.objectRow(v)
		f.add(&row)
	}
	n.eachObject(func(v *sched.ObjectView) {
		if len(views) < maxRows {
			views = append(views, *v)
			return
		}
		add(v)
	})
	if q.Op == ipc.QueryMemory { // what holds most comes first
		slices.SortStableFunc(views, func(a, b sched.ObjectView) int { return cmp.Compare(bytesOf(&b.Value), bytesOf(&a.Value)) })
	}
	for i := range views {
		add(&views[i])
	}
	return &f.rows, nil
}

// bytesOf is the memory that a value takes.
func bytesOf(v *sched.Value) uint64 {
	if v.Kind == sched.Stored {
		return v.Size
	}
	return uint64(len(v.Bytes))
}

func (n *Node) objectRow(v *sched.ObjectView) ipc.ObjectRow {
	r := ipc.ObjectRow{
		ObjectID: v.ID.String(), JobID: v.ID.Job().String(), TaskID: v.ID.Task().String(), PeerID: n.id,
		Refs: v.Refs, TaskPins: v.TaskPins, Contains: v.Contained, FuncName: v.Function, Size: int64(v.Value.Size), State: "PENDING",
	}
	switch v.Value.Kind {
	case sched.Inline:
		r.State, r.Size = "INLINE", int64(len(v.Value.Bytes))
	case sched.Composite:
		r.State = "INLINE"
	case sched.Failed:
		r.State = "FAILED"
	case sched.Stored:
		r.State = "IN_MEMORY"
		if info, ok := n.store.Info(v.Value.Store); ok {
			r.CID, r.Mapped, r.Size = info.CID, info.Pins, int64(info.Size)
			if info.State == objects.Spilled {
				r.State = "SPILLED"
			}
		}
	}
	return r
}

func (n *Node) workerRows(q *ipc.Query) (*ipc.Rows[ipc.WorkerRow], error) {
	f, err := newFilter[ipc.WorkerRow](q)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	rows := n.workersNow()
	n.mu.Unlock()
	for i := range rows {
		rows[i].RSS, _ = machine.ProcessRSS(rows[i].PID)
		f.add(&rows[i])
	}
	return &f.rows, nil
}

// workersNow are the rows of the workers. The loop is held.
func (n *Node) workersNow() []ipc.WorkerRow {
	var rows []ipc.WorkerRow
	for _, v := range n.core.Workers() {
		r := ipc.WorkerRow{PID: v.PID, State: v.State, JobID: v.Job.String(), FuncName: v.Func, PeerID: n.id, Calls: v.Calls}
		r.WorkerID = workerName(v.ID)
		if !v.Task.IsZero() {
			r.TaskID = v.Task.String()
		}
		if w := n.workers[v.ID]; w != nil {
			r.Program, r.GPUIDs, r.Started = w.job.binary, w.gpus, w.started
		}
		rows = append(rows, r)
	}
	return rows
}

func (n *Node) jobRows(q *ipc.Query) (*ipc.Rows[ipc.JobRow], error) {
	f, err := newFilter[ipc.JobRow](q)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	var rows []ipc.JobRow
	for _, v := range n.core.Jobs() {
		if j := n.jobs[v.ID]; j != nil && j.owner() == "" {
			rows = append(rows, n.jobRow(j, &v))
		}
	}
	n.mu.Unlock()
	n.book.mu.Lock()
	n.book.jobs.each(func(r *ipc.JobRow) { rows = append(rows, *r) })
	n.book.mu.Unlock()
	slices.SortStableFunc(rows, func(a, b ipc.JobRow) int { return b.Started.Compare(a.Started) })
	for i := range rows {
		f.add(&rows[i])
	}
	return &f.rows, nil
}

func (n *Node) jobRow(j *job, v *sched.JobView) ipc.JobRow {
	r := ipc.JobRow{
		JobID: j.id.String(), Name: j.name, State: ipc.JobRunning, Program: j.binary, PID: j.pid, Started: j.started, PeerID: n.id,
		Tasks: v.Pending + v.Finished + v.Failed, Finished: v.Finished, Failed: v.Failed, Guardians: v.Heirs,
	}
	if j.detached {
		r.State = ipc.JobDetached
	}
	if id := j.cid.Load(); id != nil {
		r.CID = *id
	}
	return r
}

// nodeRow is this peer in a list of peers.
func (n *Node) nodeRow() ipc.NodeRow {
	r := n.ownRow()
	n.mesh.describeLinks(&r)
	return r
}

// ownRow is nodeRow without the network.
func (n *Node) ownRow() ipc.NodeRow {
	host, _ := os.Hostname()
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.core.Counts()
	r := ipc.NodeRow{
		PeerID: n.id, Alive: true, State: "ALIVE", Addrs: n.mesh.addrs(), Labels: n.cfg.Labels, Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Version: Version, Tier: n.tier(), Workers: len(n.workers), Pending: c.Ready, Running: c.Running,
		Store: n.storeUsage(), Started: n.born, Hostname: host, PID: os.Getpid(),
	}
	r.Total, r.Free = n.core.Capacity()
	if n.draining {
		r.State = "DRAINING"
	}
	return r
}

func (n *Node) storeUsage() ipc.StoreUsage {
	u := n.store.Usage()
	return ipc.StoreUsage{
		Limit: u.Limit, Used: u.Used, Pinned: u.Pinned, Spilled: u.Spilled, Objects: u.Objects,
		SpilledEver: u.SpilledEver, Restored: u.Restored, Waiting: u.Waiting,
	}
}

func (n *Node) status() *ipc.ClusterStatus {
	s := &ipc.ClusterStatus{Time: time.Now(), Demands: []ipc.Demand{}}
	s.Nodes = ipc.Rows[ipc.NodeRow]{Rows: []ipc.NodeRow{}, Peers: ipc.Asked{Asked: 1, Answered: 1}}
	if !n.cfg.Client {
		s.Nodes.Rows, s.Nodes.Total = append(s.Nodes.Rows, n.nodeRow()), 1
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, d := range n.core.Demands() {
		s.Demands = append(s.Demands, ipc.Demand{Shape: d.Shape, FuncName: d.Function, Count: d.Count, Infeasible: d.Infeasible})
	}
	for _, j := range n.jobs {
		if j.owner() == "" {
			s.Jobs++
		}
	}
	return s
}

// progressText is how far a task says it is.
func progressText(n *ipc.Note) string {
	if n.Total <= 0 {
		return fmt.Sprint(n.Done)
	}
	return fmt.Sprintf("%d/%d", n.Done, n.Total)
}
