package swarm

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/raygo/raygo/objects"
)

// behaviour 163
func TestABroadcastIsASwarm(t *testing.T) {
	const receivers, size = 8, 40*objects.BlockSize + 12345
	w := newWorld(t)
	patient := func(c *Config) { c.Stall, c.GiveUp = 5*time.Second, 10*time.Second }
	source := w.join("source", patient, 256<<20)
	data := content(7, size)
	want := source.put(object(1), data)
	var wg sync.WaitGroup
	var all []*member
	for k := range receivers {
		all = append(all, w.join(fmt.Sprintf("receiver%d", k), patient, 128<<20))
	}
	start := time.Now()
	for _, m := range all {
		wg.Go(func() {
			if _, err := m.Fetch(testContext(t), want); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	if t.Failed() {
		return
	}
	var in, wasted, overtaken int64
	for _, m := range all {
		m.check(want.Object, data)
		st := m.Stats()
		in += st.Totals.BytesIn
		wasted += st.Totals.Wasted
		overtaken += st.Totals.Overtaken
	}
	st := source.Stats()
	copies := float64(st.Totals.BytesOut) / size
	t.Logf("%v; the source sent %.2f copies, %.2f arrived at %d receivers, %.2f of them twice, %d blocks overtaken, %d referred elsewhere",
		took, copies, float64(in)/size, receivers, float64(wasted)/size, overtaken, st.Totals.Elsewhere)
	if copies > 2.5 {
		t.Errorf("the source sent %.2f copies, at most 2.5 are allowed", copies)
	}
	if float64(wasted)/size > 1 {
		t.Errorf("%.2f copies came twice", float64(wasted)/size)
	}
}

// When the source goes after it sent each block once, those who have parts bring
// it to an end among themselves.
func TestASwarmOutlivesItsSource(t *testing.T) {
	const blocks = 24
	w := newWorld(t)
	source := w.join("source", nil, 128<<20)
	data := content(9, blocks*objects.BlockSize)
	want := source.put(object(1), data)
	var mu sync.Mutex
	out := map[int]bool{}
	source.meddle(func(h head, body []byte) verdict {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case len(out) == blocks:
			return cut
		case h.typ == typeBlock:
			r := reader{b: body}
			if out[int(r.u32())] = true; len(out) == blocks {
				w.mu.Lock()
				source.down = true
				w.mu.Unlock()
			}
		}
		return pass
	})
	var wg sync.WaitGroup
	var all []*member
	for k := range 4 {
		all = append(all, w.join(fmt.Sprintf("receiver%d", k), func(c *Config) { c.GiveUp = 5 * time.Second }, 128<<20))
	}
	for _, m := range all {
		wg.Go(func() {
			if _, err := m.Fetch(testContext(t), want); err != nil {
				t.Errorf("%s: %v", m.name, err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for _, m := range all {
		m.check(want.Object, data)
	}
}
