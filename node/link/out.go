package link

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// When a write cannot block: yamux starts with a window of 256 KiB, which the
// receiver opens again when half is used, and queues 64 writes per connection.
// What the other end has acknowledged says how much of both is in use.
const (
	inlineBytes  = 96 << 10
	inlineWrites = 16
)

// When the reading side acknowledges though it has nothing to send.
const (
	ackBytes = inlineBytes / 3
	ackReads = inlineWrites / 2
)

// piece is the most that is written at once; what makes no progress with that
// much in Config.Silence is stuck.
const piece = 256 << 10

// keepSpare is the largest buffer that is kept for the next time, and keepIdle
// the largest that is kept when there is none for a while.
const keepSpare, keepIdle = 4 << 20, 32 << 10

// out is what goes to one peer on one stream.
type out struct {
	s       io.Writer
	limit   int
	total   *budget
	bulk    func() (bytes uint64, now bool) // what bulk streams have written to the same connection, and whether they do
	fail    func(error)
	wait    *sync.WaitGroup // of the link: its writers
	writing atomic.Int64    // when the write that is under way began, in nanoseconds; 0: none is

	framesOut, bytesOut, inlined atomic.Uint64

	mu      sync.Mutex
	buf     []byte // room for an acknowledgement, then frames
	spare   []byte
	queued  int // bytes in buf and in the write that is under way
	active  bool
	again   bool // Flush was called while active
	closed  bool
	sent    uint64               // bytes given to the stream
	acked   uint64               // of them, those the other end has taken in
	ends    [inlineWrites]uint64 // what sent was after each inline write that is not acknowledged
	pending int                  // how many there are
	taken   uint64               // bytes that our reader has taken in
	told    uint64               // of them, those acknowledged
	reads   int                  // since then
	beside  uint64               // what bulk streams had written when this was last looked at
	clear   uint64               // what acked must be before a write cannot wait behind theirs
}

// budget bounds what waits on all links together.
type budget struct {
	limit int64
	used  atomic.Int64
	full  atomic.Uint64 // times that a frame was refused
}

func (b *budget) take(n int) bool {
	if b.used.Add(int64(n)) <= b.limit {
		return true
	}
	b.used.Add(int64(-n))
	return false
}

// send appends a frame.
func (o *out) send(frame []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return ErrDown
	}
	n := 4 + len(frame)
	if o.queued+n > o.limit {
		o.total.full.Add(1)
		return fmt.Errorf("%w: %d bytes wait to be sent to it, at most %d may", ErrFull, o.queued, o.limit)
	}
	if !o.total.take(n) {
		o.total.full.Add(1)
		return fmt.Errorf("%w: %d bytes wait to be sent to all peers, at most %d may", ErrFull, o.total.used.Load(), o.total.limit)
	}
	o.room()
	o.queued += n
	o.buf = append(binary.BigEndian.AppendUint32(o.buf, uint32(len(frame))), frame...)
	o.framesOut.Add(1)
	return nil
}

// sendNote appends a number. One that finds no room is not sent: it is a
// measurement.
func (o *out) sendNote(kind note, n uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.queued > o.limit {
		return
	}
	o.room()
	before := len(o.buf)
	o.buf = appendNumber(o.buf, kind, n)
	o.queued += len(o.buf) - before
	o.total.used.Add(int64(len(o.buf) - before))
}

// room makes the place at the start of the buffer where an acknowledgement goes.
func (o *out) room() {
	if len(o.buf) == 0 {
		if o.buf == nil {
			o.buf, o.spare = o.spare, nil
		}
		o.buf = append(o.buf[:0], make([]byte, ackSize)...)
	}
}

// flush sends what there is: here, if that cannot block, else in a writer.
func (o *out) flush() {
	o.mu.Lock()
	if o.closed || len(o.buf) == 0 && !o.due() {
		o.mu.Unlock()
		return
	}
	if o.active {
		o.again = true
		o.mu.Unlock()
		return
	}
	o.active = true
	if o.sent-o.acked+uint64(len(o.buf)+ackSize) > inlineBytes || o.pending == len(o.ends) || o.crowded() {
		o.write()
		o.mu.Unlock()
		return
	}
	b, whole := o.take()
	o.ends[o.pending] = o.sent
	o.pending++
	o.mu.Unlock()

	o.inlined.Add(1)
	err := o.put(b)

	o.mu.Lock()
	o.give(whole, len(b))
	if o.again && err == nil && !o.closed {
		o.write()
	} else {
		o.active = false
	}
	o.again = false
	o.mu.Unlock()
	if err != nil {
		o.fail(err)
	}
}

