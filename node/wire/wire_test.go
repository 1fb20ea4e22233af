package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

var update = flag.Bool("update", false, "write the golden bytes anew")

var (
	job  = raygo.JobID{1, 2, 3, 4, 5, 6, 7, 8}
	task = raygo.NewTaskID(job, raygo.ProcID(0xa1b2c3d4<<32|7), 42)
	obj  = task.Object(1)
)

// samples are one message of each kind with every field set that it has.
func samples() map[Kind]any {
	opts := raygo.DefaultOptions()
	opts.Custom = map[string]raygo.Quantity{"b": 1, "a": 2}
	value := sched.Value{Kind: sched.Inline, Format: 1, Bytes: []byte("value"), Size: 5}
	stored := sched.Value{Kind: sched.Stored, Format: 2, Size: 1 << 20, Store: obj}
	failure := raygo.Fail(raygo.CodePeerDied, "it died")
	source := sched.Source{Object: obj, Size: 1 << 20, Format: 2, CID: "bafy", Holders: []string{"p1", "p2"}}
	return map[Kind]any{
		KindJobOpen: &sched.JobOpen{Job: job, Info: []byte("info")},
		KindJobOver: &sched.JobOver{Job: job, Reason: "its driver ended"},
		KindClassOf: &sched.ClassOf{Class: 3, Job: job, Function: "main.square", Options: opts, Def: []byte("def")},
		KindCall:    &sched.Call{Round: 9, Class: 3, Want: 20, Depth: 1},
		KindBid:     &sched.Bid{Round: 9, Class: 3, Slots: 4, Delay: time.Second, Program: true, Warm: 2, Used: 0.5, Stored: 0.25, Reason: "none"},
		KindAssign: &sched.Assign{Class: 3, More: true, Tasks: []sched.Assigned{{
			Task: task, Parent: task, Attempt: 1, Award: 2, Depth: 1, Args: []byte("args"), Values: []sched.Resolved{{ID: obj, Value: value}},
			Sources: []sched.Source{source}, From: 1, Taken: 1, Stream: true, Created: 99,
		}}},
		KindFree: &sched.Free{Class: 3},
		KindDone: &sched.Done{
			Results: []sched.TaskResult{{
				Task: task, Award: 2, Status: sched.StatusDied, Run: time.Millisecond, Items: 3,
				Outcomes: []sched.Outcome{{Index: 1, Value: stored, Nested: []raygo.ObjectID{obj}}},
				Failure:  failure, Cancel: sched.Stopped, Missing: []raygo.ObjectID{obj}, Denied: []string{"p1"},
			}},
			Stands: []sched.Stand{{Class: 3, Slots: 4, Running: 2, Seen: 100}},
		},
		KindYielded:     &sched.Yielded{Task: task, Award: 2, Outcome: sched.Outcome{Index: 4, Value: value}},
		KindStopTask:    &sched.StopTask{Task: task, Award: 2, Force: true},
		KindRecallTasks: &sched.RecallTasks{Class: 3, N: 5},
		KindCreditTask:  &sched.CreditTask{Task: task, N: 6},
		KindProcJoined:  &sched.ProcJoined{Proc: task.Proc(), Job: job},
		KindProcLeft:    &sched.ProcLeft{Proc: task.Proc()},
		KindFromProc:    &sched.FromProc{Submit: &sched.Submit{Task: task, Class: 3, Proc: task.Proc(), Parent: task, Args: []byte("args"), Deps: []raygo.ObjectID{obj}}},
		KindToProc:      &sched.ToProc{Notify: &sched.Notify{Proc: task.Proc(), Object: obj, Value: stored, Wanted: true, Mode: 1, Source: &source}},
		KindHolds:       &sched.Holds{Objects: []raygo.ObjectID{obj}},
		KindDrops:       &sched.Drops{Objects: []raygo.ObjectID{obj}},
		KindNamedAs:     &sched.NamedAs{Object: obj, CID: "bafy"},
		KindFreeObjects: &sched.FreeObjects{Objects: []raygo.ObjectID{obj, obj}},
		KindCopyObject:  &sched.CopyObject{Source: source},
		KindLeaving:     &sched.Leaving{},
		KindRollCall:    &sched.RollCall{Number: 3},
		KindPresent:     &sched.Present{Number: 3, Tasks: []raygo.TaskID{task}},
		KindGuardedBy:   &sched.GuardedBy{Job: job, Guardians: []string{"p1", "p2"}, Yields: true},
		KindGuard: &sched.Guard{
			Job: job, Seq: 8, First: true, Over: true, Rank: 1, Epoch: 2, Driver: task.Proc(), Builds: []string{"linux/amd64"}, Info: []byte("info"), Finished: 5, Failed: 6,
			Classes: []sched.ClassOf{{Class: 3, Job: job, Function: "main.square", Options: opts, Def: []byte("def")}},
			Objects: []sched.ObjectRecord{{ID: obj, Value: stored, Nested: []raygo.ObjectID{obj}, Holders: []string{"p1"}, CID: "bafy", Copies: 2, Refs: 1, Untaken: true}},
			Tasks: []sched.TaskRecord{{
				ID: task, Class: 3, Parent: task, Args: []byte("args"), Deps: []raygo.ObjectID{obj}, Pins: []raygo.ObjectID{obj}, Depth: 1, Attempt: 2, Award: 3, Created: 99,
				Pending: &sched.PendingRecord{At: "p1", Sys: 1, App: 2, OOM: 3, Cancelled: true, Spares: true, Regen: true, Redo: true, Until: 4},
				Lineage: &sched.LineageRecord{Rebuilds: 1, Items: 2, Cut: true, Stream: true},
				Stream: &sched.StreamRecord{
					Produced: 9, Taken: 8, Asked: 7, All: true, Unheld: true, Fixed: true, Limit: 10, Held: []sched.Outcome{{Index: 1, Value: value}}, Ended: true,
					Failure: sched.Value{Kind: sched.Failed, Code: raygo.CodePeerDied, Failure: failure},
				},
			}},
			NoObject: []raygo.ObjectID{obj}, NoTask: []raygo.TaskID{task}, Others: []string{"p1", "p2"},
		},
		KindGuarded:  &sched.Guarded{Job: job, Seq: 8, Refused: true},
		KindSafe:     &sched.Safe{Job: job, N: 9},
		KindTakeNow:  &sched.TakeNow{Job: job},
		KindJobTaken: &sched.JobTaken{Job: job, Epoch: 2},
		KindRejoin: &sched.Rejoin{
			Job: job, Epoch: 2, Unknown: true, Last: true, Holds: []raygo.ObjectID{obj}, Owner: "p2", Tasks: []sched.HeldTask{{Task: task, Award: 3}},
			Procs: []sched.ProcHolds{{
				Proc: task.Proc(), Refs: []sched.HeldRef{{Object: obj, N: 2}}, Awaits: []sched.Await{{Object: obj, Asked: true, Mode: 1}},
				Streams: []sched.StreamTaken{{Proc: task.Proc(), Task: task, N: 4}}, Cancels: []sched.Cancel{{Request: 1, Proc: task.Proc(), Task: task, Force: true, Recursive: true}},
			}},
		},
		KindLog:       &Log{Job: job, Body: []byte("lines")},
		KindReadsLogs: &ReadsLogs{Job: job, Reads: true},
		KindAsk:       &Ask{ID: 7, Op: OpQuery, Wait: 1500, Body: []byte("query")},
		KindAnswer:    &Answer{ID: 7, Body: []byte("rows"), Failure: failure, More: true},
	}
}

