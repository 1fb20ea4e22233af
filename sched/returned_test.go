package sched

import (
	"testing"
)

// A worker that is asked for what it has not begun between two tasks gives all
// of it back, and that includes the one which the core takes for begun.
func TestReturnedBetweenTwoTasks(t *testing.T) {
	s, ts := aheadSim(t, 4)
	back := &Returned{Worker: s.exec(ts[0]).Worker}
	for _, id := range ts[1:] {
		back.Tasks = append(back.Tasks, Mark{Task: id, Award: s.exec(id).Award})
	}
	s.tick(2 * recallAfter)
	s.expect("recall", len(find[*Recall](s.all)), 1)
	s.ok(ts[0], "v") // sent before the worker read Recall
	for _, id := range ts[1:] {
		delete(s.running, id)
	}
	s.one(back)
	for range ts {
		for _, id := range ts[1:] {
			if s.running[id] != nil {
				s.ok(id, "v")
			}
		}
	}
	for _, id := range ts {
		s.value(id.Object(0), "v")
	}
	s.free()
}
