package swarm

import (
	"context"
	"time"
)

// How a rate is learnt: over busy times of at least so long or so many bytes.
const (
	sampleTime  = 50 * time.Millisecond
	sampleBytes = 8 << 20
	leastSample = 256 << 10 // less says more about latency than about the rate
	rateWeight  = 0.3       // of the newest sample
)

// meter measures one stream while something is asked on it.
type meter struct {
	since time.Time
	bytes int64
}

// begin says that something is asked, after nothing was.
func (m *meter) begin(now time.Time) { *m = meter{since: now} }

// add counts bytes. ok says that rate is a sample, in bytes per second.
func (m *meter) add(n int, now time.Time, idle bool) (rate float64, ok bool) {
	m.bytes += int64(n)
	d := now.Sub(m.since)
	if !idle && d < sampleTime && m.bytes < sampleBytes {
		return 0, false
	}
	rate, ok = float64(m.bytes)/max(d, time.Microsecond).Seconds(), m.bytes >= leastSample
	m.begin(now)
	return rate, ok
}

// learn moves an average to a new sample; 0 is no average yet.
func learn(old, sample float64) float64 {
	if old == 0 {
		return sample
	}
	return old + rateWeight*(sample-old)
}

// slots bound how many do something at a time.
type slots chan struct{}

func (s slots) enter(ctx context.Context) error {
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s slots) leave() { <-s }
