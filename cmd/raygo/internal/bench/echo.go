package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/raygo/raygo/sdk/ipc"
)

// The echo: drivers send frames through a peer to workers, which send them back.
// A frame's header is a driver's number, the number of the call and as many
// bytes more as those of a call of raygo; then comes the body.
const (
	echoHead    = 4 + 4 + 17
	echoMost    = 64 // processes of a kind
	echoLimit   = 64 << 20
	echoDriver  = 'd'
	echoWorker  = 'w'
	echoWorkers = 2
)

// echoPeer passes frames on.
type echoPeer struct {
	drivers, workers [echoMost]atomic.Pointer[ipc.Conn]
}

// serveEcho is the life of the peer of an echo: it listens at socket until its
// standard input ends.
func serveEcho(socket string) error {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return fmt.Errorf("listen for the echo: %w", err)
	}
	stop := context.AfterFunc(untilStdinEnds(), func() { _ = l.Close() })
	defer stop()
	fmt.Fprintln(os.Stdout, "ready")
	p := &echoPeer{}
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			os.Exit(0) // with all connections: there is nothing to give back
		}
		conns.Go(func() { p.pass(ipc.NewConn(c, 0)) })
	}
}

// pass passes on what comes from one process. The first frame says which it is.
func (p *echoPeer) pass(c *ipc.Conn) {
	_, hello, err := c.Read()
	if err != nil || len(hello) != 5 {
		return
	}
	number := binary.LittleEndian.Uint32(hello[1:]) % echoMost
	own := &p.drivers[number]
	if hello[0] == echoWorker {
		own = &p.workers[number]
	}
	own.Store(c)
	_ = c.Send(func(b []byte) []byte { b, at := ipc.Begin(b, ipc.TypeWelcome); return ipc.End(b, at) })
	var waiting []*ipc.Conn
	for {
		t, frame, err := c.Read()
		if err != nil || len(frame) < echoHead {
			return
		}
		switch t {
		case ipc.TypePut:
			continue // is for the peer itself
		case ipc.TypeQuery:
			size := binary.LittleEndian.Uint32(frame[8:]) % ipc.MaxFrame
			_ = c.Send(func(b []byte) []byte {
				b, at := ipc.Begin(b, ipc.TypeAnswer)
				return ipc.End(append(b, make([]byte, size)...), at)
			})
			continue
		}
		to := p.drivers[binary.LittleEndian.Uint32(frame)%echoMost].Load()
		if t == ipc.TypeSubmit {
			to = p.workers[binary.LittleEndian.Uint32(frame)%echoWorkers].Load()
		}
		_ = to.Append(func(b []byte) []byte { b, at := ipc.Begin(b, t); return ipc.End(append(b, frame...), at) })
		if len(waiting) == 0 || waiting[len(waiting)-1] != to {
			waiting = append(waiting, to)
		}
		if !c.Buffered() {
			for _, w := range waiting {
				_ = w.Flush()
			}
			waiting = waiting[:0]
		}
	}
}

// dialEcho attaches to the peer of an echo.
func dialEcho(socket string, role byte, number uint32) (*ipc.Conn, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("attach to the echo: %w", err)
	}
	conn := ipc.NewConn(c, echoLimit)
	err = conn.Send(func(b []byte) []byte {
		b, at := ipc.Begin(b, ipc.TypeHello)
		return ipc.End(binary.LittleEndian.AppendUint32(append(b, role), number), at)
	})
	if err == nil {
		_, _, err = conn.Read()
	}
	if err != nil {
		return nil, fmt.Errorf("attach to the echo: %w", errors.Join(err, conn.Close()))
	}
	return conn, nil
}

// workEcho is the life of a worker of an echo: it decodes, encodes, and sends
// back, until the peer is gone.
func workEcho(socket string, number uint32) error {
	conn, err := dialEcho(socket, echoWorker, number)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "ready")
	c := newBody()
	var out []byte
	for {
		_, frame, err := conn.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		m, err := c.read(frame[echoHead:])
		if err != nil {
			return err
		}
		var at int
		out, at = ipc.Begin(out[:0], ipc.TypeResult)
		if out, err = c.append(append(out, frame[:echoHead]...), &m); err != nil {
			return err
		}
		if _, err := conn.AppendFrames(ipc.End(out, at)); err != nil {
			return err
		}
		if !conn.Buffered() {
			_ = conn.Flush()
		}
	}
}

// echoClient is a driver of an echo.
type echoClient struct {
	conn   *ipc.Conn
	body   *body
	number uint32
	seq    uint32
	out    []byte
}

func newEchoClient(socket string, number uint32) (*echoClient, error) {
	conn, err := dialEcho(socket, echoDriver, number)
	if err != nil {
		return nil, err
	}
	return &echoClient{conn: conn, body: newBody(), number: number}, nil
}

func (e *echoClient) send(m *Message) error {
	b, at := e.head(ipc.TypeSubmit, 0)
	b, err := e.body.append(b, m)
	if err != nil {
		return err
	}
	e.out = ipc.End(b, at)
	_, err = e.conn.AppendFrames(e.out)
	return err
}

func (e *echoClient) receive() error {
	if !e.conn.Buffered() {
		if err := e.conn.Flush(); err != nil {
			return err
		}
	}
	_, frame, err := e.conn.Read()
	if err != nil {
		return err
	}
	_, err = e.body.read(frame[echoHead:])
	return err
}

// head begins a frame in e.out.
func (e *echoClient) head(t ipc.Type, size uint32) (b []byte, at int) {
	b, at = ipc.Begin(e.out[:0], t)
	b = binary.LittleEndian.AppendUint32(b, e.number)
	b = binary.LittleEndian.AppendUint32(b, e.seq)
	b = binary.LittleEndian.AppendUint32(b, size)
	e.seq++
	return append(b, make([]byte, echoHead-12)...), at
}

// ask has the peer itself answer with size bytes.
func (e *echoClient) ask(size int) error {
	b, at := e.head(ipc.TypeQuery, uint32(size))
	e.out = ipc.End(b, at)
	if _, err := e.conn.AppendFrames(e.out); err != nil {
		return err
	}
	if err := e.conn.Flush(); err != nil {
		return err
	}
	_, _, err := e.conn.Read()
	return err
}

// put sends n messages that the peer keeps to itself, and returns when it has
// read them.
func (e *echoClient) put(n int, m *Message) error {
	for range n {
		b, at := e.head(ipc.TypePut, 0)
		b, err := e.body.append(b, m)
		if err != nil {
			return err
		}
		e.out = ipc.End(b, at)
		waiting, err := e.conn.AppendFrames(e.out)
		if err != nil {
			return err
		}
		if waiting >= putBatch {
			_ = e.conn.Flush()
		}
	}
	return e.ask(0)
}

// putBatch is how many bytes of one-way messages gather.
const putBatch = 32 << 10

// calls makes n calls with as many under way as the window says.
func (e *echoClient) calls(n, window int) error {
	m := newMessage(0)
	for sent, got := 0, 0; got < n; got++ {
		for ; sent < n && sent-got < window; sent++ {
			m.Count = int64(sent)
			if err := e.send(&m); err != nil {
				return err
			}
		}
		if err := e.receive(); err != nil {
			return err
		}
	}
	return nil
}

// call makes one call.
func (e *echoClient) call(m *Message) error {
	if err := e.send(m); err != nil {
		return err
	}
	return e.receive()
}
