package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/raygo/raygo/cmd/raygo/internal/top"
)

func TestTopWithoutTerminal(t *testing.T) {
	servingPeer(t)
	code, out, errOut := try(t, "top")
	if code != exitDone || !strings.Contains(out, "1 alive") || strings.Contains(out, "\x1b") || errOut != "" {
		t.Errorf("exit code %d: %q, %s", code, out, errOut)
	}
	code, out, _ = try(t, "top", "--frames", "3", "--interval", "100ms")
	if code != exitDone || strings.Count(out, "raygo top") != 3 {
		t.Errorf("exit code %d; three frames: %s", code, out)
	}
	code, out, _ = try(t, "top", "--frames", "2", "--interval", "100ms", "--format", "json")
	d := json.NewDecoder(strings.NewReader(out))
	var snap top.Snapshot
	for i := range 2 {
		if err := d.Decode(&snap); err != nil || len(snap.Status.Nodes.Rows) != 1 {
			t.Errorf("document %d: %v", i, err)
		}
	}
	if err := d.Decode(&snap); code != exitDone || err != io.EOF {
		t.Errorf("exit code %d, then %v", code, err)
	}
	code, out, _ = try(t, "top", "--frames", "2", "--interval", "100ms", "--format", "yaml")
	if code != exitDone || strings.Count(out, "\n---\n") != 1 {
		t.Errorf("exit code %d: %s", code, out)
	}
	for _, bad := range [][]string{{"--interval", "1ms"}, {"--frames", "-1"}, {"word"}} {
		if code, _, _ := try(t, append([]string{"top"}, bad...)...); code != exitUsage {
			t.Errorf("%q: exit code %d", bad, code)
		}
	}
}

func TestTopWithoutPeer(t *testing.T) {
	home(t)
	if code, _, errOut := try(t, "top"); code != exitNoPeer || !strings.Contains(errOut, "no peer answers") {
		t.Errorf("exit code %d: %s", code, errOut)
	}
}

// terminal is a pseudo-terminal and what was written to it.
type terminal struct {
	control, tty *os.File

	mu   sync.Mutex // guards text
	text strings.Builder
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("this machine has no pseudo-terminals: %v", err)
	}
	if err := unix.IoctlSetPointerInt(int(control.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(control.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{control: control, tty: tty}
	term.resize(t, 100, 30)
	var reading sync.WaitGroup
	reading.Go(func() {
		b := make([]byte, 4096)
		for {
			n, err := control.Read(b)
			term.mu.Lock()
			term.text.Write(b[:n])
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	t.Cleanup(func() {
		_ = tty.Close() // the last writer: the reader sees an error
		reading.Wait()
		_ = control.Close()
	})
	return term
}

func (term *terminal) resize(t *testing.T, width, height uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(term.control.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: height, Col: width}); err != nil {
		t.Fatal(err)
	}
}

func (term *terminal) written() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.text.String()
}

func (term *terminal) shows(t *testing.T, what string, from int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !strings.Contains(term.written()[from:], what); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %q within 20 s in %q", what, term.written()[from:])
		}
	}
}

// On a terminal: frame after frame in a screen of its own, of the window's size, until
// q; the peer may go away meanwhile. The terminal is then as it was.
func TestTopOnATerminal(t *testing.T) {
	p := servingPeer(t)
	term := newTerminal(t)
	before, err := unix.IoctlGetTermios(int(term.tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "raygo", "top", "--interval", "100ms")
	c.Stdin, c.Stdout, c.Stderr = term.tty, term.tty, term.tty
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Process.Kill() }()
	term.shows(t, "\x1b[?1049h", 0)
	term.shows(t, p.ID()[len(p.ID())-8:], 0)
	from := len(term.written())
	term.shows(t, "1 alive", from) // another frame
	from = len(term.written())
	term.resize(t, 20, 5)
	term.shows(t, "\x1b[H"+"raygo top   ", from)
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	term.shows(t, "no answer, trying again", from)
	if _, err := term.control.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	term.shows(t, "\x1b[?1049l", from)
	after, err := unix.IoctlGetTermios(int(term.tty.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal is another than it was: %+v, %v", after, err)
	}
}
