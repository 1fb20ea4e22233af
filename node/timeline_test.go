package node

import (
	"encoding/json"
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// behaviour 224
func TestATraceNestsSpansAndTiesChildrenToParents(t *testing.T) {
	born := time.Unix(100, 0)
	at := func(ms int) time.Time { return born.Add(time.Duration(ms) * time.Millisecond) }
	job := raygo.NewJobID()
	up, down, never := raygo.NewTaskID(job, 1, 1), raygo.NewTaskID(job, 2, 1), raygo.NewTaskID(job, 1, 2)
	ended := []attempt{
		{task: down, parent: up, function: "child", pid: 11, state: raygo.Finished, created: at(20), started: at(30), ended: at(40)},
		{task: up, function: "parent", pid: 10, state: raygo.Finished, created: at(0), started: at(10), ended: at(50)},
		{task: never, function: "never ran", state: raygo.Failed, created: at(0), ended: at(50)},
	}
	spans := []span{{note: ipc.Note{Task: up, Span: "part", Start: at(15), End: at(25)}, pid: 10}}
	events := trace(born, ended, spans)
	text, err := json.Marshal(ipc.Timeline{Events: events})
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		TraceEvents []struct {
			Name, Ph, ID, BP string
			TS, Dur          float64
			PID, TID         int
		}
	}
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	have := map[string]int{}
	for _, e := range back.TraceEvents {
		have[e.Ph]++
		want := map[string][3]float64{
			"parentX": {10_000, 40_000, 10}, "childX": {30_000, 10_000, 11}, "partX": {15_000, 10_000, 10},
			"submits": {20_000, 0, 10}, "submitf": {30_000, 0, 11},
		}[e.Name+e.Ph]
		if got := [3]float64{e.TS, e.Dur, float64(e.TID)}; got != want {
			t.Errorf("%s %s: %v, want %v", e.Name, e.Ph, got, want)
		}
	}
	if have["X"] != 3 || have["s"] != 1 || have["f"] != 1 || len(back.TraceEvents) != 5 {
		t.Errorf("the events are %s", text)
	}
}
