package ipc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/internal/nowait"
)

// Conn is one side of a connection between a peer and a process. One goroutine
// at a time reads; any number write.
type Conn struct {
	c    wire
	sock *nowait.Socket // c, nil for a pipe

	// The reader's own: no lock, because there is one reader at a time.
	in    []byte // bytes read and not yet returned are in[start:end]
	start int
	end   int

	mu     sync.Mutex // guards out, spare, flush, err
	more   sync.Cond  // signalled when out drained or err set
	out    []byte     // frames not yet given to the kernel
	spare  []byte
	away   int  // bytes that the connection's goroutine is giving to the kernel
	flush  bool // some goroutine is writing; it takes what is appended meanwhile
	err    error
	limit  int
	closed chan struct{}
	once   sync.Once
	writer sync.WaitGroup
	kick   chan struct{}
}

// ErrClosed is returned by writes on a connection that has ended.
var ErrClosed = errors.New("connection closed")

// wire is what a connection needs of a stream socket.
type wire interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	Close() error
	SetReadDeadline(t time.Time) error

	// WriteMsgUnix and ReadMsgUnix carry a descriptor beside bytes.
	WriteMsgUnix(b, oob []byte, addr *net.UnixAddr) (n, oobn int, err error)
	ReadMsgUnix(b, oob []byte) (n, oobn, flags int, addr *net.UnixAddr, err error)
}

// NewConn takes over c. A writer that finds more than limit bytes unsent waits;
// limit 0 means that it never waits and the caller watches Backlog.
func NewConn(c *net.UnixConn, limit int) *Conn {
	n := newConn(c, limit)
	n.sock = nowait.Unix(c)
	n.writer.Go(n.writeLoop)
	return n
}

func newConn(c wire, limit int) *Conn {
	n := &Conn{c: c, in: make([]byte, 64<<10), limit: limit, closed: make(chan struct{}), kick: make(chan struct{}, 1)}
	n.more.L = &n.mu
	return n
}

// Read returns the next frame; its payload is valid until the next Read. A
// clean end is io.EOF.
func (n *Conn) Read() (Type, []byte, error) {
	for {
		if t, p, ok, err := n.next(); ok || err != nil {
			return t, p, err
		}
		if err := n.fill(); err != nil {
			return 0, nil, err
		}
	}
}

// Buffered reports whether Read can return without waiting.
func (n *Conn) Buffered() bool {
	if n.end-n.start < 4 {
		return false
	}
	l := binary.LittleEndian.Uint32(n.in[n.start:])
	return checkLength(l) != nil || n.end-n.start >= 4+int(l)
}

// SetReadDeadline bounds Read.
func (n *Conn) SetReadDeadline(t time.Time) error { return n.c.SetReadDeadline(t) }

func (n *Conn) next() (Type, []byte, bool, error) {
	have := n.end - n.start
	if have < 4 {
		return 0, nil, false, nil
	}
	l := binary.LittleEndian.Uint32(n.in[n.start:])
	if err := checkLength(l); err != nil {
		return 0, nil, false, err
	}
	if have < 4+int(l) {
		return 0, nil, false, nil
	}
	p := n.in[n.start+4 : n.start+4+int(l) : n.start+4+int(l)]
	n.start += 4 + int(l)
	return Type(p[0]), p[1:], true, nil
}

// fill reads once into the buffer, which grows only to what one frame needs.
func (n *Conn) fill() error {
	if n.start > 0 {
		n.end = copy(n.in, n.in[n.start:n.end])
		n.start = 0
	}
	if n.end >= 4 {
		// The length was checked by next. Grow by doubling, so that a sender
		// pays for the memory that it makes us take.
		need := 4 + int(binary.LittleEndian.Uint32(n.in))
		if need > len(n.in) && n.end == len(n.in) {
			grown := make([]byte, min(2*len(n.in), need))
			copy(grown, n.in[:n.end])
			n.in = grown
		}
	} else if n.end == 0 && len(n.in) > 1<<20 {
		n.in = make([]byte, 64<<10) // a large frame went by: give its memory back
	}
	got, err := n.receive(n.in[n.end:])
	n.end += got
	if got > 0 {
		return nil
	}
	return err
}

func (n *Conn) receive(b []byte) (int, error) {
	if n.sock == nil {
		return n.c.Read(b)
	}
	return n.sock.Read(b)
}

// Append adds frames to what is to be sent; fn appends to the slice it is given
// and returns it. It waits when the limit is exceeded.
func (n *Conn) Append(fn func([]byte) []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.limit > 0 && len(n.out) > n.limit && n.err == nil {
		n.wake()
		n.more.Wait()
	}
	if n.err != nil {
		return n.err
	}
	n.out = fn(n.out)
	return nil
}

// Send appends and flushes.
func (n *Conn) Send(fn func([]byte) []byte) error {
	if err := n.Append(fn); err != nil {
		return err
	}
	return n.Flush()
}

// Backlog is the number of bytes not yet given to the kernel.
func (n *Conn) Backlog() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.out) + n.away
}

// Flush gives what was appended to the kernel, without waiting for a slow
// reader: what does not fit is left to the connection's own goroutine.
func (n *Conn) Flush() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.out) > 0 && !n.flush && n.err == nil {
		n.flush = true
		batch := n.out
		n.out = n.spare[:0]
		n.spare = nil
		n.mu.Unlock()
		sent, err := n.tryWrite(batch)
		n.mu.Lock()
		n.flush = false
		switch {
		case err != nil:
			n.fail(err)
		case sent < len(batch):
			// The kernel's buffer is full. Put the rest in front of what came
			// meanwhile; order is the protocol's.
			rest := append(batch[:copy(batch, batch[sent:])], n.out...)
			n.spare, n.out = n.out[:0], rest
			n.wake()
			return nil
		default:
			if cap(batch) <= 1<<20 {
				n.spare = batch[:0]
			}
			n.more.Broadcast()
		}
	}
	return n.err
}

