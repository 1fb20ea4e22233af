package fleet

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Serve()
	os.Exit(m.Run())
}

func TestShares(t *testing.T) {
	for _, c := range []struct {
		cpus, n int
		want    []int
	}{{8, 3, []int{3, 3, 2}}, {2, 3, []int{1, 1, 1}}, {4, 4, []int{1, 1, 1, 1}}, {5, 2, []int{3, 2}}} {
		for i, want := range c.want {
			if got := share(c.cpus, c.n, i); got != want {
				t.Errorf("peer %d of %d gets %d of %d CPUs, want %d", i, c.n, got, c.cpus, want)
			}
		}
	}
}

func TestAFleetMeetsAndLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	f, err := Start(t.Context(), Options{Peers: 2, CPUs: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Add(t.Context(), "late"); err != nil {
		t.Error(err)
	}
	if err := f.Meet(t.Context()); err != nil {
		t.Error(err)
	}
	var pids []int
	for _, p := range f.Peers() {
		pids = append(pids, p.PID())
	}
	if len(pids) != 3 {
		t.Errorf("%d peers run", len(pids))
	}
	if err := f.Stop(); err != nil {
		t.Error(err)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d after the end: %v", pid, err)
		}
	}
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAStartThatIsCalledOffLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := Start(ctx, Options{Peers: 3, CPUs: 1}); err == nil {
		t.Error("three peers met within 30 ms")
	}
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := Start(t.Context(), Options{Peers: MaxPeers + 1}); err == nil {
		t.Error("so many peers are started")
	}
}
