package node

import (
	"runtime"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

// walkPart is how many tasks are looked at in one hold of the loop: with a
// million of them the scheduler must not stand still while somebody counts.
const walkPart = 4096

// eachTask calls f for each unfinished task, with the loop held. Others get it
// every so often; up to walkPart tasks are seen as of one moment.
func (n *Node) eachTask(f func(*sched.TaskView)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	seen := 0
	n.core.Tasks(func(v *sched.TaskView) bool {
		if !v.State.Done() { // it ended while others had the loop
			f(v)
		}
		if seen++; seen%walkPart == 0 {
			n.letOthers()
		}
		return true
	})
}

// eachObject is eachTask for objects.
func (n *Node) eachObject(f func(*sched.ObjectView)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	seen := 0
	n.core.Objects(func(v *sched.ObjectView) bool {
		f(v)
		if seen++; seen%walkPart == 0 {
			n.letOthers()
		}
		return true
	})
}

// letOthers gives the loop away for a moment.
func (n *Node) letOthers() {
	n.mu.Unlock()
	runtime.Gosched()
	n.mu.Lock()
}

// taskStates counts the unfinished tasks by state.
func (n *Node) taskStates() map[raygo.TaskState]int {
	m := map[raygo.TaskState]int{}
	n.eachTask(func(v *sched.TaskView) { m[v.State]++ })
	return m
}

// liveTask is an unfinished task with what the core does not know of it.
type liveTask struct {
	sched.TaskView
	class    *class
	progress string
}

// eachLive calls f, without the loop, with the unfinished tasks that leave rows,
// some at a time.
func (n *Node) eachLive(f func([]liveTask)) {
	part := make([]liveTask, 0, 64)
	n.eachTask(func(v *sched.TaskView) {
		if v.NoEvents || n.toldBy(v.Peer) {
			return
		}
		part = append(part, liveTask{TaskView: *v, class: n.classes[v.Class]})
		if len(part) == walkPart {
			n.mu.Unlock()
			n.book.addProgress(part)
			f(part)
			part = part[:0]
			n.mu.Lock()
		}
	})
	n.book.addProgress(part)
	f(part)
}

// toldBy reports whether a task elsewhere is told of by the peer that has it, which
// knows more of it. The loop is held.
func (n *Node) toldBy(peer string) bool { return peer != "" && n.remotes[peer] != nil }

// tellers are the peers that can be asked for what they have.
func (n *Node) tellers() map[string]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.remotes) == 0 {
		return nil
	}
	m := make(map[string]bool, len(n.remotes))
	for id := range n.remotes {
		m[id] = true
	}
	return m
}

func (b *book) addProgress(tasks []liveTask) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range tasks {
		if p, ok := b.progress[tasks[i].ID]; ok {
			tasks[i].progress = progressText(&p)
		}
	}
}
