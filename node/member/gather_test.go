package member

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/sec"
)

// counted counts what is written to a connection, and how often. With fail set
// writes fail.
type counted struct {
	net.Conn
	writes, bytes atomic.Int64
	fail          atomic.Bool
}

var errCable = errors.New("the cable is out")

func (c *counted) Write(b []byte) (int, error) {
	if c.fail.Load() {
		return 0, errCable
	}
	c.writes.Add(1)
	c.bytes.Add(int64(len(b)))
	return c.Conn.Write(b)
}

// secure makes a connection of two members over loopback.
func secure(t *testing.T) (from sec.SecureConn, wire *counted, to sec.SecureConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a := testAuthority(1)
	x, y := &security{m: enter(t, a, 11, RolePeer)}, &security{m: enter(t, a, 12, RolePeer)}
	accepted := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			to, err = y.SecureInbound(t.Context(), c, "")
		}
		accepted <- err
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	wire = &counted{Conn: c}
	from, err = x.SecureOutbound(t.Context(), wire, y.m.Peer())
	if err := errors.Join(err, <-accepted); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(from.Close(), to.Close()) })
	return from, wire, to
}

func TestRecordsOfALargeWriteLeaveTogether(t *testing.T) {
	from, wire, to := secure(t)
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i * i >> 7)
	}
	if _, err := from.Write(data[:200<<10]); err != nil { // TLS begins with short records
		t.Fatal(err)
	}
	if _, err := io.ReadFull(to, make([]byte, 200<<10)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		size   int
		writes int64
	}{{0, 0}, {1, 1}, {maxRecord, 1}, {maxRecord + 1, 1}, {64 << 10, 1}, {256 << 10, 1}, {1 << 20, 4}} {
		before := wire.writes.Load()
		sent := make(chan error, 1)
		go func() {
			n, err := from.Write(data[:c.size])
			if err == nil && n != c.size {
				err = io.ErrShortWrite
			}
			sent <- err
		}()
		got := make([]byte, c.size)
		if _, err := io.ReadFull(to, got); err != nil {
			t.Fatal(err)
		}
		if err := <-sent; err != nil {
			t.Fatalf("%d bytes: %v", c.size, err)
		}
		if !bytes.Equal(got, data[:c.size]) {
			t.Errorf("%d bytes arrive as others", c.size)
		}
		if n := wire.writes.Load() - before; n > c.writes {
			t.Errorf("%d bytes leave in %d writes, not %d", c.size, n, c.writes)
		}
	}
}

// Several may write at a time: what each of them writes arrives whole.
func TestWritesAtATimeArriveWhole(t *testing.T) {
	from, _, to := secure(t)
	const rounds = 50
	sizes := []int{100, maxRecord, 40 << 10, 170 << 10}
	var wg sync.WaitGroup
	total := 0
	for k, size := range sizes {
		total += rounds * size
		wg.Go(func() {
			b := bytes.Repeat([]byte{byte(k)}, size)
			for range rounds {
				if _, err := from.Write(b); err != nil {
					t.Error(err)
				}
			}
		})
	}
	got := make([]byte, total)
	if _, err := io.ReadFull(to, got); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	for k, size := range sizes {
		if n := bytes.Count(got, []byte{byte(k)}); n != rounds*size {
			t.Errorf("writer %d wrote %d bytes, %d arrived", k, rounds*size, n)
		}
	}
}

func TestWritesAfterAFailedOneFail(t *testing.T) {
	from, wire, _ := secure(t)
	wire.fail.Store(true)
	if n, err := from.Write(make([]byte, 64<<10)); !errors.Is(err, errCable) || n != 0 {
		t.Errorf("a write that fails: %d, %v", n, err)
	}
	wire.fail.Store(false)
	bytes := wire.bytes.Load()
	for _, size := range []int{1, 64 << 10} {
		if _, err := from.Write(make([]byte, size)); !errors.Is(err, errCable) {
			t.Errorf("after a write that failed %d bytes: %v", size, err)
		}
	}
	if n := wire.bytes.Load() - bytes; n != 0 {
		t.Errorf("%d bytes left after records that are missing", n)
	}
}

// The muxer asks whether it was its deadline.
func TestAWriteThatTimesOutSaysSo(t *testing.T) {
	from, _, _ := secure(t)
	if err := from.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var err error
	for err == nil { // nobody reads
		_, err = from.Write(make([]byte, 128<<10))
	}
	if !os.IsTimeout(err) {
		t.Errorf("a write that timed out: %v", err)
	}
}

// A connection can be closed while a write waits for a reader that does not come.
func TestCloseEndsALargeWrite(t *testing.T) {
	from, _, _ := secure(t)
	ended := make(chan error, 1)
	go func() {
		var err error
		for err == nil {
			_, err = from.Write(make([]byte, 128<<10))
		}
		ended <- err
	}()
	if err := from.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Logf("close: %v", err)
	}
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the write goes on")
	}
}
