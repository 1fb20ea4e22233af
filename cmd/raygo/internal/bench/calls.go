package bench

import (
	"context"
	"strconv"
	"time"

	raygo "github.com/raygo/raygo/sdk"
)

// batchSize is how many calls a batch has, as in Ray's suite.
const batchSize = 1000

func callWorkloads() []workload {
	return []workload{
		{
			name: "single_client_tasks_sync", what: "one call and Get of its result, one at a time", unit: "µs",
			target: target{ratio: 2}, beside: "echo, one at a time",
			run: syncCalls, floor: syncEcho, ops: func(st *stage) int { return st.size(4000, 1000) },
		},
		asyncWorkload("single_client_tasks_async_1000", 1000),
		asyncWorkload("single_client_tasks_async_10000", 10_000),
		{
			name: "tasks_and_get_batch", what: "1,000 calls, then GetAll", unit: "batches/s", higher: true,
			target: target{ratio: 0.4}, beside: "echo of 1,000 at once",
			run: batchCalls, floor: batchEcho, ops: func(st *stage) int { return batchSize * st.size(40, 8) },
		},
	}
}

func asyncWorkload(name string, window int) workload {
	return workload{
		name: name, what: "calls with " + strconv.Itoa(window) + " under way", unit: "tasks/s", higher: true,
		target: target{ratio: 0.4}, beside: "pipelined echo", ops: asyncCalls,
		run: func(ctx context.Context, st *stage) (float64, error) {
			ctx, err := st.driver(ctx)
			if err != nil {
				return 0, err
			}
			n := asyncCalls(st)
			return rate(n, func() error { return taskCalls(ctx, n, window) })
		},
		floor: func(_ context.Context, st *stage) (float64, error) {
			if err := st.startEcho(); err != nil {
				return 0, err
			}
			n := st.size(100_000, 20_000)
			return rate(n, func() error { return st.client.calls(n, window) })
		},
	}
}

func asyncCalls(st *stage) int { return st.size(60_000, 12_000) }

// rate is how often a second something was done that was done n times.
func rate(n int, do func() error) (float64, error) {
	start := time.Now()
	err := do()
	return float64(n) / time.Since(start).Seconds(), err
}

// micros is how many microseconds one of n took.
func micros(n int, do func() error) (float64, error) {
	r, err := rate(n, do)
	return 1e6 / r, err
}

// taskCalls makes n calls with as many under way as the window says.
func taskCalls(ctx context.Context, n, window int) error {
	ring := make([]raygo.Ref[Message], window)
	m := newMessage(0)
	for i := range n + window {
		at := i % window
		if i >= window && i-window < n {
			got, err := raygo.Get(ctx, ring[at])
			if err != nil {
				return err
			}
			if got.Count != int64(i-window) {
				return errWrong
			}
		}
		if i < n {
			m.Count = int64(i)
			ring[at] = returnFunc.Remote(ctx, m)
		}
	}
	return nil
}

func syncCalls(ctx context.Context, st *stage) (float64, error) {
	ctx, err := st.driver(ctx)
	if err != nil {
		return 0, err
	}
	n := st.size(4000, 1000)
	return micros(n, func() error { return taskCalls(ctx, n, 1) })
}

func syncEcho(_ context.Context, st *stage) (float64, error) {
	if err := st.startEcho(); err != nil {
		return 0, err
	}
	n := st.size(4000, 1000)
	return micros(n, func() error { return st.client.calls(n, 1) })
}

func batchCalls(ctx context.Context, st *stage) (float64, error) {
	ctx, err := st.driver(ctx)
	if err != nil {
		return 0, err
	}
	n := st.size(40, 8)
	return rate(n, func() error {
		refs := make([]raygo.Ref[Message], batchSize)
		m := newMessage(0)
		for range n {
			for i := range refs {
				m.Count = int64(i)
				refs[i] = returnFunc.Remote(ctx, m)
			}
			got, err := raygo.GetAll(ctx, refs)
			if err != nil {
				return err
			}
			if got[batchSize-1].Count != batchSize-1 {
				return errWrong
			}
		}
		return nil
	})
}

func batchEcho(_ context.Context, st *stage) (float64, error) {
	if err := st.startEcho(); err != nil {
		return 0, err
	}
	n := st.size(80, 8)
	return rate(n, func() error {
		for range n {
			if err := st.client.calls(batchSize, batchSize); err != nil {
				return err
			}
		}
		return nil
	})
}
