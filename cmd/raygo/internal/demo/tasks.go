package demo

import (
	"context"
	"fmt"
	"iter"

	raygo "github.com/raygo/raygo/sdk"
)

// The functions that run in workers. The worker is this same binary.
var (
	indexTask = raygo.Func3(index)
	mergeTask = raygo.Func1(merge)
	countTask = raygo.Func2(count)
	topTask   = raygo.Gen2(top)
)

// index counts the identifiers of a batch of files; text is read where the
// driver put it, in shared memory.
func index(ctx context.Context, text []byte, ends []int, golang bool) (Index, error) {
	ix := indexText(text, ends, golang)
	ix.Where[worker(ctx)]++
	return ix, nil
}

// merge adds partial indexes up.
func merge(ctx context.Context, parts []Index) (Index, error) {
	all := make([]*Index, len(parts))
	for i := range parts {
		all[i] = &parts[i]
	}
	ix, err := mergeAll(all)
	if err != nil {
		return Index{}, err
	}
	out := *ix
	out.Where = map[string]int{worker(ctx): 1}
	for k, n := range ix.Where {
		out.Where[k] += n
	}
	out.Totals.Moved += int64(len(out.Words) + len(out.Counts))
	return out, nil
}

// count counts a word in a batch, as grep does.
func count(_ context.Context, text []byte, word string) (int64, error) {
	return countWord(text, []byte(word)), nil
}

// Report is what is known of an index as a whole.
type Report struct {
	Distinct int64
	Totals   Totals
	Where    map[string]int
}

// Item is what the generator yields: the report first, then the entries.
type Item struct {
	Report *Report
	Entry  Entry
}

// top yields what is known of the index as a whole, then its n most frequent
// identifiers, one by one.
func top(_ context.Context, ix Index, n int) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		best, distinct, err := mostFrequent(&ix, n)
		if err != nil {
			yield(Item{}, err)
			return
		}
		if !yield(Item{Report: &Report{Distinct: distinct, Totals: ix.Totals, Where: ix.Where}}, nil) {
			return
		}
		for _, e := range best {
			if !yield(Item{Entry: e}, nil) {
				return
			}
		}
	}
}

// worker names the process that a task runs in.
func worker(ctx context.Context) string {
	info := raygo.Info(ctx)
	return fmt.Sprintf("worker pid %d of peer %s", info.PID, info.Peer)
}
