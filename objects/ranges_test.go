package objects

import (
	"sort"
	"testing"

	"pgregory.net/rapid"
)

// model is the slow truth: the state of every page.
type model struct {
	page []byte // 'c'old, 'w'arm, 'h'eld
	held []Extent
}

func (m *model) mark(e Extent, from, to byte, t *rapid.T) {
	for p := e.Offset / pageSize; p < (e.Offset+e.Size)/pageSize; p++ {
		if m.page[p] != from {
			t.Fatalf("page %d of %v was %c, not %c", p, e, m.page[p], from)
		}
		m.page[p] = to
	}
}

// longest is the longest run of pages in a state.
func (m *model) longest(state byte) uint64 {
	var best, run uint64
	for _, p := range m.page {
		if run++; p != state {
			run = 0
		}
		best = max(best, run)
	}
	return best
}

func TestRangesNeverOverlap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const pages = 200
		m := &model{page: make([]byte, pages)}
		for i := range m.page {
			m.page[i] = 'c'
		}
		r := newRanges(pages * pageSize)
		size := rapid.Custom(func(t *rapid.T) uint64 { return rapid.Uint64Range(1, 40).Draw(t, "pages") * pageSize })
		take := func(from byte, f func(uint64) (Extent, bool)) func(*rapid.T) {
			return func(t *rapid.T) {
				n := size.Draw(t, "size")
				e, ok := f(n)
				if ok != (m.longest(from) >= n/pageSize) {
					t.Fatalf("take %d pages of %c: %v, the longest run has %d", n/pageSize, from, ok, m.longest(from))
				}
				if ok {
					m.mark(e, from, 'h', t)
					m.held = append(m.held, e)
				}
			}
		}
		give := func(to byte, f func(Extent)) func(*rapid.T) {
			return func(t *rapid.T) {
				if len(m.held) == 0 {
					t.Skip("nothing held")
				}
				i := rapid.IntRange(0, len(m.held)-1).Draw(t, "which")
				e := m.held[i]
				m.held = append(m.held[:i], m.held[i+1:]...)
				f(e)
				m.mark(e, 'h', to, t)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"warm":  take('w', r.takeWarm),
			"cold":  take('c', r.takeCold),
			"free":  give('w', r.free),
			"punch": give('c', r.freePunched),
			"part": func(t *rapid.T) {
				if e, ok := r.takeWarmUpTo(size.Draw(t, "size")); ok {
					m.mark(e, 'w', 'h', t)
					m.held = append(m.held, e)
				}
			},
			"": func(t *rapid.T) {
				count := map[byte]uint64{}
				for _, p := range m.page {
					count[p] += pageSize
				}
				if r.warm.total != count['w'] || r.cold.total != count['c'] || r.held != count['h'] || r.used() != count['w']+count['h'] {
					t.Fatalf("warm %d cold %d held %d, truth %v", r.warm.total, r.cold.total, r.held, count)
				}
				checkMerged(t, &r.warm)
				checkMerged(t, &r.cold)
			},
		})
	})
}

// checkMerged finds neighbours that were not merged.
func checkMerged(t *rapid.T, s *freeSet) {
	var all []Extent
	for _, r := range s.byStart {
		all = append(all, r.Extent)
	}
	sort.Slice(all, func(i, k int) bool { return all[i].Offset < all[k].Offset })
	for i := 1; i < len(all); i++ {
		if all[i-1].Offset+all[i-1].Size >= all[i].Offset {
			t.Fatalf("%v and %v are not merged", all[i-1], all[i])
		}
	}
}
