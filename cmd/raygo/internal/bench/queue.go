package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	raygo "github.com/raygo/raygo/sdk"
)

// queueTimes is what queueing many tasks came to.
type queueTimes struct {
	submit, drain time.Duration
	perTask       float64 // bytes of the peer's memory
}

func queueWorkloads() []workload {
	fresh := func(ctx context.Context, st *stage) error {
		n := st.size(1_000_000, 20_000)
		// A peer of its own, which has no memory from before to use again.
		own := &stage{}
		defer own.close()
		var err error
		st.queued, err = queueMany(ctx, own, n)
		return err
	}
	return []workload{
		{
			name: "queue_1m", what: "a million tasks submitted, queued behind others, then drained", unit: "s",
			target: target{value: 15}, most: 3, beside: "pipelined echo of as many",
			run: func(ctx context.Context, st *stage) (float64, error) {
				if err := fresh(ctx, st); err != nil {
					return 0, err
				}
				return (st.queued.submit + st.queued.drain).Seconds(), nil
			},
			floor: func(_ context.Context, st *stage) (float64, error) {
				if err := st.startEcho(); err != nil {
					return 0, err
				}
				n := st.size(1_000_000, 20_000)
				r, err := rate(n, func() error { return st.client.calls(n, 10_000) })
				return float64(n) / r, err
			},
		},
		{
			name: "queue_1m_memory", what: "the peer's memory for each of them", unit: "B/task",
			target: target{value: 1536}, most: 1,
			run: func(ctx context.Context, st *stage) (float64, error) {
				if st.queued == nil {
					if err := fresh(ctx, st); err != nil {
						return 0, err
					}
				}
				return st.queued.perTask, nil
			},
		},
	}
}

// queueMany queues n tasks in a job of their own while others hold every CPU,
// looks at the peer's memory, and lets them run.
func queueMany(ctx context.Context, st *stage, n int) (_ *queueTimes, err error) {
	ctx, s, err := st.attach(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if _, err := raygo.Get(ctx, smallFunc.Remote(ctx, 0)); err != nil {
		return nil, err
	}
	release, err := occupy(ctx)
	if err != nil {
		return nil, err
	}
	if err := st.settle(); err != nil {
		return nil, err
	}
	before, err := residentOf(st.peer.pid(), "RssAnon:")
	if err != nil {
		return nil, err
	}
	q := &queueTimes{}
	start := time.Now()
	refs := smallCalls(ctx, n)
	if err := release.barrier(ctx); err != nil {
		return nil, err
	}
	q.submit = time.Since(start)
	after, err := residentOf(st.peer.pid(), "RssAnon:")
	if err != nil {
		return nil, err
	}
	q.perTask = float64(after-before) / float64(n)
	start = time.Now()
	release.all()
	vs, err := raygo.GetAll(ctx, refs)
	if err != nil || vs[n-1] != n-1 {
		return nil, wrong(err)
	}
	q.drain = time.Since(start)
	return q, nil
}

// holders are tasks that hold every CPU.
type holders struct {
	streams []*raygo.Stream[int]
	done    raygo.Ref[int]
}

// occupy has tasks hold every CPU and returns when they run.
func occupy(ctx context.Context) (*holders, error) {
	h := &holders{done: smallFunc.Remote(ctx, 0)}
	if _, err := raygo.Get(ctx, h.done); err != nil {
		return nil, err
	}
	for range runtime.NumCPU() {
		h.streams = append(h.streams, holdFunc.Remote(ctx))
	}
	for _, st := range h.streams {
		began := false
		for _, err := range st.Refs(ctx) {
			if err != nil {
				return nil, fmt.Errorf("hold a CPU: %w", err)
			}
			began = true
			break
		}
		if !began {
			return nil, fmt.Errorf("hold a CPU: %w", errWrong)
		}
	}
	return h, nil
}

// barrier returns when the peer has read everything that was sent to it: it
// answers in order.
func (h *holders) barrier(ctx context.Context) error {
	_, err := raygo.Cancel(ctx, h.done)
	return err
}

// all lets the CPUs go.
func (h *holders) all() {
	for _, st := range h.streams {
		st.Close()
	}
}
