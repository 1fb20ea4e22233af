package swarm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/raygo/raygo/objects"
)

// Bounds of a flight.
const (
	inboxLen    = 256
	maxHolders  = 16  // that one flight exchanges with at a time
	maxKnown    = 256 // that one flight knows
	maxHinted   = 64  // that it knows when others than Holders and Find name them
	unsizedMax  = 1 << 16
	maxCallback = 4 // callers whose Holders are asked at a time
)

// flight is one fetch. One goroutine owns it; sessions and helpers send it
// events through its inbox and never wait for anything else of it.
type flight struct {
	s    *Swarm
	key  Key
	want Want // of the caller that began it
	part *partial
	sink Sink

	ctx   context.Context
	stop  context.CancelFunc
	inbox chan event
	nudge chan struct{}
	done  chan struct{} // closed after res and err are set
	res   Result
	err   error
	prio  atomic.Uint32
	wait  waiter

	// Swarm.mu guards these.
	waiters map[*caller]struct{}
	closing bool // the end has begun: who joins is not counted any more

	// The goroutine owns the rest.
	helpers sync.WaitGroup
	over    bool
	opening bool
	opened  bool
	holders map[string]*holder
	order   []*holder
	blocks  plan
	moved   time.Time // last block, or the start
	bad     int       // holders that were banned for this object
	starved bool      // the budget was used up
	asking  *holder   // for the manifest
	askedAt time.Time
	search  search
	gone    []*holder // that could not be reached and are not named any more
}

// event is something that happened to a flight.
type event interface{ apply(f *flight) }

func newFlight(s *Swarm, w *Want, sink Sink) *flight {
	f := &flight{
		s: s, key: w.key(), want: *w, part: newPartial(w), sink: sink,
		inbox: make(chan event, inboxLen), nudge: make(chan struct{}, 1), done: make(chan struct{}),
		waiters: map[*caller]struct{}{}, holders: map[string]*holder{}, moved: time.Now(),
	}
	f.ctx, f.stop = context.WithCancel(s.base)
	f.wait = waiter{prio: func() Priority { return Priority(f.prio.Load()) }, nudge: f.kick}
	return f
}

// post hands an event over unless the flight has ended.
func (f *flight) post(ev event) {
	select {
	case f.inbox <- ev:
	case <-f.done:
	}
}

func (f *flight) kick() {
	select {
	case f.nudge <- struct{}{}:
	default:
	}
}

// run is the flight's goroutine.
func (f *flight) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	if f.want.Maker != "" {
		f.know(f.want.Maker, false)
	}
	if k, ok := f.sink.(interface{ here() bool }); ok && k.here() {
		f.res.Present, f.over = true, true
	}
	for !f.over {
		now := time.Now()
		f.work(now)
		if f.over {
			break
		}
		timer.Reset(f.nextLook(now))
		select {
		case ev := <-f.inbox:
			ev.apply(f)
			for more := true; more && !f.over; {
				select {
				case ev := <-f.inbox:
					ev.apply(f)
				default:
					more = false
				}
			}
		case <-f.nudge:
		case <-timer.C:
		case <-f.ctx.Done():
			f.fail(f.whyStopped())
		}
	}
	f.finish()
}

func (f *flight) whyStopped() error {
	if f.s.base.Err() != nil {
		return ErrClosed
	}
	return f.ctx.Err()
}

// work does all that can be done at the moment.
func (f *flight) work(now time.Time) {
	f.lookForHolders(now)
	f.makeRoom()
	if f.over {
		return
	}
	f.dial(now)
	f.askManifest(now)
	f.askHave()
	f.starved = false
	f.askBlocks(now)
	if !f.starved {
		f.s.budget.leave(&f.wait, now)
	}
	f.judge(now)
}

// makeRoom opens the sink as soon as the size is known.
func (f *flight) makeRoom() {
	p := f.part
	p.mu.Lock()
	size, ok := p.size, p.sized || p.loose()
	p.mu.Unlock()
	if f.opening || !ok {
		return
	}
	f.opening = true
	f.blocks = newPlan(blocksOf(size))
	f.helpers.Go(func() {
		err := f.sink.Open(f.ctx, size)
		if err == nil {
			p.open(f.sink, blocksOf(size))
		}
		f.post(evOpened{err})
	})
}

type evOpened struct{ err error }

func (e evOpened) apply(f *flight) {
	switch {
	case e.err == nil:
		f.opened = true
		f.moved = time.Now()
	case errors.Is(e.err, ErrPresent):
		f.res.Present = true
		f.over = true
	default:
		f.fail(e.err)
	}
}

