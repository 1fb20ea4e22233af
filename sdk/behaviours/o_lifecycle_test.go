package behaviours

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
)

var (
	environ  = raygo.Func1(environFn)
	stayUp   = raygo.Func1(stayUpFn)
	leftover = raygo.Func0(leftoverFn)
)

type seenEnv struct {
	Value string
	PID   int
}

func environFn(_ context.Context, name string) (seenEnv, error) {
	return seenEnv{os.Getenv(name), os.Getpid()}, nil
}

// stayUpFn says that it runs and waits for a file.
func stayUpFn(ctx context.Context, dir string) (int, error) {
	f, err := os.CreateTemp(dir, "up-")
	if err != nil {
		return 0, err
	}
	_ = f.Close()
	return os.Getpid(), awaitPath(ctx, filepath.Join(dir, "go"))
}

// calls is a variable of one worker.
var calls int

func leftoverFn(context.Context) (int, error) {
	calls++
	return calls, nil
}

// empty waits until a peer holds nothing for anybody.
func empty(t *testing.T, p *peertest.Peer) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("it holds %+v", p.Account())
		}
	}()
	eventually(t, "the peer holds nothing", func() bool {
		a := p.Account()
		return a.Jobs == 0 && a.Tasks == 0 && a.Objects == 0 && len(a.PIDs) == 0 && a.Store.Objects == 0 && a.Store.Used == 0 && maps.Equal(a.Free, a.Total)
	})
}

// behaviour 231
func TestDriverEnds(t *testing.T) {
	p, spilled := spillPeer(t, node.Config{})
	var pids []string
	t.Run("in order", func(t *testing.T) {
		ctx := p.DriverFor(t)
		putBlobs(t, ctx, 40, 512<<10)
		var err error
		if pids, err = family(ctx, t.TempDir(), 2); err != nil {
			t.Fatal(err)
		}
		waits := stayUp.Remote(ctx, t.TempDir())
		eventually(t, "one waits for a CPU", func() bool { a := p.Account(); return a.Free["CPU"] == 0 && a.Tasks == 3 })
		raygo.Release(waits)
	})
	gone(t, pids)
	empty(t, p)
	for _, how := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(how.String(), func(t *testing.T) { // behaviour 153
			d := start(t, "driver", "RAYGO_ADDRESS=unix://"+p.Ready.Socket, "BEHAVIOURS_DIR="+t.TempDir())
			pids := strings.Fields(d.line)
			if len(pids) != 4 || !alive(pids[0]) || !alive(pids[1]) || len(entries(t, spilled)) == 0 {
				t.Fatalf("processes %v, spill files %v", pids, entries(t, spilled))
			}
			if err := d.Process.Signal(how); err != nil {
				t.Fatal(err)
			}
			_ = d.Wait()
			gone(t, pids)
			empty(t, p)
			eventually(t, "the spill files go", func() bool { return len(entries(t, spilled)) == 0 })
		})
	}
}

// behaviours 239, 110 and 153
func TestPeerKilled(t *testing.T) {
	tmp, shm := t.TempDir(), entries(t, "/dev/shm")
	peer := start(t, "peer", "TMPDIR="+tmp)
	ctx, _ := attach(t, peer.line)
	refs := putBlobs(t, ctx, 40, 512<<10)
	pids, err := family(ctx, t.TempDir(), 2)
	if err != nil {
		t.Fatal(err)
	}
	waits := length.RemoteArgs(ctx, refs[0])
	peer.kill9(t)
	if _, err := raygo.Get(ctx, waits); !errors.Is(err, raygo.ErrPeerDied) {
		t.Fatalf("get: %v", err)
	}
	runtime.KeepAlive(refs)
	gone(t, pids)
	if now := entries(t, "/dev/shm"); !slices.Equal(now, shm) {
		t.Errorf("/dev/shm has %v, before it had %v", now, shm)
	}
	// What a killed peer leaves on disk goes when the next one starts.
	next := start(t, "peer", "TMPDIR="+tmp)
	if left := entries(t, filepath.Dir(peer.line)); len(left) != 0 {
		t.Errorf("the next peer left %v", left)
	}
	if err := next.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := next.Wait(); err != nil {
		t.Errorf("the peer ended with %v", err)
	}
	if left, _ := os.ReadDir(tmp); len(left) != 0 {
		t.Errorf("%d directories are left, the first is %s", len(left), left[0].Name())
	}
}

