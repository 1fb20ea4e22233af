package launch

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	raygo "github.com/raygo/raygo"
)

func TestConnectionBothWays(t *testing.T) {
	tiers(t, func(t *testing.T, max Tier) {
		l := running(t, Config{MaxTier: max})
		if l.Tier() != max {
			t.Errorf("tier is %s", l.Tier())
		}
		p := start(t, l, Spec{}, "echo")
		b := make([]byte, 5)
		if _, err := io.ReadFull(p.Conn(), b); err != nil || string(b) != "hello" {
			t.Fatalf("read %q, %v", b, err)
		}
		if p.RSS() < 100<<10 {
			t.Errorf("RSS is %d", p.RSS())
		}
		_, _ = p.Conn().Write([]byte("again"))
		if all, err := io.ReadAll(p.Conn()); err != nil || string(all) != "again" {
			t.Fatalf("read %q, %v", all, err)
		}
		if x := p.Exit(); x.Code != 0 || x.Signal != "" {
			t.Errorf("exit %+v", x)
		}
	})
}

// behaviour 23: the exit code, 0 included, and the end of stderr are reported.
func TestExitIsReported(t *testing.T) {
	tiers(t, func(t *testing.T, max Tier) {
		l := running(t, Config{MaxTier: max})
		for code, arg := range []string{"", "x", "xx", "xxx"} {
			x := start(t, l, Spec{}, "exit", arg).Exit()
			if x.Code != code || x.Signal != "" || x.String() != fmt.Sprintf("exit code %d", code) {
				t.Errorf("exit %+v, want code %d", x, code)
			}
			if n := len(x.StderrTail); n != TailLines || x.StderrTail[n-1] != "no end" || x.StderrTail[n-2] != "line 29" {
				t.Errorf("tail %q", x.StderrTail)
			}
		}
		x := start(t, l, Spec{}, "raise").Exit()
		if max == TierPIDNS { // process 1 does not die of its own signals: Go's runtime exits
			if x.Code != 2 {
				t.Errorf("exit after a signal of its own: %+v", x)
			}
		} else if x.Signal != "terminated" {
			t.Errorf("exit after a signal of its own: %+v", x)
		}
		p := start(t, l, Spec{}, "wait")
		p.Kill()
		p.Kill()
		if x = p.Exit(); x.Signal != "killed" || x.Code != -1 {
			t.Errorf("exit of a killed process: %+v", x)
		}
		p.Kill() // harmless
	})
}

// behaviour 24: a program that cannot be executed gives an error that names it.
func TestProgramsThatDoNotStart(t *testing.T) {
	l := running(t, Config{})
	dir := t.TempDir()
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		want    string
	}{
		"bad-format":    {"this is no program", 0o755, "exec format error"},
		"no-permission": {"\x7fELF", 0o644, "permission denied"},
		"empty":         {"", 0o755, "exec format error"},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(c.content), c.mode); err != nil {
			t.Fatal(err)
		}
		prog, err := OpenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.Start(t.Context(), Spec{Program: prog})
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err := prog.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := OpenProgram(1 << 30); err == nil {
		t.Error("the program of no process is opened")
	}
	if _, err := OpenFile(filepath.Join(dir, "nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that is not there: %v", err)
	}
	prog := self()
	defer prog.Close()
	if _, err := l.Start(t.Context(), Spec{Program: prog, Dir: filepath.Join(dir, "nowhere")}); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a working directory that is not there: %v", err)
	}
	if x := start(t, l, Spec{}, "exit", "").Exit(); x.Code != 0 {
		t.Errorf("after all that a good program: %+v", x)
	}
}

// behaviour 238: the environment is scrubbed and a worker's own variables are its
// own.
func TestEnvironment(t *testing.T) {
	t.Setenv("RAYGO_TEST_SECRET", "x")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "x")
	t.Setenv("LC_ALL", "C")
	l := running(t, Config{HasGPUs: true})
	read := func(s Spec) []string {
		b, err := io.ReadAll(start(t, l, s, "env").Conn())
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(b)), "\n")
	}
	a := read(Spec{Env: map[string]string{"MINE": "1", "LC_ALL": "de"}, GPUIDs: []string{"2", "GPU-x"}})
	for _, want := range []string{"MINE=1", "LC_ALL=de", "CUDA_VISIBLE_DEVICES=2,GPU-x", "RAYGO_WORKER_FD=3"} {
		if !slices.Contains(a, want) {
			t.Errorf("no %s in %q", want, a)
		}
	}
	b := read(Spec{})
	for _, kv := range b {
		k, _, _ := strings.Cut(kv, "=")
		if k == "MINE" || k == "RAYGO_TEST_SECRET" || k == "GOOGLE_APPLICATION_CREDENTIALS" {
			t.Errorf("%s is in another worker's environment", k)
		}
	}
	if !slices.Contains(b, "CUDA_VISIBLE_DEVICES=") || !slices.Contains(b, "LC_ALL=C") {
		t.Errorf("environment of a worker without GPUs: %q", b)
	}
	if got := environ(nil, &Spec{}, "/t", false); !slices.Equal(got, []string{"RAYGO_WORKER_FD=3", "TMPDIR=/t"}) {
		t.Errorf("least environment: %q", got)
	}
}

