package ipc

import (
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// pipeRoom is how many bytes wait in one direction of a pipe, as in a socket's
// buffer.
const pipeRoom = 256 << 10

// Pipe is a connection inside this process, without the kernel: for simulations
// in virtual time, where nobody may wait in the network poller. The limit is
// that of NewConn.
func Pipe(limit int) (*Conn, *Conn) {
	p := &pipe{}
	p.changed.L = &p.mu
	a, b := &pipeEnd{pipe: p, in: &p.ways[0], out: &p.ways[1]}, &pipeEnd{pipe: p, in: &p.ways[1], out: &p.ways[0]}
	ca, cb := newConn(a, limit), newConn(b, limit)
	ca.writer.Go(ca.writeLoop)
	cb.writer.Go(cb.writeLoop)
	return ca, cb
}

// pipe is both directions of a connection.
type pipe struct {
	mu      sync.Mutex // guards ways
	changed sync.Cond  // any of it
	ways    [2]way
}

// way is one direction: bytes that were written and not yet read, and the
// descriptors that go with them.
type way struct {
	buf     []byte
	oob     []byte
	closed  bool
	expired bool // a read deadline has passed
	timer   *time.Timer
}

// pipeEnd is one side of a pipe.
type pipeEnd struct {
	*pipe
	in, out *way
}

// Read waits for bytes.
func (e *pipeEnd) Read(b []byte) (int, error) {
	n, _, err := e.receive(b, nil)
	return n, err
}

// ReadMsgUnix is Read with the descriptor that came along, if one did.
func (e *pipeEnd) ReadMsgUnix(b, oob []byte) (n, oobn, flags int, addr *net.UnixAddr, err error) {
	n, oobn, err = e.receive(b, oob)
	return n, oobn, 0, nil, err
}

func (e *pipeEnd) receive(b, oob []byte) (n, oobn int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.in.buf) == 0 {
		switch {
		case e.in.expired:
			return 0, 0, os.ErrDeadlineExceeded
		case e.out.closed:
			return 0, 0, net.ErrClosed
		case e.in.closed:
			return 0, 0, io.EOF
		}
		e.changed.Wait()
	}
	n = copy(b, e.in.buf)
	e.in.buf = append(e.in.buf[:0], e.in.buf[n:]...)
	if oob != nil {
		oobn = copy(oob, e.in.oob)
		e.in.oob = nil
	}
	e.changed.Broadcast()
	return n, oobn, nil
}

// tryWrite takes what there is room for.
func (e *pipeEnd) tryWrite(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.put(b)
}

// put is tryWrite with the lock held.
func (e *pipeEnd) put(b []byte) (int, error) {
	if e.out.closed || e.in.closed {
		return 0, net.ErrClosed
	}
	n := min(len(b), pipeRoom-len(e.out.buf))
	e.out.buf = append(e.out.buf, b[:n]...)
	e.changed.Broadcast()
	return n, nil
}

// Write waits until all of b has found room.
func (e *pipeEnd) Write(b []byte) (sent int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for sent < len(b) {
		n, err := e.put(b[sent:])
		if err != nil {
			return sent, err
		}
		if sent += n; n == 0 {
			e.changed.Wait()
		}
	}
	return sent, nil
}

// WriteMsgUnix is Write with a descriptor, of which the reader gets a copy of its
// own.
func (e *pipeEnd) WriteMsgUnix(b, oob []byte, _ *net.UnixAddr) (n, oobn int, err error) {
	if own := descriptorOf(oob); own >= 0 {
		fd, err := unix.FcntlInt(uintptr(own), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return 0, 0, err
		}
		e.mu.Lock()
		e.out.oob = unix.UnixRights(fd)
		e.mu.Unlock()
	}
	n, err = e.Write(b)
	return n, len(oob), err
}

// SetReadDeadline bounds Read.
func (e *pipeEnd) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.in.timer != nil {
		e.in.timer.Stop()
		e.in.timer = nil
	}
	e.in.expired = false
	switch {
	case t.IsZero():
	case !t.After(time.Now()):
		e.in.expired = true
	default:
		e.in.timer = time.AfterFunc(time.Until(t), func() {
			e.mu.Lock()
			e.in.expired = true
			e.changed.Broadcast()
			e.mu.Unlock()
		})
	}
	e.changed.Broadcast()
	return nil
}

// Close ends both directions: what was written can still be read.
func (e *pipeEnd) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.out.closed = true
	if e.in.timer != nil {
		e.in.timer.Stop()
	}
	e.changed.Broadcast()
	return nil
}
