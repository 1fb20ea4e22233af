package launch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hidden makes a directory with a key, a neighbour, and the spec to ask a worker
// for both.
func hidden(t *testing.T) (dir, key, open string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data", "keys")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	key, open = filepath.Join(dir, "key"), filepath.Join(filepath.Dir(dir), "open")
	for _, f := range []string{key, open} {
		if err := os.WriteFile(f, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, key, open
}

func answers(t *testing.T, p *Process) []string {
	t.Helper()
	b, err := io.ReadAll(p.Conn())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(b))
}

func TestHiddenDirectories(t *testing.T) {
	r := probe(TierPIDNS)
	if !r.Hides && r.LandlockABI == 0 {
		t.Skip("neither mounts nor Landlock")
	}
	dir, key, open := hidden(t)
	l := running(t, Config{Hide: []string{dir, filepath.Join(dir, "none")}, Strict: true})
	if got := answers(t, start(t, l, Spec{}, "cat", key, open)); !slices.Equal(got, []string{"false", "true"}) {
		t.Errorf("worker can read key, neighbour: %v", got)
	}
	if _, err := os.ReadFile(key); err != nil {
		t.Errorf("the peer itself: %v", err)
	}
	late := open + "-late"
	if err := os.WriteFile(late, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r.Hides {
		if got := answers(t, start(t, l, Spec{}, "cat", late)); !slices.Equal(got, []string{"true"}) {
			t.Errorf("worker can read what came later: %v", got)
		}
	}
}

// Landlock's rules alone, on a thread of their own.
func TestLandlockHides(t *testing.T) {
	abi, err := landlockABI()
	if err != nil {
		t.Skip(err)
	}
	dir, key, open := hidden(t)
	l := &Launcher{cfg: Config{Hide: []string{dir}, Strict: true, MaxTier: TierLandlock, Logger: slog.Default()}, log: slog.Default(),
		report: Report{Tier: TierProcessGroup, LandlockABI: abi}, requests: make(chan *request), ended: make(chan struct{}), procs: map[*Process]struct{}{}}
	if l.dir, err = makeDir(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	if got := answers(t, start(t, l, Spec{Dir: "/"}, "cat", key, open, "/proc/self/status")); !slices.Equal(got, []string{"false", "true", "true"}) {
		t.Errorf("worker can read key, neighbour, /proc: %v", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWorkersCannotSignalThePeer(t *testing.T) {
	tiers(t, func(t *testing.T, max Tier) {
		l := running(t, Config{MaxTier: max})
		want := fmt.Sprint(max == TierProcessGroup) // which promises nothing
		if got := answers(t, start(t, l, Spec{}, "signal", fmt.Sprint(os.Getpid()))); !slices.Equal(got, []string{want}) {
			t.Errorf("a worker may signal the peer: %v", got)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := New(Config{MaxTier: "strong"}); err == nil || !strings.Contains(err.Error(), "strong") {
		t.Error(err)
	}
	if _, err := New(Config{TempDir: "/proc/none"}); err == nil {
		t.Error("a temporary directory that cannot be is taken")
	}
	if r := Probe(t.Context()); r.Tier.rank() == 0 || (r.Tier != TierPIDNS && len(r.Missing) == 0) {
		t.Errorf("report %+v", r)
	}
}

func sum(r io.ReaderAt, size int64) (string, error) {
	h := crc32.NewIEEE()
	_, err := io.Copy(h, io.NewSectionReader(r, 0, size))
	return fmt.Sprintf("crc-%x", h.Sum32()), err
}

func TestProgramOutlivesItsFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "gone")
	own := self()
	defer own.Close()
	_, kept, err := own.Keep(t.Context(), dir, sum)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(kept, path); err != nil {
		t.Fatal(err)
	}
	driver := exec.Command(path, "play", "sleep")
	if err := driver.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = driver.Process.Kill(); _ = driver.Wait() }()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	prog, err := OpenProgram(driver.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if prog.Name() != path {
		t.Errorf("name %q", prog.Name())
	}
	l := running(t, Config{})
	p := start(t, l, Spec{Program: prog}, "echo")
	if b, err := bufio.NewReader(p.Conn()).Peek(5); err != nil || string(b) != "hello" {
		t.Errorf("a deleted program says %q, %v", b, err)
	}
	id, kept, err := prog.Keep(t.Context(), filepath.Join(dir, "programs"), sum)
	if err != nil {
		t.Fatal(err)
	}
	if again, same, err := prog.Keep(t.Context(), filepath.Join(dir, "programs"), sum); err != nil || again != id || same != kept {
		t.Errorf("kept again: %s %s %v", again, same, err)
	}
	copied, err := OpenFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	if x := start(t, l, Spec{Program: copied}, "exit", "xx").Exit(); x.Code != 2 {
		t.Errorf("the kept copy: %+v", x)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := prog.Keep(ctx, filepath.Join(dir, "other"), sum); !errors.Is(err, context.Canceled) {
		t.Errorf("keep after the end: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "other")); len(left) != 0 {
		t.Errorf("left by a Keep that failed: %v", left)
	}
	for _, p := range []*Program{prog, copied} {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestLogFilesAreBounded(t *testing.T) {
	dir := t.TempDir()
	f := &logFile{path: filepath.Join(dir, "worker-x.out"), half: 100, log: slog.Default()}
	for range 50 {
		f.write([]byte("0123456789"))
	}
	f.close()
	for _, name := range []string{f.path, f.path + ".1"} {
		if st, err := os.Stat(name); err != nil || st.Size() > 100 {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
	for i := range 20 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("worker-%02d.out", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "peer.log"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pruneLogs(dir, 5)
	left, _ := os.ReadDir(dir)
	if len(left) != 6 {
		t.Errorf("%d files are left", len(left))
	}
}

// BenchmarkColdStart is exec to first message through the launcher, beside the
// same program by os/exec with a pipe.
func BenchmarkColdStart(b *testing.B) {
	for _, tier := range []Tier{TierPIDNS, TierLandlock, TierProcessGroup} {
		b.Run(string(tier), func(b *testing.B) {
			l := running(b, Config{MaxTier: tier})
			for b.Loop() {
				p := start(b, l, Spec{}, "exit", "")
				<-p.Done()
			}
		})
	}
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			if err := exec.Command("/proc/self/exe", "play", "exit", "").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
