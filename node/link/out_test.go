package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// gate is a stream that lets writes through when it is open.
type gate struct {
	mu     sync.Mutex
	shut   chan struct{} // nil: open
	wrote  bytes.Buffer
	writes int
	err    error
}

func (g *gate) Write(b []byte) (int, error) {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut != nil {
		<-shut
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writes++
	g.wrote.Write(b)
	return len(b), g.err
}

func (g *gate) bytes() []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return bytes.Clone(g.wrote.Bytes())
}

// newOut is an out of a link.
func newOut(g *gate) (*out, *sync.WaitGroup) {
	var wait sync.WaitGroup
	return &out{s: g, limit: 1 << 20, total: &budget{limit: 2 << 20}, bulk: func() (uint64, bool) { return 0, false }, fail: func(error) {}, wait: &wait}, &wait
}

// Flush writes at once while the other end keeps up, and leaves the rest to a
// writer when it does not: then it does not wait, whatever the stream does.
func TestFlushWritesItselfOnlyWhenItCannotWait(t *testing.T) {
	g := &gate{}
	o, wait := newOut(g)
	frame := make([]byte, 1000)
	for range inlineWrites {
		if err := o.send(frame); err != nil {
			t.Fatal(err)
		}
		o.flush()
	}
	if n := g.wrote.Len(); n != inlineWrites*1004 || o.inlined.Load() != inlineWrites {
		t.Fatalf("%d bytes are written, %d times at once", n, o.inlined.Load())
	}
	g.shut = make(chan struct{})
	if err := o.send(frame); err != nil {
		t.Fatal(err)
	}
	o.flush() // would wait for ever
	o.flush()
	close(g.shut)
	wait.Wait()
	if err := o.ack(inlineWrites * 1004); err != nil {
		t.Fatal(err)
	}
	if err := o.send(frame); err != nil {
		t.Fatal(err)
	}
	o.flush()
	if n := o.inlined.Load(); n != inlineWrites+1 {
		t.Errorf("after an acknowledgement %d writes were made at once", n)
	}
	if err := o.send(make([]byte, inlineBytes)); err != nil {
		t.Fatal(err)
	}
	o.flush()
	wait.Wait()
	if n := o.inlined.Load(); n != inlineWrites+1 {
		t.Errorf("what may not fit was written at once")
	}
}

// What is sent while a write is under way goes together with the next.
func TestWhatComesDuringAWriteGoesTogether(t *testing.T) {
	g := &gate{shut: make(chan struct{})}
	o, wait := newOut(g)
	o.bulk = func() (uint64, bool) { return 0, true }
	for range 1000 {
		if err := o.send([]byte("frame")); err != nil {
			t.Fatal(err)
		}
		o.flush()
	}
	close(g.shut)
	wait.Wait()
	if g.wrote.Len() != 9000 || g.writes > 2 || o.queued != 0 || o.total.used.Load() != 0 {
		t.Errorf("%d bytes in %d writes; %d and %d left", g.wrote.Len(), g.writes, o.queued, o.total.used.Load())
	}
}

// A write does not wait behind what bulk streams have written: it is a writer's
// until the other end has acknowledged something sent after that.
func TestNotBehindBulk(t *testing.T) {
	o, wait := newOut(&gate{})
	bulk, now := uint64(0), false
	o.bulk = func() (uint64, bool) { return bulk, now }
	frame := func(inline bool) {
		t.Helper()
		before := o.inlined.Load()
		if err := o.send([]byte("frame")); err != nil {
			t.Fatal(err)
		}
		o.flush()
		wait.Wait()
		if got := o.inlined.Load() > before; got != inline {
			t.Fatalf("written at once: %v, want %v", got, inline)
		}
	}
	ack := func(n uint64) {
		t.Helper()
		if err := o.ack(n); err != nil {
			t.Fatal(err)
		}
	}
	frame(true)
	before := o.sent
	now = true
	frame(false)
	bulk, now = 1<<20, false
	frame(false)
	ack(before)
	frame(false)
	ack(o.sent)
	frame(true)
	bulk += 100
	frame(false)
	frame(false)
	ack(o.sent)
	frame(true)
}

// The bounds of one stream and of all are kept, and given back.
func TestWhatWaitsIsBounded(t *testing.T) {
	g := &gate{}
	o, wait := newOut(g)
	o.bulk = func() (uint64, bool) { return 0, true }
	p := &out{s: g, limit: 4 << 20, total: o.total, bulk: o.bulk, fail: o.fail, wait: wait}
	if err := o.send(make([]byte, 1<<20)); !errors.Is(err, ErrFull) {
		t.Errorf("above the stream's bound: %v", err)
	}
	if err := o.send(make([]byte, 1<<19)); err != nil {
		t.Error(err)
	}
	if err := p.send(make([]byte, 2<<20)); !errors.Is(err, ErrFull) {
		t.Errorf("above the bound of all: %v", err)
	}
	o.flush()
	wait.Wait()
	if err := p.send(make([]byte, 1<<20)); err != nil {
		t.Error(err)
	}
	p.close()
	if n := o.total.used.Load(); n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
	if err := p.send(nil); !errors.Is(err, ErrDown) {
		t.Errorf("after the end: %v", err)
	}
}

// Whoever reads much and says little acknowledges all the same.
func TestReadingIsAcknowledged(t *testing.T) {
	g := &gate{}
	o, _ := newOut(g)
	for range ackReads - 1 {
		o.tookIn(10)
	}
	if n := g.wrote.Len(); n != 0 {
		t.Fatalf("%d bytes are written", n)
	}
	o.tookIn(10)
	want := appendNumber(nil, noteAck, 10*ackReads)
	if got := g.bytes(); !bytes.Equal(got, want) {
		t.Fatalf("%x is written, not %x", got, want)
	}
	o.tookIn(5)
	if err := o.send([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	o.flush()
	want = appendNumber(want, noteAck, 10*ackReads+5)
	want = append(binary.BigEndian.AppendUint32(want, 6), "answer"...)
	if got := g.bytes(); !bytes.Equal(got, want) {
		t.Fatalf("%x is written, not %x", got, want)
	}
	if err := o.ack(uint64(len(want)) + 1); err == nil {
		t.Error("more than was sent is acknowledged")
	}
}

// Many senders and flushers at once lose nothing, and keep each one's order.
func TestManySendersLoseNothing(t *testing.T) {
	g := &gate{}
	o, wait := newOut(g)
	var senders sync.WaitGroup
	for s := range 4 {
		senders.Go(func() {
			for i := range 2000 {
				for o.send(fmt.Appendf(nil, "%d %d", s, i)) != nil {
					time.Sleep(time.Millisecond)
				}
				o.flush()
				if i%100 == 0 {
					o.mu.Lock()
					sent := o.sent
					o.mu.Unlock()
					_ = o.ack(sent) // an older one than another's is refused
				}
			}
		})
	}
	senders.Wait()
	wait.Wait()
	frames, _, _, _ := readAll( //nolint:dogsled // only the frames matter here
		bytes.NewReader(g.bytes()))
	next := map[int]int{}
	for _, f := range frames {
		var s, i int
		if _, err := fmt.Sscanf(f, "%d %d", &s, &i); err != nil || next[s] != i {
			t.Fatalf("frame %q comes after %d", f, next[s]-1)
		}
		next[s]++
	}
	if len(frames) != 8000 {
		t.Errorf("%d frames arrived", len(frames))
	}
}
