package node

import (
	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/objects"
	"github.com/raygo/raygo/sched"
)

// Account is what a peer has and holds at one moment.
type Account struct {
	Jobs     int
	Tasks    int                 // unfinished
	Objects  int                 // refs that somebody can still ask for, with or without a value
	Programs int                 // attached processes, workers included
	PIDs     map[int]raygo.JobID // of the workers
	Total    map[string]float64
	Free     map[string]float64
	Backlog  int // bytes that wait for processes to read them
	Store    objects.Usage
}

// Account takes the peer's account.
func (n *Node) Account() Account {
	a := Account{PIDs: map[int]raygo.JobID{}, Store: n.store.Usage()}
	n.mu.Lock()
	defer n.mu.Unlock()
	a.Jobs, a.Programs = len(n.core.Jobs()), len(n.procs)
	a.Tasks = n.core.Counts().Unfinished
	a.Total, a.Free = n.core.Capacity()
	n.core.Objects(func(*sched.ObjectView) bool { a.Objects++; return true })
	for _, p := range n.procs {
		a.Backlog += p.conn.Backlog()
	}
	for _, w := range n.core.Workers() {
		if w.PID > 0 {
			a.PIDs[w.PID] = w.Job
		}
	}
	return a
}
