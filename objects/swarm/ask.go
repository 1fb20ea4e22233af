package swarm

import (
	"slices"
	"time"

	"github.com/raygo/raygo/objects"
)

// Times after which a block is asked of a second holder.
const (
	leastOvertake = 400 * time.Millisecond
	blindOvertake = 500 * time.Millisecond // when the holder's rate is not known
	maxScan       = 256                    // blocks that are compared to find the rarest
	manifestRate  = 100 << 20              // bytes per second at which a holder hashes at least
)

// trusted reports whether a holder's manifest would be believed.
func (f *flight) trusted(h *holder) bool {
	return f.want.CID.Defined() || f.want.Maker == "" || f.want.Maker == h.name
}

// manifestKnown also when it follows from the CID.
func (f *flight) manifestKnown() bool {
	f.part.mu.Lock()
	defer f.part.mu.Unlock()
	return f.part.m != nil
}

// askManifest asks one holder, and another one if it does not answer.
func (f *flight) askManifest(now time.Time) {
	if f.manifestKnown() {
		f.asking = nil
		return
	}
	if f.asking != nil && now.Sub(f.askedAt) < manifestTime {
		return
	}
	for k := range f.order {
		h := f.order[k]
		if h.state != holderUp || !f.trusted(h) || h == f.asking || now.Before(h.retry) {
			continue
		}
		r := &request{typ: typeGetManifest, flight: f, holder: h, grace: time.Duration(float64(f.want.Size) / manifestRate * float64(time.Second))}
		if err := h.session.ask(r, Priority(f.prio.Load()), func(b []byte) []byte { return appendKey(b, f.key) }); err != nil {
			f.lose(h, err)
			f.askManifest(now)
			return
		}
		f.asking, f.askedAt = h, now
		return
	}
}

// askHave asks those who can be asked which blocks they have.
func (f *flight) askHave() {
	if f.blocks.n <= 1 {
		for _, h := range f.order { // whoever was named has the only block or not
			h.all = h.all || h.state == holderUp
		}
		return
	}
	for _, h := range slices.Clone(f.order) {
		if h.state != holderUp || h.told || time.Now().Before(h.retry) {
			continue
		}
		h.told = true
		r := &request{typ: typeHave, flight: f, holder: h}
		if err := h.session.ask(r, Priority(f.prio.Load()), func(b []byte) []byte { return appendKey(b, f.key) }); err != nil {
			f.lose(h, err)
		}
	}
}

// askBlocks gives every holder that has room something to send: first to those
// who have parts, so that the ones who have all are asked for what is rare.
func (f *flight) askBlocks(now time.Time) {
	if !f.opened || f.blocks.left == 0 {
		return
	}
	known := f.manifestKnown()
	for _, whole := range []bool{false, true} {
		for _, h := range slices.Clone(f.order) {
			if h.state != holderUp || h.all != whole || now.Before(h.retry) {
				continue
			}
			if !known && f.asking != h {
				continue // a block can only be judged after the manifest
			}
			for i, t := range h.declined {
				if now.After(t) {
					delete(h.declined, i)
				}
			}
			room := f.s.cfg.PerHolder - len(h.asked)
			picked := f.pick(h, room)
			if len(picked) == 0 && room > 0 && f.blocks.none() {
				picked = f.overtake(h, room, now)
			}
			if !f.request(h, picked, now) {
				return
			}
		}
	}
}

// pick chooses blocks to ask a holder for: those that the fewest have.
func (f *flight) pick(h *holder, room int) []int {
	type candidate struct{ i, holders int }
	var found []candidate
	p := &f.blocks
	if room <= 0 {
		return nil
	}
	alone := len(f.order) == 1
	for k, i, seen := 0, p.cursor, 0; k < 2; k, i = k+1, 0 { // to the end, then from the start
		for seen < maxScan {
			if i = p.free.next(i); i < 0 || k == 1 && i >= p.cursor {
				break
			}
			if _, no := h.declined[i]; !no && h.has(i) {
				found = append(found, candidate{i, f.holdersOf(i, alone)})
				seen++
			}
			i++
			if alone && seen == room {
				break
			}
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return a.holders - b.holders })
	picked := make([]int, 0, room)
	for _, c := range found[:min(room, len(found))] {
		picked = append(picked, c.i)
	}
	return picked
}

func (f *flight) holdersOf(i int, alone bool) (n int) {
	if alone {
		return 1
	}
	for _, h := range f.order {
		if h.state == holderUp && h.has(i) {
			n++
		}
	}
	return n
}

// overtake chooses blocks that others were asked for and do not send.
func (f *flight) overtake(h *holder, room int, now time.Time) []int {
	var picked []int
	for _, other := range f.order {
		if other == h || len(other.asked) == 0 {
			continue
		}
		after := blindOvertake
		if st, ok := f.s.Rate(other.name); ok {
			after = max(leastOvertake, time.Duration(3*float64(len(other.asked)*objects.BlockSize)/st.Rate*float64(time.Second)))
		}
		for i, a := range other.asked {
			_, no := h.declined[i]
			if len(picked) < room && !no && h.has(i) && h.asked[i] == nil && f.blocks.asked[i] == 1 && now.Sub(a.at) > after {
				picked = append(picked, i)
			}
		}
	}
	f.s.overtaken(len(picked))
	return picked
}

// request asks a holder for blocks as far as the budget goes. It reports false
// when that is used up.
func (f *flight) request(h *holder, picked []int, now time.Time) bool {
	r := &request{typ: typeGetBlocks, flight: f, holder: h, left: map[int]bool{}}
	enough := true
	var sizes []int64
	for _, i := range picked {
		n := f.blockLen(i)
		if enough = f.s.budget.take(&f.wait, n, now); !enough {
			f.starved = true
			break
		}
		r.left[i] = true
		sizes = append(sizes, n)
	}
	picked = picked[:len(sizes)]
	if len(picked) == 0 {
		return enough
	}
	for k, i := range picked {
		f.blocks.ask(i)
		h.asked[i] = &asked{r, now, sizes[k]}
	}
	f.blocks.cursor = (picked[len(picked)-1] + 1) % f.blocks.n
	slices.Sort(picked)
	body := askBlocks{insist: h.avoid != "", key: f.key, spans: spansOf(picked)}
	if err := h.session.ask(r, Priority(f.prio.Load()), body.append); err != nil {
		f.lose(h, err)
	}
	return enough
}
