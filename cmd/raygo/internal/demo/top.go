package demo

import (
	"cmp"
	"slices"
)

// Entry is one line of the result.
type Entry struct {
	Word  string `json:"identifier"`
	Count int64  `json:"count"`
}

// mostFrequent is the n most frequent words of an index, and how many words it
// has.
func mostFrequent(ix *Index, n int) (best []Entry, distinct int64, err error) {
	r := reader{ix.Words, ix.Counts}
	byCount := func(a, b Entry) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Word, b.Word))
	}
	for {
		e, ok, err := r.next()
		if err != nil {
			return nil, 0, err
		}
		if !ok {
			break
		}
		distinct++
		if len(best) == n && e.count <= best[n-1].Count {
			continue // words come in order, so that the earlier of equals stays
		}
		x := Entry{string(e.word), e.count}
		at, _ := slices.BinarySearchFunc(best, x, byCount)
		if best = slices.Insert(best, at, x); len(best) > n {
			best = best[:n]
		}
	}
	return best, distinct, nil
}
