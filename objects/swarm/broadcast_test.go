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
