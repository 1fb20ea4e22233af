package swarm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// search is a flight's quest for holders.
type search struct {
	busy   bool      // a helper asks
	at     time.Time // when to ask again
	every  time.Duration
	since  time.Time // when the helper was sent
	needed time.Time // when a holder was lost last
	asked  time.Time // when the last complete answer was asked for
	found  bool      // Find was asked since then, or there is none
}

// hurry asks again at once: a holder was lost.
func (q *search) hurry() {
	q.needed = time.Now()
	q.at = q.needed
	q.every = 0
}

// lookForHolders asks those who wait where the object is, and if nobody that they
// know has it, where that takes longer.
func (f *flight) lookForHolders(now time.Time) {
	q := &f.search
	if q.busy || now.Before(q.at) {
		return
	}
	q.busy, q.since = true, now
	calls := f.s.callsOf(f)
	deep := !q.asked.IsZero() && (!f.promising() || !f.expecting() && now.Sub(f.moved) > stuckFor)
	f.helpers.Go(func() {
		ev := evSearched{deep: deep}
		for _, w := range calls {
			if w.Holders != nil {
				ev.names = append(ev.names, w.Holders()...)
			}
		}
		for _, w := range calls {
			if deep && w.Find != nil {
				ev.more = append(ev.more, w.Find(f.ctx)...)
			}
		}
		f.post(ev)
	})
}

type evSearched struct {
	names, more []string
	deep        bool
}

func (e evSearched) apply(f *flight) {
	q := &f.search
	q.busy = false
	q.asked = q.since
	q.found = e.deep
	before := len(f.holders)
	for _, name := range slices.Concat(e.names, e.more) {
		f.know(name, true)
	}
	f.dropUnlisted(slices.Concat(e.names, e.more))
	if len(f.holders) > before {
		q.every = 0
	}
	q.every = min(max(q.every*3/2, f.s.cfg.Poll), 10*f.s.cfg.Poll)
	q.at = time.Now().Add(q.every)
	if q.needed.After(q.asked) || !e.deep && !f.promising() {
		q.at = time.Now()
	}
}

// dropUnlisted forgets holders that cannot be reached and are not named any more.
func (f *flight) dropUnlisted(names []string) {
	for _, h := range slices.Clone(f.order) {
		if h.state == holderIdle && h.fails > 0 && !slices.Contains(names, h.name) {
			if len(f.gone) < maxHinted {
				f.gone = append(f.gone, h)
			}
			delete(f.holders, h.name)
			f.order = slices.DeleteFunc(f.order, func(o *holder) bool { return o == h })
		}
	}
}

// drip times GiveUp may pass without a block while bytes still come.
const drip = 3

// stuckFor is how long a fetch expects nothing of the holders it has until it
// looks for others.
const stuckFor = time.Second

// expecting reports whether blocks are on their way.
func (f *flight) expecting() bool {
	return slices.ContainsFunc(f.order, func(h *holder) bool { return len(h.asked) > 0 })
}

// promising reports whether anybody is asked, or about to be for the first time.
func (f *flight) promising() bool {
	known := f.manifestKnown()
	for _, h := range f.order {
		if !known && !f.trusted(h) {
			continue
		}
		if h.state == holderUp || (h.state == holderIdle || h.state == holderDialing) && h.fails == 0 {
			return true
		}
	}
	return false
}

// hopeful reports whether anybody may still send something that is needed.
func (f *flight) hopeful() bool {
	known := f.manifestKnown()
	return slices.ContainsFunc(f.order, func(h *holder) bool {
		return h.state != holderBanned && h.state != holderLacks && (known || f.trusted(h))
	})
}

// judge ends a flight that cannot come to a good end.
func (f *flight) judge(now time.Time) {
	q := &f.search
	if f.over || f.opening && !f.opened {
		return
	}
	if !f.hopeful() && !q.busy && q.found && !q.needed.After(q.asked) {
		kind := ErrLost
		if f.bad > 0 {
			kind = ErrCorrupt
		}
		f.fail(f.lament(kind))
		return
	}
	quiet := now.Sub(f.moved)
	idle := !f.expecting() && !f.starved && (f.asking == nil || now.Sub(f.askedAt) > f.s.cfg.GiveUp)
	if idle && quiet >= f.s.cfg.GiveUp || !f.starved && f.asking == nil && quiet >= drip*f.s.cfg.GiveUp {
		f.fail(f.lament(ErrUnreachable))
	}
}

// lament is an error that says what was tried on whom.
func (f *flight) lament(kind error) error {
	if len(f.order)+len(f.gone) == 0 {
		return fmt.Errorf("%w: no holder is known", kind)
	}
	var said []string
	for _, h := range slices.Concat(f.order, f.gone) {
		var what string
		switch h.state {
		case holderLacks:
			what = "does not have it"
		case holderBanned:
			what = "is not asked again: " + h.err.Error()
		case holderUp:
			what = fmt.Sprintf("has nothing more (%d blocks came)", h.got)
			if errors.Is(h.err, ErrBusy) {
				what = "is busy"
			}
		default:
			what = "cannot be reached"
			if h.err != nil {
				what += ": " + h.err.Error()
			}
		}
		said = append(said, h.name+" "+what)
	}
	slices.Sort(said)
	if len(said) > 8 {
		said = append(said[:8], fmt.Sprintf("and %d more", len(said)-8))
	}
	of := ""
	if f.blocks.n > 0 {
		of = fmt.Sprintf("%d of %d blocks missing, ", f.blocks.left, f.blocks.n)
	}
	if !f.manifestKnown() && !f.want.CID.Defined() && f.want.Maker != "" {
		of += "its CID is not known and only its maker " + f.want.Maker + " is believed, "
	}
	return fmt.Errorf("%w (%s%s)", kind, of, strings.Join(said, "; "))
}
