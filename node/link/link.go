package link

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// link is one link while it is up.
type link struct {
	m     *Mesh
	id    peer.ID
	name  string
	hello Hello // the other side's
	since time.Time

	streams [classes]network.Stream
	outs    [classes]*out
	ins     [classes]in
	wait    sync.WaitGroup // readers and writers

	heard atomic.Int64 // when something last arrived, in nanoseconds
	trip  trip
	bulk  bulks

	once   sync.Once
	reason string        // why it ended; written before gone is closed
	hangup bool          // close the connection too
	gone   chan struct{} // closed when it is to end
	done   chan struct{} // closed when run returns
}

// in is what arrives on one stream.
type in struct {
	handling        atomic.Bool  // the handler has the frames: nothing is read meanwhile
	partial         atomic.Int64 // since when an incomplete frame makes no progress, in nanoseconds; 0: none is there
	frames, bytes   atomic.Uint64
	tokens          float64 // of frames that it may send; the reader's own
	refilled        time.Time
	partialAt, read int // bytes of the incomplete frame when partial was set; the reader's own
}

func newLink(m *Mesh, id peer.ID, h Hello, streams [classes]network.Stream) *link {
	l := &link{m: m, id: id, name: id.String(), hello: h, since: time.Now(), streams: streams, gone: make(chan struct{}), done: make(chan struct{})}
	for c := range classes {
		_ = streams[c].SetDeadline(time.Time{})
		l.outs[c] = &out{s: streams[c], limit: m.cfg.MaxQueue[c], total: &m.budget, bulk: l.bulk.written, fail: l.unwritable, wait: &l.wait}
		l.ins[c] = in{tokens: float64(2 * m.cfg.MaxRate[c]), refilled: l.since}
	}
	l.heard.Store(l.since.UnixNano())
	return l
}

// run is the life of an installed link. It returns after Down, when another may
// come up.
func (l *link) run() {
	defer close(l.done)
	l.m.cfg.Host.ConnManager().Protect(l.id, protectTag)
	l.m.up(l)
	for c := range classes {
		l.wait.Go(func() { l.fail(l.read(c)) })
	}
	<-l.gone
	var rest [classes][]byte
	for c, o := range l.outs {
		last, free := o.close()
		if !free { // a writer is at work, perhaps for ever: it goes with its stream
			_ = l.streams[c].Reset()
			continue
		}
		rest[c] = last
		// Readers end by a deadline, so that there is still a stream to say
		// farewell on.
		_ = l.streams[c].SetReadDeadline(time.Unix(1, 0))
	}
	l.bulk.end()
	l.wait.Wait()
	l.m.cfg.Host.ConnManager().Unprotect(l.id, protectTag)
	l.m.down(l)
	l.farewell(rest)
	l.m.remove(l)
}

// farewell says why the link ends, if the other side listens, and closes the
// streams.
func (l *link) farewell(rest [classes][]byte) {
	deadline := time.Now().Add(farewell)
	for c, s := range l.streams {
		_ = s.SetDeadline(deadline)
		if _, err := s.Write(appendNote(rest[c], noteBye, []byte(clip(l.reason)))); err != nil {
			_ = s.Reset()
			continue
		}
		_ = s.CloseWrite()
	}
	// The other side resets when it has heard; closing the connection before
	// would take the word away.
	for _, s := range l.streams {
		_, _ = io.Copy(io.Discard, s)
		_ = s.Reset()
	}
	if l.hangup {
		_ = l.m.cfg.Host.Network().ClosePeer(l.id)
	}
}

// farewell is how long a link that ends tries to say why.
const farewell = 100 * time.Millisecond

// protectTag keeps libp2p from closing connections that have a link.
const protectTag = "raygo-link"

// fail ends the link; the first reason counts. It does not wait.
func (l *link) fail(err error) {
	var bad violation
	if errors.As(err, &bad) {
		l.m.ban(l.name, l.id, err.Error())
	}
	l.end(err.Error(), false)
}

// unwritable ends the link because it cannot be written to.
func (l *link) unwritable(err error) { l.end(broke(err).Error(), false) }

