package swarm

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// What a holder is to a flight.
type holderState uint8

const (
	holderIdle    holderState = iota // no stream; to be dialled at retry
	holderDialing                    // on the way
	holderUp                         // may be asked
	holderLacks                      // said that it does not have it
	holderBanned                     // sent what was wrong
)

// Times between tries.
const (
	firstRetry   = 100 * time.Millisecond
	lastRetry    = 5 * time.Second
	manifestTime = time.Second            // until another holder is asked for it
	declinedTime = 150 * time.Millisecond // until a block that went elsewhere is asked for again
	missingTime  = 500 * time.Millisecond
)

// holder is a peer that has the object or parts of it.
type holder struct {
	name     string
	listed   bool // by Holders or Find; others told us of the rest
	state    holderState
	session  *session
	all      bool // has every block, or so we think
	have     bits
	told     bool // it was asked which it has
	asked    map[int]*asked
	declined map[int]time.Time // blocks not to be asked for before
	avoid    string            // a peer it names that cannot be reached
	retry    time.Time
	fails    int
	got      int   // blocks
	err      error // the last
}

// asked is a block on its way.
type asked struct {
	req  *request
	at   time.Time
	size int64
}

func (h *holder) has(i int) bool { return h.all || h.have.has(i) }

// know adds a holder that was not known yet.
func (f *flight) know(name string, listed bool) *holder {
	if name == "" || name == f.s.cfg.Self {
		return nil
	}
	h := f.holders[name]
	if h == nil {
		if len(f.holders) >= maxKnown || !listed && len(f.holders) >= maxHinted {
			return nil
		}
		h = &holder{name: name, all: listed || name == f.want.Maker, asked: map[int]*asked{}, declined: map[int]time.Time{}}
		f.holders[name] = h
		at := rand.IntN(len(f.order) + 1)
		f.order = slices.Insert(f.order, at, h)
	}
	h.listed = h.listed || listed
	return h
}

// dial opens streams to those who may have something.
func (f *flight) dial(now time.Time) {
	active := 0
	for _, h := range f.order {
		if h.state == holderDialing || h.state == holderUp {
			active++
		}
	}
	for _, h := range f.order {
		if active >= maxHolders {
			return
		}
		if h.state != holderIdle || now.Before(h.retry) {
			continue
		}
		active++
		h.state = holderDialing
		f.helpers.Go(func() {
			c, err := f.s.connect(f.ctx, h.name)
			f.post(evDialed{h, c, err})
		})
	}
}

type evDialed struct {
	h   *holder
	c   *session
	err error
}

func (e evDialed) apply(f *flight) {
	if e.h.state != holderDialing {
		return
	}
	if e.err != nil {
		f.lose(e.h, e.err)
		return
	}
	e.h.state, e.h.session = holderUp, e.c
}

// evDown is the end of a session.
type evDown struct {
	h   *holder
	c   *session
	err error
}

func (e evDown) apply(f *flight) {
	if e.h.session == e.c && e.h.state == holderUp {
		f.lose(e.h, e.err)
	}
}

// lose takes back what a holder was asked for and tries it again later.
func (f *flight) lose(h *holder, err error) {
	f.letGo(h)
	h.state, h.err = holderIdle, err
	h.told = false
	if !h.listed && h.name != f.want.Maker {
		h.have = nil // it says again what it has
	}
	h.retry = time.Now().Add(backoff(h.fails))
	if errors.Is(err, errIdle) {
		h.retry = time.Time{}
	}
	if h.fails++; h.fails == 1 {
		f.search.hurry()
	}
}

// backoff doubles, with jitter.
func backoff(fails int) time.Duration {
	d := min(firstRetry<<min(fails, 10), lastRetry)
	return d/2 + rand.N(d/2+1)
}

// letGo takes back all that a holder was asked for.
func (f *flight) letGo(h *holder) {
	if f.asking == h {
		f.asking = nil
	}
	c := h.session
	h.session = nil
	if c != nil {
		c.cancelAll(f)
	}
	for i := range h.asked {
		f.answered(h, i)
	}
}