// crowded reports whether bytes of bulk streams may lie before ours on the
// connection: they have left it when the other end acknowledges something that was
// sent after them. The caller has the lock.
func (o *out) crowded() bool {
	if n, now := o.bulk(); now || n != o.beside {
		o.beside, o.clear = n, o.sent+1
	}
	return o.acked < o.clear
}

// write starts a writer, which goes on until nothing is left. The caller has
// the lock and has set active.
func (o *out) write() {
	o.wait.Go(func() {
		o.mu.Lock()
		for !o.closed && (len(o.buf) > 0 || o.due()) {
			b, whole := o.take()
			o.mu.Unlock()
			var err error
			for part := b; len(part) > 0 && err == nil; {
				n := min(len(part), piece)
				err = o.put(part[:n])
				part = part[n:]
			}
			o.mu.Lock()
			o.give(whole, len(b))
			if err != nil {
				o.active = false
				o.mu.Unlock()
				o.fail(err)
				return
			}
		}
		o.active, o.again = false, false
		o.mu.Unlock()
	})
}

// take takes the buffer, with an acknowledgement at its start if one is due:
// b is what to write, in the buffer whole. The caller has the lock.
func (o *out) take() (b, whole []byte) {
	o.room()
	whole = o.buf
	o.buf = nil
	b = whole[ackSize:]
	if o.told != o.taken {
		b = whole
		appendNumber(b[:0], noteAck, o.taken)
		o.told, o.reads = o.taken, 0
		o.queued += ackSize
		o.total.used.Add(ackSize)
	}
	o.sent += uint64(len(b))
	return b, whole
}

// give gives a buffer back of which n bytes were written. The caller has the
// lock.
func (o *out) give(whole []byte, n int) {
	o.queued -= n
	o.total.used.Add(int64(-n))
	o.bytesOut.Add(uint64(n))
	if cap(whole) > keepSpare {
		return
	}
	if o.buf == nil {
		o.buf = whole[:0]
	} else if o.spare == nil {
		o.spare = whole[:0]
	}
}

// put writes.
func (o *out) put(b []byte) error {
	o.writing.Store(time.Now().UnixNano())
	_, err := o.s.Write(b)
	o.writing.Store(0)
	return err
}

// tookIn counts what our reader has read, and acknowledges if it is much.
func (o *out) tookIn(n int) {
	o.mu.Lock()
	o.taken += uint64(n)
	o.reads++
	due := o.due()
	o.mu.Unlock()
	if due {
		o.flush()
	}
}

// due reports whether the other end should hear how far we have read, though
// there may be nothing to send. The caller has the lock.
func (o *out) due() bool { return o.taken-o.told >= ackBytes || o.reads >= ackReads }

// ack takes in an acknowledgement.
func (o *out) ack(n uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n > o.sent || n < o.acked {
		return violation(fmt.Sprintf("it acknowledges %d bytes of %d, after %d", n, o.sent, o.acked))
	}
	o.acked = n
	done := 0
	for done < o.pending && o.ends[done] <= n {
		done++
	}
	copy(o.ends[:], o.ends[done:o.pending])
	o.pending -= done
	return nil
}

// waiting is how many bytes wait to be sent.
func (o *out) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.queued
}

// trim lets go of memory that a burst took.
func (o *out) trim() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.spare = nil
	if len(o.buf) == 0 && cap(o.buf) > keepIdle {
		o.buf = nil
	}
}

// close ends sending. If nothing is being written the stream is free for a last
// word, after rest, which was appended before.
func (o *out) close() (rest []byte, free bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if len(o.buf) > 0 {
		rest = o.buf[ackSize:]
		o.queued -= len(rest)
		o.total.used.Add(int64(-len(rest)))
	}
	o.buf, o.spare = nil, nil
	return rest, !o.active
}
