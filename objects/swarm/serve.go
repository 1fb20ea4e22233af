package swarm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/raygo/raygo/objects"
)

// Bounds of one stream that is served.
const (
	maxQueue    = 256                  // requests that wait for their answers
	maxCredit   = 1024                 // blocks of them
	maxSubs     = 1024                 // objects of which news is wanted
	maxNotes    = 256 << 10            // bytes of answers that are not blocks
	maxRefused  = 1024                 // requests answered Busy with nothing sent between them
	writePiece  = 256<<10 - 12         // so that other streams of the connection get a turn; one message of yamux
	newsEvery   = 5 * time.Millisecond // news of blocks is gathered so long
	serveWrites = 4                    // times Stall: how long the other side may not read
)

// Serve answers what the peer asks on a stream, out of the store, the programs
// and the fetches that run. It returns when the stream or ctx ends, or when the
// peer breaks the rules; the stream is closed or reset then.
func (s *Swarm) Serve(ctx context.Context, st Stream, from string) error {
	if err := s.admit(st, from); err != nil {
		_ = st.Reset()
		return fmt.Errorf("serve %s: %w", from, err)
	}
	defer s.dismiss(st, from)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.base, cancel)()
	v := &served{s: s, st: st, from: from, wake: make(chan struct{}, 1), subs: map[uint32]*standing{}}
	defer context.AfterFunc(ctx, func() { _ = st.Reset() })()
	var wg sync.WaitGroup
	var writeErr error
	wg.Go(func() {
		defer cancel() // the reader ends too
		writeErr = v.write(ctx)
	})
	err := v.read()
	cancel()
	wg.Wait()
	v.unsubscribe()
	switch {
	case errors.Is(err, io.EOF):
		_ = st.Close()
		return nil
	case errors.Is(err, ErrProtocol) || errors.Is(err, ErrBusy):
		_ = st.Reset()
		s.cutOff(from, err)
		return fmt.Errorf("serve %s: %w", from, err)
	case writeErr != nil && !errors.Is(writeErr, context.Canceled):
		err = writeErr
	}
	_ = st.Reset()
	if s.base.Err() != nil {
		return ErrClosed
	}
	return fmt.Errorf("serve %s: %w", from, err)
}

// admit counts a stream, within bounds.
func (s *Swarm) admit(st Stream, from string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peer(from)
	switch {
	case s.closed:
		return ErrClosed
	case time.Now().Before(p.banned):
		return ErrBanned
	case len(p.streams) >= s.cfg.Streams:
		s.count.Refused++
		return fmt.Errorf("%w: %d streams are open", ErrBusy, len(p.streams))
	}
	p.streams[st] = struct{}{}
	s.serving++
	s.wg.Add(1)
	return nil
}

func (s *Swarm) dismiss(st Stream, from string) {
	s.mu.Lock()
	p := s.peer(from)
	delete(p.streams, st)
	last := len(p.streams) == 0
	s.serving--
	s.mu.Unlock()
	if last {
		s.ledger.forget(from)
	}
	s.wg.Done()
}

// cutOff counts a peer that broke the rules of asking.
func (s *Swarm) cutOff(from string, err error) {
	s.mu.Lock()
	s.count.Floods++
	s.mu.Unlock()
	if errors.Is(err, ErrProtocol) {
		s.strike(from, err.Error())
	}
}

// served is one stream that is served. One goroutine reads requests, one answers.
type served struct {
	s    *Swarm
	st   Stream
	from string
	wake chan struct{}
	slow bool // the other side does not take what it asked for; the writer's

	mu      sync.Mutex
	queue   []*job
	credit  int    // blocks of the queue
	refused int    // since something was sent
	notes   []byte // answers that are not blocks, to be written next
	subs    map[uint32]*standing
}

// job is one request that waits for its answer.
type job struct {
	head
	key    Key
	spans  []span
	insist bool
}

// standing is a standing request for news of one object.
type standing struct {
	subscription
	part  *partial
	dirty bool
}

// read takes requests until the stream ends or the peer breaks the rules.
func (v *served) read() error {
	in := bufio.NewReaderSize(v.st, 4<<10)
	var buf [headLen]byte
	body := make([]byte, 0, 256)
	for {
		h, err := readHead(in, &buf)
		if err != nil {
			return err
		}
		if limit, _ := limitOf(h.typ); h.typ > typeCancel || h.len > limit {
			return fmt.Errorf("%w: an answer of type %d instead of a request", ErrProtocol, h.typ)
		}
		body = slices.Grow(body[:0], h.len)[:h.len]
		if _, err := io.ReadFull(in, body); err != nil {
			return err
		}
		if err := v.take(h, body); err != nil {
			return err
		}
	}
}

