package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	raygo "github.com/raygo/raygo/sdk"
)

func processWorkloads() []workload {
	idle := func(_ context.Context, st *stage) (float64, error) {
		if err := st.startEcho(); err != nil {
			return 0, err
		}
		b, err := residentOf(st.echoParts[1].pid(), "VmRSS:")
		return float64(b) / (1 << 20), err
	}
	return []workload{
		{
			name: "worker_cold_start", what: "the first call of a job: its worker starts", unit: "ms",
			target: target{ratio: 3}, beside: "fork and exec of this binary to its first message",
			run: coldStart, floor: execFloor,
		},
		{
			name: "peer_ready", what: "a peer's start until it serves", unit: "ms",
			target: target{value: 300}, beside: "fork and exec of this binary to its first message",
			run: peerReady, floor: execFloor,
		},
		{
			name: "peer_to_first_result", what: "a peer's start until a driver has a result", unit: "ms",
			beside: "fork and exec of this binary to its first message",
			run:    peerToResult, floor: execFloor,
		},
		{
			name: "idle_memory_peer", what: "resident memory of a peer that ran a task", unit: "MiB",
			target: target{value: 80}, most: 3, beside: "this binary with an echo in it",
			run: func(ctx context.Context, _ *stage) (float64, error) {
				return idleMemory(ctx, func(peer int) (int64, error) { return residentOf(peer, "VmRSS:") })
			},
			floor: idle,
		},
		{
			name: "idle_memory_worker", what: "private memory of an idle worker", unit: "MiB",
			most: 3, beside: "this binary with an echo in it, with what it shares",
			run:   func(ctx context.Context, _ *stage) (float64, error) { return idleMemory(ctx, privateOfWorker) },
			floor: idle,
		},
	}
}

// execFloor is this binary's start.
func execFloor(context.Context, *stage) (float64, error) {
	return millis(func() error {
		p, _, err := startProcess("first")
		if err == nil {
			p.stop()
		}
		return err
	})
}

// millis is how many milliseconds something took.
func millis(do func() error) (float64, error) {
	us, err := micros(1, do)
	return us / 1e3, err
}

func coldStart(ctx context.Context, st *stage) (ms float64, err error) {
	sctx, s, err := st.attach(ctx)
	if err != nil {
		return 0, err
	}
	if ms, err = millis(func() error { return one(sctx) }); err != nil {
		return 0, errors.Join(err, s.Close())
	}
	if err := s.Close(); err != nil {
		return 0, err
	}
	return ms, st.settle() // workers end behind it
}

// one is a call and its result.
func one(ctx context.Context) error {
	if v, err := raygo.Get(ctx, smallFunc.Remote(ctx, 3)); err != nil || v != 3 {
		return wrong(err)
	}
	return nil
}

func peerReady(context.Context, *stage) (float64, error) {
	var p *process
	ms, err := millis(func() (err error) {
		p, _, err = startProcess("peer")
		return err
	})
	if err == nil {
		p.stop()
	}
	return ms, err
}

func peerToResult(ctx context.Context, _ *stage) (float64, error) {
	start := time.Now()
	own := &stage{}
	defer own.close()
	sctx, s, err := own.attach(ctx)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	err = one(sctx)
	return float64(time.Since(start)) / 1e6, err
}

// idleMemory starts a peer, has it run a task, waits until it is at rest, and
// looks at it.
func idleMemory(ctx context.Context, look func(peer int) (int64, error)) (float64, error) {
	own := &stage{}
	defer own.close()
	sctx, s, err := own.attach(ctx)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	if err := one(sctx); err != nil {
		return 0, err
	}
	if err := own.settle(); err != nil {
		return 0, err
	}
	b, err := look(own.peer.pid())
	if err != nil {
		return 0, fmt.Errorf("read the memory of a process: %w", err)
	}
	return float64(b) / (1 << 20), nil
}
