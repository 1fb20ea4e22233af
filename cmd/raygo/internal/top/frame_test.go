package top

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/raygo/raygo/sdk/ipc"
)

func snapshot(at time.Time, peers, functions, finished int) *Snapshot {
	s := &Snapshot{Status: ipc.ClusterStatus{Time: at, Jobs: 2}}
	for i := range peers {
		s.Status.Nodes.Rows = append(s.Status.Nodes.Rows, ipc.NodeRow{
			PeerID: fmt.Sprintf("12D3KooWpeer%04d", i), Alive: i != 0, State: "ALIVE", Hostname: "häuschen", Running: i,
			Total: map[string]float64{"CPU": 4, "memory": 8e9}, Free: map[string]float64{"CPU": 1, "memory": 6e9},
		})
	}
	s.Status.Nodes.Peers = ipc.Asked{Asked: peers, Answered: peers - 1}
	for i := range functions {
		s.Tasks.Groups = append(s.Tasks.Groups, ipc.SummaryGroup{
			FuncName: fmt.Sprintf("main.function%03d", i), States: map[string]int{"RUNNING": i, "RUNNING_IN_GET": 1, "PENDING_NODE_ASSIGNMENT": 3, "FINISHED": finished, "FAILED": 2},
		})
	}
	return s
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func TestFrameSaysWhatThereIs(t *testing.T) {
	all := strings.Join(frame(snapshot(noon.Add(2*time.Second), 3, 2, 50), snapshot(noon, 3, 2, 10), size{}), "\n")
	for _, want := range []string{
		"2 alive (2 of 3 peers answered), 2 running jobs", "tasks: 3 running, 6 waiting, 100 finished, 4 failed; 40/s",
		"CPU 6/8, ", "peer0002", "main.function001", "häuschen", "20",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	if strings.Index(all, "main.function001") > strings.Index(all, "main.function000") || strings.Index(all, "peer0002") > strings.Index(all, "peer0000") {
		t.Errorf("the busiest are not first:\n%s", all)
	}
}

// Whatever there is to show and however small the screen, no line is too long and
// there are not too many.
func TestFrameFits(t *testing.T) {
	for _, peers := range []int{0, 1, 5, 300} {
		for _, functions := range []int{0, 1, 40} {
			now, before := snapshot(noon, peers, functions, 5), snapshot(noon.Add(-time.Second), 1, 1, 900)
			for width := 1; width < 200; width += 7 {
				for height := 1; height < 60; height += 3 {
					lines := frame(now, before, size{width, height})
					if len(lines) > height {
						t.Fatalf("%d peers, %d functions: %d lines of %d", peers, functions, len(lines), height)
					}
					for _, l := range lines {
						if n := utf8.RuneCountInString(l); n > width {
							t.Fatalf("%d peers, %d functions: a line of %d in %d: %q", peers, functions, n, width, l)
						}
					}
				}
			}
			if all := strings.Join(frame(now, before, size{120, 30}), "\n"); peers == 300 && !strings.Contains(all, "more peers") {
				t.Errorf("nobody is told that peers were left out:\n%s", all)
			}
		}
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct{ lines, a, b, wantA, wantB int }{
		{10, 3, 4, 3, 4}, {10, 30, 40, 5, 5}, {10, 2, 40, 2, 8}, {10, 40, 1, 9, 1}, {2, 5, 5, 1, 1},
	} {
		if a, b := split(c.lines, c.a, c.b); a != c.wantA || b != c.wantB {
			t.Errorf("split %d between %d and %d: %d, %d", c.lines, c.a, c.b, a, b)
		}
	}
}

// A peer that stops answering is looked for again; that there never was one is an
// error.
func TestLoopGoesOn(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	gone := errors.New("it is gone")
	asked, again, shown, told := 0, 0, 0, 0
	o := Options{
		Interval: time.Millisecond, Frames: 3,
		Ask: func(context.Context) (*Snapshot, error) {
			if asked++; asked == 2 || asked == 3 {
				return nil, gone
			}
			return snapshot(noon, 1, 1, 1), nil
		},
		Again: func(context.Context) error { again++; return nil },
	}
	err := loop(ctx, o, nil, func(now, _ *Snapshot) error { shown++; return nil }, func(err error) error {
		if told++; !errors.Is(err, gone) {
			t.Errorf("told of %v", err)
		}
		return nil
	})
	if err != nil || asked != 5 || again != 2 || shown != 3 || told != 2 {
		t.Errorf("%v; asked %d times, looked %d times, %d frames, told %d times", err, asked, again, shown, told)
	}
	o.Ask = func(context.Context) (*Snapshot, error) { return nil, gone }
	if err := loop(ctx, o, nil, nil, nil); !errors.Is(err, gone) {
		t.Errorf("without any answer: %v", err)
	}
}
