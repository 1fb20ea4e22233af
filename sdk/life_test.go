package raygo_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
)

// driverEnv makes this test binary one of drivers.
const driverEnv = "RAYGO_SDK_TEST_DRIVER"

var drivers = map[string]func(context.Context) error{
	"ok": func(ctx context.Context) error {
		n, err := raygo.Get(ctx, square.Remote(ctx, 5))
		fmt.Println(n)
		return err
	},
	"fails": func(context.Context) error { return errors.New("on purpose") },
	"waits": func(ctx context.Context) error {
		ref := slow.Remote(ctx, time.Minute)
		fmt.Println("waiting")
		_, err := raygo.Get(ctx, ref)
		return err
	},
	"stuck": func(context.Context) error {
		fmt.Println("stuck")
		select {}
	},
}

// start runs this binary as a driver.
func start(t *testing.T, what string) (*exec.Cmd, *bufio.Reader, *strings.Builder) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), driverEnv+"="+what)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(out), &stderr
}

func TestMainRunsTheDriver(t *testing.T) {
	cmd, out, stderr := start(t, "ok")
	all, _ := io.ReadAll(out)
	if err := cmd.Wait(); err != nil || string(all) != "25\n" {
		t.Fatalf("%q, %v, %s", all, err, stderr)
	}
	cmd, _, stderr = start(t, "fails")
	err := cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(stderr.String(), "on purpose") {
		t.Fatalf("%v, %q", err, stderr)
	}
}

// behaviour 35
func TestMainEndsOnASignal(t *testing.T) {
	for _, what := range []string{"waits", "stuck"} {
		cmd, out, stderr := start(t, what)
		if _, err := out.ReadString('\n'); err != nil {
			t.Fatal(err, stderr)
		}
		begun := time.Now()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		err := cmd.Wait()
		var exit *exec.ExitError
		if took := time.Since(begun); !errors.As(err, &exit) || exit.ExitCode() != 130 || took > 5*time.Second {
			t.Fatalf("%s: %v after %s, %q", what, err, took, stderr)
		}
	}
}

// behaviour 35
func TestGetCanBeGivenUpAnyTime(t *testing.T) {
	c := soon(t)
	ref := slow.Remote(c, 30*time.Second)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 40 {
				short, cancel := context.WithCancel(c)
				time.AfterFunc(time.Duration((g*7+i)%5)*time.Millisecond, cancel)
				if _, err := raygo.Get(short, ref); !errors.Is(err, context.Canceled) || errors.Is(err, raygo.ErrGetTimeout) {
					t.Errorf("given up: %v", err)
				}
				cancel()
				if n, err := raygo.Get(c, square.Remote(c, i)); err != nil || n != i*i {
					t.Errorf("after it: %d, %v", n, err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := raygo.Cancel(c, ref); err != nil {
		t.Fatal(err)
	}
}

// behaviour 110
func TestThePeerDies(t *testing.T) {
	run, kill := context.WithCancel(context.Background())
	var ended chan error
	dial := func(context.Context) (string, func() error, error) {
		n, err := node.New(node.Config{Private: true, CPUs: 1, HTTP: "off", DrainTimeout: time.Millisecond})
		if err != nil {
			return "", nil, err
		}
		ready := make(chan node.Ready, 1)
		ended = make(chan error, 1)
		go func() { ended <- n.Run(run, func(r node.Ready) { ready <- r }) }()
		return (<-ready).Socket, nil, nil
	}
	own, s, err := raygo.Init(context.Background(), raygo.WithDialer(dial))
	if err != nil {
		t.Fatal(err)
	}
	ref := slow.Remote(own, time.Minute)
	time.AfterFunc(100*time.Millisecond, kill)
	if _, err := raygo.Get(own, ref); err == nil {
		t.Error("Get gives no error")
	}
	<-ended
	if _, err := raygo.Get(own, square.Remote(own, 1)); !errors.Is(err, raygo.ErrPeerDied) {
		t.Errorf("a call after it: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestInitSaysWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	for _, c := range []struct{ address, want string }{
		{"", "go install"}, {"/ip4/127.0.0.1/tcp/1/p2p/12D3KooW", "go install"},
		{"unix:///nowhere/peer.sock", "no peer answers"}, {"tcp://x", "multiaddr"},
	} {
		t.Setenv(raygo.AddressEnv, c.address)
		_, _, err := raygo.Init(context.Background())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("address %q: %v, want %q", c.address, err, c.want)
		}
	}
}

// behaviour 16
func TestEnvelope(t *testing.T) {
	c := soon(t)
	inputs := make([]int, 10_000)
	for i := range inputs {
		inputs[i] = 1
	}
	if n, err := raygo.Get(c, sumAll.RemoteArgs(c, raygo.All(raygo.Map(c, square, inputs)))); err != nil || n != 10_000 {
		t.Fatalf("10,000 arguments: %d, %v", n, err)
	}
	parts := raygo.Unpack(wrongN.Options(raygo.NumReturns(3000)).Remote(c, 3000))
	ns, err := raygo.GetAll(c, parts)
	if err != nil || len(ns) != 3000 {
		t.Fatalf("3,000 returns: %d, %v", len(ns), err)
	}
}

// A Get whose ref another goroutine releases ends.
func TestReleaseUnderAGet(t *testing.T) {
	c := soon(t)
	for range 20 {
		ref := slow.Remote(c, 20*time.Second)
		time.AfterFunc(2*time.Millisecond, func() { raygo.Release(ref) })
		if _, err := raygo.Get(c, ref); !errors.Is(err, raygo.ErrObjectFreed) {
			t.Fatalf("released meanwhile: %v", err)
		}
		if _, err := raygo.Cancel(c, ref); err != nil {
			t.Fatal(err)
		}
	}
}
