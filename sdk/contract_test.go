package raygo_test

import (
	"context"
	"iter"
	"testing"
	"time"

	raygo "github.com/raygo/raygo/sdk"
)

// The shapes that programs are compiled against. A line that does not compile
// any more breaks somebody's program.
var (
	_ func(func(context.Context) error, ...raygo.InitOption)                                                                                      = raygo.Main
	_ func(context.Context, ...raygo.InitOption) (context.Context, *raygo.Session, error)                                                         = raygo.Init
	_ func(*raygo.Session) error                                                                                                                  = (*raygo.Session).Close
	_ func(*raygo.Session) string                                                                                                                 = (*raygo.Session).JobID
	_ func(*raygo.Session) string                                                                                                                 = (*raygo.Session).Peer
	_ func(func(context.Context) (int, error), ...raygo.Option) *raygo.Task0[int]                                                                 = raygo.Func0[int]
	_ func(func(context.Context, int) (string, error), ...raygo.Option) *raygo.Task1[int, string]                                                 = raygo.Func1[int, string]
	_ func(func(context.Context, int, int, int, int, int) (int, error), ...raygo.Option) *raygo.Task5[int, int, int, int, int, int]               = raygo.Func5[int, int, int, int, int, int]
	_ func(func(context.Context) iter.Seq2[int, error], ...raygo.Option) *raygo.Generator0[int]                                                   = raygo.Gen0[int]
	_ func(func(context.Context, int) iter.Seq2[string, error], ...raygo.Option) *raygo.Generator1[int, string]                                   = raygo.Gen1[int, string]
	_ func(func(context.Context, int, int, int, int, int) iter.Seq2[int, error], ...raygo.Option) *raygo.Generator5[int, int, int, int, int, int] = raygo.Gen5[int, int, int, int, int, int]

	_ func(*raygo.Task2[int, string, bool], context.Context, int, string) raygo.Ref[bool]                       = (*raygo.Task2[int, string, bool]).Remote
	_ func(*raygo.Task2[int, string, bool], context.Context, raygo.Arg[int], raygo.Arg[string]) raygo.Ref[bool] = (*raygo.Task2[int, string, bool]).RemoteArgs
	_ func(*raygo.Task2[int, string, bool], ...raygo.Option) *raygo.Task2[int, string, bool]                    = (*raygo.Task2[int, string, bool]).Options
	_ func(*raygo.Task2[int, string, bool], context.Context, int, string) (bool, error)                         = (*raygo.Task2[int, string, bool]).Local
	_ func(context.Context, *raygo.Task1[int, string], []int) []raygo.Ref[string]                               = raygo.Map[int, string]
	_ func(*raygo.Generator1[int, string], context.Context, int) *raygo.Stream[string]                          = (*raygo.Generator1[int, string]).Remote

	_ func(int) raygo.Arg[int]                = raygo.Val[int]
	_ func([]raygo.Ref[int]) raygo.Arg[[]int] = raygo.All[int]
	_ raygo.Arg[int]                          = raygo.Ref[int]{}
	_ raygo.AnyRef                            = raygo.Ref[int]{}
	_ raygo.AnyRef                            = (*raygo.Stream[int])(nil)

	_ func(raygo.Ref[int]) string                                                                                   = raygo.Ref[int].ID
	_ func(raygo.Ref[int]) string                                                                                   = raygo.Ref[int].String
	_ func(context.Context, raygo.Ref[int]) (int, error)                                                            = raygo.Get[int]
	_ func(context.Context, []raygo.Ref[int]) ([]int, error)                                                        = raygo.GetAll[int]
	_ func(context.Context, []raygo.Ref[int], int, ...raygo.WaitOption) ([]raygo.Ref[int], []raygo.Ref[int], error) = raygo.Wait[raygo.Ref[int]]
	_ func(context.Context, []raygo.AnyRef, int, ...raygo.WaitOption) ([]raygo.AnyRef, []raygo.AnyRef, error)       = raygo.Wait[raygo.AnyRef]
	_ func(time.Duration) raygo.WaitOption                                                                          = raygo.WithTimeout
	_ func(bool) raygo.WaitOption                                                                                   = raygo.FetchLocal
	_ func(context.Context, []raygo.Ref[int]) iter.Seq[raygo.Ref[int]]                                              = raygo.AsCompleted[raygo.Ref[int]]
	_ func(context.Context, int, ...raygo.PutOption) (raygo.Ref[int], error)                                        = raygo.Put[int]
	_ func(...raygo.AnyRef)                                                                                         = raygo.Release
	_ func(context.Context, raygo.AnyRef, ...raygo.CancelOption) (raygo.Outcome, error)                             = raygo.Cancel
	_ func() raygo.CancelOption                                                                                     = raygo.Force
	_ func(bool) raygo.CancelOption                                                                                 = raygo.Recursive
	_                                                                                                               = []raygo.Outcome{raygo.NeverStarted, raygo.Stopped, raygo.AlreadyDone, raygo.Unreachable}
	_ func(context.Context, string) raygo.Ref[int]                                                                  = raygo.RefOf[int]

	_                                                                                = raygo.Tuple2[int, string]{A: 1, B: ""}
	_                                                                                = raygo.Tuple4[int, string, bool, byte]{A: 1, B: "", C: true, D: 0}
	_ func(raygo.Ref[raygo.Tuple2[int, string]]) (raygo.Ref[int], raygo.Ref[string]) = raygo.Unpack2[int, string]
	_ func(raygo.Ref[[]int]) []raygo.Ref[int]                                        = raygo.Unpack[int]
	_ func(*raygo.Stream[int], context.Context) iter.Seq2[raygo.Ref[int], error]     = (*raygo.Stream[int]).Refs
	_ func(*raygo.Stream[int], context.Context) iter.Seq2[int, error]                = (*raygo.Stream[int]).Values
	_ func(*raygo.Stream[int], int) []raygo.Ref[int]                                 = (*raygo.Stream[int]).Take
	_ func(*raygo.Stream[int]) raygo.Ref[[]raygo.Ref[int]]                           = (*raygo.Stream[int]).Completed
	_ func(*raygo.Stream[int])                                                       = (*raygo.Stream[int]).Close

	_ = []raygo.Option{
		raygo.NumCPUs(1), raygo.NumGPUs(0), raygo.Memory(1), raygo.Resource("x", 1), raygo.Strategy(raygo.Default()), raygo.Strategy(raygo.Spread()),
		raygo.Strategy(raygo.Pack()), raygo.Strategy(raygo.NodeAffinity("p", true)), raygo.Strategy(raygo.Labels("a=b")), raygo.MaxRetries(1),
		raygo.RetryExceptions(true), raygo.RetryOn(context.Canceled), raygo.RetryBackoff(time.Second, time.Minute), raygo.Timeout(time.Second),
		raygo.PendingTimeout(time.Second), raygo.Priority(1), raygo.NumReturns(2), raygo.Backpressure(1, 1), raygo.EnableTaskEvents(false),
		raygo.Name("n"), raygo.Env(map[string]string{}), raygo.MaxCalls(1), raygo.Memoize(),
	}
	_ = []raygo.InitOption{
		raygo.Address("unix:///x"), raygo.JobName("j"), raygo.LogToDriver(true), raygo.Binary("linux", "arm64", "/x"), raygo.Detached(), raygo.Attach("j"),
	}

	_ func(context.Context) raygo.TaskInfo              = raygo.Info
	_ func(context.Context, string) func()              = raygo.Span
	_ func(context.Context, int64, int64)               = raygo.Progress
	_ func(context.Context) ([]raygo.NodeInfo, error)   = raygo.Nodes
	_ func(context.Context) (map[string]float64, error) = raygo.ClusterResources
	_ func(context.Context) (map[string]float64, error) = raygo.AvailableResources
	_ error                                             = (*raygo.TaskError)(nil)
	_ error                                             = &raygo.CountMismatchError{Want: 1, Got: 2}
	_                                                   = raygo.TaskInfo{JobID: "", TaskID: "", Function: "", Peer: "", Attempt: 0, PID: 0, GPUIDs: nil, Resources: map[string]float64{}}
	_                                                   = raygo.TaskError{Function: "", TaskID: "", Peer: "", Message: "", Stack: "", Attempt: 0, PID: 0}
	_                                                   = raygo.NodeInfo{ID: "", Alive: true, Addrs: nil, Total: nil, Free: map[string]float64{}, Labels: map[string]string{}}
)

// Every sentinel is there and none is another.
func TestSentinelsAreDistinct(t *testing.T) {
	all := []error{
		raygo.ErrTaskCancelled, raygo.ErrGetTimeout, raygo.ErrTaskTimeout, raygo.ErrUnschedulable, raygo.ErrWorkerCrashed, raygo.ErrPeerDied,
		raygo.ErrOwnerDied, raygo.ErrObjectLost, raygo.ErrObjectFreed, raygo.ErrOutOfMemory, raygo.ErrStoreFull, raygo.ErrOutOfDisk, raygo.ErrNoSession,
	}
	seen := map[error]bool{}
	for _, err := range all {
		if err == nil || err.Error() == "" || seen[err] {
			t.Errorf("%v", err)
		}
		seen[err] = true
	}
}
