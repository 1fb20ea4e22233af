package bench

import (
	"context"
	"fmt"

	raygo "github.com/raygo/raygo/sdk"
)

// clusterWorkloads are those of several peers, at most so many; those of few
// come first, so that peers are started once.
func clusterWorkloads(peers int, o *Options) []workload {
	two := []workload{
		{
			name: "remote_task_sync", what: "one call bound to a peer elsewhere and Get of its result, one at a time", unit: "µs",
			target: target{ratio: 3}, beside: "echo of the same bytes over a bare libp2p stream",
			run: remoteSync, floor: streamSync,
		},
		remoteRate(2),
	}
	if o.Quick {
		two = append(two, transfer(16<<20, 0))
	} else {
		two = append(two, transfer(64<<20, 0), transfer(1<<30, 3))
	}
	two = append(two, joinWorkload())
	all := append(two, broadcast(2, o)...)
	if peers >= 4 {
		all = append(append(all, remoteRate(4)), broadcast(4, o)...)
	}
	if peers >= 8 {
		all = append(all, broadcast(8, o)...)
	}
	return all
}

// remoteSync calls a function on one peer while the driver is at another.
func remoteSync(ctx context.Context, st *stage) (float64, error) {
	w, err := st.world(ctx, 2)
	if err != nil {
		return 0, err
	}
	n, m := st.size(2000, 300), newMessage(0)
	f := returnFunc.Options(on(w.peers[0]))
	return micros(n, func() error {
		for i := range n {
			m.Count = int64(i)
			if got, err := raygo.Get(w.ctx, f.Remote(w.ctx, m)); err != nil || got.Count != int64(i) {
				return wrong(err)
			}
		}
		return nil
	})
}

func streamSync(ctx context.Context, st *stage) (float64, error) {
	s, err := st.bare(ctx)
	if err != nil {
		return 0, err
	}
	n := st.size(4000, 1000)
	return micros(n, func() error { return s.echo(ctx, n, 1) })
}

// remoteRate is how many tasks a second one driver gets done on n peers, none of
// them its own.
func remoteRate(n int) workload {
	const window = 2000
	return workload{
		name: fmt.Sprintf("remote_tasks_%d_peers", n), what: "calls with 2,000 under way, all run by peers elsewhere", unit: "tasks/s", higher: true,
		beside: "pipelined echo over a bare libp2p stream",
		run: func(ctx context.Context, st *stage) (float64, error) {
			w, err := st.world(ctx, n)
			if err != nil {
				return 0, err
			}
			k := st.size(30_000, 4000)
			return rate(k, func() error { return taskCalls(w.ctx, k, window) })
		},
		floor: func(ctx context.Context, st *stage) (float64, error) {
			s, err := st.bare(ctx)
			if err != nil {
				return 0, err
			}
			k := st.size(100_000, 20_000)
			return rate(k, func() error { return s.echo(ctx, k, window) })
		},
	}
}

// transfer has a task on one peer take what lies on another one, the driver's.
func transfer(size, most int) workload {
	return workload{
		name: "transfer_" + mib(size), what: "an argument that lies on one peer, brought to a task on another", unit: "GB/s", higher: true, most: most,
		target: target{ratio: 0.8}, beside: "copy of as much over a bare libp2p stream",
		run: func(ctx context.Context, st *stage) (float64, error) {
			w, err := st.world(ctx, 2)
			if err != nil {
				return 0, err
			}
			ref, err := raygo.Put(w.ctx, make([]byte, size))
			if err != nil {
				return 0, err
			}
			defer raygo.Release(ref)
			if err := w.named(ctx, ref.ID()); err != nil {
				return 0, err
			}
			return gbPerSecond(size, func() error {
				got, err := raygo.Get(w.ctx, sizeFunc.Options(on(w.peers[0])).RemoteArgs(w.ctx, ref))
				if err != nil || got != size {
					return wrong(err)
				}
				return nil
			})
		},
		floor: func(ctx context.Context, st *stage) (float64, error) { return st.bareCopy(ctx, size) },
	}
}

// sizeFunc does not read its argument: bringing it is what is measured.
var sizeFunc = raygo.Func1(sizeOf)

func sizeOf(_ context.Context, b []byte) (int, error) { return len(b), nil }

// bareCopy copies so many bytes into memory that was used before.
func (st *stage) bareCopy(ctx context.Context, size int) (float64, error) {
	s, err := st.bare(ctx)
	if err != nil {
		return 0, err
	}
	if len(st.landing) < size {
		st.landing = make([]byte, size)
		if err := s.fetch(ctx, st.landing); err != nil {
			return 0, err
		}
	}
	return gbPerSecond(size, func() error { return s.fetch(ctx, st.landing[:size]) })
}

// gbPerSecond is how many of them a second something moves.
func gbPerSecond(size int, do func() error) (float64, error) {
	r, err := rate(size, do)
	return r / 1e9, err
}
