package sched

import (
	"strings"
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
)

// behaviours 67, 228: what is missing is told of the cluster, not of the peer
// that the driver happens to be attached to
func TestWhatNoPeerHas(t *testing.T) {
	cpu := func(n float64) raygo.Quantity { return raygo.Quantity(n * float64(raygo.Unit)) }
	for _, tc := range []struct {
		name string
		set  func(*raygo.Options)
		want string
	}{
		{"too many CPUs", func(o *raygo.Options) { o.CPU = cpu(8) }, "it asks for CPU 8, of which no peer has more than 4"},
		{"too much memory", func(o *raygo.Options) { o.Memory = 1 << 31 }, "memory 2147483648 bytes, of which no peer has more than 1073741824 bytes"},
		{"a resource of nobody", func(o *raygo.Options) { o.Custom = map[string]raygo.Quantity{"y": cpu(1)} }, "y 1, of which no peer has more than 0"},
		{"each has one of them", func(o *raygo.Options) { o.CPU, o.Custom = cpu(4), map[string]raygo.Quantity{"x": cpu(1)} }, "resources that no single peer has together"},
		{"among those with the label", func(o *raygo.Options) {
			o.CPU, o.Strategy = cpu(4), raygo.Strategy{Kind: raygo.StrategyLabels, Selector: "zone=a"}
		}, "CPU 4, of which no peer has more than 1"},
		{"at home only", func(o *raygo.Options) {
			o.CPU, o.Strategy = cpu(8), raygo.Strategy{Kind: raygo.StrategyAffinity, Peer: "here"}
		}, "it asks for CPU 8 of 2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now := time.Unix(1, 0)
			c := New(Config{Self: "here", Seed: 1, Resources: Resources{CPU: cpu(2), Memory: 1 << 29}})
			var said []string
			step := func(ev Event) {
				now = now.Add(time.Millisecond)
				for _, e := range c.Step(now, ev) {
					if w, ok := e.(*Warn); ok {
						said = append(said, w.Text)
					}
				}
			}
			step(&PeerUp{Peer: "big", Tag: 7, Totals: map[string]raygo.Quantity{raygo.CPU: cpu(4), raygo.Memory: 1 << 30}})
			step(&PeerUp{Peer: "odd", Tag: 8, Totals: map[string]raygo.Quantity{raygo.CPU: cpu(1), raygo.Memory: 1 << 20, "x": cpu(1)}, Labels: map[string]string{"zone": "a"}})
			job := raygo.JobID{1}
			step(&JobStarted{Job: job, Driver: 1})
			o := raygo.DefaultOptions()
			tc.set(&o)
			step(&ClassDefined{Class: 1, Job: job, Function: "f", Options: o})
			task := raygo.NewTaskID(job, 1, 1)
			step(&Submit{Task: task, Class: 1, Proc: 1})
			if len(said) != 1 || !strings.Contains(said[0], tc.want) {
				t.Errorf("the driver is told %q, want %q", said, tc.want)
			}
			if v, _ := c.Task(task); !strings.Contains(v.Reason, tc.want) {
				t.Errorf("it waits because %q, want %q", v.Reason, tc.want)
			}
		})
	}
}
