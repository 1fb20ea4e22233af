package bench

import (
	"context"
	"iter"

	raygo "github.com/raygo/raygo/sdk"
)

// The functions that are measured. This binary is the program of the workers.
var (
	returnFunc = raygo.Func1(returnMessage)
	smallFunc  = raygo.Func1(returnInt)
	bytesFunc  = raygo.Func1(makeBytes)
	lengthFunc = raygo.Func1(countArgs)
	manyFunc   = raygo.Func1(makeMany, raygo.NumReturns(manyReturns))
	refsFunc   = raygo.Func1(makeRefs)
	holdFunc   = raygo.Gen0(hold)
)

const manyReturns = 3000

func returnMessage(_ context.Context, m Message) (Message, error) { return m, nil }

func returnInt(_ context.Context, n int) (int, error) { return n, nil }

func makeBytes(_ context.Context, n int) ([]byte, error) { return make([]byte, n), nil }

func countArgs(_ context.Context, all []int) (int, error) { return len(all), nil }

func makeMany(_ context.Context, first int) ([]int, error) {
	all := make([]int, manyReturns)
	for i := range all {
		all[i] = first + i
	}
	return all, nil
}

// makeRefs puts n objects and gives their refs.
func makeRefs(ctx context.Context, n int) ([]raygo.Ref[int], error) {
	refs := make([]raygo.Ref[int], n)
	for i := range refs {
		var err error
		if refs[i], err = raygo.Put(ctx, i); err != nil {
			return nil, err
		}
	}
	return refs, nil
}

// hold occupies a CPU's place until it is cancelled; it yields when it has begun.
func hold(ctx context.Context) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		if yield(0, nil) {
			<-ctx.Done()
		}
	}
}
