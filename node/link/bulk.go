package link

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// bulks are the bulk streams of a link.
type bulks struct {
	in, out atomic.Uint64 // bytes
	writing atomic.Int32  // writes under way

	mu      sync.Mutex
	ended   bool
	streams map[*bulkStream]struct{}
	count   [2]int // that are open: opened by the other side, by this one
	n       atomic.Int32
}

// written is how many bytes the streams have written, and whether one writes now.
func (b *bulks) written() (bytes uint64, now bool) {
	now = b.writing.Load() > 0
	return b.out.Load(), now
}

// open is how many are.
func (b *bulks) open() int { return int(b.n.Load()) }

// reserve makes room for one more, in one of the two directions.
func (b *bulks) reserve(side, limit int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return ErrDown
	}
	if b.count[side] >= limit {
		return fmt.Errorf("%w: %d bulk streams are open with it, at most %d may be", ErrFull, b.count[side], limit)
	}
	b.count[side]++
	b.n.Add(1)
	return nil
}

// release gives the room back.
func (b *bulks) release(side int, s *bulkStream) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.streams, s)
	b.count[side]--
	b.n.Add(-1)
}

// add has the stream end with the link; the room is reserved.
func (b *bulks) add(side int, s network.Stream) (*bulkStream, error) {
	t := &bulkStream{Stream: s, of: b, side: side}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return nil, ErrDown
	}
	if b.streams == nil {
		b.streams = map[*bulkStream]struct{}{}
	}
	b.streams[t] = struct{}{}
	return t, nil
}

// end resets all.
func (b *bulks) end() {
	b.mu.Lock()
	b.ended = true
	streams := make([]*bulkStream, 0, len(b.streams))
	for s := range b.streams {
		streams = append(streams, s)
	}
	b.mu.Unlock()
	for _, s := range streams {
		_ = s.Reset()
	}
}

// bulkStream is a stream that counts.
type bulkStream struct {
	network.Stream
	of   *bulks
	side int
	once sync.Once
}

func (s *bulkStream) release() { s.once.Do(func() { s.of.release(s.side, s) }) }

func (s *bulkStream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	s.of.in.Add(uint64(n))
	return n, err
}

func (s *bulkStream) Write(b []byte) (int, error) {
	s.of.writing.Add(1)
	n, err := s.Stream.Write(b)
	s.of.out.Add(uint64(n))
	s.of.writing.Add(-1)
	return n, err
}

func (s *bulkStream) Close() error {
	defer s.release()
	return s.Stream.Close()
}

// Reset implements network.Stream.
func (s *bulkStream) Reset() error {
	defer s.release()
	return s.Stream.Reset()
}

// ResetWithError implements network.Stream.
func (s *bulkStream) ResetWithError(code network.StreamErrorCode) error {
	defer s.release()
	return s.Stream.ResetWithError(code)
}

// The two sides that open bulk streams.
const theirs, ours = 0, 1

// bulkOpen is the longest that OpenBulk takes without a deadline.
const bulkOpen = 5 * time.Second

// OpenBulk opens a stream to a peer that has a link, for bytes of objects.
// Close or Reset it; it is reset when the link ends. Opening is given 5 s if
// ctx has no deadline; the stream has none. ErrFull: too many are open.
func (m *Mesh) OpenBulk(ctx context.Context, p string) (network.Stream, error) {
	l := m.find(p)
	if l == nil {
		return nil, ErrDown
	}
	if err := l.bulk.reserve(ours, m.cfg.MaxBulk); err != nil {
		m.counts.bulkFull.Add(1)
		return nil, err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, bulkOpen)
		defer cancel()
	}
	s, err := m.cfg.Host.NewStream(network.WithNoDial(ctx, "a link is up"), l.id, BulkProtocol)
	if err != nil {
		l.bulk.release(ours, nil)
		return nil, fmt.Errorf("link: open a bulk stream to %s: %w", p, err)
	}
	t, err := l.bulk.add(ours, s)
	if err != nil {
		l.bulk.release(ours, nil)
		_ = s.Reset()
		return nil, err
	}
	return t, nil
}

// arriving is the link to a peer, which may be up on the other side a moment
// before it is here.
func (m *Mesh) arriving(name string) *link {
	m.mu.Lock()
	if e := m.peers[name]; e != nil && e.accepting > 0 && m.live[name] == nil {
		up := make(chan error, 1)
		e.waiting = append(e.waiting, up)
		m.mu.Unlock()
		_ = m.await(e, up) // find says it
		return m.find(name)
	}
	defer m.mu.Unlock()
	return m.live[name]
}

// acceptBulk serves a stream that another peer opened.
func (m *Mesh) acceptBulk(s network.Stream) {
	name := s.Conn().RemotePeer().String()
	l := m.arriving(name)
	if m.cfg.Bulk == nil || l == nil || m.admit(s.Conn()) != nil {
		_ = s.ResetWithError(network.StreamProtocolViolation)
		return
	}
	if err := l.bulk.reserve(theirs, m.cfg.MaxBulk); err != nil {
		m.counts.bulkFull.Add(1)
		_ = s.ResetWithError(network.StreamResourceLimitExceeded)
		return
	}
	t, err := l.bulk.add(theirs, s)
	if err != nil {
		l.bulk.release(theirs, nil)
		_ = s.Reset()
		return
	}
	defer t.Close()
	m.cfg.Bulk(name, t)
}
