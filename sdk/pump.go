package raygo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/raygo/raygo/sdk/ipc"
)

// pump decides who reads the connection. Whoever waits for something reads it
// himself if nobody else does, since a hand-off between goroutines costs more
// than all the rest of a small call. When nobody waits, or several do, a
// goroutine of the session's own, the watch, reads.
type pump struct {
	reading sync.Mutex    // held by the reader
	turns   atomic.Uint64 // how often the reader changed
	parked  atomic.Int32  // goroutines that wait for another reader's work
	served  atomic.Bool   // one of them was woken
	asleep  atomic.Bool   // the watch sleeps until it is kicked
	kick    chan struct{}
	quit    chan struct{}
	once    sync.Once
}

func (p *pump) init() {
	p.kick, p.quit = make(chan struct{}, 1), make(chan struct{})
}

func (p *pump) stop() { p.once.Do(func() { close(p.quit) }) }

// take makes the caller the reader if nobody else is. On false the caller is
// counted as parked.
func (p *pump) take() bool {
	p.parked.Add(1)
	if !p.reading.TryLock() {
		return false
	}
	p.parked.Add(-1)
	return true
}

// give ends the caller's turn. If others wait, or the watch sleeps, the watch
// is told.
func (p *pump) give() {
	p.reading.Unlock()
	p.turns.Add(1)
	if p.parked.Load() > 0 || p.asleep.Load() {
		p.wake()
	}
}

func (p *pump) wake() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// watchTick is how long frames may lie unread when nobody waits for them.
const watchTick = time.Millisecond

// watch reads when nobody else has for a tick.
func (s *Session) watch() {
	p := &s.pump
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	idle := 0
	for {
		turns := p.turns.Load()
		if idle > 3 {
			s.idle()
			p.asleep.Store(true)
			if !p.reading.TryLock() {
				select { // its holder will kick
				case <-p.kick:
				case <-p.quit:
					return
				}
				p.asleep.Store(false)
				idle = 0
				continue
			}
			p.reading.Unlock()
			p.asleep.Store(false)
		}
		timer.Reset(watchTick)
		select {
		case <-timer.C:
		case <-p.kick:
		case <-p.quit:
			return
		}
		quiet := p.turns.Load() == turns
		if (quiet || p.parked.Load() > 0) && p.reading.TryLock() {
			if !s.watchRead() {
				return
			}
			idle = 0
			continue
		}
		if quiet {
			idle++
		} else {
			idle = 0
		}
	}
}

// watchRead reads until those that parked are served and some goroutine could
// read for itself again. It reports false when the connection has ended.
func (s *Session) watchRead() bool {
	p := &s.pump
	p.served.Store(false)
	for {
		t, b, err := s.conn.Read()
		if err == nil {
			err = s.handle(t, b)
		}
		poked := err != nil && s.interrupted(err)
		if err != nil && !poked {
			p.reading.Unlock()
			s.lost(err)
			return false
		}
		if s.conn.Buffered() {
			continue
		}
		if poked && s.worker != nil { // the executor wants to read
			p.reading.Unlock()
			p.turns.Add(1)
			s.worker.free()
			return true
		}
		if s.out.hasBorrows.Load() {
			_ = s.out.flush()
		}
		if p.parked.Load() == 0 && (p.served.Load() || s.worker != nil) {
			p.reading.Unlock()
			p.turns.Add(1)
			return true
		}
	}
}

// interrupted reports whether a read ended because somebody asked it to.
func (s *Session) interrupted(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	_ = s.conn.SetReadDeadline(time.Time{})
	return true
}

// poke has the reader look whether what it waits for was done by others.
func (s *Session) poke() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) }

// lost ends the session after its connection broke.
func (s *Session) lost(err error) {
	var e *systemError
	switch {
	case s.failure() != nil:
		return
	case errors.As(err, &e):
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, ipc.ErrClosed):
		err = &systemError{kinds: []error{ErrPeerDied}, text: fmt.Sprintf("%v: peer %s closed the connection", ErrPeerDied, s.welcome.Peer)}
	default:
		err = &systemError{kinds: []error{ErrPeerDied, err}, text: fmt.Sprintf("%v: connection to peer %s: %v", ErrPeerDied, s.welcome.Peer, err)}
	}
	_ = s.conn.Close() // first: whoever is told of the end finds that nothing more can be sent
	s.fail(err)
	if s.worker != nil {
		s.worker.orphaned()
	}
}