// answered ends the wait for a block, whatever came.
func (f *flight) answered(h *holder, i int) {
	a := h.asked[i]
	if a == nil {
		return
	}
	delete(h.asked, i)
	f.blocks.release(i)
	f.s.budget.give(a.size, time.Now())
}

// reject marks a holder that is of no use for this object.
func (f *flight) reject(h *holder, state holderState, err error) {
	f.letGo(h)
	h.state, h.err = state, err
	f.search.hurry()
}

// ban gives a holder up that sent something wrong.
func (f *flight) ban(h *holder, err error) {
	if h.state == holderBanned {
		return
	}
	f.reject(h, holderBanned, err)
	f.bad++
	f.s.banned(h.name)
	f.s.cfg.Logger.Warn("a holder sent something wrong", "peer", h.name, "object", f.key, "err", err)
}

// evBlock is a block that came, verified and written or not.
type evBlock struct {
	h     *holder
	i, n  int
	fresh bool
	err   error
}

func (e evBlock) apply(f *flight) {
	f.answered(e.h, e.i)
	var own *sinkError
	switch {
	case errors.As(e.err, &own):
		f.fail(fmt.Errorf("write: %w", own.error))
	case errors.Is(e.err, errBad):
		f.ban(e.h, e.err)
	case e.err == nil:
		e.h.fails = 0
		if e.fresh {
			e.h.got++
			f.took(e.i)
		}
	}
}

// evManifest is a manifest that came and was believed or not.
type evManifest struct {
	h   *holder
	err error
}

func (e evManifest) apply(f *flight) {
	if f.asking == e.h {
		f.asking = nil
	}
	if e.err != nil {
		f.ban(e.h, e.err)
	}
}

// evHas is news of what a holder has.
type evHas struct {
	h   *holder
	has has
}

func (e evHas) apply(f *flight) {
	h := e.h
	if h.state != holderUp {
		return
	}
	if e.has.all {
		h.all = true
	} else {
		if h.all || h.have == nil {
			h.all, h.have = false, newBits(f.blocks.n)
		}
		for i := range h.declined { // those that it lacked and has now
			if k := i - int(e.has.from); k >= 0 && bits(e.has.bits).has(k) && !h.have.has(i) {
				delete(h.declined, i)
			}
		}
		h.have.or(int(e.has.from), e.has.bits)
	}
	for _, p := range e.has.peers {
		f.know(p, false)
	}
}

// evMeet tells of a peer that asks for the same object here: it will have blocks.
type evMeet struct{ peer string }

func (e evMeet) apply(f *flight) { f.know(e.peer, false) }

// evRefused is an answer that is not what was asked for.
type evRefused struct {
	h      *holder
	asked  frameType
	why    frameType
	blocks []int
	peer   string
}

func (e evRefused) apply(f *flight) {
	h, now := e.h, time.Now()
	for _, i := range e.blocks {
		f.answered(h, i)
	}
	if e.asked == typeGetManifest && f.asking == h {
		f.asking = nil
	}
	if h.state != holderUp {
		return
	}
	switch e.why {
	case typeNotFound:
		f.reject(h, holderLacks, ErrLost)
	case typeBusy:
		h.retry = now.Add(backoff(h.fails))
		h.fails++
		h.err = ErrBusy
		if e.asked == typeHave {
			h.told = false
		}
	case typeMissing:
		for _, i := range e.blocks {
			h.declined[i] = now.Add(missingTime)
		}
	case typeElsewhere:
		f.know(e.peer, false)
		for _, i := range e.blocks {
			h.declined[i] = now.Add(declinedTime + rand.N(declinedTime))
		}
		if other := f.holders[e.peer]; other == nil || other.state == holderBanned || other.fails > 1 {
			h.avoid = e.peer
		}
		f.blocks.cursor = rand.IntN(f.blocks.n)
	}
}
