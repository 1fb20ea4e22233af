package member

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counts are of what happened at the door.
type counts struct {
	refused     atomic.Int64 // handshakes, with whoever was no member
	admitted    atomic.Int64 // newcomers
	notAdmitted atomic.Int64 // newcomers with an invite or a lapsed certificate
	notRenewed  atomic.Int64 // attempts
}

var (
	descRefused  = prometheus.NewDesc("raygo_member_handshakes_refused_total", "Handshakes with peers that are no members.", nil, nil)
	descJoins    = prometheus.NewDesc("raygo_member_newcomers_total", "Newcomers with an invite or a lapsed certificate.", []string{"outcome"}, nil)
	descRenewals = prometheus.NewDesc("raygo_member_renewals_failed_total", "Attempts to renew this peer's certificate that failed.", nil, nil)
	descExpires  = prometheus.NewDesc("raygo_member_certificate_expires_seconds", "How long this peer's certificate is still good.", nil, nil)
	descKnown    = prometheus.NewDesc("raygo_member_known", "Members whose certificates are remembered.", nil, nil)
	descDenied   = prometheus.NewDesc("raygo_member_denied", "Peers that the deny list names.", nil, nil)
	descEpoch    = prometheus.NewDesc("raygo_member_deny_list_epoch", "The epoch of the deny list in force.", nil, nil)
)

// Collector measures the membership.
func (m *Membership) Collector() prometheus.Collector { return collector{m} }

type collector struct{ m *Membership }

// Describe names the metrics.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descRefused, descJoins, descRenewals, descExpires, descKnown, descDenied, descEpoch} {
		ch <- d
	}
}

// Collect reads them.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	m := c.m
	counter := func(d *prometheus.Desc, n *atomic.Int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n.Load()), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	counter(descRefused, &m.count.refused)
	counter(descJoins, &m.count.admitted, "admitted")
	counter(descJoins, &m.count.notAdmitted, "refused")
	counter(descRenewals, &m.count.notRenewed)
	now := m.now()
	m.mu.Lock()
	left, known, denied, epoch := m.cert.NotAfter.Sub(now), len(m.known), len(m.denied.Peers), m.denied.Epoch
	m.mu.Unlock()
	gauge(descExpires, left.Seconds())
	gauge(descKnown, float64(known))
	gauge(descDenied, float64(denied))
	gauge(descEpoch, float64(epoch))
}
