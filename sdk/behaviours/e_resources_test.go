package behaviours

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

var fill = raygo.Func1(fillFn)

// fillFn uses memory.
func fillFn(_ context.Context, n int) (int, error) {
	b := bytes.Repeat([]byte{1}, n)
	return len(b), nil
}

// TestAdmission has more tasks than fit, of one shape each, and sees how many
// run: a desk has them stand there while it looks.
func TestAdmission(t *testing.T) {
	p := peertest.Start(t, node.Config{CPUs: 4, GPUs: 2, Memory: 1 << 30, Resources: map[string]float64{"x": 2, "y": 1}})
	for _, c := range []struct {
		name string
		opts []raygo.Option
		n    int // submitted
		run  int // at once
		free map[string]float64
	}{
		// behaviour 60
		{"two CPUs", []raygo.Option{raygo.NumCPUs(2)}, 5, 2, map[string]float64{"CPU": 0}},
		// behaviour 61
		{"no CPU", []raygo.Option{raygo.NumCPUs(0)}, 9, 9, map[string]float64{"CPU": 4}},
		// behaviour 62
		{"half a CPU", []raygo.Option{raygo.NumCPUs(0.5)}, 10, 8, map[string]float64{"CPU": 0}},
		// behaviour 62
		{"above half", []raygo.Option{raygo.NumCPUs(0.5001), raygo.Resource("x", 0.0001)}, 9, 7, map[string]float64{"CPU": 0.4993, "x": 1.9993}},
		// behaviour 63
		{"the scarcest", []raygo.Option{raygo.NumCPUs(1), raygo.Resource("x", 1), raygo.Resource("y", 1)}, 3, 1, map[string]float64{"CPU": 3, "x": 1, "y": 0}},
		// behaviour 66
		{"a custom resource", []raygo.Option{raygo.Resource("x", 1)}, 4, 2, map[string]float64{"CPU": 2, "x": 0}},
		// behaviour 72
		{"memory", []raygo.Option{raygo.Memory(1 << 29)}, 4, 2, map[string]float64{"CPU": 2, "memory": 0}},
		{"half a GPU", []raygo.Option{raygo.NumCPUs(0), raygo.NumGPUs(0.5)}, 5, 4, map[string]float64{"CPU": 4, "GPU": 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, d := p.DriverFor(t), newDesk(t)
			var refs []raygo.Ref[string]
			for i := range c.n {
				refs = append(refs, visit.Options(c.opts...).Remote(ctx, d.path, fmt.Sprint(i)))
			}
			standing := d.several(t, c.run)
			eventually(t, "the others wait", func() bool { return statesOf(ctx, t, p)["PENDING_NODE_ASSIGNMENT"] == c.n-c.run })
			if s := statesOf(ctx, t, p); s["RUNNING"] != c.run {
				t.Errorf("of %d tasks %d have to run: %v", c.n, c.run, s)
			}
			d.nobody(t)
			isFree(t, ctx, c.free)
			for i := range c.n { // one goes, one comes
				standing[i].leave(t, "")
				if len(standing) < c.n {
					standing = append(standing, d.next(t))
					isFree(t, ctx, c.free)
				}
			}
			d.nobody(t)
			if _, err := raygo.GetAll(ctx, refs); err != nil {
				t.Error(err)
			}
			allBack(t, ctx)
		})
	}
	t.Run("use is not bounded", func(t *testing.T) { // behaviour 72
		ctx := p.DriverFor(t)
		if n, err := raygo.Get(ctx, fill.Options(raygo.Memory(1<<20)).Remote(ctx, 32<<20)); err != nil || n != 32<<20 {
			t.Errorf("%d, %v", n, err)
		}
	})
	t.Run("GPUs have numbers", func(t *testing.T) { testGPUs(t, p) })
}

// statesOf counts the tasks of a job by state.
func statesOf(ctx context.Context, t *testing.T, p *peertest.Peer) map[string]int {
	t.Helper()
	n := map[string]int{}
	for _, row := range tasks(t, p, "job_id="+raygo.Info(ctx).JobID) {
		n[row.State]++
	}
	return n
}

func testGPUs(t *testing.T, p *peertest.Peer) {
	ctx, d := p.DriverFor(t), newDesk(t)
	var refs []raygo.Ref[string]
	for range 2 {
		refs = append(refs, visit.Options(raygo.NumGPUs(1)).Remote(ctx, d.path, ""))
	}
	var ids []string
	for _, v := range d.several(t, 2) {
		if len(v.GPUIDs) != 1 || v.Env != v.GPUIDs[0] {
			t.Errorf("GPUs %v, visible %q", v.GPUIDs, v.Env)
		}
		ids = append(ids, v.GPUIDs...)
		defer v.leave(t, "")
	}
	if slices.Sort(ids); len(slices.Compact(ids)) != 2 {
		t.Errorf("two tasks share a GPU: %v", ids)
	}
	_ = refs
}

