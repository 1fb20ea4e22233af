package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/node/wire"
	"github.com/raygo/raygo/sdk/ipc"
)

// Bounds of questions to all peers.
const (
	gatherWait  = 3 * time.Second // for the answers of others
	gatherAtAll = 64              // peers asked at the same time
)

// asker is who asks a question: parts of the answer before the last go to it.
type asker struct {
	part func(body []byte)
	gone func() bool // it does not want the answer any more
	wide bool        // it asks this peer for what all know

	// governs is that it may decide who is a member: commands of this machine's
	// user may, other peers and tasks may not.
	governs bool
}

// others are the peers to ask beside this one.
func (n *Node) others() []string {
	if n.mesh == nil {
		return nil
	}
	return n.mesh.linked()
}

// ask finds the answer to a question, with what other peers know if that is
// wanted.
func (n *Node) ask(ctx context.Context, a *asker, q *ipc.Query) (any, error) {
	if !a.wide || n.mesh == nil {
		return n.askHere(ctx, a, q)
	}
	peers := n.others()
	if n.reads {
		return n.askThrough(ctx, a, q, peers)
	}
	self := 1
	if n.cfg.Client {
		self = 0 // a bridge is no peer to those who ask through it
	}
	g := &gathering{n: n, peers: peers, q: q, asked: ipc.Asked{Asked: self + len(peers), Answered: self}}
	switch q.Op {
	case ipc.QueryStatus:
		return g.status(ctx, a)
	case ipc.QueryTasks, ipc.QueryTask:
		return gatherRows(ctx, g, a, mergeTasks)
	case ipc.QueryObjects, ipc.QueryObject:
		return gatherRows[ipc.ObjectRow](ctx, g, a, nil)
	case ipc.QueryNodes:
		return g.nodes(ctx, a)
	case ipc.QueryWorkers:
		return gatherRows[ipc.WorkerRow](ctx, g, a, nil)
	case ipc.QueryJobs:
		return gatherRows(ctx, g, a, mergeJobs)
	case ipc.QuerySummary:
		return g.summary(ctx, a)
	case ipc.QueryExplain:
		return g.explain(ctx, a)
	case ipc.QueryCancel:
		return g.cancel(ctx, a)
	case ipc.QueryMemory:
		return g.memory(ctx, a)
	case ipc.QueryLogs:
		return g.logs(ctx, a)
	case ipc.QueryTimeline:
		return g.timeline(ctx, a)
	}
	return n.askHere(ctx, a, q)
}

// gathering is one question to all peers.
type gathering struct {
	n     *Node
	peers []string
	q     *ipc.Query

	mu     sync.Mutex // guards all below
	asked  ipc.Asked
	silent []string // those that were asked and did not answer
	err    error    // why the last peer refused
}

// here answers for this peer alone. A refusal is kept: others may know more.
func here[T any](ctx context.Context, g *gathering, a *asker) *T {
	body, err := g.n.askHere(ctx, &asker{part: a.part, gone: a.gone}, g.q)
	if err != nil {
		g.err = err
		return nil
	}
	return body.(*T)
}

// each asks the other peers at the same time and calls add with the parts of
// their answers, one call at a time.
func each[T any](ctx context.Context, g *gathering, wait time.Duration, add func(peer string, part *T)) {
	body := ipc.Marshal(g.q)
	slots := make(chan struct{}, gatherAtAll)
	var wg sync.WaitGroup
	for _, peer := range g.peers {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, wait)
			defer cancel()
			err := g.n.mesh.askParts(ctx, peer, wire.OpQuery, body, func(b []byte) error {
				part := new(T)
				if err := ipc.Unmarshal(b, part); err != nil {
					return err
				}
				g.mu.Lock()
				defer g.mu.Unlock()
				add(peer, part)
				return nil
			})
			g.mu.Lock()
			defer g.mu.Unlock()
			var f *raygo.Failure
			switch {
			case err == nil:
				g.asked.Answered++
			case errors.As(err, &f):
				g.asked.Answered++
				if g.err == nil {
					g.err = f
				}
			default:
				g.silent = append(g.silent, peer)
				g.n.log.Debug("ask all peers", "peer", peer, "op", g.q.Op, "err", err)
			}
		})
	}
	wg.Wait()
}