// behaviours 239 and 96
func TestDrain(t *testing.T) {
	dir := t.TempDir()
	p := peertest.Start(t, node.Config{})
	ctx := p.Driver()
	up := stayUp.Remote(ctx, dir)
	eventually(t, "the task runs", func() bool { return len(entries(t, dir)) == 1 })
	drained := make(chan error, 2)
	for range 2 { // twice is once
		go func() { drained <- p.Drain(context.Background()) }()
	}
	eventually(t, "new programs are refused", func() bool {
		_, s, err := raygo.Init(context.Background(), raygo.Address("unix://"+p.Ready.Socket))
		if err == nil {
			_ = s.Close()
		}
		return err != nil && strings.Contains(err.Error(), "stopping")
	})
	touch(t, filepath.Join(dir, "go"))
	pid, err := raygo.Get(ctx, up)
	if err != nil || pid == 0 {
		t.Fatalf("the task that ran: %v", err)
	}
	for range 2 {
		if err := <-drained; err != nil {
			t.Fatal(err)
		}
	}
	p.Stop()
	gone(t, []string{strconv.Itoa(pid)})
}

// behaviour 232
func TestJobsAtOnce(t *testing.T) {
	p := peertest.Start(t, node.Config{})
	a, b := p.Driver(), p.Driver()
	secret, err := raygo.Put(a, 42)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raygo.Get(b, raygo.RefOf[int](b, secret.ID())); err == nil {
		t.Fatal("one job got the other's object")
	}
	if _, err := raygo.Get(b, square.RemoteArgs(b, secret)); err == nil {
		t.Fatal("one job's task got the other's object")
	}
	one := leftover.Options(raygo.NumCPUs(2)) // one at a time
	counts := map[string]int{}
	for range 5 {
		for name, ctx := range map[string]context.Context{"a": a, "b": b} {
			n, err := raygo.Get(ctx, one.Remote(ctx))
			if err != nil {
				t.Fatal(err)
			}
			if counts[name]++; n > counts[name] {
				t.Fatalf("job %s sees %d calls of %d: a worker was shared", name, n, counts[name])
			}
		}
	}
	// Neither starves while the other has much to do.
	var refs []raygo.Ref[time.Duration]
	for range 200 {
		refs = append(refs, sleep.Remote(a, 10*time.Millisecond))
	}
	if v, err := raygo.Get(b, square.Remote(b, 5)); err != nil || v != 25 {
		t.Fatalf("%d, %v", v, err)
	}
	if _, pending, err := raygo.Wait(a, refs, len(refs), raygo.WithTimeout(0)); err != nil || len(pending) == 0 {
		t.Fatalf("%d pending, %v: the other job's tasks all went first", len(pending), err)
	}
}

// behaviour 237
func TestIdleWorkersGo(t *testing.T) {
	p := peertest.Start(t, node.Config{})
	ctx := p.Driver()
	dir := t.TempDir()
	var refs []raygo.Ref[int]
	for range 8 {
		refs = append(refs, stayUp.Options(raygo.NumCPUs(0)).Remote(ctx, dir))
	}
	eventually(t, "eight workers run", func() bool { return len(entries(t, dir)) == 8 })
	touch(t, filepath.Join(dir, "go"))
	pids, err := raygo.GetAll(ctx, refs)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "as many as there are CPUs stay", func() bool { return len(p.Account().PIDs) == 2 })
	eventually(t, "the others' processes go", func() bool {
		n := 0
		for _, pid := range pids {
			if alive(strconv.Itoa(pid)) {
				n++
			}
		}
		return n == 2
	})
}

// behaviour 238
func TestEnvironment(t *testing.T) {
	ctx := peertest.Run(t, node.Config{})
	ask := func(env map[string]string) seenEnv {
		t.Helper()
		e, err := raygo.Get(ctx, environ.Options(raygo.Env(env)).Remote(ctx, "BEHAVIOUR"))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	workers := map[int]string{}
	for range 3 {
		for _, v := range []string{"one", "two", ""} {
			var env map[string]string
			if v != "" {
				env = map[string]string{"BEHAVIOUR": v}
			}
			e := ask(env)
			if e.Value != v {
				t.Fatalf("it sees %q, not %q", e.Value, v)
			}
			if was, ok := workers[e.PID]; ok && was != v {
				t.Fatalf("worker %d served %q and %q", e.PID, was, v)
			}
			workers[e.PID] = v
		}
	}
}
