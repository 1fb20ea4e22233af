package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/raygo/raygo/node/machine"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

// topUsers is how many of the workers with most memory a kill names.
const topUsers = 5

// guardMemory kills a worker when the machine is about to run out of memory,
// rather than to let the kernel choose. One kill a cycle; the next one waits
// until the victim is gone and memory was read again.
func (n *Node) guardMemory(ctx context.Context) error {
	if n.cfg.MemoryHigh > 1 {
		<-ctx.Done()
		return nil
	}
	probe := n.cfg.MemoryProbe
	if probe == nil {
		probe = func() (int64, int64) {
			total, available, err := machine.Memory()
			if err != nil {
				return 0, 0 // a machine that does not say cannot be guarded
			}
			return total, available
		}
	}
	tick := time.NewTicker(n.cfg.MemoryCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		total, available := probe()
		if total <= 0 {
			continue
		}
		used := 1 - float64(available)/float64(total)
		if used < n.cfg.MemoryHigh || n.victimDying() || !n.busy() {
			continue
		}
		n.do(&sched.KillForMemory{Reason: fmt.Sprintf("%.1f %% of %d MiB are in use, the limit is %.1f %%; most is used by %s",
			100*used, total>>20, 100*n.cfg.MemoryHigh, n.topUsers())})
	}
}

// busy reports whether a worker runs something: others are not killed.
func (n *Node) busy() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.core.Counts().Running > 0
}

// victimDying reports whether a worker that was killed is still there.
func (n *Node) victimDying() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.workers {
		if w.doomed {
			return true
		}
	}
	return false
}

// topUsers names the workers that use most memory.
func (n *Node) topUsers() string {
	n.mu.Lock()
	rows := n.workersNow()
	n.mu.Unlock()
	for i := range rows {
		rows[i].RSS, _ = machine.ProcessRSS(rows[i].PID)
	}
	slices.SortFunc(rows, func(a, b ipc.WorkerRow) int { return cmp.Compare(b.RSS, a.RSS) })
	var users []string
	for i := range rows[:min(topUsers, len(rows))] {
		name := rows[i].FuncName
		if name == "" {
			name = "idle"
		}
		users = append(users, fmt.Sprintf("%d (%s, %d MiB)", rows[i].PID, name, rows[i].RSS>>20))
	}
	if users == nil {
		return "processes that are not this peer's"
	}
	return strings.Join(users, ", ")
}
