package swarm

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/raygo/raygo/objects"
	"pgregory.net/rapid"
)

// mischief is what a holder does with the answers it sends: one verdict each, in
// turn, and which of them it falsifies.
type mischief struct {
	Verdicts []verdict
	Falsify  []bool
	Has      bool // it has the object at all
}

func drawMischief(t *rapid.T, label string) mischief {
	// Mostly harmless, so that many fetches come to a good end in spite of it.
	kinds := []verdict{pass, pass, pass, pass, pass, pass, swallow, hang, cut, oversize, shorten, babble}
	return mischief{
		Verdicts: rapid.SliceOfN(rapid.SampledFrom(kinds), 1, 8).Draw(t, label+" verdicts"),
		Falsify:  rapid.SliceOfN(rapid.Custom(func(t *rapid.T) bool { return rapid.IntRange(0, 5).Draw(t, "falsify") == 0 }), 1, 8).Draw(t, label+" falsifies"),
		Has:      rapid.IntRange(0, 4).Draw(t, label+" has") > 0,
	}
}

func (m mischief) judge() func(head, []byte) verdict {
	var mu sync.Mutex
	n := 0
	return func(h head, body []byte) verdict {
		mu.Lock()
		defer mu.Unlock()
		v := m.Verdicts[n%len(m.Verdicts)]
		if m.Falsify[n%len(m.Falsify)] && len(body) > 0 {
			body[n%len(body)] ^= 0x40
		}
		n++
		return v
	}
}

// Whatever holders do, bytes that become visible are right, or there is an error
// and nothing is left behind.
func TestWhatBecomesVisibleIsRight(t *testing.T) {
	ended := map[bool]int{}
	var mu sync.Mutex
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		w.bare = true
		defer w.close()
		quick := func(c *Config) {
			c.Stall, c.GiveUp, c.BanFor, c.Poll = 25*time.Millisecond, 60*time.Millisecond, 10*time.Millisecond, 5*time.Millisecond
			c.PerHolder = rapid.IntRange(1, 4).Draw(rt, "window")
			c.SpreadFrom = rapid.IntRange(1, 4).Draw(rt, "spread")
		}
		size := rapid.SampledFrom([]int{0, 1, 5000, objects.BlockSize, objects.BlockSize + 1, 3 * objects.BlockSize, 4*objects.BlockSize + 77}).Draw(rt, "size")
		data := content(uint32(size), size)
		want := Want{Object: object(1), CID: objects.SumBytes(data), Size: uint64(size)}
		var names []string
		for k := range rapid.IntRange(1, 3).Draw(rt, "holders") {
			m := w.join(fmt.Sprintf("h%d", k), quick, 32<<20)
			plan := drawMischief(rt, m.name)
			if plan.Has {
				m.put(want.Object, data)
			}
			m.meddle(plan.judge())
			names = append(names, m.name)
		}
		want.Holders = from(names...)
		trusting := rapid.Bool().Draw(rt, "CID unknown")
		if trusting { // an honest maker with nothing but the manifest to send
			maker := w.join("maker", quick, 32<<20)
			maker.put(want.Object, data)
			maker.meddle(onBlocks(func(int, []byte) verdict { return cut }))
			want.CID, want.Maker = cid.Undef, "maker"
		}
		one, two := w.join("one", quick, 32<<20), w.join("two", quick, 32<<20)
		patience := time.Duration(rapid.IntRange(5, 2000).Draw(rt, "patience")) * time.Millisecond
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		var wg sync.WaitGroup
		errs := map[*member]error{}
		for _, m := range []*member{one, two} { // who fetch from each other too
			mine := want
			mine.Holders = from(append([]string{"one", "two"}, names...)...)
			wg.Go(func() {
				_, err := m.Fetch(ctx, mine)
				mu.Lock()
				defer mu.Unlock()
				errs[m] = err
			})
		}
		wg.Wait()
		for m, err := range errs {
			ended[err == nil]++
			eventually(t, "the end of the fetch", func() bool { return m.Stats().Fetching == 0 })
			info, ok := m.store.Info(want.Object)
			switch {
			case err == nil, ok && info.State == objects.InMemory: // it may come just when nobody waits any more
				if err := m.differs(want.Object, data); err != nil {
					rt.Error(err)
				}
			case ok:
				rt.Errorf("%s: something is left behind: %+v", m.name, info)
			}
		}
		for _, m := range []*member{one, two} {
			eventually(t, "nothing in flight", func() bool { return m.budget.inFlight() == 0 })
		}
	})
	t.Logf("%d fetches came to a good end, %d did not", ended[true], ended[false])
}
