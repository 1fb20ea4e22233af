// Package replay owns running one attempt of a task again: it starts a worker of
// the same program, speaks the peer's side of the protocol to it, hands it the
// one call with the same arguments, and prints what comes of it.
//
// The worker takes the path that it takes under a real peer, so that what
// happened there happens here. It is alone: tasks that the call submits are
// refused.
package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// ErrFailed is returned when the call ended with a failure, which has been
// printed.
var ErrFailed = errors.New("the call failed again")

// Run runs the call of spec and prints its result on out. What the task itself
// writes goes to out and errOut, too.
func Run(ctx context.Context, spec *ipc.ReplaySpec, out, errOut io.Writer) error {
	out, errOut = serial(out), serial(errOut)
	task, err := raygo.ParseTaskID(spec.Task)
	if err != nil {
		return err
	}
	a, err := newArena()
	if err != nil {
		return err
	}
	defer a.file.Close()
	call, err := newCall(spec, task, a)
	if err != nil {
		return err
	}
	p, err := startProcess(spec, out, errOut)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = p.conn.Close() })
	defer stop()
	s := &session{spec: spec, task: task, arena: a, p: p, out: out, values: map[raygo.ObjectID]ipc.Value{}, calls: map[uint32]raygo.Options{}}
	err = s.run(call)
	_ = p.end()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// newCall is the Execute frame of the attempt.
func newCall(spec *ipc.ReplaySpec, task raygo.TaskID, a *arena) (*ipc.Execute, error) {
	args, err := ipc.ParseArgs(spec.Args)
	if err != nil {
		return nil, err
	}
	e := &ipc.Execute{Task: task, Attempt: spec.Attempt, Award: award, Class: class, Args: args}
	for hex, b := range spec.Values {
		id, err := raygo.ParseObjectID(hex)
		if err != nil {
			return nil, err
		}
		v, err := a.value(id, b)
		if err != nil {
			return nil, err
		}
		e.Values = append(e.Values, ipc.Resolved{ID: id, Value: v})
	}
	return e, nil
}

// The one award and the one class of the conversation.
const (
	award = 1
	class = 1
)

// session is the conversation with the worker.
type session struct {
	spec   *ipc.ReplaySpec
	task   raygo.TaskID
	arena  *arena
	p      *process
	out    io.Writer
	values map[raygo.ObjectID]ipc.Value // what the call itself put
	calls  map[uint32]raygo.Options     // of the classes that the call defined
	items  uint32
}

func (s *session) run(call *ipc.Execute) error {
	if err := s.welcome(); err != nil {
		return err
	}
	err := s.p.conn.Send(func(b []byte) []byte {
		b = ipc.AppendNumbered(b, ipc.TypeClass, class, &s.spec.Class)
		return ipc.AppendExecute(b, call)
	})
	if err != nil {
		return fmt.Errorf("hand the call over: %w", err)
	}
	for {
		t, payload, err := s.p.conn.Read()
		if err != nil {
			return s.p.exited()
		}
		done, err := s.handle(t, payload)
		if done || err != nil {
			return err
		}
	}
}

func (s *session) welcome() error {
	t, payload, err := s.p.conn.Read()
	if err != nil {
		return fmt.Errorf("the program did not register; does its main call raygo.Main or raygo.Init? %w", s.p.exited())
	}
	if t != ipc.TypeHello {
		return fmt.Errorf("%w: the program's first frame is of type %d, not hello", ipc.ErrFrame, t)
	}
	h, version, err := ipc.ParseHello(payload)
	if err != nil {
		return err
	}
	switch want, have := s.spec.Class.Signature, h.Functions[s.spec.Class.Function]; {
	case have == "":
		return fmt.Errorf("the program has no function %s", s.spec.Class.Function)
	case want != "" && have != want:
		return fmt.Errorf("function %s has another signature in the program than in the task", s.spec.Class.Function)
	default:
		s.spec.Class.Signature = have
	}
	return s.p.conn.SendWelcome(&ipc.Welcome{
		Version: version, Job: s.task.Job(), Proc: 1, Peer: "replay", ArenaSize: arenaSize, InlineLimit: raygo.InlineLimit,
		PID: s.p.cmd.Process.Pid, ViewBudget: 1 << 30, FirstSeq: 1,
	}, s.arena.file)
}