// tryWrite writes as much as the kernel takes at once.
func (n *Conn) tryWrite(b []byte) (sent int, err error) {
	if p, ok := n.c.(*pipeEnd); ok {
		return p.tryWrite(b)
	}
	if n.sock == nil {
		return 0, ErrClosed
	}
	return n.sock.WriteSome(b)
}

func (n *Conn) wake() {
	select {
	case n.kick <- struct{}{}:
	default:
	}
}

// writeLoop sends what Flush could not, waiting for the reader at the other end.
func (n *Conn) writeLoop() {
	for {
		select {
		case <-n.kick:
		case <-n.closed:
			return
		}
		n.mu.Lock()
		for len(n.out) > 0 && !n.flush && n.err == nil {
			n.flush = true
			batch := n.out
			n.out, n.away = nil, len(batch)
			n.mu.Unlock()
			_, err := n.c.Write(batch)
			n.mu.Lock()
			n.flush, n.away = false, 0
			if err != nil {
				n.fail(err)
			}
			n.more.Broadcast()
		}
		n.mu.Unlock()
	}
}

// fail records the first error; mu is held.
func (n *Conn) fail(err error) {
	if n.err == nil {
		n.err = fmt.Errorf("%w: %w", ErrClosed, err)
	}
	n.out = nil
	n.more.Broadcast()
}

// Close ends the connection and waits for its goroutine.
func (n *Conn) Close() error {
	var err error
	n.once.Do(func() {
		close(n.closed)
		err = n.c.Close()
		n.mu.Lock()
		n.fail(net.ErrClosed)
		n.mu.Unlock()
	})
	n.writer.Wait()
	return err
}

// Drain waits until everything appended was given to the kernel, or ctx ends.
func (n *Conn) Drain(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		n.mu.Lock()
		n.more.Broadcast()
		n.mu.Unlock()
	})
	defer stop()
	n.mu.Lock()
	defer n.mu.Unlock()
	for (len(n.out) > 0 || n.flush) && n.err == nil && ctx.Err() == nil {
		n.wake()
		n.more.Wait()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return n.err
}

// PeerCred is the process at the other end, as the kernel knows it.
func (n *Conn) PeerCred() (pid, uid int, err error) {
	socket, ok := n.c.(*net.UnixConn)
	if !ok {
		return os.Getpid(), os.Getuid(), nil // a pipe: it is this process
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, 0, fmt.Errorf("read the credentials of the process at the socket: %w", err)
	}
	var cred *unix.Ucred
	cerr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(cerr, err); err != nil {
		return 0, 0, fmt.Errorf("read the credentials of the process at the socket: %w", err)
	}
	return int(cred.Pid), int(cred.Uid), nil
}

// SendWelcome writes the Welcome frame, with the arena's descriptor when there
// is one. It must be the first thing written.
func (n *Conn) SendWelcome(w *Welcome, arena *os.File) error {
	b := AppendBody(nil, TypeWelcome, w)
	if arena == nil {
		return n.Send(func(out []byte) []byte { return append(out, b...) })
	}
	_, _, err := n.c.WriteMsgUnix(b, unix.UnixRights(int(arena.Fd())), nil)
	if err != nil {
		return fmt.Errorf("send welcome: %w", err)
	}
	return nil
}

// Handshake speaks the client's side: Hello, then Welcome or the refusal as a
// *raygo.Failure. The file is the job's arena, nil for commands.
func (n *Conn) Handshake(ctx context.Context, h *Hello) (*Welcome, *os.File, error) {
	stop := context.AfterFunc(ctx, func() { _ = n.c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := n.Send(func(b []byte) []byte { return AppendHello(b, h) }); err != nil {
		return nil, nil, fmt.Errorf("send hello: %w", err)
	}
	var arena *os.File
	for {
		t, p, ok, err := n.next()
		if err != nil {
			return nil, nil, fmt.Errorf("read the answer to hello: %w", err)
		}
		if ok {
			w, err := readWelcome(t, p)
			if err != nil && arena != nil {
				_ = arena.Close()
				arena = nil
			}
			return w, arena, err
		}
		oob := make([]byte, unix.CmsgSpace(4))
		got, oobn, _, _, err := n.c.ReadMsgUnix(n.in[n.end:], oob)
		if err != nil || got == 0 {
			return nil, nil, errors.Join(ctx.Err(), fmt.Errorf("the peer closed the connection without an answer to hello: %w", errors.Join(err, ErrClosed)))
		}
		n.end += got
		if oobn > 0 {
			arena = receiveFile(oob[:oobn])
		}
	}
}

func readWelcome(t Type, p []byte) (*Welcome, error) {
	switch t {
	case TypeWelcome:
		var w Welcome
		if err := Unmarshal(p, &w); err != nil {
			return nil, err
		}
		return &w, nil
	case TypeRefused:
		var f raygo.Failure
		if err := Unmarshal(p, &f); err != nil {
			return nil, err
		}
		return nil, &f
	default:
		return nil, fmt.Errorf("%w: the answer to hello is a frame of type %d", ErrFrame, t)
	}
}

func receiveFile(oob []byte) *os.File {
	fd := descriptorOf(oob)
	if fd < 0 {
		return nil
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "arena")
}

// descriptorOf is the first descriptor of a control message, -1 if it has none.
func descriptorOf(oob []byte) int {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return -1
	}
	for i := range msgs {
		if fds, err := unix.ParseUnixRights(&msgs[i]); err == nil && len(fds) > 0 {
			return fds[0]
		}
	}
	return -1
}
