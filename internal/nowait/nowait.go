// Package nowait owns reads and writes of sockets that cost what they must and no
// more: system calls that Go's scheduler need not be told of, and writes of as much
// as goes at once.
//
// Go tells its scheduler of each system call, since it may take long. The first
// one after a process has slept also wakes the runtime's monitor thread, on
// another CPU, and that costs more than the call where processes hand small
// messages to each other one at a time. Sockets in Go never block: a call that has
// nothing to do says so at once, and what waits is the network poller. So there
// is nothing to tell, unless so many bytes are copied that it takes a while.
//
// The monitor takes a CPU away from a goroutine that has computed for 10 ms, and
// looks at the network when all are taken. It may not sleep for good, then, when a
// process begins to compute: see monitor.
package nowait

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// most is how many bytes are read or written without a word: some microseconds'
// worth, as long as other goroutines may be kept from that CPU.
const most = 64 << 10

// Socket reads and writes a connection. One goroutine at a time may read, one
// write.
type Socket struct {
	net.Conn
	raw     syscall.RawConn
	in, out call
}

// call is one read or write under way. It is kept from one to the next, since
// what it points to would be allocated for each.
type call struct {
	trap uintptr
	wait bool // until all of b is moved, or for a read anything
	b    []byte
	n    int
	err  error
	try  func(fd uintptr) (done bool)
}

// New takes a connection over. One that is no socket is as it was.
func New(c net.Conn) net.Conn {
	if s := newSocket(c); s != nil {
		return s
	}
	return c
}

// Unix takes a Unix socket over, nil if it was closed before.
func Unix(c *net.UnixConn) *Socket { return newSocket(c) }

func newSocket(c net.Conn) *Socket {
	has, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := has.SyscallConn()
	if err != nil {
		return nil
	}
	s := &Socket{Conn: c, raw: raw}
	s.in = call{trap: syscall.SYS_READ, try: s.in.read}
	s.out = call{trap: syscall.SYS_WRITE, try: s.out.write}
	return s
}

// Read is the connection's.
func (s *Socket) Read(b []byte) (int, error) {
	if len(b) == 0 || len(b) > most {
		return s.Conn.Read(b)
	}
	c := &s.in
	c.b, c.n, c.err = b, 0, nil
	err := s.raw.Read(c.try)
	return c.end("read", err)
}

// Write is the connection's.
func (s *Socket) Write(b []byte) (int, error) {
	if len(b) > most {
		return s.Conn.Write(b)
	}
	return s.write(b, true)
}

// WriteSome writes as much as the kernel takes without waiting for the reader.
func (s *Socket) WriteSome(b []byte) (int, error) { return s.write(b, false) }

func (s *Socket) write(b []byte, wait bool) (int, error) {
	c := &s.out
	c.b, c.n, c.err, c.wait = b, 0, nil, wait
	err := s.raw.Write(c.try)
	return c.end("write", err)
}

func (c *call) read(fd uintptr) (done bool) {
	again := c.move(fd)
	if !again && c.err == nil && c.n == 0 {
		c.err = io.EOF
	}
	return !again
}

func (c *call) write(fd uintptr) (done bool) {
	for c.n < len(c.b) {
		if c.move(fd) {
			return !c.wait
		}
		if c.err != nil {
			break
		}
	}
	return true
}

// move does what can be done at once, with the part of b that is left. It reports
// whether nothing could.
func (c *call) move(fd uintptr) (again bool) {
	rest := c.b[c.n:]
	if len(rest) > most {
		rest = rest[:most]
	}
	for {
		var n uintptr
		var errno syscall.Errno
		if looksSoon.quiet() {
			n, _, errno = syscall.RawSyscall(c.trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(rest))), uintptr(len(rest)))
		} else {
			n, _, errno = syscall.Syscall(c.trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(rest))), uintptr(len(rest)))
		}
		switch errno {
		case 0:
			c.n += int(n)
			return false
		case syscall.EINTR:
		case syscall.EAGAIN:
			return true
		default:
			c.err = errno
			return false
		}
	}
}

// end tells how it went in the words of package net.
func (c *call) end(op string, err error) (int, error) {
	c.b = nil
	if err != nil {
		var e *net.OpError
		if errors.As(err, &e) {
			e.Op = op
		}
		return c.n, err
	}
	if c.err != nil && !errors.Is(c.err, io.EOF) {
		return c.n, &net.OpError{Op: op, Net: "socket", Err: os.NewSyscallError(op, c.err)}
	}
	return c.n, c.err
}
