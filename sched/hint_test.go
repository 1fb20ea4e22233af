package sched

import (
	"strings"
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
)

func hintsOf(effects []Effect) (texts []string) {
	for _, e := range effects {
		if w, ok := e.(*Warn); ok && w.Hint {
			texts = append(texts, w.Text)
		}
	}
	return texts
}

// behaviour 250
func TestHintOnShortTasks(t *testing.T) {
	c := New(Config{Self: "p", Resources: Resources{CPU: raygo.Unit}})
	j := &job{}
	short, long := &class{job: j, function: "short", mean: 5 * time.Microsecond}, &class{job: &job{}, function: "long", mean: time.Second}
	for range 3 * hintRuns {
		c.adviseOnSize(short)
		c.adviseOnSize(long)
	}
	if texts := hintsOf(c.out); len(texts) != 1 || !strings.Contains(texts[0], "short") {
		t.Fatalf("hints: %q", texts)
	}
}

// behaviour 252
func TestHintOnBlockedWorkers(t *testing.T) {
	c := New(Config{Self: "p", Resources: Resources{CPU: 2 * raygo.Unit}})
	j := &job{}
	for i := range 3 * 2 * hintBlocked {
		c.order = append(c.order, &worker{id: WorkerID(i), job: j, state: blockedState})
		c.adviseOnBlocking(j)
	}
	if texts := hintsOf(c.out); len(texts) != 1 || !strings.Contains(texts[0], "16 worker") {
		t.Fatalf("hints: %q", texts)
	}
}