// handle answers one frame; done is true when the call has ended.
func (s *session) handle(t ipc.Type, payload []byte) (done bool, err error) {
	switch t {
	case ipc.TypeAlloc:
		id, size, err := ipc.ParseAlloc(payload)
		if err != nil {
			return false, err
		}
		v, err := s.arena.room(id, ipc.FormatRaw, size)
		if err != nil {
			return false, err
		}
		return false, s.send(func(b []byte) []byte { return ipc.AppendAlloced(b, id, &v) })
	case ipc.TypePut:
		r, _, err := ipc.ParsePut(payload)
		if err != nil {
			return false, err
		}
		r.Value.Bytes = append([]byte(nil), r.Value.Bytes...)
		s.values[r.ID] = r.Value
	case ipc.TypeWant:
		_, ids, err := ipc.ParseWant(payload)
		if err != nil {
			return false, err
		}
		return false, s.send(func(b []byte) []byte { return s.appendReady(b, ids) })
	case ipc.TypeClass:
		var c ipc.Class
		n, err := ipc.ParseNumbered(payload, &c)
		if err != nil {
			return false, err
		}
		s.calls[n] = c.Options
	case ipc.TypeSubmit:
		sub, err := ipc.ParseSubmit(payload)
		if err != nil {
			return false, err
		}
		return false, s.send(func(b []byte) []byte { return s.refuse(b, sub.Task, s.calls[sub.Class]) })
	case ipc.TypeUnblocked:
		m, err := ipc.ParseMark(payload)
		if err != nil {
			return false, err
		}
		return false, s.send(func(b []byte) []byte {
			return ipc.AppendMark(b, ipc.TypeResume, ipc.Mark{Task: m.Task, Award: award})
		})
	case ipc.TypeYield:
		return false, s.yielded(payload)
	case ipc.TypeResult:
		return true, s.result(payload)
	}
	return false, nil
}

// appendReady answers for objects: what the call put, and for all else that a
// replay has nothing else.
func (s *session) appendReady(b []byte, ids []raygo.ObjectID) []byte {
	for _, id := range ids {
		v, ok := s.values[id]
		if !ok {
			v = refusal(id.Task())
		}
		b = ipc.AppendReady(b, id, &v)
	}
	return b
}

// refuse fails all results of a task that the call submitted.
func (s *session) refuse(b []byte, task raygo.TaskID, o raygo.Options) []byte {
	if o.Generator {
		b = ipc.AppendStreamState(b, &ipc.StreamState{Task: task, Ended: true, Failure: refusal(task)})
		return s.appendReady(b, []raygo.ObjectID{task.Object(raygo.CompletedIndex)})
	}
	ids := []raygo.ObjectID{task.Object(0)}
	for i := range o.Parts() {
		ids = append(ids, task.Object(uint32(i+1)))
	}
	return s.appendReady(b, ids)
}

func refusal(task raygo.TaskID) ipc.Value {
	f := raygo.Fail(raygo.CodeRefused, "a replay runs one call alone; task %s is another, which is not run here", task)
	return ipc.Value{Kind: ipc.ValueFailed, Code: f.Code, Bytes: ipc.Marshal(f)}
}

func (s *session) send(fn func([]byte) []byte) error {
	if err := s.p.conn.Send(fn); err != nil {
		return fmt.Errorf("answer the process: %w", err)
	}
	return nil
}

// yielded prints an item and lets the generator go on.
func (s *session) yielded(payload []byte) error {
	y, err := ipc.ParseYield(payload)
	if err != nil {
		return err
	}
	s.items++
	fmt.Fprintf(s.out, "item %d: ", y.Outcome.Index)
	if err := s.arena.show(s.out, &y.Outcome.Value); err != nil {
		return err
	}
	return s.send(func(b []byte) []byte { return ipc.AppendStreamMark(b, ipc.TypeCredit, s.task, s.items) })
}

// result prints how the call ended.
func (s *session) result(payload []byte) error {
	r, err := ipc.ParseResult(payload)
	if err != nil {
		return err
	}
	for i := range r.Outcomes {
		v := &r.Outcomes[i].Value
		if v.Kind == ipc.ValueFailed {
			var f raygo.Failure
			if err := ipc.Unmarshal(v.Bytes, &f); err != nil {
				return err
			}
			printFailure(s.out, &f)
			return ErrFailed
		}
		fmt.Fprintf(s.out, "result %d: ", r.Outcomes[i].Index)
		if err := s.arena.show(s.out, v); err != nil {
			return err
		}
	}
	if r.Status != ipc.StatusOK {
		return ErrFailed
	}
	if s.spec.Class.Options.Generator {
		fmt.Fprintf(s.out, "ended after %d items\n", r.Items)
	}
	return nil
}

func printFailure(w io.Writer, f *raygo.Failure) {
	fmt.Fprintf(w, "failed with %s: %s\n", f.Code, f.Error())
	if f.Stack != "" {
		fmt.Fprintln(w, f.Stack)
	}
}

// Kept reports whether the program of spec is on this machine.
func Kept(spec *ipc.ReplaySpec) error {
	if _, err := os.Stat(spec.Program); err != nil {
		return fmt.Errorf("the program is not kept on this machine any more: %w", err)
	}
	return nil
}