// maxBlocks bounds the manifest that may come.
func (f *flight) maxBlocks() int {
	f.part.mu.Lock()
	defer f.part.mu.Unlock()
	if f.part.sized {
		return blocksOf(f.part.size)
	}
	return unsizedMax
}

// fail ends the flight with an error.
func (f *flight) fail(err error) {
	if !f.over {
		f.over, f.err = true, err
	}
}

// finish shows the object or forgets it, and tells all who wait.
func (f *flight) finish() {
	f.stop()
	f.helpersEnd()
	for _, h := range f.order {
		f.letGo(h)
	}
	f.s.budget.leave(&f.wait, time.Now())
	whole := f.err == nil && !f.res.Present
	f.part.end(whole || f.res.Present)
	if whole {
		f.commit()
	} else if f.part.sink != nil {
		f.sink.Abort()
	}
	if f.res.Present {
		f.res.CID, f.res.Size = f.want.CID, f.want.Size
	}
	for _, h := range f.order {
		if h.got > 0 {
			f.res.From = append(f.res.From, h.name)
		}
	}
	if f.err != nil {
		f.err = fmt.Errorf("fetch %s: %w", f.key, f.err)
	}
	f.s.endFlight(f)
}

// helpersEnd waits for helpers, which post their last events meanwhile.
func (f *flight) helpersEnd() {
	ended := make(chan struct{})
	go func() { f.helpers.Wait(); close(ended) }()
	for {
		select {
		case <-f.inbox:
		case <-ended:
			return
		}
	}
}

func (f *flight) commit() {
	m, _ := f.part.manifest()
	if err := f.sink.Commit(m, f.s.closeFlight(f)); err != nil {
		f.err = err
		f.sink.Abort()
		return
	}
	f.res.CID, f.res.Size = m.CID(), m.Size
}

// took notes that a block is here.
func (f *flight) took(i int) {
	f.blocks.finish(i)
	f.moved = time.Now()
	for _, h := range f.order {
		if a := h.asked[i]; a != nil && h.session.cancelBlock(a.req, i) {
			f.answered(h, i)
		}
	}
	if f.blocks.left == 0 {
		f.over = true
	}
}

// nextLook is how long the flight may sleep.
func (f *flight) nextLook(now time.Time) time.Duration {
	at := f.search.at
	if f.search.busy {
		at = now.Add(time.Minute)
	}
	sooner := func(t time.Time) {
		if t.Before(at) {
			at = t
		}
	}
	if f.opened || !f.opening {
		sooner(f.moved.Add(f.s.cfg.GiveUp))
	}
	active := 0
	if f.asking != nil {
		sooner(f.askedAt.Add(manifestTime))
	}
	for _, h := range f.order {
		if h.state == holderUp || h.state == holderDialing {
			active++
		}
		switch {
		case h.state == holderIdle && active < maxHolders:
			sooner(h.retry)
		case h.state == holderUp && (now.Before(h.retry) || len(h.declined) > 0 || f.blocks.none() && len(h.asked) > 0):
			sooner(now.Add(lookAgain))
		}
	}
	return max(at.Sub(now), leastLook) // what could be done at once was
}

const (
	lookAgain = 25 * time.Millisecond
	leastLook = 10 * time.Millisecond
)

// plan says which blocks are here, and how many holders were asked for the others.
type plan struct {
	n, left int
	done    bits
	free    bits // neither here nor asked for
	asked   []uint8
	cursor  int
}

// newPlan begins at any block: who fetches at the same time should not begin
// with the same ones.
func newPlan(n int) plan {
	p := plan{n: n, left: n, done: newBits(n), free: newBits(n), asked: make([]uint8, n), cursor: rand.IntN(n)}
	for i := range n {
		p.free.set(i)
	}
	return p
}

func (p *plan) ask(i int) {
	p.asked[i]++
	p.free.clear(i)
}

func (p *plan) release(i int) {
	p.asked[i]--
	if p.asked[i] == 0 && !p.done.has(i) {
		p.free.set(i)
	}
}

func (p *plan) finish(i int) {
	if !p.done.has(i) {
		p.done.set(i)
		p.left--
	}
	p.free.clear(i)
}

// none reports whether every block is here or asked for.
func (p *plan) none() bool { return p.free.next(0) < 0 }

// len is the length of a block; only the last one's differs.
func (f *flight) blockLen(i int) int64 {
	f.part.mu.Lock()
	defer f.part.mu.Unlock()
	if f.part.loose() {
		return objects.BlockSize
	}
	return int64(blockLen(f.part.size, i))
}
