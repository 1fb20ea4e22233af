package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what the peer counts, in a registry of its own.
type metrics struct {
	n           *Node
	registry    *prometheus.Registry
	logsDropped prometheus.Counter
	jobsTaken   prometheus.Counter
	finished    *prometheus.Desc
	tasks       *prometheus.Desc
	resources   *prometheus.Desc
	store       *prometheus.Desc
	workers     *prometheus.Desc
	ooms        *prometheus.Desc
	refused     *prometheus.Desc
	late        *prometheus.Desc
	programs    *prometheus.Desc
	events      *prometheus.Desc
	listener    net.Listener
}

func newMetrics(n *Node) *metrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("raygo_"+name, help, labels, nil)
	}
	m := &metrics{
		n: n, registry: prometheus.NewRegistry(),
		logsDropped: prometheus.NewCounter(prometheus.CounterOpts{Name: "raygo_log_lines_dropped_total", Help: "Lines of output not passed on to a driver that does not read."}),
		jobsTaken:   prometheus.NewCounter(prometheus.CounterOpts{Name: "raygo_jobs_taken_over_total", Help: "Jobs that this peer took over from owners that were gone."}),
		finished:    desc("job_tasks_total", "Tasks of a running job that ended, by outcome. A job's series go with the job.", "job", "state"),
		tasks:       desc("tasks", "Unfinished tasks by state.", "state"),
		resources:   desc("resource", "Resources, in whole units (memory in bytes), total and free.", "resource", "kind"),
		store:       desc("object_store_bytes", "Bytes of the object store, by kind.", "kind"),
		workers:     desc("workers", "Worker processes by state.", "state"),
		ooms:        desc("memory_kills_total", "Workers killed by the memory guard."),
		refused:     desc("peer_requests_refused_total", "Requests of other peers that were not met, by reason: not_owner, of a peer that does not own the job, any more or yet; bound, jobs and processes past what one peer may have here.", "reason"),
		late:        desc("late_notices", "Notices that wait for a program that does not read."),
		programs:    desc("programs", "Attached processes."),
		events:      desc("task_events_dropped_total", "Ended attempts that are no longer kept."),
	}
	m.registry.MustRegister(m, m.logsDropped, m.jobsTaken)
	return m
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect implements prometheus.Collector: everything is read off the core when
// somebody asks, so that counting costs the hot path nothing.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	n := m.n
	states := n.taskStates()
	n.mu.Lock()
	jobs, workers, counts, programs := n.core.Jobs(), n.core.Workers(), n.core.Counts(), len(n.procs)
	total, free := n.core.Capacity()
	late := 0
	for p := range n.late {
		late += len(p.missed)
	}
	n.mu.Unlock()
	for state, k := range states {
		gauge(m.tasks, float64(k), state.String())
	}
	for _, j := range jobs {
		counter(m.finished, float64(j.Finished), j.ID.String(), "FINISHED")
		counter(m.finished, float64(j.Failed), j.ID.String(), "FAILED")
	}
	byState := map[string]int{}
	for i := range workers {
		byState[workers[i].State]++
	}
	for state, k := range byState {
		gauge(m.workers, float64(k), state)
	}
	for name, v := range total {
		gauge(m.resources, v, name, "total")
		gauge(m.resources, free[name], name, "free")
	}
	u := n.store.Usage()
	for kind, v := range map[string]int64{"limit": u.Limit, "used": u.Used, "pinned": u.Pinned, "spilled": u.Spilled, "spilled_ever": u.SpilledEver, "restored": u.Restored} {
		gauge(m.store, float64(v), kind)
	}
	counter(m.ooms, float64(counts.OOMKills))
	counter(m.refused, float64(counts.Impostors), "not_owner")
	counter(m.refused, float64(counts.PastBound), "bound")
	gauge(m.late, float64(late))
	gauge(m.programs, float64(programs))
	n.book.mu.Lock()
	counter(m.events, float64(n.book.attempts.dropped()))
	n.book.mu.Unlock()
}

// listenHTTP opens the metrics endpoint.
func (n *Node) listenHTTP() error {
	addr := n.cfg.HTTP
	switch addr {
	case "off":
		return nil
	case "":
		addr = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%w: HTTP address %q: %w", ErrConfig, addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%w: HTTP address %q is not on loopback; metrics are for this machine only", ErrConfig, addr)
	}
	if n.metrics.listener, err = net.Listen("tcp", addr); err != nil {
		return fmt.Errorf("listen for HTTP: %w", orChoose(err, "--http"))
	}
	n.http = n.metrics.listener.Addr().String()
	return nil
}

// serveHTTP answers at the metrics endpoint until ctx ends.
func (n *Node) serveHTTP(ctx context.Context) error {
	if n.metrics.listener == nil {
		<-ctx.Done()
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(n.metrics.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return nil
}
