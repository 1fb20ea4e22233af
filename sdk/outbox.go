package raygo

import (
	"sync"
	"sync/atomic"
	"time"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// How long a submitted call may wait for company before it is sent, and how
// much of it may gather.
const (
	flushDelay = 200 * time.Microsecond
	flushIdle  = 200 * time.Microsecond
	flushBytes = 32 << 10
)

// outbox is the way out of a session. A frame that comes after a pause goes at
// once, from the caller's own goroutine; a burst is gathered.
type outbox struct {
	conn    *ipc.Conn
	start   time.Time
	last    atomic.Int64 // when the last flush was, since start
	pending atomic.Bool  // the flusher will come
	kick    chan struct{}

	hasBorrows atomic.Bool
	mu         sync.Mutex // guards borrows, and their order before what is appended
	borrows    []words.ObjectID
	marks      []*streamCore // streams of which something was taken and not said
}

func (o *outbox) init(conn *ipc.Conn) {
	o.conn, o.start, o.kick = conn, time.Now(), make(chan struct{}, 1)
}

// append adds frames without sending them. Borrows that were noted go first, so
// that nothing which frees their container overtakes them.
func (o *outbox) append(b []byte) (int, error) {
	if o.hasBorrows.Load() {
		o.mu.Lock()
		if ids := o.borrows; len(ids) > 0 {
			o.borrows = nil
			o.hasBorrows.Store(false)
			for len(ids) > 0 {
				n := min(len(ids), ipc.MaxIDs)
				_, _ = o.conn.AppendFrames(ipc.AppendIDs(nil, ipc.TypeBorrow, ids[:n]))
				ids = ids[n:]
			}
		}
		o.mu.Unlock()
	}
	return o.conn.AppendFrames(b)
}

// soon appends frames and has them sent within flushDelay.
func (o *outbox) soon(b []byte) error {
	n, err := o.append(b)
	if err != nil {
		return err
	}
	o.nudge(n)
	return nil
}

func (o *outbox) nudge(n int) {
	if now := int64(time.Since(o.start)); n >= flushBytes || now-o.last.Load() > int64(flushIdle) {
		o.last.Store(now)
		_ = o.conn.Flush()
		return
	}
	o.later()
}

// later has what was appended sent within flushDelay.
func (o *outbox) later() {
	if !o.pending.Load() && o.pending.CompareAndSwap(false, true) {
		select {
		case o.kick <- struct{}{}:
		default:
		}
	}
}

// now appends frames and sends them.
func (o *outbox) now(b []byte) error {
	if _, err := o.append(b); err != nil {
		return err
	}
	return o.flush()
}

func (o *outbox) flush() error {
	if o.hasBorrows.Load() {
		_, _ = o.append(nil)
	}
	o.last.Store(int64(time.Since(o.start)))
	return o.conn.Flush()
}

// mark has the flusher say what was taken of st.
func (o *outbox) mark(st *streamCore) {
	o.mu.Lock()
	if len(o.marks) == 0 || o.marks[len(o.marks)-1] != st {
		o.marks = append(o.marks, st)
	}
	o.mu.Unlock()
	o.later()
}

// run is the flusher.
func (o *outbox) run(done <-chan struct{}) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-o.kick:
		case <-done:
			return
		}
		timer.Reset(flushDelay)
		select {
		case <-timer.C:
		case <-done:
			return
		}
		o.pending.Store(false)
		o.mu.Lock()
		marks := o.marks
		o.marks = nil
		o.mu.Unlock()
		for _, st := range marks {
			st.tell()
		}
		_ = o.flush()
	}
}

// borrow notes that a ref came into this process.
func (s *Session) borrow(id words.ObjectID) {
	s.out.mu.Lock()
	s.out.borrows = append(s.out.borrows, id)
	s.out.hasBorrows.Store(true)
	s.out.mu.Unlock()
	s.out.later()
}
