package top

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/cmd/internal/show"
	"github.com/raygo/raygo/sdk/ipc"
)

// Snapshot is what the cluster does at one moment.
type Snapshot struct {
	Status ipc.ClusterStatus `json:"status"`
	Tasks  ipc.Summary       `json:"tasks"`
}

// size is the room for a frame; 0 is as much as it takes.
type size struct{ width, height int }

// count is what tasks of one function, or of all, do.
type count struct {
	name                            string
	running, waiting, ended, failed int
	rate                            float64 // ended and failed in a second, since the snapshot before
}

// running are the states of tasks that have begun.
func running(state string) bool { return strings.HasPrefix(state, raygo.Running.String()) }

func countOf(name string, states map[string]int) count {
	c := count{name: name}
	for state, n := range states {
		switch {
		case running(state):
			c.running += n
		case state == raygo.Finished.String():
			c.ended += n
		case state == raygo.Failed.String():
			c.failed += n
		default:
			c.waiting += n
		}
	}
	return c
}

// counts are those of each function, the busiest first, and of all together.
func counts(now, before *Snapshot) (each []count, all count) {
	was := map[string]count{}
	var over time.Duration
	if before != nil {
		over = now.Status.Time.Sub(before.Status.Time)
		for _, g := range before.Tasks.Groups {
			was[g.FuncName] = countOf(g.FuncName, g.States)
		}
	}
	for _, g := range now.Tasks.Groups {
		c := countOf(g.FuncName, g.States)
		if w := was[c.name]; over > 0 {
			// What is kept of tasks that ended is bounded: the count may fall.
			c.rate = max(0, float64(c.ended+c.failed-w.ended-w.failed)/over.Seconds())
		}
		all.running, all.waiting, all.ended, all.failed, all.rate = all.running+c.running, all.waiting+c.waiting, all.ended+c.ended, all.failed+c.failed, all.rate+c.rate
		each = append(each, c)
	}
	slices.SortFunc(each, func(a, b count) int {
		return cmp.Or(-cmp.Compare(a.running, b.running), -cmp.Compare(a.waiting, b.waiting), -cmp.Compare(a.rate, b.rate),
			-cmp.Compare(a.ended+a.failed, b.ended+b.failed), cmp.Compare(a.name, b.name))
	})
	return each, all
}

// frame is what is shown of a snapshot, in lines that fit.
func frame(now, before *Snapshot, room size) []string {
	peers := slices.Clone(now.Status.Nodes.Rows)
	slices.SortFunc(peers, func(a, b ipc.NodeRow) int {
		return cmp.Or(-cmp.Compare(rank(&a), rank(&b)), cmp.Compare(a.PeerID, b.PeerID))
	})
	functions, all := counts(now, before)
	lines := head(&now.Status, &all)

	peersMost, functionsMost := len(peers), len(functions)
	if room.height > 0 {
		// Two tables, each with a head, a line for what was left out, and one before it.
		peersMost, functionsMost = split(max(2, room.height-len(lines)-6), peersMost, functionsMost)
	}
	lines = append(lines, table("peers", peers, peersMost, peerColumns)...)
	lines = append(lines, table("functions", functions, functionsMost, functionColumns)...)
	if room.height > 0 && len(lines) > room.height {
		lines = lines[:room.height]
	}
	if room.width > 0 {
		for i, l := range lines {
			lines[i] = show.Cut(l, room.width)
		}
	}
	return lines
}

// split shares so many lines between two tables: each gets what it wants if the
// other one does not want it, else half.
func split(lines, a, b int) (int, int) {
	half := lines / 2
	switch {
	case a+b <= lines:
		return a, b
	case a <= half:
		return a, lines - a
	case b <= half:
		return lines - b, b
	}
	return half, lines - half
}

// rank puts peers that run something first, those that are gone last.
func rank(r *ipc.NodeRow) int {
	if !r.Alive {
		return -1
	}
	return r.Running
}

