package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	raygo "github.com/raygo/raygo"
	sdk "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

// The functions that are run again; this test binary is their program.
var (
	_ = sdk.Func1(add)
	_ = sdk.Func1(grow)
	_ = sdk.Func1(fail)
	_ = sdk.Func1(leave)
	_ = sdk.Gen1(letters)
	_ = sdk.Func1(parent)

	addTask = sdk.Func1(addOne)
)

func add(_ context.Context, xs []float64) (float64, error) {
	sum := 0.0
	for _, x := range xs {
		sum += x
	}
	return sum, nil
}

func addOne(_ context.Context, x int) (int, error) { return x + 1, nil }

func grow(_ context.Context, n int) ([]byte, error) { return bytes.Repeat([]byte{'a'}, n), nil }

func fail(_ context.Context, why string) (int, error) {
	fmt.Println("about to fail")
	return 0, errors.New(why)
}

func leave(_ context.Context, code int) (int, error) {
	os.Exit(code)
	return 0, nil
}

func letters(_ context.Context, n int) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for i := range n {
			if !yield(string(rune('a'+i)), nil) {
				return
			}
		}
	}
}

func parent(ctx context.Context, x int) (int, error) {
	own, err := sdk.Put(ctx, x)
	if err != nil {
		return 0, err
	}
	if _, err := sdk.Get(ctx, own); err != nil {
		return 0, fmt.Errorf("its own object: %w", err)
	}
	return sdk.Get(ctx, addTask.Remote(ctx, x))
}

func TestMain(m *testing.M) {
	if os.Getenv(sdk.WorkerEnv) != "" {
		_, _, err := sdk.Init(context.Background())
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// spec is a call of the named function of this binary.
func spec(t *testing.T, function string, arg ipc.Arg, values map[string][]byte, o raygo.Options) *ipc.ReplaySpec {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &ipc.ReplaySpec{
		Program: program, Task: raygo.NewTaskID(raygo.JobID{1}, 2, 3).String(),
		Class: ipc.Class{Function: "replay." + function, Options: o},
		Args:  ipc.AppendArgs(nil, []ipc.Arg{arg}, nil), Values: values,
	}
}

func inline(t *testing.T, v any) ipc.Arg {
	t.Helper()
	b, err := cbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return ipc.Arg{Kind: ipc.ArgInline, Format: ipc.FormatCBOR, Bytes: b}
}

func TestReplay(t *testing.T) {
	plain := raygo.DefaultOptions()
	gen := plain
	gen.Generator, gen.BackpressureItems, gen.BackpressureBytes = true, 2, 1<<20
	big := raygo.NewTaskID(raygo.JobID{1}, 2, 9).Object(0)
	ones := make([]byte, 1+8*50_000) // format byte and 50,000 float64 of value 1
	ones[0] = byte(ipc.FormatRaw)
	for i := 1; i < len(ones); i += 8 {
		copy(ones[i:], []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x3f})
	}
	for _, c := range []struct {
		name string
		spec *ipc.ReplaySpec
		want []string
		fail string // in the error
	}{
		{"a large argument", spec(t, "add", ipc.Arg{Kind: ipc.ArgRef, Refs: []raygo.ObjectID{big}}, map[string][]byte{big.String(): ones}, plain), []string{"result 0: 50000.0"}, ""},
		{"a large result", spec(t, "grow", inline(t, 300_000), nil, plain), []string{"result 0: 300000 bytes: \"aaa"}, ""},
		{"a failure", spec(t, "fail", inline(t, "no luck"), nil, plain), []string{"about to fail", "failed with TASK_ERROR", "no luck"}, ErrFailed.Error()},
		{"an exit", spec(t, "leave", inline(t, 4), nil, plain), nil, "exit status 4"},
		{"a generator with backpressure", spec(t, "letters", inline(t, 5), nil, gen), []string{`item 4: "e"`, "ended after 5 items"}, ""},
		{"a call that submits", spec(t, "parent", inline(t, 5), nil, plain), []string{"a replay runs one call alone"}, ErrFailed.Error()},
		{"no such function", spec(t, "nothing", inline(t, 5), nil, plain), nil, "has no function"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			var out bytes.Buffer
			err := Run(ctx, c.spec, &out, io.Discard)
			if (err == nil) != (c.fail == "") || err != nil && !strings.Contains(err.Error(), c.fail) {
				t.Errorf("error %v, want %q\n%s", err, c.fail, &out)
			}
			for _, w := range c.want {
				if !strings.Contains(out.String(), w) {
					t.Errorf("%q is missing in\n%.500s", w, &out)
				}
			}
		})
	}
}
