package behaviours

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

// brokenEnv has a worker of the test binary fail as it says.
const brokenEnv = "BEHAVIOURS_BROKEN"

// broken is what a worker does instead of its work.
var broken = map[string]func(){
	"exit":    func() { os.Exit(3) },
	"rubbish": writeRubbish,
	"silence": func() { select {} },
}

// writeRubbish sends the peer what is no frame, and then nothing.
func writeRubbish() {
	var fd uintptr
	if _, err := fmt.Sscan(os.Getenv(raygo.WorkerEnv), &fd); err != nil {
		panic(err)
	}
	if _, err := os.NewFile(fd, "peer").Write([]byte(strings.Repeat("rubbish ", 100))); err != nil {
		panic(err)
	}
	select {}
}

var (
	isEven *raygo.Task1[int, bool]
	isOdd  = raygo.Func1(isOddFn)
	echo   = raygo.Func1(echoFn)
	manyOf = raygo.Func1(manyOfFn)
	addUp  = raygo.Func1(addUpFn)
	// onlyInDriver is a function that workers lack.
	onlyInDriver *raygo.Task1[int, int]
)

func init() {
	isEven = raygo.Func1(isEvenFn)
	if os.Getenv(raygo.WorkerEnv) == "" {
		onlyInDriver = raygo.Func1(onlyInDriverFn)
	}
}

func isEvenFn(ctx context.Context, n int) (bool, error) {
	if n == 0 {
		return true, nil
	}
	return raygo.Get(ctx, isOdd.Remote(ctx, n-1))
}

func isOddFn(ctx context.Context, n int) (bool, error) {
	if n == 0 {
		return false, nil
	}
	return raygo.Get(ctx, isEven.Remote(ctx, n-1))
}

func echoFn(_ context.Context, s string) (string, error)   { return s, nil }
func manyOfFn(_ context.Context, n int) ([]int, error)     { return make([]int, n), nil }
func onlyInDriverFn(_ context.Context, x int) (int, error) { return x, nil }
func addUpFn(_ context.Context, ns []int) (sum int, _ error) {
	for _, n := range ns {
		sum += n
	}
	return sum, nil
}

func TestSubmit(t *testing.T) {
	p := peertest.Start(t, node.Config{CPUs: 1})
	t.Run("a ref before the run", func(t *testing.T) { testRefBeforeTheRun(t, p) })
	t.Run("each other", func(t *testing.T) { // behaviour 9
		ctx := p.DriverFor(t)
		if even, err := raygo.Get(ctx, isEven.Remote(ctx, 30)); err != nil || !even {
			t.Fatalf("30 is even: %t, %v", even, err)
		}
		allBack(t, ctx)
	})
	t.Run("entries of the store", func(t *testing.T) { testEntriesOfTheStore(t, p) })
	t.Run("threads", func(t *testing.T) { testThreads(t, p) })
	t.Run("calls of a worker", func(t *testing.T) { testMaxCalls(t, p) })
	t.Run("envelope", func(t *testing.T) { // behaviour 16
		ctx := p.DriverFor(t)
		ones := make([]int, 10_000)
		for i := range ones {
			ones[i] = 1
		}
		if n, err := raygo.Get(ctx, addUp.RemoteArgs(ctx, raygo.All(raygo.Map(ctx, square, ones)))); err != nil || n != len(ones) {
			t.Fatalf("10,000 arguments: %d, %v", n, err)
		}
		parts := raygo.Unpack(manyOf.Options(raygo.NumReturns(3000)).Remote(ctx, 3000))
		if ns, err := raygo.GetAll(ctx, parts); err != nil || len(ns) != 3000 {
			t.Fatalf("3,000 returns: %d, %v", len(ns), err)
		}
		allBack(t, ctx)
	})
	t.Run("an exit of 0", func(t *testing.T) { // behaviour 23
		ctx := p.DriverFor(t)
		_, err := raygo.Get(ctx, exit.Options(raygo.MaxRetries(0)).Remote(ctx, 0))
		if !errors.Is(err, raygo.ErrWorkerCrashed) || !strings.Contains(err.Error(), "exit code 0") {
			t.Fatalf("get: %v", err)
		}
		allBack(t, ctx)
	})
	t.Run("above a frame", func(t *testing.T) { // behaviour 25
		ctx := p.DriverFor(t)
		big := strings.Repeat("0123456789abcdef", ipc.MaxFrame/16+1)
		if s, err := raygo.Get(ctx, echo.Remote(ctx, big)); err != nil || s != big {
			t.Fatalf("%d of %d bytes came back, %v", len(s), len(big), err)
		}
	})
}

// behaviour 1, behaviour 5
func testRefBeforeTheRun(t *testing.T, p *peertest.Peer) {
	ctx, d := p.DriverFor(t), newDesk(t)
	first := visit.Remote(ctx, d.path, "first")
	standing := d.named(t, "first")
	second := visit.RemoteArgs(ctx, raygo.Val(d.path), first)
	third := visit.Remote(ctx, d.path, "third")
	if second.ID() == "" || third.ID() == "" {
		t.Fatal("a call gives no ref")
	}
	eventually(t, "both wait", func() bool {
		s := states(t, p, "visitFn")
		return s["PENDING_ARGS_AVAIL"] == 1 && s["PENDING_NODE_ASSIGNMENT"] == 1 && s["RUNNING"] == 1
	})
	d.nobody(t)
	standing.leave(t, "the value of the first")
	seen := map[string]bool{}
	for range 2 {
		v := d.next(t)
		seen[v.Name] = true
		v.leave(t, "done")
	}
	if !seen["third"] || !seen["the value of the first"] {
		t.Fatalf("to the desk came %v", seen)
	}
	if _, err := raygo.GetAll(ctx, []raygo.Ref[string]{second, third}); err != nil {
		t.Fatal(err)
	}
}