// take queues a request, or refuses it.
func (v *served) take(h head, body []byte) (err error) {
	j := &job{head: h}
	blocks := 0
	switch h.typ {
	case typeCancel:
		v.cancel(h.id)
		return nil
	case typeGetBlocks:
		var a askBlocks
		if a, err = parseAskBlocks(body); err != nil {
			return err
		}
		j.key, j.spans, j.insist, blocks = a.key, a.spans, a.insist, a.total
	default:
		if j.key, err = parseKey(body); err != nil {
			return err
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.queue) >= maxQueue || v.credit+blocks > maxCredit || len(v.notes) > maxNotes {
		if v.refused++; v.refused > maxRefused {
			return fmt.Errorf("%w: it goes on asking", ErrBusy)
		}
		v.s.refuse()
		v.note(h.id, typeBusy, refusal{}.append)
		return nil
	}
	v.credit += blocks
	v.queue = append(v.queue, j)
	v.kick()
	return nil
}

func (s *Swarm) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count.Refused++
}

func (v *served) kick() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// note adds a small answer. It is called with mu held.
func (v *served) note(id uint32, typ frameType, body func([]byte) []byte) {
	v.notes = appendFrame(v.notes, head{typ: typ, id: id}, body)
	v.kick()
}

func (v *served) answer(id uint32, typ frameType, body func([]byte) []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.note(id, typ, body)
}

func (v *served) cancel(id uint32) {
	v.mu.Lock()
	for k, j := range v.queue {
		if j.id == id {
			v.credit -= blocksIn(j.spans)
			v.queue = append(v.queue[:k], v.queue[k+1:]...)
			break
		}
	}
	sub := v.subs[id]
	delete(v.subs, id)
	v.mu.Unlock()
	if sub != nil {
		sub.part.unsubscribe(&sub.subscription)
	}
}

func blocksIn(spans []span) (n int) {
	for _, x := range spans {
		n += int(x.n)
	}
	return n
}

// next takes the most urgent request, or the next block of it: the first of the
// queue with the lowest priority number.
func (v *served) next() (j *job, block int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	best := -1
	for k, o := range v.queue {
		if best < 0 || o.prio < v.queue[best].prio {
			best = k
		}
	}
	if best < 0 {
		return nil, 0
	}
	j = v.queue[best]
	if j.typ == typeGetBlocks {
		x := &j.spans[0]
		block = int(x.first)
		x.first++
		v.credit--
		if x.n--; x.n == 0 {
			j.spans = j.spans[1:]
		}
	}
	if len(j.spans) == 0 {
		v.queue = append(v.queue[:best], v.queue[best+1:]...)
	}
	return j, block
}

// write answers until ctx ends or the stream breaks.
func (v *served) write(ctx context.Context) error {
	var notes []byte
	var toldAt time.Time
	for {
		wait := v.news(&toldAt)
		v.mu.Lock()
		notes, v.notes = v.notes, notes[:0]
		v.mu.Unlock()
		if len(notes) > 0 {
			if err := v.send(notes); err != nil {
				return err
			}
		}
		if j, i := v.next(); j != nil {
			if err := v.do(ctx, j, i); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		}
		select {
		case <-v.wake:
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// send writes in pieces, each of which has its own time.
func (v *served) send(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), writePiece)
		if err := v.st.SetWriteDeadline(time.Now().Add(serveWrites * v.s.cfg.Stall)); err != nil {
			return err
		}
		if _, err := v.st.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// do carries out a request, or sends one block of it.
func (v *served) do(ctx context.Context, j *job, i int) error {
	switch j.typ {
	case typeGetManifest:
		m, err := v.s.manifestFor(ctx, j.key)
		if err != nil {
			v.refuse(j, refusal{}, err)
			return nil
		}
		return v.send(appendFrame(nil, head{typ: typeManifest, id: j.id}, func(b []byte) []byte { return appendManifest(b, m) }))
	case typeHave:
		v.have(ctx, j)
		return nil
	}
	return v.sendBlock(ctx, j, i)
}

// refuse answers that something is not here.
func (v *served) refuse(j *job, r refusal, err error) {
	typ := typeNotFound
	switch {
	case errors.Is(err, errNoBlock) || errors.Is(err, objects.ErrNotSealed):
		typ = typeMissing
	case errors.Is(err, objects.ErrNotFound) || errors.Is(err, objects.ErrNoJob):
		r.spans = nil
	default: // a disk that fails, or the end of this peer
		v.s.cfg.Logger.Warn("serve", "object", j.key, "err", err)
	}
	v.answer(j.id, typ, r.append)
}
