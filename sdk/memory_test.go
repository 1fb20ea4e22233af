package raygo_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	raygo "github.com/raygo/raygo/sdk"
)

var litter = raygo.Func1(litterFn)

// litterFn leaves n bytes of garbage and gives its process ID.
func litterFn(_ context.Context, n int) (int, error) {
	b := bytes.Repeat([]byte{1}, n)
	return os.Getpid() + len(b) - n, nil
}

// privateMemory is a process's own memory in bytes.
func privateMemory(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		if f := bytes.Fields(line); len(f) > 1 && string(f[0]) == "RssAnon:" {
			n, _ := strconv.Atoi(string(f[1]))
			return n << 10
		}
	}
	t.Fatal("no RssAnon")
	return 0
}

// An idle worker gives back what a task left behind.
func TestIdleWorkersGiveMemoryBack(t *testing.T) {
	if raceOn {
		t.Skip("the race detector keeps memory of its own")
	}
	c := soon(t)
	pid, err := raygo.Get(c, litter.Remote(c, 200<<20))
	if err != nil {
		t.Fatal(err)
	}
	for begun := time.Now(); ; {
		n := privateMemory(t, pid)
		if n < 64<<20 {
			return
		}
		if time.Since(begun) > 5*time.Second {
			t.Fatalf("the worker holds %d MiB", n>>20)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
