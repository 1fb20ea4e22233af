package node

import (
	"context"
	"testing"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/objects"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

func inlineArg(s string) ipc.Arg { return ipc.Arg{Kind: ipc.ArgInline, Bytes: []byte(s)} }

func jobOf(program string) *job {
	j := &job{id: raygo.NewJobID(), kept: make(chan struct{})}
	if program != "" {
		j.cid.Store(&program)
	}
	close(j.kept)
	return j
}

// memoStore is a node with nothing but a store that has these objects.
func memoStore(t *testing.T, job raygo.JobID, content ...string) (*Node, []sched.Resolved) {
	t.Helper()
	store, err := objects.Open(objects.Config{Limit: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- store.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	if _, _, err := store.OpenJob(job); err != nil {
		t.Fatal(err)
	}
	var values []sched.Resolved
	for i, s := range content {
		id := raygo.NewTaskID(job, 1, uint32(i+1)).Object(0)
		if err := store.PutBytes(t.Context(), id, []byte(s)); err != nil {
			t.Fatal(err)
		}
		values = append(values, sched.Resolved{ID: id, Value: sched.Value{Kind: sched.Stored, Size: uint64(len(s)), Store: id}})
	}
	return &Node{store: store, memos: newMemos()}, values
}

// What a key follows from, and what it does not.
func TestMemoKeys(t *testing.T) {
	j := jobOf("program")
	n, stored := memoStore(t, j.id, "large", "other", "large")
	small := sched.Resolved{ID: raygo.NewTaskID(j.id, 1, 9).Object(0), Value: sched.Value{Kind: sched.Inline, Bytes: []byte("large")}}
	values := append(stored, small)
	ref := func(i int) ipc.Arg { return ipc.Arg{Kind: ipc.ArgRef, Refs: []raygo.ObjectID{values[i].ID}} }
	f := &class{def: ipc.Class{Function: "f", Signature: "s"}}
	key := func(j *job, cl *class, list ...ipc.Arg) memoKey {
		t.Helper()
		k, ok := n.memoKey(t.Context(), j, cl, &ipc.Args{List: list}, values)
		if !ok {
			t.Fatal("there is no key")
		}
		return k
	}
	base := key(j, f, ref(0), inlineArg("x"))
	for name, same := range map[string]memoKey{
		"an object with the same content":           key(j, f, ref(2), inlineArg("x")),
		"the same content that is not in the store": key(j, f, ref(3), inlineArg("x")),
		"another job of the program":                key(jobOf("program"), f, ref(0), inlineArg("x")),
	} {
		if same != base {
			t.Errorf("%s makes another key", name)
		}
	}
	env := &class{def: ipc.Class{Function: "f", Signature: "s", Options: raygo.Options{Env: map[string]string{"A": "1"}}}}
	for name, other := range map[string]memoKey{
		"other content":                        key(j, f, ref(1), inlineArg("x")),
		"another argument":                     key(j, f, ref(0), inlineArg("y")),
		"arguments split elsewhere":            key(j, f, ref(0), inlineArg("x"), inlineArg("")),
		"another function":                     key(j, &class{def: ipc.Class{Function: "g", Signature: "s"}}, ref(0), inlineArg("x")),
		"another signature":                    key(j, &class{def: ipc.Class{Function: "f", Signature: "r"}}, ref(0), inlineArg("x")),
		"another environment":                  key(j, env, ref(0), inlineArg("x")),
		"another program":                      key(jobOf("other"), f, ref(0), inlineArg("x")),
		"a program without a name, of its job": key(jobOf(""), f, ref(0), inlineArg("x")),
	} {
		if other == base {
			t.Errorf("%s makes the same key", name)
		}
	}
	for name, list := range map[string][]ipc.Arg{
		"a stream":            {{Kind: ipc.ArgStream}},
		"a ref without value": {{Kind: ipc.ArgRef, Refs: []raygo.ObjectID{{1}}}},
	} {
		if _, ok := n.memoKey(t.Context(), j, f, &ipc.Args{List: list}, values); ok {
			t.Errorf("%s has a key", name)
		}
	}
}

func TestMemosAreBounded(t *testing.T) {
	n := &Node{memos: newMemos()}
	job := raygo.NewJobID()
	ask := func(i int, k byte) sched.Value {
		e := &sched.Memo{Task: raygo.NewTaskID(job, 1, uint32(i))}
		return n.memos.find(n, e, memoKey{k, byte(i), byte(i >> 8)}).Value
	}
	big := make([]byte, 1<<20)
	for i := range 100 {
		if v := ask(i, 1); v.Kind != sched.None {
			t.Fatalf("result %d is known before it was made", i)
		}
		n.memoKeep(&sched.MemoKeep{Task: raygo.NewTaskID(job, 1, uint32(i)), Value: sched.Value{Kind: sched.Inline, Bytes: big}})
		if ask(0, 1).Kind != sched.Inline {
			t.Fatalf("what is used most was dropped at %d", i)
		}
	}
	if n.memos.bytes > maxMemoBytes || ask(1, 1).Kind != sched.None || ask(99, 1).Kind != sched.Inline {
		t.Errorf("%d bytes are kept, or not what was used last", n.memos.bytes)
	}
	for i := range maxMemos + 10 { // tasks that never have a result
		ask(i, 2)
	}
	if len(n.memos.asked) > maxMemos {
		t.Errorf("%d questions are remembered", len(n.memos.asked))
	}
	n.memos.forget(job)
	if len(n.memos.asked) != 0 {
		t.Errorf("%d questions of a job that ended", len(n.memos.asked))
	}
}
