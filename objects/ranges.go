package objects

import "math/bits"

// pageSize is the grain of ranges. Arenas are mapped in pages of this size on
// every machine that raygo runs on.
const pageSize = 4096

// Extent is a range of a job's arena.
type Extent struct{ Offset, Size uint64 }

// ranges hands out page-aligned ranges of one arena. It does no I/O and has no
// lock. Every page is in one of three states: held; warm, that is free but
// touched, so it costs memory and no page fault; or cold, which costs nothing.
type ranges struct {
	warm, cold freeSet
	held       uint64
}

func newRanges(size uint64) *ranges {
	r := &ranges{warm: newFreeSet(), cold: newFreeSet()}
	r.cold.add(Extent{0, size})
	return r
}

// roundUp is size in whole pages, one at least.
func roundUp(size uint64) uint64 {
	return max(pageSize, (size+pageSize-1)&^uint64(pageSize-1))
}

// takeWarm holds n bytes whose pages have been touched.
func (r *ranges) takeWarm(n uint64) (Extent, bool) { return r.take(&r.warm, n) }

// takeCold holds n bytes whose pages have not been touched.
func (r *ranges) takeCold(n uint64) (Extent, bool) { return r.take(&r.cold, n) }

func (r *ranges) take(from *freeSet, n uint64) (Extent, bool) {
	e, ok := from.take(n)
	if ok {
		r.held += n
	}
	return e, ok
}

// takeWarmUpTo holds the largest warm range, or its first n bytes: for punching.
func (r *ranges) takeWarmUpTo(n uint64) (Extent, bool) {
	e, ok := r.warm.takeUpTo(n)
	if ok {
		r.held += e.Size
	}
	return e, ok
}

// free returns a held range whose pages may have been touched.
func (r *ranges) free(e Extent) {
	r.held -= e.Size
	r.warm.add(e)
}

// freePunched returns a held range whose pages were given back.
func (r *ranges) freePunched(e Extent) {
	r.held -= e.Size
	r.cold.add(e)
}

// used is what the arena costs in memory.
func (r *ranges) used() uint64 { return r.held + r.warm.total }

// freeSet is a set of free ranges, neighbours merged, found by size in constant
// time: ranges are binned by the two leading bits of their number of pages.
type freeSet struct {
	total   uint64
	byStart map[uint64]*freeRange
	byEnd   map[uint64]*freeRange
	bins    [128]*freeRange // heads of doubly linked lists
	filled  [2]uint64       // which bins are not empty
}

type freeRange struct {
	Extent
	prev, next *freeRange
}

func newFreeSet() freeSet {
	return freeSet{byStart: map[uint64]*freeRange{}, byEnd: map[uint64]*freeRange{}}
}

// binOf maps a size to its bin: sizes of a bin are all below those of the next.
func binOf(size uint64) int {
	pages := size / pageSize
	top := bits.Len64(pages) - 1
	if top < 1 {
		return 0
	}
	return 2*top + int(pages>>(top-1)&1)
}

// take removes n bytes from a range that has as many: from the same bin if one
// of its first ranges does, otherwise from the next larger bin.
func (s *freeSet) take(n uint64) (Extent, bool) {
	bin := binOf(n)
	r := s.bins[bin]
	for range 16 {
		if r == nil || r.Size >= n {
			break
		}
		r = r.next
	}
	if r == nil || r.Size < n {
		if r = s.smallestFrom(bin + 1); r == nil {
			r = s.searchAll(bin, n)
		}
	}
	if r == nil {
		return Extent{}, false
	}
	return s.cut(r, n), true
}

// searchAll looks at every range of a bin: only when no larger bin has any.
func (s *freeSet) searchAll(bin int, n uint64) *freeRange {
	for r := s.bins[bin]; r != nil; r = r.next {
		if r.Size >= n {
			return r
		}
	}
	return nil
}

func (s *freeSet) smallestFrom(bin int) *freeRange {
	for w := bin / 64; w < len(s.filled); w++ {
		word := s.filled[w]
		if w == bin/64 {
			word &= ^uint64(0) << (bin % 64)
		}
		if word != 0 {
			return s.bins[w*64+bits.TrailingZeros64(word)]
		}
	}
	return nil
}

// takeUpTo removes at most n bytes from a range of the largest bin.
func (s *freeSet) takeUpTo(n uint64) (Extent, bool) {
	for w := len(s.filled) - 1; w >= 0; w-- {
		if s.filled[w] != 0 {
			r := s.bins[w*64+63-bits.LeadingZeros64(s.filled[w])]
			return s.cut(r, min(n, r.Size)), true
		}
	}
	return Extent{}, false
}

// cut removes the first n bytes of r.
func (s *freeSet) cut(r *freeRange, n uint64) Extent {
	s.remove(r)
	if r.Size > n {
		s.insert(&freeRange{Extent: Extent{r.Offset + n, r.Size - n}})
	}
	return Extent{r.Offset, n}
}

// add puts a range into the set and merges it with its neighbours.
func (s *freeSet) add(e Extent) {
	if left := s.byEnd[e.Offset]; left != nil {
		s.remove(left)
		e = Extent{left.Offset, left.Size + e.Size}
	}
	if right := s.byStart[e.Offset+e.Size]; right != nil {
		s.remove(right)
		e.Size += right.Size
	}
	s.insert(&freeRange{Extent: e})
}

func (s *freeSet) insert(r *freeRange) {
	s.total += r.Size
	s.byStart[r.Offset], s.byEnd[r.Offset+r.Size] = r, r
	bin := binOf(r.Size)
	if r.next = s.bins[bin]; r.next != nil {
		r.next.prev = r
	}
	s.bins[bin] = r
	s.filled[bin/64] |= 1 << (bin % 64)
}

func (s *freeSet) remove(r *freeRange) {
	s.total -= r.Size
	delete(s.byStart, r.Offset)
	delete(s.byEnd, r.Offset+r.Size)
	bin := binOf(r.Size)
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		s.bins[bin] = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	}
	r.prev, r.next = nil, nil
	if s.bins[bin] == nil {
		s.filled[bin/64] &^= 1 << (bin % 64)
	}
}
