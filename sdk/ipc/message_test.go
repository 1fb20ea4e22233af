package ipc

import (
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	raygo "github.com/raygo/raygo"
)

var update = flag.Bool("update", false, "write testdata anew")

func sampleTask() raygo.TaskID {
	return raygo.NewTaskID(raygo.JobID{1, 2, 3, 4, 5, 6, 7, 8}, 0x0102030405060708, 9)
}

// samples are one frame of each binary layout; their bytes are golden.
func samples() map[string][]byte {
	task := sampleTask()
	obj := task.Object(3)
	inline := Value{Kind: ValueInline, Format: FormatRaw, Bytes: []byte("abc")}
	stored := Value{Kind: ValueStored, ID: obj, Offset: 4096, Size: 1 << 20}
	args := []Arg{
		{Kind: ArgInline, Bytes: []byte{1}}, {Kind: ArgRef, Refs: []raygo.ObjectID{obj}},
		{Kind: ArgGather, Refs: []raygo.ObjectID{obj, obj}}, {Kind: ArgStream, Stream: task},
	}
	raw := AppendArgs(nil, args, []raygo.ObjectID{obj})
	failure := Value{Kind: ValueFailed, Code: raygo.CodeApp, Bytes: Marshal(raygo.Fail(raygo.CodeApp, "no"))}
	return map[string][]byte{
		"submit":       AppendSubmit(nil, &Submit{Task: task, Class: 7, Parent: task, Args: Args{Raw: raw}}),
		"execute":      AppendExecute(nil, &Execute{Task: task, Attempt: 1, Award: 2, Class: 3, Args: Args{Raw: raw}, Values: []Resolved{{obj, inline}, {obj, stored}}}),
		"result":       AppendResult(nil, &Result{Task: task, Award: 2, Status: StatusOK, RunNanos: 5, Items: 1, Outcomes: []Outcome{{Index: 0, Value: Value{Kind: ValueComposite, Parts: 2}}, {Index: 1, Value: failure, Nested: []raygo.ObjectID{obj}}}}),
		"yield":        AppendYield(nil, &Yield{Task: task, Award: 2, Outcome: Outcome{Index: 4, Value: inline}}),
		"ready":        AppendReady(nil, obj, &Value{Kind: ValueElsewhere, Size: 9}),
		"put":          AppendPut(nil, obj, &inline, []raygo.ObjectID{obj}),
		"alloc":        AppendAlloc(nil, obj, 1<<30),
		"replicate":    AppendReplicate(nil, obj, 3),
		"want":         AppendWant(nil, WantLocal, []raygo.ObjectID{obj}),
		"release":      AppendIDs(nil, TypeRelease, []raygo.ObjectID{obj, obj}),
		"blocked":      AppendBlocked(nil, Mark{Task: task, Award: 2, Arg: uint8(BlockWait)}),
		"returned":     AppendReturned(nil, []Mark{{Task: task, Award: 2}}),
		"cancel":       AppendCancel(nil, CancelRequest{Request: 1, Task: task, Force: true, Recursive: true}),
		"cancelled":    AppendCancelled(nil, 1, CancelStopped),
		"stream_taken": AppendStreamMark(nil, TypeStreamTaken, task, 5),
		"stream_state": AppendStreamState(nil, &StreamState{Task: task, Produced: 5, Ended: true, Failure: failure}),
		"hello":        AppendHello(nil, &Hello{Role: RoleDriver, Program: "p", Functions: map[string]string{"main.f": "s"}}),
		"goodbye":      AppendBody(nil, TypeGoodbye, &Goodbye{State: JobFailed, Reason: "no"}),
		"class":        AppendNumbered(nil, TypeClass, 7, &Class{Function: "main.f", Options: raygo.DefaultOptions()}),
	}
}