// behaviour 239: when Run returns no worker, no descendant and no file is left.
func TestStopLeavesNothing(t *testing.T) {
	tiers(t, func(t *testing.T, max Tier) {
		tmp := t.TempDir()
		l, err := New(Config{TempDir: tmp, MaxTier: max})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		var pids []string
		for range 3 {
			pids = append(pids, family(t, start(t, l, Spec{}, "family"))...)
		}
		early := start(t, l, Spec{}, "family", "and leave") // leaves a child behind
		pids = append(pids, family(t, early)...)
		<-early.Done()
		gone(t, pids[len(pids)-1])
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		for _, pid := range pids {
			gone(t, pid)
		}
		if left, _ := os.ReadDir(tmp); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
		prog := self()
		defer prog.Close()
		if _, err := l.Start(t.Context(), Spec{Program: prog}); !errors.Is(err, ErrStopped) {
			t.Errorf("start after the end: %v", err)
		}
	})
}

// family reads the pids of a worker and its child.
func family(t *testing.T, p *Process) []string {
	t.Helper()
	line, err := bufio.NewReader(p.Conn()).ReadString('\n')
	pids := strings.Fields(line)
	if err != nil || len(pids) != 2 {
		t.Fatalf("pids %q, %v", line, err)
	}
	if pids[0] != fmt.Sprint(p.PID()) {
		t.Errorf("the worker is %s for the machine, PID says %d", pids[0], p.PID())
	}
	return pids
}

// Workers die with a peer that is killed with -9; in the tier pidns their
// children too.
func TestKilledPeer(t *testing.T) {
	tiers(t, func(t *testing.T, max Tier) {
		tmp := t.TempDir()
		peer := exec.Command("/proc/self/exe", "play", "peer", string(max), tmp)
		out, err := peer.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := peer.Start(); err != nil {
			t.Fatal(err)
		}
		line, _ := bufio.NewReader(out).ReadString('\n')
		_ = peer.Process.Kill()
		_ = peer.Wait()
		f := strings.Fields(line)
		if len(f) != 3 || f[0] != string(max) {
			t.Fatalf("the peer says %q", line)
		}
		gone(t, f[1])
		if max == TierPIDNS {
			gone(t, f[2])
		} else if p, err := os.FindProcess(atoi(f[2])); err == nil {
			_ = p.Kill() // the tier does not promise it; clear up
		}
		running(t, Config{}) // has a directory of its own
		l, err := New(Config{TempDir: tmp})
		if err != nil {
			t.Fatal(err)
		}
		if left, _ := os.ReadDir(tmp); len(left) != 1 || filepath.Join(tmp, left[0].Name()) != l.dir.path {
			t.Errorf("the next launcher leaves the killed one's files: %v", left)
		}
		if err := l.dir.remove(); err != nil {
			t.Error(err)
		}
	})
}

func atoi(s string) (n int) {
	_, _ = fmt.Sscan(s, &n)
	return n
}

func TestManyAtOnce(t *testing.T) {
	l := running(t, Config{})
	prog := self()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			p, err := l.Start(context.Background(), Spec{Program: prog, Args: []string{"play", "echo"}})
			if err != nil {
				t.Error(err)
				return
			}
			defer p.Conn().Close()
			b := make([]byte, 5)
			if _, err := io.ReadFull(p.Conn(), b); err != nil || string(b) != "hello" {
				t.Errorf("read %q, %v", b, err)
			}
			_, _ = p.Conn().Write([]byte("x"))
			if x := p.Exit(); x.Code != 0 {
				t.Errorf("exit %+v", x)
			}
		})
	}
	wg.Wait()
	if err := prog.Close(); err != nil {
		t.Error(err)
	}
}

func TestOutput(t *testing.T) {
	logs := t.TempDir()
	l := running(t, Config{LogDir: logs})
	var mu sync.Mutex
	got := map[bool][]string{}
	each := func(stderr bool, line []byte) {
		mu.Lock()
		got[stderr] = append(got[stderr], string(line))
		mu.Unlock()
	}
	p := start(t, l, Spec{Output: each, Job: raygo.JobID{1}}, "exit", "")
	<-p.Done()
	if !slices.Equal(got[false], []string{"to stdout"}) || len(got[true]) != 31 || got[true][0] != "line 0" || got[true][30] != "no end" {
		t.Errorf("lines: %q and %q", got[false], got[true])
	}
	name := filepath.Join(logs, fmt.Sprintf("worker-0100000000000000-%d", p.PID()))
	if b, err := os.ReadFile(name + ".out"); err != nil || string(b) != "to stdout\n" {
		t.Errorf("log %q, %v", b, err)
	}
	if b, err := os.ReadFile(name + ".err"); err != nil || !bytes.HasSuffix(b, []byte("line 29\nno end")) {
		t.Errorf("log %q, %v", b, err)
	}

	clear(got)
	x := start(t, l, Spec{Output: each}, "rubbish").Exit()
	for _, stderr := range []bool{false, true} {
		n := 0
		for _, s := range got[stderr] {
			n += len(s)
			if len(s) > MaxLine {
				t.Errorf("a line of %d bytes", len(s))
			}
		}
		if n < 290<<10 {
			t.Errorf("%d bytes of rubbish arrived", n)
		}
	}
	if n := len(strings.Join(x.StderrTail, "")); n > 4*TailBytes {
		t.Errorf("a tail of %d bytes", n)
	}
}