// gatherRows joins the rows of all peers. merge, if any, puts them in order and
// leaves out what is told twice.
func gatherRows[R any](ctx context.Context, g *gathering, a *asker, merge func([]R) []R) (*ipc.Rows[R], error) {
	limit := g.q.Limit
	if limit == 0 {
		limit = defaultRows
	}
	all := here[ipc.Rows[R]](ctx, g, a)
	known := all != nil
	if !known {
		all = &ipc.Rows[R]{Rows: []R{}}
	}
	totals := map[string]int{} // every part of an answer says it
	each(ctx, g, gatherWait, func(peer string, part *ipc.Rows[R]) {
		all.Rows = append(all.Rows, part.Rows...)
		totals[peer] = part.Total
		known = true
	})
	for _, k := range totals {
		all.Total += k
	}
	if !known && g.err != nil {
		return nil, g.err
	}
	if merge != nil {
		before := len(all.Rows)
		all.Rows = merge(all.Rows)
		all.Total -= before - len(all.Rows)
	}
	if len(all.Rows) > limit {
		all.Rows = all.Rows[:limit]
	}
	all.Truncated = all.Total > len(all.Rows)
	all.Peers = g.asked
	return all, nil
}

// mergeTasks keeps one row of each attempt, the executor's if there is one, and
// orders them as one peer does: live tasks by age, then what ended, newest first.
func mergeTasks(rows []ipc.TaskRow) []ipc.TaskRow {
	type key struct {
		task    string
		attempt int
	}
	at := make(map[key]int, len(rows))
	kept := rows[:0]
	for i := range rows {
		k := key{rows[i].TaskID, rows[i].Attempt}
		j, twice := at[k]
		switch {
		case !twice:
			at[k] = len(kept)
			kept = append(kept, rows[i])
		case saysMore(&rows[i], &kept[j]):
			kept[j] = rows[i]
		}
	}
	slices.SortStableFunc(kept, func(a, b ipc.TaskRow) int {
		if a.Ended.IsZero() != b.Ended.IsZero() {
			if a.Ended.IsZero() {
				return -1
			}
			return 1
		}
		if a.Ended.IsZero() {
			return a.Created.Compare(b.Created)
		}
		return b.Ended.Compare(a.Ended)
	})
	return kept
}

// saysMore reports whether a row of the same attempt is to be preferred: who ran
// it knows its process, who saw its end knows more than who waits for it.
func saysMore(a, b *ipc.TaskRow) bool {
	rank := func(r *ipc.TaskRow) int {
		k := 0
		if r.WorkerPID != 0 {
			k += 4
		}
		if !r.Ended.IsZero() {
			k += 2
		}
		if !r.Started.IsZero() {
			k++
		}
		return k
	}
	return cmp.Compare(rank(a), rank(b)) > 0
}

func mergeJobs(rows []ipc.JobRow) []ipc.JobRow {
	slices.SortStableFunc(rows, func(a, b ipc.JobRow) int { return b.Started.Compare(a.Started) })
	return rows
}

// nodes are all peers: those that answer, and those that are known and do not.
func (g *gathering) nodes(ctx context.Context, a *asker) (*ipc.Rows[ipc.NodeRow], error) {
	limited := *g.q
	g.q = &ipc.Query{Op: ipc.QueryNodes, Limit: maxRows} // filters are for all rows, those of the dead too
	rows, err := gatherRows[ipc.NodeRow](ctx, g, a, nil)
	if err != nil {
		return nil, err
	}
	f, err := newFilter[ipc.NodeRow](&limited)
	if err != nil {
		return nil, err
	}
	all := append(rows.Rows, g.n.mesh.silent(rows.Rows)...)
	for i := range all {
		f.add(&all[i])
	}
	f.rows.Peers = g.asked
	return &f.rows, nil
}

