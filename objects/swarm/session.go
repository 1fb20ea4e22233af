package swarm

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/raygo/raygo/objects"
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

// readBlock reads a block into a buffer of its own and has it verified and
// written while the next one arrives.
func (c *session) readBlock(ctx context.Context, in io.Reader, h head) error {
	var index [indexLen]byte
	n := h.len - indexLen
	if n < 0 {
		return fmt.Errorf("%w: a block without number", ErrProtocol)
	}
	if _, err := io.ReadFull(in, index[:]); err != nil {
		return err
	}
	i := int(binary.BigEndian.Uint32(index[:]))
	c.mu.Lock()
	r := c.reqs[h.id]
	mine, late := r != nil && r.left[i], r == nil && c.owed > 0
	if late {
		c.owed--
	}
	c.mu.Unlock()
	switch {
	case !mine && !late:
		return fmt.Errorf("%w: block %d was not asked for", ErrProtocol, i)
	case late:
		c.s.wasted(c.peer, n)
		_, err := io.CopyN(io.Discard, in, int64(n))
		return err
	}
	b := takeBlock()
	_, err := io.ReadFull(in, b[:n])
	if err == nil {
		c.took(r, i, n)
		err = c.s.verify.enter(ctx)
	}
	if err != nil {
		giveBlock(b)
		return err
	}
	c.s.wg.Go(func() { // Run waits for it; the slot bounds how many there are
		fresh, err := r.flight.part.accept(i, b[:n])
		giveBlock(b)
		c.s.verify.leave()
		c.s.received(c.peer, n, fresh, err)
		r.flight.post(evBlock{r.holder, i, n, fresh, err})
	})
	return nil
}

// took notes that a block of a request is here.
func (c *session) took(r *request, i, n int) {
	c.mu.Lock()
	delete(r.left, i)
	if len(r.left) == 0 {
		c.drop(r)
	}
	rate, ok := c.rate.add(n, time.Now(), c.waiting == 0)
	c.mu.Unlock()
	if ok {
		c.s.learnRate(c.peer, rate)
	}
}

// readAnswer takes an answer that is not a block.
func (c *session) readAnswer(in io.Reader, h head) error {
	c.mu.Lock()
	r := c.reqs[h.id]
	known := h.id <= c.nextID
	c.mu.Unlock()
	if !known {
		return fmt.Errorf("%w: an answer to nothing", ErrProtocol)
	}
	if h.typ == typeManifest && r != nil && h.len > 8+digestLen*r.flight.maxBlocks() {
		return fmt.Errorf("%w: a manifest of %d bytes for an object of at most %d blocks", ErrProtocol, h.len, r.flight.maxBlocks())
	}
	if r == nil {
		_, err := io.CopyN(io.Discard, in, int64(h.len))
		return err
	}
	body := make([]byte, h.len)
	if _, err := io.ReadFull(in, body); err != nil {
		return err
	}
	if r.alone && r.typ != typeGetBlocks {
		r.alone = false
		c.s.learnRTT(c.peer, time.Since(r.sent))
	}
	switch h.typ {
	case typeManifest:
		return c.manifest(r, body)
	case typeHas:
		v, err := parseHas(body)
		if err != nil || r.typ != typeHave {
			return errors.Join(err, ErrProtocol)
		}
		r.flight.post(evHas{r.holder, v})
		return nil
	case typeNotFound, typeBusy, typeMissing, typeElsewhere:
		return c.refused(r, h.typ, body)
	}
	return fmt.Errorf("%w: a request of type %d instead of an answer", ErrProtocol, h.typ)
}

// manifest is judged at once: blocks that follow it are compared with it.
func (c *session) manifest(r *request, body []byte) error {
	m, err := parseManifest(body)
	if err != nil || r.typ != typeGetManifest {
		return errors.Join(err, ErrProtocol)
	}
	c.mu.Lock()
	c.drop(r)
	c.mu.Unlock()
	err = r.flight.part.offer(c.peer, m)
	if err != nil {
		c.s.badManifest(c.peer)
	}
	r.flight.post(evManifest{r.holder, err})
	return nil
}

func (c *session) refused(r *request, typ frameType, body []byte) error {
	v, err := parseRefusal(body)
	if err != nil {
		return err
	}
	var blocks []int
	c.mu.Lock()
	for _, x := range v.spans {
		for i := int(x.first); i < int(x.first+x.n); i++ {
			if r.left[i] {
				blocks = append(blocks, i)
				delete(r.left, i)
			}
		}
	}
	if len(v.spans) == 0 {
		for i := range r.left {
			blocks = append(blocks, i)
		}
		r.left = nil
	}
	if len(r.left) == 0 {
		c.drop(r)
	}
	c.mu.Unlock()
	r.flight.post(evRefused{r.holder, r.typ, typ, blocks, v.peer})
	return nil
}

// idleSince reports whether nothing was asked since then and nothing is awaited.
func (c *session) idleSince(t time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.reqs) == 0 && c.used.Load() < t.UnixNano()
}

var blockPool = sync.Pool{New: func() any { return new([objects.BlockSize]byte) }}

func takeBlock() *[objects.BlockSize]byte  { return blockPool.Get().(*[objects.BlockSize]byte) }
func giveBlock(b *[objects.BlockSize]byte) { blockPool.Put(b) }