// The bytes of version 1 never change: programs of other builds speak them.
func TestGoldenBytes(t *testing.T) {
	for name, b := range samples() {
		path := filepath.Join("testdata", "v1", name+".hex")
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(hex.EncodeToString(b)+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(b); got != strings.TrimSpace(string(want)) {
			t.Errorf("%s: the bytes changed\n got %s\nwant %s", name, got, want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	all := samples()
	s, err := ParseSubmit(all["submit"][headerLen:])
	if err != nil || s.Class != 7 || s.Parent != sampleTask() || len(s.Args.List) != 4 || len(s.Args.Nested) != 1 {
		t.Fatalf("submit: %+v, %v", s, err)
	}
	again, err := ParseArgs(s.Args.Raw)
	if err != nil || !reflect.DeepEqual(again.List, s.Args.List) {
		t.Fatalf("args: %+v, %v", again, err)
	}
	e, err := ParseExecute(all["execute"][headerLen:])
	if err != nil || len(e.Values) != 2 || e.Values[1].Value.Offset != 4096 || string(e.Values[0].Value.Bytes) != "abc" {
		t.Fatalf("execute: %+v, %v", e, err)
	}
	r, err := ParseResult(all["result"][headerLen:])
	if err != nil || len(r.Outcomes) != 2 || r.Outcomes[0].Value.Parts != 2 || r.Outcomes[1].Value.Code != raygo.CodeApp {
		t.Fatalf("result: %+v, %v", r, err)
	}
	st, err := ParseStreamState(all["stream_state"][headerLen:])
	if err != nil || !st.Ended || st.Failure.Kind != ValueFailed {
		t.Fatalf("stream state: %+v, %v", st, err)
	}
}

// behaviour 233
func TestVersionsThatDoNotMeet(t *testing.T) {
	b := AppendHello(nil, &Hello{Role: RoleDriver})[headerLen:]
	b[5], b[6], b[7], b[8] = 0xff, 0x00, 0xff, 0x00 // speaks 255 to 255
	_, _, err := ParseHello(b)
	if err == nil || !strings.Contains(err.Error(), "255") || !strings.Contains(err.Error(), "this peer 1 to 1") {
		t.Fatalf("the refusal does not name both versions: %v", err)
	}
}

// Appended bytes are of a newer minor version and are ignored.
func TestTrailingBytesIgnored(t *testing.T) {
	b := append(samples()["cancel"], 1, 2, 3)
	if r, err := ParseCancel(b[headerLen:]); err != nil || !r.Force {
		t.Fatalf("%+v, %v", r, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, b := range samples() {
		f.Add(b[4], b[headerLen:])
	}
	f.Fuzz(func(t *testing.T, kind byte, p []byte) {
		switch Type(kind) {
		case TypeSubmit:
			if s, err := ParseSubmit(p); err == nil {
				again, err := ParseSubmit(AppendSubmit(nil, &s)[headerLen:])
				if err != nil || !reflect.DeepEqual(again.Args.List, s.Args.List) {
					t.Fatalf("submit does not survive a round trip: %v", err)
				}
			}
		case TypeExecute:
			_, _ = ParseExecute(p)
		case TypeResult:
			if r, err := ParseResult(p); err == nil {
				again, err := ParseResult(AppendResult(nil, &r)[headerLen:])
				if err != nil || !reflect.DeepEqual(again, r) {
					t.Fatalf("result does not survive a round trip: %v", err)
				}
			}
		case TypeYield:
			_, _ = ParseYield(p)
		case TypeReady, TypeAlloced:
			_, _ = ParseAlloced(p)
		case TypePut:
			_, _, _ = ParsePut(p)
		case TypeAlloc:
			_, _, _ = ParseAlloc(p)
		case TypeReplicate:
			_, _, _ = ParseReplicate(p)
		case TypeWant:
			_, _, _ = ParseWant(p)
		case TypeReturned:
			_, _ = ParseReturned(p)
		case TypeStreamState:
			_, _ = ParseStreamState(p)
		case TypeHello:
			_, _, _ = ParseHello(p)
		case TypeClass:
			var c Class
			_, _ = ParseNumbered(p, &c)
		case TypeWelcome:
			_, _ = readWelcome(TypeWelcome, p)
		case TypeCancel:
			_, _ = ParseCancel(p)
		default:
			_, _ = ParseIDs(p)
			_, _ = ParseMark(p)
			_, _, _ = ParseStreamMark(p)
			_, _, _ = ParseCancelled(p)
		}
	})
}