// behaviour 62, behaviour 71, behaviour 73
func TestAccountsAreExact(t *testing.T) {
	p := peertest.Start(t, node.Config{CPUs: 2, Resources: map[string]float64{"x": 1}})
	ctx := p.Driver()
	before, err := raygo.ClusterResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var refs []raygo.Ref[int]
	for i := range 10_000 {
		share := []float64{0.1, 0.3, 0.7, 0.0001, 1.1}[i%5]
		refs = append(refs, square.Options(raygo.NumCPUs(share), raygo.Resource("x", share/2)).Remote(ctx, i))
	}
	fell := false
	for i, ref := range refs {
		if _, err := raygo.Get(ctx, ref); err != nil {
			t.Fatal(err)
		}
		if i%100 != 0 { // an account looks at every object
			continue
		}
		if a := p.Account(); a.Free["CPU"] > a.Total["CPU"] || a.Free["x"] > a.Total["x"] || a.Free["CPU"] < 0 || a.Free["x"] < 0 {
			t.Fatalf("free %v of %v", a.Free, a.Total)
		} else if a.Free["CPU"] < a.Total["CPU"] {
			fell = true
		}
	}
	if !fell {
		t.Error("while 10,000 tasks ran every resource was free")
	}
	allBack(t, ctx)
	after, err := raygo.ClusterResources(ctx)
	if err != nil || fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("in all %v, before %v, %v", after, before, err)
	}
	var st ipc.ClusterStatus
	p.Ask(t, &ipc.Query{Op: ipc.QueryStatus}, &st)
	if n := st.Nodes.Rows[0]; n.Pending != 0 || n.Running != 0 || len(st.Demands) != 0 || p.Account().Tasks != 0 {
		t.Errorf("an idle peer reports %+v, %+v", n, st.Demands)
	}
}

// behaviour 70: of tasks that run and of parents that gave their CPU away
func TestCrashesGiveResourcesBackOnce(t *testing.T) {
	p := peertest.Start(t, node.Config{CPUs: 2, Resources: map[string]float64{"seat": 2}})
	ctx, d := p.Driver(), newDesk(t)
	once := []raygo.Option{raygo.MaxRetries(0), raygo.Resource("seat", 1)}
	runs := visit.Options(once...).Remote(ctx, d.path, "runs")
	at := d.named(t, "runs")
	blocked := parentAt.Options(once...).Remote(ctx, d.path, "blocked")
	d.named(t, "child of blocked")
	eventually(t, "the parent waits", func() bool { return states(t, p, "parentAtFn")["RUNNING_IN_GET"] == 1 })
	isFree(t, ctx, map[string]float64{"CPU": 1, "seat": 0})
	killWorkers(t, p, "parentAtFn")
	if _, err := raygo.Get(ctx, blocked); err == nil {
		t.Error("the killed parent has a value")
	}
	eventually(t, "its seat is back", func() bool { return p.Account().Free["seat"] == 1 })
	isFree(t, ctx, map[string]float64{"CPU": 1, "seat": 1})
	at.leave(t, "die")
	if _, err := raygo.Get(ctx, runs); err == nil {
		t.Error("the killed task has a value")
	}
	allBack(t, ctx)
}

// lockedLog is a log that tests read while peers write.
type lockedLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// behaviour 67
func TestWhatNeverFitsWaitsAndIsWarnedOfOnce(t *testing.T) {
	log := &lockedLog{}
	p := peertest.Start(t, node.Config{Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	ctx := p.Driver()
	never := square.Options(raygo.NumCPUs(64), raygo.Resource("seat", 1))
	refs := raygo.Map(ctx, never, make([]int, 30))
	eventually(t, "all wait", func() bool { return statesOf(ctx, t, p)["PENDING_NODE_ASSIGNMENT"] == len(refs) })
	for range 100 { // what does fit goes past them, and has them looked at again
		if _, err := raygo.Get(ctx, square.Remote(ctx, 2)); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "64") {
		t.Errorf("%d warnings, want one that names the shape: %s", n, log)
	}
	if s := statesOf(ctx, t, p); s["PENDING_NODE_ASSIGNMENT"] != len(refs) {
		t.Errorf("they do not wait any more: %v", s)
	}
	raygo.Release(anyRefs(refs)...)
}

// killWorkers kills the processes that run a function.
func killWorkers(t *testing.T, p *peertest.Peer, function string) {
	t.Helper()
	var rows ipc.Rows[ipc.WorkerRow]
	p.Ask(t, &ipc.Query{Op: ipc.QueryWorkers}, &rows)
	for _, w := range rows.Rows {
		if strings.HasSuffix(w.FuncName, "."+function) {
			if err := syscall.Kill(w.PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
}