// end ends the link.
func (l *link) end(reason string, hangup bool) {
	l.once.Do(func() {
		l.reason, l.hangup = reason, hangup
		close(l.gone)
	})
}

// errEnded is how a reader ends when the link has.
var errEnded = errors.New("the link ended")

// read hands over what arrives on a stream until it breaks.
func (l *link) read(c Class) error {
	r := reader{s: l.streams[c]}
	i, o := &l.ins[c], l.outs[c]
	note := func(kind note, body []byte) error { return l.note(c, kind, body) }
	for {
		frames, err := r.next(note)
		select {
		case <-l.gone:
			return errEnded
		default:
		}
		if err != nil {
			return lost(err)
		}
		now := time.Now()
		l.heard.Store(now.UnixNano())
		i.bytes.Add(uint64(r.n))
		i.progress(&r, now)
		if len(frames) > 0 {
			if err := i.allow(len(frames), l.m.cfg.MaxRate[c], now); err != nil {
				return err
			}
			i.frames.Add(uint64(len(frames)))
			i.handling.Store(true)
			l.m.cfg.Handler.Frames(l.name, c, frames)
			l.heard.Store(time.Now().UnixNano())
			i.handling.Store(false)
		}
		o.tookIn(r.n)
	}
}

// progress keeps the time since which an incomplete frame has not grown: a few
// bytes now and then are not progress.
func (i *in) progress(r *reader, now time.Time) {
	i.read += r.n
	switch {
	case r.w == 0:
		i.partial.Store(0)
	case i.partial.Load() == 0 || r.w < r.n || i.read-i.partialAt >= minBuffer:
		i.partial.Store(now.UnixNano())
		i.partialAt = i.read
	}
}

// allow counts frames against the rate that a peer may send at.
func (i *in) allow(frames, rate int, now time.Time) error {
	i.tokens = min(i.tokens+now.Sub(i.refilled).Seconds()*float64(rate), float64(2*rate))
	i.refilled = now
	if i.tokens -= float64(frames); i.tokens < 0 {
		return violation(fmt.Sprintf("it sends more than %d frames a second", rate))
	}
	return nil
}

// note takes in a note.
func (l *link) note(c Class, kind note, body []byte) error {
	if err := l.ins[c].allow(1, l.m.cfg.MaxRate[c], time.Now()); err != nil {
		return err
	}
	switch kind {
	case noteAck:
		n, err := number(body)
		if err != nil {
			return err
		}
		return l.outs[c].ack(n)
	case notePing:
		n, err := number(body)
		if err != nil {
			return err
		}
		l.outs[c].sendNote(notePong, n)
		l.outs[c].flush()
	case notePong:
		n, err := number(body)
		if err != nil {
			return err
		}
		l.trip.back(n, time.Now())
	case noteBye:
		return fmt.Errorf("the peer ended the link: %s", clip(string(body)))
	case noteHello, noteSession, noteRefuse, noteConfirm:
		return violation(fmt.Sprintf("note %d in the middle of a link", kind))
	}
	return nil // a note of a later version
}

// lost says in words how a stream ended.
func lost(err error) error {
	var bad violation
	switch {
	case errors.As(err, &bad):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return violation(err.Error())
	case errors.Is(err, io.EOF):
		return errors.New("the peer closed the link")
	}
	return broke(err)
}

func broke(err error) error { return fmt.Errorf("the link broke: %w", err) }

// trip measures the round trip.
type trip struct {
	mu       sync.Mutex
	number   uint64
	sent     time.Time // zero: nothing is under way
	mean     time.Duration
	shortest time.Duration
}

// out begins a measurement; what is still under way is given up.
func (t *trip) out(now time.Time) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.number++
	t.sent = now
	return t.number
}

// back ends one.
func (t *trip) back(n uint64, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n != t.number || t.sent.IsZero() {
		return
	}
	d := now.Sub(t.sent)
	t.sent = time.Time{}
	if t.mean == 0 {
		t.mean, t.shortest = d, d
		return
	}
	t.mean += (d - t.mean) / 8
	t.shortest = min(t.shortest, d)
}

// times are the smoothed round trip and the shortest.
func (t *trip) times() (mean, shortest time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mean, t.shortest
}
