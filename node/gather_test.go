package node

import (
	"testing"
	"time"

	"github.com/raygo/raygo/sdk/ipc"
)

// Of an attempt that two peers tell of, the one's row is shown that ran it.
func TestMergedTasks(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	rows := mergeTasks([]ipc.TaskRow{
		{TaskID: "a", PeerID: "owner", State: "SUBMITTED_TO_WORKER", Created: at(2)},
		{TaskID: "b", PeerID: "owner", State: "FINISHED", Created: at(1), Ended: at(5)},
		{TaskID: "c", PeerID: "owner", State: "PENDING_NODE_ASSIGNMENT", Created: at(1)},
		{TaskID: "a", PeerID: "executor", State: "RUNNING", Created: at(2), Started: at(3), WorkerPID: 7},
		{TaskID: "b", PeerID: "executor", State: "FINISHED", Created: at(1), Started: at(2), Ended: at(6), WorkerPID: 8},
		{TaskID: "b", PeerID: "other", Attempt: 1, State: "FINISHED", Created: at(1), Started: at(7), Ended: at(9), WorkerPID: 8},
	})
	want := []struct {
		task, peer string
		attempt    int
	}{{"c", "owner", 0}, {"a", "executor", 0}, {"b", "other", 1}, {"b", "executor", 0}}
	if len(rows) != len(want) {
		t.Fatalf("%d rows: %+v", len(rows), rows)
	}
	for i, w := range want {
		if rows[i].TaskID != w.task || rows[i].PeerID != w.peer || rows[i].Attempt != w.attempt {
			t.Errorf("row %d is %s of %s, attempt %d; want %v", i, rows[i].TaskID, rows[i].PeerID, rows[i].Attempt, w)
		}
	}
}
