package swarm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// maxPending bounds what waits to be written to a holder: requests are small, so
// a holder that lets them pile up is stuck.
const maxPending = 256 << 10

var errStuck = errors.New("it does not read what it is asked")

// session is a stream to one holder, shared by all flights. Two goroutines own
// its ends; what flights ask goes through a bounded buffer, so that they never wait.
type session struct {
	s    *Swarm
	peer string
	st   Stream
	used atomic.Int64 // when something was last asked, in Unix nanoseconds

	mu      sync.Mutex
	pending []byte
	wake    chan struct{}
	reqs    map[uint32]*request
	waiting int // requests of reqs that are still to be answered
	nextID  uint32
	owed    int   // blocks of requests that were given up: they may still come
	err     error // why it ended
	rate    meter
}

// request is something that a flight asked a holder.
type request struct {
	typ    frameType
	flight *flight
	holder *holder
	left   map[int]bool // of GetBlocks: blocks to come
	grace  time.Duration
	sent   time.Time
	alone  bool // nothing else was asked when it was sent
	id     uint32
}

// standing reports whether a request has no end of its own.
func (r *request) standing() bool { return r.typ == typeHave }

func newSession(s *Swarm, peer string, st Stream) *session {
	c := &session{s: s, peer: peer, st: st, wake: make(chan struct{}, 1), reqs: map[uint32]*request{}}
	c.used.Store(time.Now().UnixNano())
	return c
}

// run works the stream until it breaks or ctx ends, and tells the flights then.
func (c *session) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.end(ErrClosed) })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { c.write(ctx) })
	c.end(c.read(ctx))
	cancel()
	wg.Wait()
	c.s.sessionEnded(c)
	c.mu.Lock()
	hit := map[*flight]*holder{}
	for _, r := range c.reqs {
		hit[r.flight] = r.holder
	}
	clear(c.reqs)
	c.waiting = 0
	err := c.err
	c.mu.Unlock()
	for f, h := range hit {
		f.post(evDown{h, c, err})
	}
}

// end breaks the session, once.
func (c *session) end(err error) {
	c.mu.Lock()
	first := c.err == nil
	if first {
		if err == nil {
			err = io.EOF
		}
		c.err = err
	}
	c.mu.Unlock()
	if first {
		_ = c.st.Reset()
	}
}

// ask sends a request. It never waits.
func (c *session) ask(r *request, prio Priority, body func([]byte) []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	if len(c.pending) > maxPending {
		return errStuck
	}
	c.nextID++
	r.id, r.sent, r.alone = c.nextID, time.Now(), c.waiting == 0
	c.used.Store(r.sent.UnixNano())
	c.reqs[r.id] = r
	if !r.standing() {
		c.waiting++
		if c.waiting == 1 {
			_ = c.st.SetReadDeadline(r.sent.Add(c.patience()))
			c.rate.begin(r.sent)
		}
	}
	c.pending = appendFrame(c.pending, head{typ: r.typ, prio: prio, id: r.id}, body)
	c.kick()
	return nil
}

func (c *session) kick() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// cancel ends a request that nobody waits for any more.
func (c *session) cancel(r *request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reqs[r.id] != r {
		return
	}
	c.drop(r)
	c.owed += len(r.left)
	if c.err == nil && len(c.pending) <= maxPending {
		c.pending = appendFrame(c.pending, head{typ: typeCancel, id: r.id}, nil)
		c.kick()
	}
}

// cancelBlock ends a request if block i is all that it waits for.
func (c *session) cancelBlock(r *request, i int) bool {
	c.mu.Lock()
	only := len(r.left) == 1 && r.left[i]
	c.mu.Unlock()
	if only {
		c.cancel(r)
	}
	return only
}

// cancelAll ends all requests of a flight.
func (c *session) cancelAll(f *flight) {
	c.mu.Lock()
	var mine []*request
	for _, r := range c.reqs {
		if r.flight == f {
			mine = append(mine, r)
		}
	}
	c.mu.Unlock()
	for _, r := range mine {
		c.cancel(r)
	}
}

// drop forgets a request.
func (c *session) drop(r *request) {
	if c.reqs[r.id] != r {
		return
	}
	delete(c.reqs, r.id)
	if !r.standing() {
		c.waiting--
	}
}

// patience is how long the holder may send nothing.
func (c *session) patience() time.Duration {
	d := c.s.cfg.Stall
	for _, r := range c.reqs {
		d = max(d, c.s.cfg.Stall+r.grace)
	}
	return d
}

func (c *session) write(ctx context.Context) {
	var buf []byte
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
		c.mu.Lock()
		buf, c.pending = c.pending, buf[:0]
		c.mu.Unlock()
		if len(buf) == 0 {
			continue
		}
		_ = c.st.SetWriteDeadline(time.Now().Add(4 * c.s.cfg.Stall))
		if _, err := c.st.Write(buf); err != nil {
			c.end(fmt.Errorf("ask: %w", err))
			return
		}
	}
}

// Read is the stream's, but every piece that arrives gives the holder new time.
func (c *session) Read(p []byte) (int, error) {
	for {
		c.mu.Lock()
		var until time.Time
		if c.waiting > 0 {
			until = time.Now().Add(c.patience())
		}
		_ = c.st.SetReadDeadline(until)
		c.mu.Unlock()
		n, err := c.st.Read(p)
		if n > 0 || err == nil || !isTimeout(err) {
			return n, err
		}
		c.mu.Lock()
		waiting := c.waiting
		c.mu.Unlock()
		if waiting > 0 {
			return 0, fmt.Errorf("it sent nothing for %v: %w", c.s.cfg.Stall, err)
		}
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// read takes answers until the stream breaks or the holder breaks the rules.
func (c *session) read(ctx context.Context) error {
	in := bufio.NewReaderSize(c, 4<<10)
	var buf [headLen]byte
	for {
		h, err := readHead(in, &buf)
		if err == nil {
			if h.typ == typeBlock {
				err = c.readBlock(ctx, in, h)
			} else {
				err = c.readAnswer(in, h)
			}
		}
		if errors.Is(err, ErrProtocol) {
			c.s.strike(c.peer, "breaks the protocol")
		}
		if err != nil {
			return err
		}
	}
}

// idleSince reports whether nothing was asked since then and nothing is awaited.
func (c *session) idleSince(t time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.reqs) == 0 && c.used.Load() < t.UnixNano()
}