// behaviour 14
func testEntriesOfTheStore(t *testing.T, p *peertest.Peer) {
	ctx := p.DriverFor(t)
	for size, want := range map[int]string{10: "INLINE", 90 << 10: "INLINE", 200 << 10: "IN_MEMORY"} {
		ref := bigBlob.Remote(ctx, size)
		if _, err := raygo.Get(ctx, ref); err != nil {
			t.Fatal(err)
		}
		var rows ipc.Rows[ipc.ObjectRow]
		p.Ask(t, &ipc.Query{Op: ipc.QueryObject, ID: ref.ID()}, &rows)
		entries := p.Account().Store.Objects
		if len(rows.Rows) != 1 || rows.Rows[0].State != want || (entries == 1) != (want == "IN_MEMORY") {
			t.Errorf("%d bytes: %d entries, %+v, want %s", size, entries, rows.Rows, want)
		}
		raygo.Release(ref)
		eventually(t, "no entry is left", func() bool { return p.Account().Store.Objects == 0 })
	}
}

// behaviour 19
func testThreads(t *testing.T, p *peertest.Peer) {
	ctx := p.DriverFor(t)
	var wg sync.WaitGroup
	for thread := range 16 {
		wg.Go(func() {
			for i := range 50 {
				word := fmt.Sprintf("%d of %d", i, thread)
				who, ref := whoami.Remote(ctx), echo.Remote(ctx, word)
				if s, err := raygo.Get(ctx, ref); err != nil || s != word {
					t.Errorf("%q got %q, %v", word, s, err)
				}
				if in, err := raygo.Get(ctx, who); err != nil || in.JobID != raygo.Info(ctx).JobID {
					t.Errorf("a task of job %s in job %s, %v", raygo.Info(ctx).JobID, in.JobID, err)
				}
			}
		})
	}
	wg.Wait()
}

// behaviour 22
func testMaxCalls(t *testing.T, p *peertest.Peer) {
	ctx := p.DriverFor(t)
	task := whoami.Options(raygo.MaxCalls(3))
	var refs []raygo.Ref[raygo.TaskInfo]
	for range 9 {
		refs = append(refs, task.Remote(ctx))
	}
	infos, err := raygo.GetAll(ctx, refs)
	if err != nil {
		t.Fatal(err)
	}
	calls := map[int]int{}
	var pids []string
	for _, in := range infos {
		if calls[in.PID]++; calls[in.PID] == 1 {
			pids = append(pids, fmt.Sprint(in.PID))
		}
		if in.Attempt != 0 {
			t.Errorf("attempt %d", in.Attempt)
		}
	}
	for pid, n := range calls {
		if n != 3 {
			t.Errorf("worker %d ran %d calls, want 3", pid, n)
		}
	}
	gone(t, pids)
	finished := 0
	for _, row := range tasks(t, p, "job_id="+raygo.Info(ctx).JobID) {
		if row.State == "FINISHED" {
			finished++
		}
	}
	if finished != 9 {
		t.Errorf("%d of 9 are FINISHED", finished)
	}
}

// behaviour 24
func TestWorkersThatDoNotWork(t *testing.T) {
	ctx := peertest.Run(t, node.Config{})
	bad := []raygo.Ref[int]{doesNotStart(ctx, "exit"), doesNotStart(ctx, "rubbish"), onlyInDriver.Remote(ctx, 1)}
	if n, err := raygo.Get(ctx, square.Remote(ctx, 4)); err != nil || n != 16 {
		t.Errorf("what can work: %d, %v", n, err)
	}
	for i, says := range []string{"exit code 3", "malformed frame", `no function "behaviours.onlyInDriverFn"`} {
		if _, err := raygo.Get(ctx, bad[i]); !errors.Is(err, raygo.ErrSetup) || !strings.Contains(err.Error(), says) {
			t.Errorf("get: %v, want a setup error that says %q", err, says)
		}
	}
	if n, err := raygo.Get(ctx, square.Remote(ctx, 5)); err != nil || n != 25 {
		t.Errorf("afterwards: %d, %v", n, err)
	}
	allBack(t, ctx)
}

// behaviour 24
func TestWorkerThatNeverSpeaks(t *testing.T) {
	ctx := peertest.Run(t, node.Config{WorkerStart: 300 * time.Millisecond})
	if _, err := raygo.Get(ctx, doesNotStart(ctx, "silence")); !errors.Is(err, raygo.ErrSetup) || !strings.Contains(err.Error(), "did not register") {
		t.Errorf("get: %v", err)
	}
	allBack(t, ctx)
}

// doesNotStart is a call that needs a worker that is broken in that way.
func doesNotStart(ctx context.Context, how string) raygo.Ref[int] {
	return square.Options(raygo.Env(map[string]string{brokenEnv: how})).Remote(ctx, 1)
}
