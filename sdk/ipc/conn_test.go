package ipc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// kinds are the connections there are: each test is of all.
var kinds = map[string]func(t testing.TB, limit int) (*Conn, *Conn){"socket": sockets, "pipe": piped}

func both(t *testing.T, test func(t *testing.T, pair func(testing.TB, int) (*Conn, *Conn))) {
	for name, pair := range kinds {
		t.Run(name, func(t *testing.T) { test(t, pair) })
	}
}

func piped(t testing.TB, limit int) (*Conn, *Conn) {
	x, y := Pipe(limit)
	t.Cleanup(func() { _ = x.Close(); _ = y.Close() })
	return x, y
}

func sockets(t testing.TB, limit int) (*Conn, *Conn) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	x, y := NewConn(a, limit), NewConn(b, limit)
	t.Cleanup(func() { _ = x.Close(); _ = y.Close() })
	return x, y
}

// Frames of many writers arrive whole, each writer's in its order, whatever the
// reader's pace.
func TestConnKeepsOrder(t *testing.T) { both(t, connKeepsOrder) }

func connKeepsOrder(t *testing.T, pair func(testing.TB, int) (*Conn, *Conn)) {
	x, y := pair(t, 1<<16)
	const writers, frames = 8, 400
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range frames {
				body := bytes.Repeat([]byte{byte(w)}, 1+(i*37)%3000)
				err := x.Send(func(b []byte) []byte {
					b, at := Begin(b, TypeNote)
					b = append(b, byte(w))
					b = binary.LittleEndian.AppendUint32(b, uint32(i))
					return End(append(b, body...), at)
				})
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	var next [writers]uint32
	for range writers * frames {
		_, p, err := y.Read()
		if err != nil {
			t.Fatal(err)
		}
		w, i := p[0], binary.LittleEndian.Uint32(p[1:])
		if i != next[w] || len(p) != 5+1+int(i*37)%3000 {
			t.Fatalf("writer %d: frame %d of %d bytes, want frame %d", w, i, len(p), next[w])
		}
		next[w]++
	}
	wg.Wait()
}

func TestConnRefusesBadLengths(t *testing.T) { both(t, connRefusesBadLengths) }

func connRefusesBadLengths(t *testing.T, pair func(testing.TB, int) (*Conn, *Conn)) {
	for _, n := range []uint32{0, MaxFrame + 1, 1<<32 - 1} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			x, y := pair(t, 0)
			if err := x.Send(func(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, n) }); err != nil {
				t.Fatal(err)
			}
			if _, _, err := y.Read(); !errors.Is(err, ErrFrame) {
				t.Fatalf("read: %v", err)
			}
		})
	}
}

// A reader that stops reading does not hold a writer without a limit up, and
// gets everything when it goes on.
func TestConnSlowReader(t *testing.T) { both(t, connSlowReader) }

func connSlowReader(t *testing.T, pair func(testing.TB, int) (*Conn, *Conn)) {
	x, y := pair(t, 0)
	const frames = 64
	big := make([]byte, 256<<10)
	for range frames {
		if err := x.Send(func(b []byte) []byte { b, at := Begin(b, TypeNote); return End(append(b, big...), at) }); err != nil {
			t.Fatal(err)
		}
	}
	if x.Backlog() == 0 {
		t.Fatal("the kernel took 16 MiB unread")
	}
	for range frames {
		if _, p, err := y.Read(); err != nil || len(p) != len(big) {
			t.Fatalf("read: %d bytes, %v", len(p), err)
		}
	}
	if err := x.Drain(t.Context()); err != nil || x.Backlog() != 0 {
		t.Fatalf("drain: %v, %d left", err, x.Backlog())
	}
}

func TestConnCloseEndsBoth(t *testing.T) { both(t, connCloseEndsBoth) }

func connCloseEndsBoth(t *testing.T, pair func(testing.TB, int) (*Conn, *Conn)) {
	x, y := pair(t, 1)
	done := make(chan error, 1)
	go func() { _, _, err := y.Read(); done <- err }()
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, io.EOF) {
		t.Fatalf("read: %v", err)
	}
	if err := x.Send(func(b []byte) []byte { return append(b, 0) }); !errors.Is(err, ErrClosed) {
		t.Fatalf("send: %v", err)
	}
}

func TestHandshakePassesArena(t *testing.T) { both(t, handshakePassesArena) }

func handshakePassesArena(t *testing.T, pair func(testing.TB, int) (*Conn, *Conn)) {
	x, y := pair(t, 0)
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("arena"); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		_, p, err := y.Read()
		if err == nil {
			_, _, err = ParseHello(p)
		}
		if err == nil {
			err = y.SendWelcome(&Welcome{Version: 1, Peer: "p"}, f)
		}
		served <- err
	}()
	w, arena, err := x.Handshake(t.Context(), &Hello{Role: RoleDriver})
	if err != nil || <-served != nil || w.Peer != "p" || arena == nil {
		t.Fatalf("%+v, %v, %v", w, arena, err)
	}
	defer arena.Close()
	b := make([]byte, 5)
	if _, err := arena.ReadAt(b, 0); err != nil || string(b) != "arena" {
		t.Fatalf("%q, %v", b, err)
	}
}

func TestHandshakeHonoursContext(t *testing.T) { both(t, handshakeHonoursContext) }

func handshakeHonoursContext(t *testing.T, pair func(testing.TB, int) (*Conn, *Conn)) {
	x, _ := pair(t, 0)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := x.Handshake(ctx, &Hello{Role: RoleDriver}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("handshake: %v", err)
	}
}