func head(s *ipc.ClusterStatus, all *count) []string {
	alive := 0
	var used, total [3]float64 // CPU, GPU, memory
	var store ipc.StoreUsage
	for _, n := range s.Nodes.Rows {
		if !n.Alive {
			continue
		}
		alive++
		for i, name := range [...]string{raygo.CPU, raygo.GPU, raygo.Memory} {
			used[i] += n.Total[name] - n.Free[name]
			total[i] += n.Total[name]
		}
		store.Limit += n.Store.Limit
		store.Used += n.Store.Used
		store.Spilled += n.Store.Spilled
	}
	of := func(i int, name string) string {
		return show.Quantity(name, used[i]) + "/" + show.Quantity(name, total[i])
	}
	res := []string{"CPU " + of(0, raygo.CPU)}
	if total[1] > 0 {
		res = append(res, "GPU "+of(1, raygo.GPU))
	}
	res = append(res, "memory "+of(2, raygo.Memory), fmt.Sprintf("object store %s/%s", show.Bytes(store.Used), show.Bytes(store.Limit)))
	if store.Spilled > 0 {
		res = append(res, show.Bytes(store.Spilled)+" on disk")
	}
	return []string{
		fmt.Sprintf("raygo top   %s   %d alive (%s), %s running jobs", show.Time(s.Time), alive, show.Answered(s.Nodes.Peers), show.Count(s.Jobs)),
		fmt.Sprintf("tasks: %s running, %s waiting, %s finished, %s failed; %s/s", show.Count(all.running), show.Count(all.waiting), show.Count(all.ended), show.Count(all.failed), perSecond(all.rate)),
		strings.Join(res, ", "),
	}
}

func perSecond(r float64) string {
	if r < 10 {
		return fmt.Sprintf("%.1f", r)
	}
	return show.Count(int64(r + 0.5))
}

func used(r *ipc.NodeRow, name string) string {
	if !r.Alive {
		return ""
	}
	return show.Quantity(name, r.Total[name]-r.Free[name]) + "/" + show.Quantity(name, r.Total[name])
}

var peerColumns = []show.Column[ipc.NodeRow]{
	{Head: "peer", Cell: func(r ipc.NodeRow) string { return short(r.PeerID) }},
	{Head: "host", Cell: func(r ipc.NodeRow) string { return r.Hostname }},
	{Head: "state", Cell: func(r ipc.NodeRow) string { return r.State }},
	{Head: "running", Cell: func(r ipc.NodeRow) string { return show.Count(r.Running) }},
	{Head: "pending", Cell: func(r ipc.NodeRow) string { return show.Count(r.Pending) }},
	{Head: "workers", Cell: func(r ipc.NodeRow) string { return show.Count(r.Workers) }},
	{Head: "cpu", Cell: func(r ipc.NodeRow) string { return used(&r, raygo.CPU) }},
	{Head: "memory", Cell: func(r ipc.NodeRow) string { return used(&r, raygo.Memory) }},
	{Head: "store", Cell: func(r ipc.NodeRow) string {
		if !r.Alive {
			return ""
		}
		return show.Bytes(r.Store.Used) + "/" + show.Bytes(r.Store.Limit)
	}},
}

// short is the end of a peer's ID: all begin alike.
func short(id string) string { return id[max(0, len(id)-8):] }

var functionColumns = []show.Column[count]{
	{Head: "function", Cell: func(c count) string { return c.name }},
	{Head: "running", Cell: func(c count) string { return show.Count(c.running) }},
	{Head: "waiting", Cell: func(c count) string { return show.Count(c.waiting) }},
	{Head: "finished", Cell: func(c count) string { return show.Count(c.ended) }},
	{Head: "failed", Cell: func(c count) string { return show.Count(c.failed) }},
	{Head: "per second", Cell: func(c count) string { return perSecond(c.rate) }},
}

// table is an empty line, the first rows, and how many are left out.
func table[R any](what string, rows []R, most int, columns []show.Column[R]) []string {
	lines := []string{""}
	var b bytes.Buffer
	show.Rows(&b, rows[:min(most, len(rows))], columns, false)
	lines = append(lines, strings.Split(strings.TrimRight(b.String(), "\n"), "\n")...)
	if left := len(rows) - most; left > 0 {
		lines = append(lines, fmt.Sprintf("… and %s more %s", show.Count(left), what))
	}
	return lines
}

// plain writes a frame for whoever reads no escape sequences.
func plain(w io.Writer, lines []string) error {
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}