func (g *gathering) status(ctx context.Context, a *asker) (*ipc.ClusterStatus, error) {
	s := here[ipc.ClusterStatus](ctx, g, a)
	if s == nil {
		return nil, g.err
	}
	each(ctx, g, gatherWait, func(_ string, part *ipc.ClusterStatus) {
		s.Nodes.Rows = append(s.Nodes.Rows, part.Nodes.Rows...)
		s.Demands = append(s.Demands, part.Demands...)
		s.Jobs += part.Jobs
	})
	s.Nodes.Rows = append(s.Nodes.Rows, g.n.mesh.silent(s.Nodes.Rows)...)
	s.Nodes.Total, s.Nodes.Peers = len(s.Nodes.Rows), g.asked
	return s, nil
}

func (g *gathering) summary(ctx context.Context, a *asker) (*ipc.Summary, error) {
	s := here[ipc.Summary](ctx, g, a)
	if s == nil {
		return nil, g.err
	}
	at := map[string]int{}
	for i := range s.Groups {
		at[s.Groups[i].FuncName] = i
	}
	each(ctx, g, gatherWait, func(_ string, part *ipc.Summary) {
		s.Total += part.Total
		s.Bytes += part.Bytes
		for _, group := range part.Groups {
			i, ok := at[group.FuncName]
			if !ok {
				at[group.FuncName] = len(s.Groups)
				s.Groups = append(s.Groups, group)
				continue
			}
			for state, k := range group.States {
				s.Groups[i].States[state] += k
			}
			s.Groups[i].Bytes += group.Bytes
		}
	})
	s.Peers = g.asked
	return s, nil
}

// explain joins what the owner decided with what the executors saw.
func (g *gathering) explain(ctx context.Context, a *asker) (*ipc.Explanation, error) {
	x := here[ipc.Explanation](ctx, g, a)
	each(ctx, g, gatherWait, func(_ string, part *ipc.Explanation) {
		if x == nil {
			x = part
			return
		}
		if saysMore(&part.Task, &x.Task) {
			x.Task = part.Task
		}
		x.Decisions = append(x.Decisions, part.Decisions...)
	})
	if x == nil {
		return nil, g.err
	}
	return x, nil
}

// cancel reaches the owner, wherever it is: others do not have the job.
func (g *gathering) cancel(ctx context.Context, a *asker) (*ipc.CancelReport, error) {
	r := here[ipc.CancelReport](ctx, g, a)
	if r != nil {
		return r, nil
	}
	each(ctx, g, cancelWait, func(_ string, part *ipc.CancelReport) { r = part })
	if r == nil {
		return nil, g.err
	}
	return r, nil
}

func (g *gathering) memory(ctx context.Context, a *asker) (*ipc.MemoryReport, error) {
	m := here[ipc.MemoryReport](ctx, g, a)
	if m == nil {
		return nil, g.err
	}
	each(ctx, g, gatherWait, func(_ string, part *ipc.MemoryReport) {
		m.Objects.Rows = append(m.Objects.Rows, part.Objects.Rows...)
		m.Objects.Total += part.Objects.Total
		m.Workers = append(m.Workers, part.Workers...)
		m.Host.OOMKills += part.Host.OOMKills
		addUsage(&m.Store, &part.Store)
	})
	slices.SortStableFunc(m.Objects.Rows, func(a, b ipc.ObjectRow) int { return cmp.Compare(b.Size, a.Size) })
	limit := g.q.Limit
	if limit == 0 {
		limit = defaultRows
	}
	if len(m.Objects.Rows) > limit {
		m.Objects.Rows = m.Objects.Rows[:limit]
	}
	m.Objects.Truncated, m.Objects.Peers = m.Objects.Total > len(m.Objects.Rows), g.asked
	return m, nil
}

