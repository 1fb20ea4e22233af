package node

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/binary"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/objects"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

// Bounds of the results kept by content.
const (
	maxMemos     = 10_000
	maxMemoBytes = 64 << 20
)

// memos are results of pure functions by what they were computed from. The loop
// guards them.
type memos struct {
	byKey  map[memoKey]*list.Element
	recent *list.List // of *memo, most recently used first
	bytes  int
	asked  map[raygo.TaskID]memoKey // tasks that run because nothing was found
}

// memoKey is the hash of a program, a function and its arguments' content.
type memoKey [32]byte

type memo struct {
	key   memoKey
	value sched.Value
}

func newMemos() *memos {
	return &memos{byKey: map[memoKey]*list.Element{}, recent: list.New(), asked: map[raygo.TaskID]memoKey{}}
}

// memoLookup answers whether the result of a call is known. Hashing stored
// arguments can take its time and is done aside. The loop is held.
func (n *Node) memoLookup(e *sched.Memo) {
	cl, j := n.classes[e.Class], n.jobs[e.Task.Job()]
	none := &sched.MemoAnswer{Task: e.Task, Award: e.Award}
	if cl == nil || j == nil {
		n.later(none)
		return
	}
	args, err := ipc.ParseArgs(e.Args)
	if err != nil || len(args.Nested) > 0 {
		n.later(none) // a ref inside has no content yet
		return
	}
	n.wg.Go(func() {
		key, ok := n.memoKey(n.ctx, j, cl, &args, e.Values)
		n.mu.Lock()
		answer := none
		if ok {
			answer = n.memos.find(n, e, key)
		}
		n.step(answer)
		flush := n.endTurn()
		n.mu.Unlock()
		flushAll(flush)
	})
}

func (m *memos) find(n *Node, e *sched.Memo, key memoKey) *sched.MemoAnswer {
	a := &sched.MemoAnswer{Task: e.Task, Award: e.Award}
	el := m.byKey[key]
	if el != nil {
		v := el.Value.(*memo).value
		usable := v.Kind == sched.Inline
		if v.Kind == sched.Stored && v.Store.Job() == e.Task.Job() {
			_, usable = n.core.Object(v.Store)
		}
		if usable {
			m.recent.MoveToFront(el)
			a.Value = v
			return a
		}
	}
	if len(m.asked) >= maxMemos {
		for t := range m.asked { // most likely of a task that failed
			delete(m.asked, t)
			break
		}
	}
	m.asked[e.Task] = key
	return a
}

// memoKeep keeps the result of a task that memoLookup found nothing for. The
// loop is held.
func (n *Node) memoKeep(e *sched.MemoKeep) {
	m := n.memos
	key, ok := m.asked[e.Task]
	delete(m.asked, e.Task)
	if !ok || e.Value.Kind != sched.Inline && e.Value.Kind != sched.Stored {
		return
	}
	if el := m.byKey[key]; el != nil {
		m.drop(el)
	}
	m.byKey[key] = m.recent.PushFront(&memo{key, e.Value})
	m.bytes += len(e.Value.Bytes)
	for m.recent.Len() > maxMemos || m.bytes > maxMemoBytes {
		m.drop(m.recent.Back())
	}
}

func (m *memos) drop(el *list.Element) {
	old := m.recent.Remove(el).(*memo)
	delete(m.byKey, old.key)
	m.bytes -= len(old.value.Bytes)
}

// forget drops what was asked for by tasks of a job that ended.
func (m *memos) forget(job raygo.JobID) {
	for t := range m.asked {
		if t.Job() == job {
			delete(m.asked, t)
		}
	}
}

// memoKey hashes what a call is computed from: the program's CID, the function
// with its signature and environment, and each argument by its content.
func (n *Node) memoKey(ctx context.Context, j *job, cl *class, args *ipc.Args, values []sched.Resolved) (key memoKey, ok bool) {
	program := j.programName(ctx)
	if program == "" {
		program = j.id.String() // then no other job shares its results
	}
	h := sha256.New()
	text := func(b []byte) {
		var size [8]byte
		binary.LittleEndian.PutUint64(size[:], uint64(len(b)))
		_, _ = h.Write(size[:])
		_, _ = h.Write(b)
	}
	text([]byte(program))
	text([]byte(cl.def.Function))
	text([]byte(cl.def.Signature))
	text([]byte(raygo.EnvKey(cl.def.Options.Env)))
	content := map[raygo.ObjectID]*sched.Value{}
	for i := range values {
		content[values[i].ID] = &values[i].Value
	}
	for i := range args.List {
		a := &args.List[i]
		text([]byte{byte(a.Kind), byte(a.Format)})
		switch a.Kind {
		case ipc.ArgInline:
			text([]byte(objects.SumBytes(a.Bytes).KeyString()))
		case ipc.ArgStream:
			return key, false
		}
		for _, id := range a.Refs {
			v := content[id]
			switch {
			case v == nil:
				return key, false
			case v.Kind == sched.Inline:
				text([]byte{v.Format})
				text([]byte(objects.SumBytes(v.Bytes).KeyString()))
			case v.Kind == sched.Stored:
				c, err := n.store.CID(ctx, v.Store)
				if err != nil {
					return key, false
				}
				text([]byte{v.Format})
				text([]byte(c.KeyString()))
			default:
				return key, false
			}
		}
	}
	h.Sum(key[:0])
	return key, true
}
