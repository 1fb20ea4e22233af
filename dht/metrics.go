package dht

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what this package counts.
type metrics struct {
	placed     *prometheus.CounterVec // announcements by outcome
	told       prometheus.Counter     // messages to peers that keep our records
	full       *prometheus.CounterVec // callers that met a bound
	refused    *prometheus.CounterVec // records of others that met a bound
	withdrawn  prometheus.Counter
	unsaid     prometheus.Counter // withdrawals not told to anybody
	lookups    *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
	owners     *prometheus.CounterVec
	removed    prometheus.Counter
	collectors []prometheus.Collector
}

func newMetrics() *metrics {
	m := &metrics{}
	count := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "raygo_dht_" + name, Help: help})
		m.collectors = append(m.collectors, c)
		return c
	}
	counts := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "raygo_dht_" + name, Help: help}, labels)
		m.collectors = append(m.collectors, c)
		return c
	}
	m.placed = counts("announced_total", "Announcements of holdings made, by outcome (placed, nobody).", "outcome")
	m.told = count("records_sent_total", "Provider records sent to peers that keep them.")
	m.full = counts("full_total", "Calls refused at a bound of this peer's own tables, by table.", "table")
	m.refused = counts("refused_total", "Records not kept because a table was full, by kind.", "kind")
	m.withdrawn = count("withdrawn_total", "Holdings withdrawn.")
	m.unsaid = count("withdrawals_unsaid_total", "Withdrawals that no peer could be told; their records expire.")
	m.lookups = counts("lookups_total", "Lookups by kind (providers, owner) and outcome (found, none, late).", "kind", "outcome")
	m.seconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "raygo_dht_lookup_seconds", Help: "How long lookups took, by kind.",
		Buckets: []float64{.0001, .0003, .001, .003, .01, .03, .1, .3, 1, 3},
	}, []string{"kind"})
	m.collectors = append(m.collectors, m.seconds)
	m.owners = counts("owner_puts_total", "Records of ownership put, by outcome (placed, later, stale).", "outcome")
	m.removed = count("dead_removed_total", "Peers taken out of the routing table because they are dead.")
	return m
}

// register adds gauges that are read off d and makes all of it visible.
func (m *metrics) register(reg prometheus.Registerer, d *DHT) error {
	gauge := func(name, help string, f func(Stats) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "raygo_dht_" + name, Help: help}, func() float64 { return float64(f(d.Stats())) })
	}
	m.collectors = append(m.collectors,
		gauge("peers", "Peers in the routing table.", func(s Stats) int { return s.Peers }),
		gauge("provided", "Holdings this peer announces.", func(s Stats) int { return s.Provided }),
		gauge("queued", "Holdings not announced yet.", func(s Stats) int { return s.Queued }),
		gauge("records", "Provider records kept for the cluster.", func(s Stats) int { return s.Records }),
		gauge("owners", "Jobs whose record of ownership this peer keeps alive.", func(s Stats) int { return s.Owners }),
	)
	if reg == nil {
		return nil
	}
	for i, c := range m.collectors {
		if err := reg.Register(c); err != nil {
			for _, done := range m.collectors[:i] {
				reg.Unregister(done)
			}
			return fmt.Errorf("register metrics of the dht: %w", err)
		}
	}
	return nil
}

func (m *metrics) unregister(reg prometheus.Registerer) {
	if reg == nil {
		return
	}
	for _, c := range m.collectors {
		reg.Unregister(c)
	}
}
