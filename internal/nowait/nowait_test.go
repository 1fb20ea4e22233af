package nowait_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/nowait"
)

// both runs a test with the two ends of a socket of each kind.
func both(t *testing.T, test func(t *testing.T, a, b net.Conn)) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			addr := "127.0.0.1:0"
			if network == "unix" {
				addr = filepath.Join(t.TempDir(), "s")
			}
			l, err := net.Listen(network, addr)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			a, err := net.Dial(network, l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			b, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			quietA, quietB := nowait.New(a), nowait.New(b)
			if quietA == a || quietB == b {
				t.Fatal("a socket was not taken over")
			}
			test(t, quietA, quietB)
		})
	}
}

func TestBytesArriveInOrder(t *testing.T) {
	both(t, func(t *testing.T, a, b net.Conn) {
		r := rand.New(rand.NewPCG(1, 2))
		sent := make([]byte, 8<<20)
		for i := range sent {
			sent[i] = byte(r.Uint32())
		}
		wrote := make(chan error, 1)
		go func() {
			rest := sent
			for len(rest) > 0 {
				k := min(len(rest), 1+r.IntN(200<<10)) // below and above what goes without a word
				n, err := a.Write(rest[:k])
				if err != nil || n != k {
					wrote <- errors.Join(err, a.Close())
					return
				}
				rest = rest[k:]
			}
			wrote <- a.Close()
		}()
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d of %d bytes arrived, %v", len(got), len(sent), err)
		}
		if err := <-wrote; err != nil {
			t.Errorf("write: %v", err)
		}
		if n, err := b.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("read after the end: %d, %v", n, err)
		}
	})
}

func TestReadWaits(t *testing.T) {
	both(t, func(t *testing.T, a, b net.Conn) {
		var got [8]byte
		done := make(chan error, 1)
		go func() {
			n, err := b.Read(got[:])
			if n != 2 {
				err = errors.Join(err, errors.New("it did not return what there was"))
			}
			done <- err
		}()
		if n, err := a.Write([]byte("hi")); n != 2 || err != nil {
			t.Fatalf("wrote %d, %v", n, err)
		}
		if err := <-done; err != nil || string(got[:2]) != "hi" {
			t.Errorf("read %q, %v", got, err)
		}
		if n, err := b.Read(nil); n != 0 || err != nil {
			t.Errorf("read into nothing: %d, %v", n, err)
		}
		if n, err := a.Write(nil); n != 0 || err != nil {
			t.Errorf("write nothing: %d, %v", n, err)
		}
	})
}

func TestErrorsAreThoseOfNet(t *testing.T) {
	both(t, func(t *testing.T, a, b net.Conn) {
		if err := b.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		_, err := b.Read(make([]byte, 1))
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("read past the deadline: %v", err)
		}
		if err := b.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		blocked := make(chan error, 1)
		go func() { _, err := b.Read(make([]byte, 1)); blocked <- err }()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-blocked; !errors.Is(err, net.ErrClosed) {
			t.Errorf("read of what was closed: %v", err)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write to what was closed: %v", err)
		}
		for err = nil; err == nil; { // the other end finds out after a write or two
			_, err = a.Write([]byte("x"))
		}
		var op *net.OpError
		if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) || !errors.As(err, &op) || op.Op != "write" {
			t.Errorf("write to an end that is gone: %v", err)
		}
	})
}

func TestWriteSomeDoesNotWait(t *testing.T) {
	both(t, func(t *testing.T, a, b net.Conn) {
		big := bytes.Repeat([]byte("raygo"), 4<<20)
		s := a.(*nowait.Socket)
		n, err := s.WriteSome(big)
		if err != nil || n == 0 || n == len(big) {
			t.Fatalf("wrote %d of %d bytes, %v", n, len(big), err)
		}
		got := make([]byte, n)
		if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, big[:n]) {
			t.Errorf("what was written is not what arrived, %v", err)
		}
	})
}

func TestWhatIsNoSocketIsLeft(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if nowait.New(a) != a {
		t.Error("a pipe was taken over")
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	for name, wrap := range map[string]func(net.Conn) net.Conn{"plain": func(c net.Conn) net.Conn { return c }, "nowait": nowait.New} {
		b.Run(name, func(b *testing.B) {
			l, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			near, err := net.Dial("unix", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer near.Close()
			far, err := l.Accept()
			if err != nil {
				b.Fatal(err)
			}
			defer far.Close()
			near, far = wrap(near), wrap(far)
			done := make(chan struct{})
			go func() { defer close(done); _, _ = io.Copy(struct{ io.Writer }{far}, struct{ io.Reader }{far}) }()
			buf := make([]byte, 200)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := near.Write(buf); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(near, buf); err != nil {
					b.Fatal(err)
				}
			}
			_ = near.Close()
			<-done
		})
	}
}
