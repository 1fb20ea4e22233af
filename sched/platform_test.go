package sched

import (
	"strings"
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
)

// A peer for which there is no build of the program gets no task, and where only
// such peers are, the command that makes one is named.
func TestPlatforms(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	c := New(Config{Self: "here", Seed: 1})
	step := func(ev Event) (text string) {
		now = now.Add(time.Millisecond)
		for _, e := range c.Step(now, ev) {
			switch e := e.(type) {
			case *Warn:
				text += e.Text
			case *Send:
				t.Errorf("peer %s is told %T", e.To, e.Msg)
			}
		}
		return text
	}
	job := raygo.JobID{1}
	totals := map[string]raygo.Quantity{raygo.CPU: 4 * raygo.Unit, raygo.Memory: 1 << 30}
	step(&PeerUp{Peer: "arm", Tag: 7, Totals: totals, Platform: "linux/arm64"})
	step(&JobStarted{Job: job, Driver: 1, Platforms: []string{"linux/amd64", "darwin/arm64"}})
	step(&ClassDefined{Class: 1, Job: job, Function: "f", Options: raygo.DefaultOptions()})
	task := raygo.NewTaskID(job, 1, 1)
	said := step(&Submit{Task: task, Class: 1, Proc: 1})
	if !strings.Contains(said, "raygo run --platform linux/arm64") {
		t.Errorf("the driver is told %q", said)
	}
	if v, _ := c.Task(task); !strings.Contains(v.Reason, "--platform linux/arm64") {
		t.Errorf("it waits because %q", v.Reason)
	}
	asked := false
	for _, e := range c.Step(now.Add(time.Second), &PeerUp{Peer: "mac", Tag: 8, Totals: totals, Platform: "darwin/arm64"}) {
		if s, ok := e.(*Send); ok {
			asked = asked || s.To == "mac"
		}
	}
	if !asked {
		t.Error("a peer that has a build is not asked")
	}
}