// waiter is a goroutine that waits for a number of events.
type waiter struct {
	done  atomic.Bool
	ch    chan struct{} // made when it parks; s.mu guards it and all below
	park  *pump         // set while it parks
	left  int           // events until done
	fast  bool          // the first failure is enough
	bad   int32         // index of the failure that ended it, else -1
	ready []int32       // indices in order of their events, if list is set
	list  bool
}

// fired counts an event. s.mu is held.
func (w *waiter) fired(index int32, failed bool) {
	if w.list {
		w.ready = append(w.ready, index)
	}
	w.left--
	if failed && w.fast && w.bad < 0 {
		w.bad = index
		w.left = 0
	}
	if w.left <= 0 {
		w.wake()
	}
}

// wake ends the wait. s.mu is held.
func (w *waiter) wake() {
	w.done.Store(true)
	if w.park != nil {
		w.park.parked.Add(-1)
		w.park.served.Store(true)
		w.park = nil
		w.ch <- struct{}{}
	}
}

// await waits until w is done, ctx ends, or the session does.
func (s *Session) await(ctx context.Context, w *waiter) error {
	if w.done.Load() {
		return nil
	}
	_ = s.out.flush()
	for !w.done.Load() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !s.pump.take() {
			if err := s.park(ctx, w); err != nil {
				return err
			}
			continue
		}
		err := s.lead(ctx, w)
		s.pump.give()
		if err != nil {
			return err
		}
	}
	return nil
}

// lead reads the connection until w is done or ctx ends.
func (s *Session) lead(ctx context.Context, w *waiter) error {
	intr := interruptOn(ctx, s.conn)
	defer intr.end()
	for !w.done.Load() {
		if !s.conn.Buffered() {
			if s.out.hasBorrows.Load() || s.conn.Backlog() > 0 {
				_ = s.out.flush()
			}
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
		}
		t, b, err := s.conn.Read()
		if err == nil {
			err = s.handle(t, b)
		}
		if err != nil && !s.interrupted(err) {
			s.lost(err)
			return s.failure()
		}
	}
	return nil
}

// park waits for the reader to serve w, or for the reader's turn to end, which
// the watch takes over. The caller was counted in pump.parked; whoever wakes it
// takes that back, so that the reader sees at once whether others still wait.
func (s *Session) park(ctx context.Context, w *waiter) error {
	s.mu.Lock()
	if w.done.Load() || s.dead != nil {
		err := s.dead
		s.mu.Unlock()
		s.pump.parked.Add(-1)
		if w.done.Load() {
			return nil
		}
		return err
	}
	if w.ch == nil {
		w.ch = make(chan struct{}, 1)
	}
	w.park = &s.pump
	s.deaths[w] = struct{}{}
	s.mu.Unlock()
	var err error
	select {
	case <-w.ch:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.deaths, w)
	if w.park != nil {
		w.park = nil
		s.pump.parked.Add(-1)
	}
	if s.dead != nil && w.left > 0 {
		return s.dead
	}
	return err
}

// interrupt ends a read when a context ends.
type interrupt struct {
	mu     sync.Mutex
	active bool
	fired  bool
	conn   *ipc.Conn
	stop   func() bool
}

func interruptOn(ctx context.Context, conn *ipc.Conn) *interrupt {
	if ctx.Done() == nil {
		return nil
	}
	i := &interrupt{active: true, conn: conn}
	i.stop = context.AfterFunc(ctx, i.fire)
	return i
}

func (i *interrupt) fire() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.active {
		i.fired = true
		_ = i.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

func (i *interrupt) end() {
	if i == nil || i.stop() {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.active = false
	if i.fired {
		_ = i.conn.SetReadDeadline(time.Time{})
	}
}