func addUsage(to, u *ipc.StoreUsage) {
	to.Limit += u.Limit
	to.Used += u.Used
	to.Pinned += u.Pinned
	to.Spilled += u.Spilled
	to.Objects += u.Objects
	to.SpilledEver += u.SpilledEver
	to.Restored += u.Restored
	to.Waiting += u.Waiting
}

// logs passes on what the workers of every peer wrote, as it comes.
func (g *gathering) logs(ctx context.Context, a *asker) (*ipc.LogChunk, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wait := gatherWait
	if g.q.Follow {
		wait = maxAskWait
	}
	known := false
	ran := map[string]bool{}
	var others sync.WaitGroup
	others.Go(func() {
		each(ctx, g, wait, func(_ string, part *ipc.LogChunk) {
			known = true
			for _, peer := range part.Ran {
				ran[peer] = true
			}
			if len(part.Lines) > 0 {
				a.part(ipc.Marshal(part))
			}
		})
	})
	last, err := g.n.askHere(ctx, &asker{part: a.part, gone: a.gone}, g.q)
	done := make(chan struct{})
	go func() { others.Wait(); close(done) }()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for waiting := true; waiting; {
		select {
		case <-done:
			waiting = false
		case <-tick.C:
			if a.gone() {
				cancel() // ends the questions to the others
			}
		}
	}
	end := &ipc.LogChunk{Lines: []string{}}
	switch {
	case err == nil:
		end = last.(*ipc.LogChunk)
	case !known:
		return nil, err
	}
	for _, peer := range end.Ran {
		ran[peer] = true
	}
	end.Ran, end.Missing = nil, g.missing(ran)
	return end, nil
}

// missing are those of the peers that did not answer or could not be asked.
func (g *gathering) missing(peers map[string]bool) []string {
	var all []string
	for _, peer := range slices.Sorted(maps.Keys(peers)) {
		if peer != g.n.id && (!slices.Contains(g.peers, peer) || slices.Contains(g.silent, peer)) {
			all = append(all, peer)
		}
	}
	return all
}

// timeline joins the histories of all peers, each in a lane of its own.
func (g *gathering) timeline(ctx context.Context, a *asker) (*ipc.Timeline, error) {
	g.q = &ipc.Query{Op: ipc.QueryTimeline, ID: fmt.Sprint(g.n.born.UnixNano())}
	lanes := map[string]int{g.n.id: 1}
	for i, peer := range slices.Sorted(slices.Values(g.peers)) {
		lanes[peer] = i + 2
	}
	last := here[ipc.Timeline](ctx, g, a)
	if last == nil {
		return nil, g.err
	}
	for peer, lane := range lanes {
		last.Events = append(last.Events, ipc.TraceEvent{Name: "process_name", Phase: "M", PID: lane, Args: map[string]string{"name": "peer " + peer}})
	}
	each(ctx, g, gatherWait, func(peer string, part *ipc.Timeline) {
		for i := range part.Events {
			part.Events[i].PID = lanes[peer]
		}
		a.part(ipc.Marshal(part))
	})
	return last, nil
}

// replyQuery answers another peer's question with what is known here.
func (n *Node) replyQuery(ctx context.Context, peer string, ask *wire.Ask) ([]byte, error) {
	var q ipc.Query
	if err := ipc.Unmarshal(ask.Body, &q); err != nil {
		return nil, err
	}
	if err := n.mesh.mayQuery(peer, q.Op); err != nil {
		return nil, err
	}
	a := &asker{
		wide: ask.Op == wire.OpQueryAll,
		part: func(b []byte) { n.mesh.answer(ctx, peer, &wire.Answer{ID: ask.ID, Body: b, More: true}) },
		gone: func() bool { return ctx.Err() != nil },
	}
	body, err := n.ask(ctx, a, &q)
	if err != nil {
		return nil, err
	}
	return ipc.Marshal(a.rows(body)), nil
}
