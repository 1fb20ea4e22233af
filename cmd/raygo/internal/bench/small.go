package bench

import (
	"context"

	raygo "github.com/raygo/raygo/sdk"
)

func smallWorkloads() []workload {
	return []workload{
		{
			name: "put_calls", what: "Put of a small value", unit: "puts/s", higher: true,
			target: target{value: 25_000}, beside: "one-way messages",
			run: putCalls,
			floor: func(_ context.Context, st *stage) (float64, error) {
				if err := st.startEcho(); err != nil {
					return 0, err
				}
				n, m := st.size(100_000, 20_000), newMessage(0)
				return rate(n, func() error { return st.client.put(n, &m) })
			},
		},
		{
			name: "get_calls", what: "Get of a 16 KiB result that the peer keeps, one at a time", unit: "gets/s", higher: true,
			beside: "question to the peer, answered with as many bytes",
			run:    getCalls,
			floor: func(_ context.Context, st *stage) (float64, error) {
				if err := st.startEcho(); err != nil {
					return 0, err
				}
				n := st.size(4000, 1000)
				return rate(n, func() error {
					for range n {
						if err := st.client.ask(keptBytes); err != nil {
							return err
						}
					}
					return nil
				})
			},
		},
		{
			name: "get_calls_at_hand", what: "Get of a small value that the process has", unit: "gets/s", higher: true,
			run: getAtHand,
		},
	}
}

// putCalls puts small values. The last one is asked for by a task, so that the
// peer has all of them.
func putCalls(ctx context.Context, st *stage) (float64, error) {
	ctx, err := st.driver(ctx)
	if err != nil {
		return 0, err
	}
	n, m := st.size(50_000, 10_000), newMessage(0)
	return rate(n, func() error {
		var last raygo.Ref[Message]
		for range n {
			if last, err = raygo.Put(ctx, m); err != nil {
				return err
			}
		}
		_, err := raygo.Get(ctx, returnFunc.RemoteArgs(ctx, last))
		return err
	})
}

// keptBytes is the size of a result that is not pushed to its submitter.
const keptBytes = 16 << 10

func getCalls(ctx context.Context, st *stage) (float64, error) {
	ctx, err := st.driver(ctx)
	if err != nil {
		return 0, err
	}
	refs := make([]raygo.Ref[[]byte], st.size(2000, 500))
	for i := range refs {
		refs[i] = bytesFunc.Remote(ctx, keptBytes)
	}
	if _, _, err := raygo.Wait(ctx, refs, len(refs)); err != nil {
		return 0, err
	}
	return rate(len(refs), func() error {
		for i := range refs {
			if b, err := raygo.Get(ctx, refs[i]); err != nil || len(b) != keptBytes {
				return wrong(err)
			}
			raygo.Release(refs[i])
		}
		return nil
	})
}

func getAtHand(ctx context.Context, st *stage) (float64, error) {
	ctx, err := st.driver(ctx)
	if err != nil {
		return 0, err
	}
	ref, err := raygo.Put(ctx, 7)
	if err != nil {
		return 0, err
	}
	n := st.size(2_000_000, 200_000)
	return rate(n, func() error {
		for range n {
			if v, err := raygo.Get(ctx, ref); err != nil || v != 7 {
				return wrong(err)
			}
		}
		return nil
	})
}

// wrong is err, or that a result was wrong where there is none.
func wrong(err error) error {
	if err == nil {
		return errWrong
	}
	return err
}
