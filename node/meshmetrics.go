package node

import "github.com/prometheus/client_golang/prometheus"

// meshMetrics count what goes on with other peers. Like the rest they are read
// when somebody asks.
type meshMetrics struct {
	m     *mesh
	peers *prometheus.Desc
	moved *prometheus.Desc
	swarm *prometheus.Desc
	held  *prometheus.Desc
	dead  *prometheus.Desc
}

func newMeshMetrics(m *mesh) *meshMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("raygo_"+name, help, labels, nil)
	}
	return &meshMetrics{
		m:     m,
		peers: desc("peers", "Other peers of the cluster, by state.", "state"),
		moved: desc("object_bytes_total", "Bytes of objects and programs between peers.", "direction"),
		swarm: desc("fetches_total", "Objects and programs brought from other peers, by outcome.", "outcome"),
		held:  desc("held_answers", "Answers that wait for a peer that does not read."),
		dead:  desc("peers_refused_dead_total", "Peers named dead early, since nothing listened where they were."),
	}
}

// Describe implements prometheus.Collector.
func (c *meshMetrics) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *meshMetrics) Collect(ch chan<- prometheus.Metric) {
	states := map[string]int{}
	for _, r := range c.m.who.rows() {
		states[r.State]++
	}
	for state, k := range states {
		ch <- prometheus.MustNewConstMetric(c.peers, prometheus.GaugeValue, float64(k), state)
	}
	t := c.m.swarm.Stats().Totals
	ch <- prometheus.MustNewConstMetric(c.moved, prometheus.CounterValue, float64(t.BytesIn), "in")
	ch <- prometheus.MustNewConstMetric(c.moved, prometheus.CounterValue, float64(t.BytesOut), "out")
	ch <- prometheus.MustNewConstMetric(c.swarm, prometheus.CounterValue, float64(t.Fetched), "ok")
	ch <- prometheus.MustNewConstMetric(c.swarm, prometheus.CounterValue, float64(t.Failed), "failed")
	ch <- prometheus.MustNewConstMetric(c.dead, prometheus.CounterValue, float64(c.m.who.dead.Load()))
	held := 0
	c.m.n.mu.Lock()
	for _, r := range c.m.n.remotes {
		held += len(r.held)
	}
	c.m.n.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(c.held, prometheus.GaugeValue, float64(held))
}
