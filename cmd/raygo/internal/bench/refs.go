package bench

import (
	"context"
	"slices"

	raygo "github.com/raygo/raygo/sdk"
)

// Numbers of refs, as in Ray's suites.
const (
	waitRefs   = 1000
	nestedRefs = 10_000
	manyArgs   = 10_000
)

func refWorkloads() []workload {
	return []workload{
		{
			name: "wait_1k_refs", what: "1,000 results consumed by Wait, one at a time", unit: "loops/s", higher: true,
			target: target{value: 200}, run: waitReady,
		},
		{
			name: "wait_1k_tasks", what: "1,000 calls, their results consumed by Wait, one at a time", unit: "loops/s", higher: true,
			beside: "echo of 1,000 at once", run: waitTasks, floor: batchEcho,
		},
		{
			name: "get_object_containing_10k_refs", what: "Get of a slice of 10,000 refs, refs of objects that others put", unit: "gets/s", higher: true,
			target: target{value: 100}, beside: "question to the peer, answered with as many bytes",
			run: getRefs,
			floor: func(_ context.Context, st *stage) (float64, error) {
				if err := st.startEcho(); err != nil {
					return 0, err
				}
				return rate(50, func() error { return times(50, func() error { return st.client.ask(25 * nestedRefs) }) })
			},
		},
		{
			name: "args_10k", what: "one call with 10,000 refs as arguments", unit: "ms",
			beside: "echo of as many bytes", run: tenThousandArgs,
			floor: func(_ context.Context, st *stage) (float64, error) {
				if err := st.startEcho(); err != nil {
					return 0, err
				}
				m := newMessage(0)
				m.Record = make([]byte, 64*manyArgs)
				us, err := micros(5, func() error { return times(5, func() error { return st.client.call(&m) }) })
				return us / 1e3, err
			},
		},
		{
			name: "returns_3k", what: "one call with 3,000 results, all of them got", unit: "ms",
			beside: "echo of 3,000 at once", run: threeThousandReturns,
			floor: func(_ context.Context, st *stage) (float64, error) {
				if err := st.startEcho(); err != nil {
					return 0, err
				}
				us, err := micros(5, func() error {
					return times(5, func() error { return st.client.calls(manyReturns, manyReturns) })
				})
				return us / 1e3, err
			},
		},
	}
}

// times does something n times.
func times(n int, do func() error) error {
	for range n {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

func smallCalls(ctx context.Context, n int) []raygo.Ref[int] {
	refs := make([]raygo.Ref[int], n)
	for i := range refs {
		refs[i] = smallFunc.Remote(ctx, i)
	}
	return refs
}

// consume takes refs one by one as they become ready.
func consume(ctx context.Context, refs []raygo.Ref[int]) error {
	var err error
	for pending := refs; len(pending) > 0; {
		if _, pending, err = raygo.Wait(ctx, pending, 1); err != nil {
			return err
		}
	}
	return nil
}

func waitReady(ctx context.Context, st *stage) (float64, error) {
	ctx, err := st.driver(ctx)
	if err != nil {
		return 0, err
	}
	refs := smallCalls(ctx, waitRefs)
	if _, err := raygo.GetAll(ctx, refs); err != nil {
		return 0, err
	}
	n := st.size(100, 20)
	return rate(n, func() error {
		return times(n, func() error { return consume(ctx, slices.Clone(refs)) })
	})
}

func waitTasks(ctx context.Context, st *stage) (float64, error) {
	ctx, err := st.driver(ctx)
	if err != nil {
		return 0, err
	}
	n := st.size(30, 5)
	return rate(n, func() error {
		return times(n, func() error { return consume(ctx, smallCalls(ctx, waitRefs)) })
	})
}

func getRefs(ctx context.Context, st *stage) (float64, error) {
	ctx, err := st.driver(ctx)
	if err != nil {
		return 0, err
	}
	object := refsFunc.Remote(ctx, nestedRefs)
	if _, _, err := raygo.Wait(ctx, []raygo.Ref[[]raygo.Ref[int]]{object}, 1); err != nil {
		return 0, err
	}
	n := st.size(50, 5)
	return rate(n, func() error {
		return times(n, func() error {
			refs, err := raygo.Get(ctx, object)
			if err != nil || len(refs) != nestedRefs {
				return wrong(err)
			}
			return nil
		})
	})
}

func tenThousandArgs(ctx context.Context, st *stage) (float64, error) {
	ctx, err := st.driver(ctx)
	if err != nil {
		return 0, err
	}
	refs := make([]raygo.Ref[int], manyArgs)
	for i := range refs {
		if refs[i], err = raygo.Put(ctx, i); err != nil {
			return 0, err
		}
	}
	us, err := micros(1, func() error {
		n, err := raygo.Get(ctx, lengthFunc.RemoteArgs(ctx, raygo.All(refs)))
		if err != nil || n != manyArgs {
			return wrong(err)
		}
		return nil
	})
	return us / 1e3, err
}

func threeThousandReturns(ctx context.Context, st *stage) (float64, error) {
	ctx, err := st.driver(ctx)
	if err != nil {
		return 0, err
	}
	us, err := micros(5, func() error {
		return times(5, func() error {
			all, err := raygo.Get(ctx, manyFunc.Remote(ctx, 1))
			if err != nil || len(all) != manyReturns || all[manyReturns-1] != manyReturns {
				return wrong(err)
			}
			return nil
		})
	})
	return us / 1e3, err
}
