package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/node/machine"
	"github.com/raygo/raygo/objects"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

// Bounds of questions.
const (
	maxQueries  = 16 // under way at once for one process
	cidWait     = time.Second
	followEvery = 100 * time.Millisecond
	cancelWait  = 10 * time.Second
)

// query answers a question in a goroutine of its own: it may take its time, the
// process's other frames go on.
func (p *proc) query(b []byte) error {
	var q ipc.Query
	id, err := ipc.ParseNumbered(b, &q)
	if err != nil {
		return err
	}
	n := p.n
	if p.asking.Add(1) > maxQueries {
		p.asking.Add(-1)
		p.answer(id, &ipc.Answer{Failure: raygo.Fail(raygo.CodeQueueFull, "%d questions are under way on this connection, its limit", maxQueries)})
		return nil
	}
	n.wg.Go(func() {
		defer p.asking.Add(-1)
		ctx, cancel := context.WithCancel(n.ctx)
		defer cancel()
		asks := &asker{
			wide: true, governs: p.role == ipc.RoleCommand, gone: p.hungUp.Load,
			part: func(b []byte) { p.answer(id, &ipc.Answer{Body: b, More: true}) },
		}
		body, err := n.ask(ctx, asks, &q)
		a := &ipc.Answer{}
		var f *raygo.Failure
		switch {
		case errors.As(err, &f):
			a.Failure = f
		case err != nil:
			a.Failure = raygo.Fail(raygo.CodeRefused, "%v", err)
		default:
			body = asks.rows(body)
			if a.Body = ipc.Marshal(body); len(a.Body) > ipc.MaxFrame-1024 {
				*a = ipc.Answer{Failure: raygo.Fail(raygo.CodeRefused, "the answer has %d bytes, a frame takes %d: ask for fewer rows with a limit", len(a.Body), ipc.MaxFrame)}
			}
		}
		p.answer(id, a)
	})
	return nil
}

// rowsPerAnswer keeps answers well below what a frame takes.
const rowsPerAnswer = 5_000

// rows sends what a long list has before its last part, and returns that.
func (a *asker) rows(body any) any {
	switch b := body.(type) {
	case *ipc.Rows[ipc.TaskRow]:
		sendRows(a, b)
	case *ipc.Rows[ipc.ObjectRow]:
		sendRows(a, b)
	}
	return body
}

func sendRows[R any](a *asker, rows *ipc.Rows[R]) {
	for len(rows.Rows) > rowsPerAnswer {
		part := *rows
		part.Rows = rows.Rows[:rowsPerAnswer]
		a.part(ipc.Marshal(&part))
		rows.Rows = rows.Rows[rowsPerAnswer:]
	}
}

func (p *proc) answer(id uint32, a *ipc.Answer) {
	_ = p.conn.Send(func(b []byte) []byte { return ipc.AppendNumbered(b, ipc.TypeAnswer, id, a) })
}

// askHere finds what this peer alone knows.
func (n *Node) askHere(ctx context.Context, a *asker, q *ipc.Query) (any, error) {
	switch q.Op {
	case ipc.QueryStatus:
		return n.status(), nil
	case ipc.QueryTasks:
		return n.taskRows(q)
	case ipc.QueryObjects:
		return n.objectRows(q)
	case ipc.QueryNodes:
		f, err := newFilter[ipc.NodeRow](q)
		if err != nil {
			return nil, err
		}
		if row := n.nodeRow(); !n.cfg.Client {
			f.add(&row)
		}
		return &f.rows, nil
	case ipc.QueryWorkers:
		return n.workerRows(q)
	case ipc.QueryJobs:
		return n.jobRows(q)
	case ipc.QuerySummary:
		return n.summary(q)
	case ipc.QueryTask:
		return n.taskAttempts(q)
	case ipc.QueryObject:
		return n.oneObject(ctx, q)
	case ipc.QueryExplain:
		return n.explain(q)
	case ipc.QueryLogs:
		return n.answerLogs(ctx, a, q)
	case ipc.QueryCancel:
		return n.cancelFor(ctx, q)
	case ipc.QueryTimeline:
		return n.answerTimeline(a, q), nil
	case ipc.QueryMemory:
		return n.memory(q)
	case ipc.QueryResources:
		row := n.nodeRow()
		return &row, nil
	case ipc.QueryInvite, ipc.QueryRevoke, ipc.QueryMembers:
		return n.govern(a, q)
	case ipc.QueryReplay:
		return n.replay(ctx, q)
	}
	return nil, fmt.Errorf("this peer (raygo %s) does not know the question %q", Version, q.Op)
}

// findTask resolves a task's ID or a unique beginning of one.
func (n *Node) findTask(prefix string) (raygo.TaskID, error) {
	if id, err := raygo.ParseTaskID(prefix); err == nil {
		return id, nil
	}
	var ids []string
	match := func(id raygo.TaskID) {
		if s := id.String(); strings.HasPrefix(s, prefix) {
			ids = append(ids, s)
		}
	}
	n.eachTask(func(v *sched.TaskView) { match(v.ID) })
	ended, _ := n.book.endedSince(0)
	for i := range ended {
		match(ended[i].task)
	}
	s, err := one("task", prefix, ids)
	if err != nil {
		return raygo.TaskID{}, err
	}
	return raygo.ParseTaskID(s)
}

