package link

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counts are what the mesh counts besides what its links do.
type counts struct {
	ups, failed, refused, bans, dials, bulkFull atomic.Uint64

	// Of links that are down. The mesh's mutex guards them.
	framesIn, framesOut, bytesIn, bytesOut [classes]uint64
	bulkIn, bulkOut                        uint64
}

// add takes over what a link counted. Readers and writers have ended.
func (t *counts) add(l *link) {
	for c := range classes {
		t.framesIn[c] += l.ins[c].frames.Load()
		t.framesOut[c] += l.outs[c].framesOut.Load()
		t.bytesIn[c] += l.ins[c].bytes.Load()
		t.bytesOut[c] += l.outs[c].bytesOut.Load()
	}
	t.bulkIn += l.bulk.in.Load()
	t.bulkOut += l.bulk.out.Load()
}

// The metrics.
var (
	descLinks   = prometheus.NewDesc("raygo_links", "Links that are up.", nil, nil)
	descQueued  = prometheus.NewDesc("raygo_link_queued_bytes", "Bytes that wait to be sent to all peers.", nil, nil)
	descFull    = prometheus.NewDesc("raygo_link_full_total", "Frames and bulk streams refused at a bound.", []string{"what"}, nil)
	descEvents  = prometheus.NewDesc("raygo_link_events_total", "Links that came up, dials, attempts that failed, links refused to others, peers banned.", []string{"event"}, nil)
	descFrames  = prometheus.NewDesc("raygo_link_frames_total", "Frames.", []string{"class", "direction"}, nil)
	descBytes   = prometheus.NewDesc("raygo_link_bytes_total", "Bytes.", []string{"class", "direction"}, nil)
	descInlined = prometheus.NewDesc("raygo_link_inline_writes", "Writes of links that are up that did not need a writer.", nil, nil)
)

// Describe implements prometheus.Collector.
func (m *Mesh) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descLinks, descQueued, descFull, descEvents, descFrames, descBytes, descInlined} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Mesh) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	var t counts
	t.framesIn, t.framesOut, t.bytesIn, t.bytesOut = m.counts.framesIn, m.counts.framesOut, m.counts.bytesIn, m.counts.bytesOut
	t.bulkIn, t.bulkOut = m.counts.bulkIn, m.counts.bulkOut
	var inlined uint64
	for _, l := range m.live {
		t.add(l)
		for _, o := range l.outs {
			inlined += o.inlined.Load()
		}
	}
	gauge(descLinks, float64(len(m.live)))
	gauge(descQueued, float64(m.budget.used.Load()))
	gauge(descInlined, float64(inlined))
	count(descFull, m.budget.full.Load(), "frame")
	count(descFull, m.counts.bulkFull.Load(), "bulk")
	count(descEvents, m.counts.ups.Load(), "up")
	count(descEvents, m.counts.dials.Load(), "dial")
	count(descEvents, m.counts.failed.Load(), "failed")
	count(descEvents, m.counts.refused.Load(), "refused")
	count(descEvents, m.counts.bans.Load(), "banned")
	for c := range classes {
		count(descFrames, t.framesIn[c], c.String(), "in")
		count(descFrames, t.framesOut[c], c.String(), "out")
		count(descBytes, t.bytesIn[c], c.String(), "in")
		count(descBytes, t.bytesOut[c], c.String(), "out")
	}
	count(descBytes, t.bulkIn, "bulk", "in")
	count(descBytes, t.bulkOut, "bulk", "out")
}
