package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/raygo/raygo/node"
)

// patience bounds how long a peer may take to do what it was told.
const patience = 20 * time.Second

// peer is a raygo-peer process.
type peer struct {
	*exec.Cmd
	ready  node.Ready
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr bytes.Buffer
}

// home gives the test a home, a runtime directory and a place for temporary
// files of its own, short enough for a socket's path.
func home(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("XDG_DATA_HOME", filepath.Join(dir, "data"))
	t.Setenv("TMPDIR", filepath.Join(dir, "tmp"))
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// start runs raygo-peer without waiting for it.
func start(t *testing.T, args ...string) *peer {
	t.Helper()
	p := &peer{Cmd: exec.Command("raygo-peer", append([]string{"--num-cpus", "1", "--http", "off", "--object-store-memory", "64MiB"}, args...)...)}
	var err error
	if p.stdin, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(out)
	p.Stderr = &p.stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() { _ = p.Process.Kill() })
	t.Cleanup(func() {
		timer.Stop()
		if p.ProcessState == nil {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
	})
	return p
}

// serve runs raygo-peer and waits for its ready line.
func startReady(t *testing.T, args ...string) *peer {
	t.Helper()
	p := start(t, args...)
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		_ = p.Wait()
		t.Fatalf("no ready line: %v\n%s", err, &p.stderr)
	}
	if err := json.Unmarshal([]byte(line), &p.ready); err != nil || !p.ready.Ready {
		t.Fatalf("the first line is no ready line: %q: %v", line, err)
	}
	return p
}

// exit waits for the peer's end and checks that nothing more was on stdout.
func (p *peer) exit(t *testing.T, want int) {
	t.Helper()
	rest, _ := io.ReadAll(p.stdout)
	_ = p.Wait()
	if got := p.ProcessState.ExitCode(); got != want {
		t.Errorf("exit code %d (%s), want %d\n%s", got, p.ProcessState, want, &p.stderr)
	}
	if len(rest) > 0 {
		t.Errorf("more than the ready line is on stdout: %q", rest)
	}
}

func TestReadyLineAndSIGTERM(t *testing.T) {
	dir := home(t)
	p := startReady(t)
	if want := filepath.Join(dir, "raygo", "peer.sock"); p.ready.Socket != want {
		t.Errorf("the socket is %s, want the default %s", p.ready.Socket, want)
	}
	if !strings.HasPrefix(p.ready.ID, "12D3") {
		t.Errorf("the ID %q is no libp2p peer ID", p.ready.ID)
	}
	if info, err := os.Stat(p.ready.Socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode is not 0600: %v, %v", info, err)
	}
	_ = p.Process.Signal(syscall.SIGTERM)
	p.exit(t, exitStopped)
	if _, err := os.Stat(p.ready.Socket); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestThePeersIDStays(t *testing.T) {
	home(t)
	first := startReady(t)
	_ = first.Process.Signal(os.Interrupt)
	first.exit(t, exitStopped)
	second := startReady(t)
	if first.ready.ID != second.ready.ID {
		t.Errorf("the same data directory gave two IDs: %s and %s", first.ready.ID, second.ready.ID)
	}
	_ = second.Process.Signal(os.Interrupt)
	second.exit(t, exitStopped)
}

// behaviour 239
func TestAPrivatePeerEndsWithItsInputAndLeavesNothing(t *testing.T) {
	dir := home(t)
	p := startReady(t, "--private")
	_ = p.stdin.Close()
	p.exit(t, exitStopped)
	left := []string{}
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, _ error) error {
		if d != nil && !d.IsDir() {
			left = append(left, path)
		}
		return nil
	})
	tmp, _ := os.ReadDir(filepath.Join(dir, "tmp"))
	if len(left) > 0 || len(tmp) > 0 {
		t.Errorf("left behind: %v, and in the temporary directory %v", left, tmp)
	}
}

func TestALiveSocketIsRefusedAndAStaleOneReplaced(t *testing.T) {
	dir := home(t)
	first := startReady(t)
	second := start(t, "--data-dir", filepath.Join(dir, "other"))
	second.exit(t, exitFailed)
	if !strings.Contains(second.stderr.String(), "in use") {
		t.Errorf("the second peer does not say that the socket is in use: %s", &second.stderr)
	}
	third := start(t, "--socket", filepath.Join(dir, "other.sock"))
	third.exit(t, exitFailed)
	if !strings.Contains(third.stderr.String(), "in use") {
		t.Errorf("the third peer does not say that the data directory is in use: %s", &third.stderr)
	}
	_ = first.Process.Kill()
	_ = first.Wait()
	if c, err := net.Dial("unix", first.ready.Socket); err == nil {
		c.Close()
		t.Fatal("a killed peer answers")
	}
	fourth := startReady(t) // the socket file of the killed one is in its way
	_ = fourth.Process.Signal(syscall.SIGTERM)
	fourth.exit(t, exitStopped)
}

func TestASecondSignalStopsAtOnce(t *testing.T) {
	home(t)
	p := startReady(t)
	_ = p.Process.Signal(syscall.SIGTERM)
	_ = p.Process.Signal(syscall.SIGTERM)
	p.exit(t, exitStopped)
}

func TestABadConfigurationOfTheNodeExitsWith2(t *testing.T) {
	dir := home(t)
	p := start(t, "--http", "0.0.0.0:0")
	p.exit(t, exitUsage)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p = start(t, "--data-dir", filepath.Join(file, "sub"))
	p.exit(t, exitUsage)
	if !strings.Contains(p.stderr.String(), file) {
		t.Errorf("the error does not name the directory: %s", &p.stderr)
	}
}
