package raygo_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	raygo "github.com/raygo/raygo/sdk"
)

// Functions are registered in package-level variables. In these examples ctx is
// the context that Main hands to the driver.
var (
	Length   = raygo.Func1(length)
	Add      = raygo.Func2(add)
	Total    = raygo.Func1(total)
	Words    = raygo.Gen1(wordsOf, raygo.Backpressure(16, 1<<20))
	Divide   = raygo.Func2(divide)
	DivMod   = raygo.Func2(divMod)
	Patient  = raygo.Func1(patient)
	Settings = raygo.Func1(settingsOf)
)

func length(_ context.Context, s string) (int, error) { return len(s), nil }
func add(_ context.Context, a, b int) (int, error)    { return a + b, nil }
func total(_ context.Context, ns []int) (int, error)  { return sum(ns), nil }
func patient(ctx context.Context, d time.Duration) (string, error) {
	select {
	case <-time.After(d):
		return "done", nil
	case <-ctx.Done(): // a cancelled task should listen
		return "", context.Cause(ctx)
	}
}

func sum(ns []int) (s int) {
	for _, n := range ns {
		s += n
	}
	return s
}

func wordsOf(_ context.Context, text string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for w := range strings.FieldsSeq(text) {
			if !yield(w, nil) {
				return
			}
		}
	}
}

var ErrZero = raygo.RegisterSentinel("example.ErrZero", errors.New("division by zero"))

func divide(_ context.Context, a, b int) (int, error) {
	if b == 0 {
		return 0, fmt.Errorf("divide %d: %w", a, ErrZero)
	}
	return a / b, nil
}

func divMod(_ context.Context, a, b int) (raygo.Tuple2[int, int], error) {
	return raygo.Tuple2[int, int]{A: a / b, B: a % b}, nil
}

func settingsOf(ctx context.Context, name string) (string, error) {
	raygo.Progress(ctx, 1, 1)
	return fmt.Sprintf("%s on %g CPUs", name, raygo.Info(ctx).Resources["CPU"]), nil
}

// A call gives a ref at once; Get waits for its value.
func Example() {
	ref := Length.Remote(ctx, "hello")
	n, err := raygo.Get(ctx, ref)
	fmt.Println(n, err)
	// Output: 5 <nil>
}

// Local runs the function here, without a cluster: that is how to test it.
func ExampleTask1_Local() {
	n, err := Length.Local(context.Background(), "hello")
	fmt.Println(n, err)
	// Output: 5 <nil>
}

// A ref can be an argument: the task starts when its value is there, and nothing
// passes through the driver.
func ExampleTask2_RemoteArgs() {
	n := Length.Remote(ctx, "hello")
	fmt.Println(raygo.Get(ctx, Add.RemoteArgs(ctx, n, raygo.Val(10))))
	// Output: 15 <nil>
}

// All gathers the values of many refs into one slice argument.
func ExampleAll() {
	refs := raygo.Map(ctx, Length, []string{"a", "bb", "ccc"})
	fmt.Println(raygo.Get(ctx, Total.RemoteArgs(ctx, raygo.All(refs))))
	// Output: 6 <nil>
}

// A large value that several tasks need is put once and passed as a ref.
func ExamplePut() {
	text, err := raygo.Put(ctx, strings.Repeat("long ", 100_000))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(raygo.Get(ctx, Length.RemoteArgs(ctx, text)))
	raygo.Release(text) // or leave it to the garbage collector
	// Output: 500000 <nil>
}

// AsCompleted handles results in the order in which they are ready.
func ExampleAsCompleted() {
	refs := raygo.Map(ctx, Patient, []time.Duration{time.Millisecond, 2 * time.Millisecond})
	for ref := range raygo.AsCompleted(ctx, refs) {
		fmt.Println(raygo.Get(ctx, ref))
	}
	// Output:
	// done <nil>
	// done <nil>
}

// Wait with a timeout looks at what is ready and goes on with the rest.
func ExampleWait() {
	refs := []raygo.Ref[string]{Patient.Remote(ctx, 0), Patient.Remote(ctx, time.Hour)}
	ready, pending, err := raygo.Wait(ctx, refs, 1)
	fmt.Println(len(ready), len(pending), err)
	_, err = raygo.Cancel(ctx, pending[0])
	fmt.Println(err)
	_, err = raygo.Get(ctx, pending[0])
	fmt.Println(errors.Is(err, raygo.ErrTaskCancelled))
	// Output:
	// 1 1 <nil>
	// <nil>
	// true
}

// A generator's items can be read while it produces them.
func ExampleStream_Values() {
	for w, err := range Words.Remote(ctx, "as it comes").Values(ctx) {
		fmt.Println(w, err)
	}
	// Output:
	// as <nil>
	// it <nil>
	// comes <nil>
}

// An error keeps its identity on its way from the worker.
func ExampleRegisterSentinel() {
	_, err := raygo.Get(ctx, Divide.Remote(ctx, 1, 0))
	fmt.Println(errors.Is(err, ErrZero))
	var te *raygo.TaskError
	fmt.Println(errors.As(err, &te), te.Message)
	// Output:
	// true
	// true divide 1: division by zero
}

// Each part of a tuple is an object of its own.
func ExampleUnpack2() {
	div, mod := raygo.Unpack2(DivMod.Remote(ctx, 17, 5))
	fmt.Println(raygo.Get(ctx, div))
	fmt.Println(raygo.Get(ctx, mod))
	// Output:
	// 3 <nil>
	// 2 <nil>
}

// Options overrides options for some calls.
func ExampleTask1_Options() {
	half := Settings.Options(raygo.NumCPUs(0.5), raygo.MaxRetries(0), raygo.Timeout(time.Minute))
	fmt.Println(raygo.Get(ctx, half.Remote(ctx, "half")))
	// Output: half on 0.5 CPUs <nil>
}

// A deadline of the context bounds Get; the task goes on.
func ExampleGet_timeout() {
	ref := Patient.Remote(ctx, 50*time.Millisecond)
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	_, err := raygo.Get(short, ref)
	fmt.Println(errors.Is(err, raygo.ErrGetTimeout))
	fmt.Println(raygo.Get(ctx, ref))
	// Output:
	// true
	// done <nil>
}
