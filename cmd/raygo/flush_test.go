package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

// lastWords is the only task of its process.
var lastWords = raygo.Func0(lastWordsFn, raygo.MaxCalls(1))

func lastWordsFn(ctx context.Context) (int, error) {
	raygo.Span(ctx, "last words")()
	return os.Getpid(), nil
}

// behaviour 223: what a worker has to say is said before its process ends.
func TestSpansOfProcessesThatEnded(t *testing.T) {
	s := look(t)
	const calls = 5
	var refs []raygo.Ref[int]
	for range calls {
		refs = append(refs, lastWords.Remote(s.ctx))
	}
	if _, err := raygo.GetAll(s.ctx, refs); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "trace.json")
	s.command("timeline", "-o", file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var trace ipc.Timeline
	if err := json.Unmarshal(text, &trace); err != nil {
		t.Fatal(err)
	}
	spans := 0
	for _, e := range trace.Events {
		if e.Name == "last words" {
			spans++
		}
	}
	if spans != calls {
		t.Errorf("the trace has %d spans of %d processes that ended", spans, calls)
	}
}