func encoded(t testing.TB, k Kind, v any) []byte {
	t.Helper()
	m, ok := v.(sched.Message)
	if !ok {
		b, err := Frame(k, v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var frames [][]byte
	if err := Encode(m, func(b []byte) error { frames = append(frames, b); return nil }); err != nil || len(frames) != 1 {
		t.Fatalf("encode %T: %d frames, %v", v, len(frames), err)
	}
	return frames[0]
}

// The bytes of a version never change: peers of different builds talk.
func TestGoldenBytes(t *testing.T) {
	for k, v := range samples() {
		path := filepath.Join("testdata", "v1", fmt.Sprintf("%02d_%s.hex", k, strings.ToLower(reflect.TypeOf(v).Elem().Name())))
		have := encoded(t, k, v)
		if *update {
			if err := os.WriteFile(path, []byte(hex.EncodeToString(have)+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, want) {
			t.Errorf("%T is encoded as\n%x, was\n%x", v, have, want)
		}
		kind, body, err := KindOf(want)
		if err != nil || kind != k {
			t.Fatalf("%T: kind %d, %v", v, kind, err)
		}
		back := reflect.New(reflect.TypeOf(v).Elem()).Interface()
		if err := Decoded(body, back); err != nil || !reflect.DeepEqual(back, v) {
			t.Errorf("%T comes back as %+v, %v", v, back, err)
		}
	}
}

func TestEveryMessageHasAKind(t *testing.T) {
	seen := samples()
	for k := KindJobOpen; k <= KindRejoin; k++ {
		m := fresh(k)
		if m == nil || kindOf(m) != k || seen[k] == nil {
			t.Errorf("kind %d: made %T, of kind %d, sample %T", k, m, kindOf(m), seen[k])
		}
	}
}

// A batch that is too long for a frame goes as several, in order, and what holds
// for all of it comes last.
func TestBatchesAreSplit(t *testing.T) {
	a := &sched.Assign{Class: 3}
	for i := range 90 {
		a.Tasks = append(a.Tasks, sched.Assigned{Task: raygo.NewTaskID(job, 1, uint32(i)), Args: make([]byte, 100<<10)})
	}
	var got []sched.Assigned
	frames := 0
	err := Encode(a, func(b []byte) error {
		frames++
		if len(b) > MaxFrame {
			t.Errorf("a frame of %d bytes", len(b))
		}
		m, err := Decode(b)
		if err != nil {
			return err
		}
		part := m.(*sched.Assign)
		got = append(got, part.Tasks...)
		if last := len(got) == len(a.Tasks); part.More == last {
			t.Errorf("after %d tasks more is %v", len(got), part.More)
		}
		return nil
	})
	if err != nil || frames < 3 || !reflect.DeepEqual(got, a.Tasks) {
		t.Errorf("%d frames, %d tasks, %v", frames, len(got), err)
	}
}

// One message that is too long is cut, and put together again.
func TestLongMessagesAreCut(t *testing.T) {
	d := &sched.Done{Results: []sched.TaskResult{{Task: task, Outcomes: []sched.Outcome{{Value: sched.Value{Kind: sched.Inline, Bytes: bytes.Repeat([]byte("0123456789"), 1<<20)}}}}}}
	var r Reader
	var got sched.Message
	if err := Encode(d, func(b []byte) error {
		_, m, _, err := r.Read(b)
		if m != nil {
			got = m
		}
		return err
	}); err != nil || !reflect.DeepEqual(got, d) {
		t.Errorf("came back as %T, %v", got, err)
	}
	d.Results[0].Outcomes[0].Value.Bytes = make([]byte, MaxMessage+1)
	if err := Encode(d, func([]byte) error { return nil }); !errors.Is(err, ErrTooLarge) {
		t.Errorf("above the limit: %v", err)
	}
}

func TestPartsWithoutEndAreRefused(t *testing.T) {
	var r Reader
	part := append([]byte{Version, byte(KindPart), partMore}, make([]byte, maxBatch)...)
	for range maxParts + 1 {
		if _, _, _, err := r.Read(part); err != nil {
			return
		}
	}
	t.Errorf("%d parts of %d bytes were taken", maxParts+1, len(part))
}

func TestBadFrames(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty": nil, "a byte": {Version}, "another version": {9, byte(KindCall)}, "a body that is no CBOR": {Version, byte(KindCall), 0xff},
		"a list of 2^32":  {Version, byte(KindHolds), 0xa1, 0x01, 0x9a, 0xff, 0xff, 0xff, 0xff},
		"two at once":     encoded(t, KindFromProc, &sched.FromProc{Want: &sched.Want{Proc: 1}, Borrow: &sched.Borrow{Proc: 1}}),
		"longer than any": make([]byte, MaxFrame+1),
	} {
		if m, err := Decode(b); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: decoded to %T, %v", name, m, err)
		}
	}
	if m, err := Decode([]byte{Version, 60, 1, 2}); m != nil || err != nil {
		t.Errorf("an unknown kind: %T, %v", m, err)
	}
}

// What decodes encodes again to something that decodes to the same.
func FuzzDecode(f *testing.F) {
	for k, v := range samples() {
		f.Add(encoded(f, k, v))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Reader
		_, m, _, err := r.Read(b)
		if err != nil || m == nil {
			return
		}
		if err := Encode(m, func(again []byte) error {
			_, _, err := KindOf(again)
			return err
		}); err != nil {
			t.Fatalf("%T decodes and does not encode: %v", m, err)
		}
	})
}

func BenchmarkAssign(b *testing.B) {
	a := &sched.Assign{Class: 3}
	for i := range 64 {
		a.Tasks = append(a.Tasks, sched.Assigned{Task: raygo.NewTaskID(job, 1, uint32(i)), Award: 1, Args: make([]byte, 64), Created: 1 << 60})
	}
	for b.Loop() {
		if err := Encode(a, func(f []byte) error { _, err := Decode(f); return err }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/task")
}
