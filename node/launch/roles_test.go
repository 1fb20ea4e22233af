package launch

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary play workers and a peer that gets killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "play" {
		os.Exit(play(os.Args[2], os.Args[3:]))
	}
	os.Exit(m.Run())
}

// play runs one part and returns the exit code.
func play(part string, args []string) int {
	switch part {
	case "exit":
		fmt.Println("to stdout")
		for i := range 30 {
			fmt.Fprintf(os.Stderr, "line %d\n", i)
		}
		fmt.Fprint(os.Stderr, "no end")
		return len(args[0])
	case "echo":
		c := peerConn()
		_, _ = c.Write([]byte("hello"))
		b := make([]byte, 64)
		n, _ := c.Read(b)
		_, _ = c.Write(b[:n])
	case "env":
		env := os.Environ()
		slices.Sort(env)
		_, _ = peerConn().Write([]byte(strings.Join(env, "\n") + "\n"))
	case "wait":
		_, _ = peerConn().Read(make([]byte, 1))
	case "family": // a worker with a child that would live on; both pids as this /proc counts
		c := peerConn()
		child := exec.Command("/proc/self/exe", "play", "sleep")
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			return 9
		}
		self, _ := os.Readlink("/proc/self")
		kids, _ := os.ReadFile("/proc/self/task/" + self + "/children")
		fmt.Fprintf(c, "%s %s\n", self, strings.TrimSpace(string(kids)))
		if len(args) > 0 {
			return 0
		}
		time.Sleep(time.Hour)
	case "sleep":
		time.Sleep(time.Hour)
	case "rubbish":
		b := make([]byte, 300<<10)
		for i := range b {
			b[i] = byte(i*7) | 0x80
		}
		_, _ = os.Stdout.Write(b)
		_, _ = os.Stderr.Write(b)
	case "cat": // which files can be read?
		c := peerConn()
		for _, f := range args {
			_, err := os.ReadFile(f)
			fmt.Fprintln(c, err == nil)
		}
	case "signal": // may it signal that process?
		var pid int
		_, _ = fmt.Sscan(args[0], &pid)
		fmt.Fprintln(peerConn(), syscall.Kill(pid, 0) == nil)
	case "raise":
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		time.Sleep(time.Hour)
	case "peer":
		return playPeer(args)
	}
	return 0
}

func peerConn() net.Conn {
	c, err := net.FileConn(os.NewFile(3, "peer"))
	if err != nil {
		panic(err)
	}
	return c
}

// playPeer starts one family, prints its pids and waits to be killed.
func playPeer(args []string) int {
	l, err := New(Config{TempDir: args[1], MaxTier: Tier(args[0])})
	if err != nil {
		return 8
	}
	go l.Run(context.Background())
	p, err := l.Start(context.Background(), Spec{Program: self(), Args: []string{"play", "family"}})
	if err != nil {
		fmt.Println(err)
		return 7
	}
	line, _ := bufio.NewReader(p.Conn()).ReadString('\n')
	fmt.Println(l.Tier(), strings.TrimSpace(line))
	time.Sleep(time.Hour)
	return 0
}

func self() *Program {
	p, err := OpenProgram(os.Getpid())
	if err != nil {
		panic(err)
	}
	return p
}

// running makes a launcher that runs until the test ends, and checks that
// nothing is left of it.
func running(t testing.TB, cfg Config) *Launcher {
	t.Helper()
	cfg.TempDir = t.TempDir()
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(cfg.TempDir); len(left) != 0 {
			t.Errorf("temporary files are left: %v", left)
		}
	})
	return l
}

// start starts the test binary in a part.
func start(t testing.TB, l *Launcher, s Spec, part ...string) *Process {
	t.Helper()
	if s.Program == nil {
		s.Program = self()
		defer s.Program.Close()
	}
	s.Args = append([]string{"play"}, part...)
	p, err := l.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Conn().Close() })
	return p
}

// tiers runs a test in every tier that this machine allows.
func tiers(t *testing.T, run func(t *testing.T, max Tier)) {
	for _, tier := range []Tier{TierPIDNS, TierLandlock, TierProcessGroup} {
		t.Run(string(tier), func(t *testing.T) {
			if got := probe(tier); got.Tier != tier {
				t.Skipf("this machine allows only %s: %v", got.Tier, got.Missing)
			}
			run(t, tier)
		})
	}
}

// gone waits until the process does not exist (a zombie counts as gone: whoever
// adopted it reaps it in its own time).
func gone(t *testing.T, pid string) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for alive(pid) {
		if time.Now().After(deadline) {
			t.Fatalf("process %s still lives", pid)
		}
		time.Sleep(time.Millisecond) // nobody tells of the end of a stranger's process
	}
}

func alive(pid string) bool {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}