// taskAttempts lists every attempt of one task.
func (n *Node) taskAttempts(q *ipc.Query) (*ipc.Rows[ipc.TaskRow], error) {
	id, err := n.findTask(q.ID)
	if err != nil {
		return nil, err
	}
	rows := &ipc.Rows[ipc.TaskRow]{Rows: []ipc.TaskRow{}, Peers: ipc.Asked{Asked: 1, Answered: 1}}
	n.book.mu.Lock()
	for _, a := range n.book.attempts.of(id) {
		rows.Rows = append(rows.Rows, a.row(n.id))
	}
	progress := n.book.progress[id]
	n.book.mu.Unlock()
	n.mu.Lock()
	if v, ok := n.core.Task(id); ok && !v.NoEvents {
		row := n.liveRow(&v, map[raygo.TaskID]ipc.Note{progress.Task: progress})
		row.Resources = v.Demand
		rows.Rows = append(rows.Rows, row)
	}
	n.mu.Unlock()
	if rows.Total = len(rows.Rows); rows.Total == 0 {
		return nil, raygo.Fail(raygo.CodeRefused, "there is no task %s here, or it left no events", q.ID)
	}
	return rows, nil
}

// oneObject shows an object with its CID, which may have to be computed.
func (n *Node) oneObject(ctx context.Context, q *ipc.Query) (*ipc.Rows[ipc.ObjectRow], error) {
	id, err := raygo.ParseObjectID(q.ID)
	if err != nil {
		var ids []string
		n.mu.Lock()
		n.core.Objects(func(v *sched.ObjectView) bool { ids = append(ids, v.ID.String()); return true })
		n.mu.Unlock()
		full, err := one("object", q.ID, ids)
		if err != nil {
			return nil, err
		}
		id, _ = raygo.ParseObjectID(full)
	}
	n.mu.Lock()
	v, ok := n.core.Object(id)
	n.mu.Unlock()
	if !ok {
		return nil, raygo.Fail(raygo.CodeObjectFreed, "there is no object %s here: it was released, or is of a job that ended", q.ID)
	}
	row := n.objectRow(&v)
	switch v.Value.Kind {
	case sched.Inline:
		row.CID = objects.SumBytes(v.Value.Bytes).String()
	case sched.Stored:
		ctx, cancel := context.WithTimeout(ctx, cidWait)
		defer cancel()
		if c, err := n.store.CID(ctx, v.Value.Store); err == nil {
			row.CID = c.String()
		}
	}
	return &ipc.Rows[ipc.ObjectRow]{Rows: []ipc.ObjectRow{row}, Total: 1, Peers: ipc.Asked{Asked: 1, Answered: 1}}, nil
}

// summary counts tasks by function and state, or objects by maker.
func (n *Node) summary(q *ipc.Query) (*ipc.Summary, error) {
	s := &ipc.Summary{Time: time.Now(), Groups: []ipc.SummaryGroup{}, Peers: ipc.Asked{Asked: 1, Answered: 1}}
	at := map[string]int{}
	add := func(name, state, kind string, size int64) {
		i, ok := at[name]
		if !ok {
			i = len(s.Groups)
			at[name] = i
			s.Groups = append(s.Groups, ipc.SummaryGroup{FuncName: name, States: map[string]int{}, Type: kind})
		}
		s.Groups[i].States[state]++
		s.Groups[i].Bytes += size
		s.Bytes += size
		s.Total++
	}
	if q.ID == "objects" {
		all := *q
		all.Limit = maxRows
		rows, err := n.objectRows(&all)
		if err != nil {
			return nil, err
		}
		for i := range rows.Rows {
			add(rows.Rows[i].FuncName, rows.Rows[i].State, "", rows.Rows[i].Size)
		}
		return s, nil
	}
	before := n.book.everEnded()
	n.eachTask(func(v *sched.TaskView) {
		if !v.NoEvents && !n.toldBy(v.Peer) {
			add(v.Function, v.State.String(), normalTask, 0)
		}
	})
	ended, fresh := n.book.endedSince(before)
	away := n.tellers()
	for i := range ended[:len(ended)-fresh] { // the rest was counted as live
		if away[ended[i].peer] {
			continue
		}
		add(ended[i].function, ended[i].state.String(), normalTask, 0)
	}
	return s, nil
}

func (n *Node) memory(q *ipc.Query) (*ipc.MemoryReport, error) {
	all := *q
	rows, err := n.objectRows(&all)
	if err != nil {
		return nil, err
	}
	workers, err := n.workerRows(&ipc.Query{Limit: maxRows})
	if err != nil {
		return nil, err
	}
	m := &ipc.MemoryReport{Store: n.storeUsage(), Objects: *rows, Workers: workers.Rows}
	m.Host.Total, m.Host.Available, _ = machine.Memory()
	n.mu.Lock()
	m.Host.OOMKills = n.core.Counts().OOMKills
	n.mu.Unlock()
	return m, nil
}

func workerName(id sched.WorkerID) string { return fmt.Sprintf("w%d", id) }
