package hosts

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

// kind is what a chunk does to the end that it reaches.
type kind int

const (
	data  kind = iota
	fin        // no more data comes
	reset      // the connection is gone
)

// chunk is one write under way to an end, or there and not read yet.
type chunk struct {
	kind    kind
	at      time.Time // when it is there
	arrived bool      // it was there before a partition
	bytes   []byte
}

// end is one side of a connection; it implements manet.Conn. All fields are
// guarded by the world's mutex.
type end struct {
	w             *World
	peer          *Peer
	life          int // of the peer; in a later one this end is a memory
	far           *end
	local, remote ma.Multiaddr
	here, there   net.Addr

	in      []chunk // in the order of their times
	size    int     // bytes of data in it
	last    time.Time
	closed  bool
	failed  error // the reset
	readBy  time.Time
	writeBy time.Time

	readable, writable *sync.Cond
	due                *time.Timer // when the first chunk is there
	readTimer          *time.Timer
	writeTimer         *time.Timer
}

func (w *World) newEnd(p *Peer, local, remote ma.Multiaddr, here, there net.Addr) *end {
	e := &end{w: w, peer: p, life: p.life, local: local, remote: remote, here: here, there: there}
	e.readable, e.writable = sync.NewCond(&w.mu), sync.NewCond(&w.mu)
	w.ends[e] = true
	return e
}

// gone reports whether the end's peer crashed since: what it sends goes nowhere.
func (e *end) gone() bool { return e.life != e.peer.life }

// Read implements net.Conn.
func (e *end) Read(p []byte) (int, error) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	for {
		switch {
		case e.closed:
			return 0, net.ErrClosed
		case e.failed != nil:
			return 0, e.failed
		case expired(e.readBy):
			return 0, os.ErrDeadlineExceeded
		}
		if len(e.in) > 0 && e.first() {
			switch c := &e.in[0]; c.kind {
			case reset:
				e.fail(syscall.ECONNRESET)
				continue
			case fin:
				return 0, io.EOF
			case data:
				n := copy(p, c.bytes)
				if c.bytes = c.bytes[n:]; len(c.bytes) == 0 {
					e.in = e.in[1:]
				}
				e.size -= n
				e.far.writable.Broadcast()
				return n, nil
			}
		}
		e.readable.Wait()
	}
}

// first reports whether the first chunk is there, and otherwise has the
// readers woken when it is.
func (e *end) first() bool {
	c := &e.in[0]
	if c.arrived {
		return true
	}
	if parted(e.peer, e.far.peer) || e.gone() {
		return false // release wakes
	}
	wait := time.Until(c.at)
	if wait <= 0 {
		c.arrived = true
		return true
	}
	if e.due == nil {
		e.due = time.AfterFunc(wait, e.wake)
	} else {
		e.due.Reset(wait)
	}
	return false
}

func (e *end) wake() {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	e.readable.Broadcast()
	e.writable.Broadcast()
}

// Write implements net.Conn.
func (e *end) Write(p []byte) (int, error) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	sent := 0
	for sent < len(p) {
		switch {
		case e.closed:
			return sent, net.ErrClosed
		case e.failed != nil:
			return sent, e.failed
		case expired(e.writeBy):
			return sent, os.ErrDeadlineExceeded
		case e.gone():
			return len(p), nil
		case e.far.answersReset():
			e.post(chunk{kind: reset, at: time.Now().Add(e.w.roundTrip(e.peer, e.far.peer))})
			return len(p), nil
		}
		n := min(len(p)-sent, window-e.far.size, 64<<10)
		if n <= 0 {
			e.writable.Wait()
			continue
		}
		e.far.size += n
		e.far.post(chunk{at: e.w.arrival(e.peer, e.far.peer, n), bytes: append([]byte(nil), p[sent:sent+n]...)})
		e.w.bytes[pair{e.peer, e.far.peer}] += int64(n)
		sent += n
	}
	return sent, nil
}

// answersReset reports whether the machine of this end is up and does not know
// the connection (any more).
func (e *end) answersReset() bool {
	if e.gone() {
		return e.peer.state != crashed
	}
	return e.closed
}

// post puts a chunk on its way to this end.
func (e *end) post(c chunk) {
	if c.at.Before(e.last) {
		c.at = e.last
	}
	e.last = c.at
	e.in = append(e.in, c)
	if len(e.in) == 1 {
		e.readable.Broadcast() // a reader sets the timer
	}
}

// fail ends the connection at this end.
func (e *end) fail(err error) {
	if e.failed == nil {
		e.failed = err
	}
	e.in, e.size = nil, 0
	e.readable.Broadcast()
	e.writable.Broadcast()
}

// Close implements net.Conn.
func (e *end) Close() error {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	e.close()
	return nil
}

func (e *end) close() {
	if e.closed {
		return
	}
	e.closed = true
	delete(e.w.ends, e)
	for _, t := range []*time.Timer{e.due, e.readTimer, e.writeTimer} {
		if t != nil {
			t.Stop()
		}
	}
	e.readable.Broadcast()
	e.writable.Broadcast()
	if !e.gone() && e.failed == nil && !e.far.closed {
		e.far.post(chunk{kind: fin, at: e.w.arrival(e.peer, e.far.peer, 0)})
	}
	e.in = nil
	e.far.writable.Broadcast()
}

func expired(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

// SetDeadline implements net.Conn.
func (e *end) SetDeadline(t time.Time) error {
	_ = e.SetReadDeadline(t)
	return e.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (e *end) SetReadDeadline(t time.Time) error { return e.deadline(&e.readBy, &e.readTimer, t) }

// SetWriteDeadline implements net.Conn.
func (e *end) SetWriteDeadline(t time.Time) error { return e.deadline(&e.writeBy, &e.writeTimer, t) }

func (e *end) deadline(by *time.Time, timer **time.Timer, t time.Time) error {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	if e.closed {
		return net.ErrClosed
	}
	*by = t
	if *timer != nil {
		(*timer).Stop()
	}
	if t.IsZero() {
		return nil
	}
	if wait := time.Until(t); wait > 0 {
		*timer = time.AfterFunc(wait, e.wake)
		return nil
	}
	e.readable.Broadcast()
	e.writable.Broadcast()
	return nil
}

// LocalAddr implements net.Conn.
func (e *end) LocalAddr() net.Addr { return e.here }

// RemoteAddr implements net.Conn.
func (e *end) RemoteAddr() net.Addr { return e.there }

// LocalMultiaddr implements manet.Conn.
func (e *end) LocalMultiaddr() ma.Multiaddr { return e.local }

// RemoteMultiaddr implements manet.Conn.
func (e *end) RemoteMultiaddr() ma.Multiaddr { return e.remote }
