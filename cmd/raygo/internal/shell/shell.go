// Package shell owns commands that run over a cluster: one for each input, at most so
// many under way, and what they wrote in the order of the inputs.
package shell

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	raygo "github.com/raygo/raygo/sdk"
)

// How an input is understood.
const (
	AsAuto = "auto" // a file if there is one of that name, else text
	AsFile = "file"
	AsText = "text"
)

// Forms are all of them.
var Forms = []string{AsAuto, AsFile, AsText}

// Options say what is run, and how.
type Options struct {
	Words   []string
	As      string
	Window  int // commands under way; 0 means four for each CPU of the cluster
	Retries int // of a command that failed
	Most    int64
	Halt    bool // the first one that fails ends all
	Task    []raygo.Option
}

// Result is what became of one input.
type Result struct {
	Input string
	Ended
	Tries int
	Fault error // why it did not run to its end
}

// OK reports whether the command ran and succeeded.
func (r *Result) OK() bool { return r.Fault == nil && r.Code == 0 }

// ErrHalted is the end of commands that were not run any more.
var ErrHalted = errors.New("not run to the end, since another command failed")

// maxWindow bounds commands under way.
const maxWindow = 10_000

// windowFor is how many commands are under way at a time.
func windowFor(ctx context.Context, o *Options) (int, error) {
	if o.Window > 0 {
		return min(o.Window, maxWindow), nil
	}
	all, err := raygo.ClusterResources(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask how many CPUs there are: %w", err)
	}
	return min(max(4, int(4*all["CPU"])), maxWindow), nil
}

// pending is a command under way.
type pending struct {
	input string
	call  Call
	file  raygo.Ref[[]byte]
	ref   raygo.Ref[Ended]
	fault error
}

// Run runs a command for each input and gives each result to done, in order. ctx is
// that of a session. An error is one of done, or of reading the inputs.
func Run(ctx context.Context, o Options, inputs iter.Seq2[string, error], done func(*Result) error) error {
	window, err := windowFor(ctx, &o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	task := runTask.Options(o.Task...)
	var under []*pending
	halted := false
	first := func() error {
		p := under[0]
		under[0] = nil
		under = under[1:]
		r := p.end(ctx, task, o.Retries, halted)
		if !r.OK() && o.Halt && !halted {
			halted = true
			for _, q := range under {
				if q.fault == nil {
					_, _ = raygo.Cancel(ctx, q.ref)
				}
			}
		}
		return done(r)
	}
	for input, err := range inputs {
		if err != nil {
			return fmt.Errorf("read the inputs: %w", err)
		}
		if halted {
			break
		}
		under = append(under, begin(ctx, task, &o, input))
		if len(under) >= window {
			if err := first(); err != nil {
				return err
			}
		}
	}
	for len(under) > 0 {
		if err := first(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// begin submits a command.
func begin(ctx context.Context, task *raygo.Task2[Call, []byte, Ended], o *Options, input string) *pending {
	p := &pending{input: input, call: Call{Words: o.Words, Input: input, Most: o.Most}}
	file, err := isFile(input, o.As)
	if err == nil && file {
		var b []byte
		if b, err = os.ReadFile(input); err == nil {
			p.call.Input, p.call.File = filepath.Base(input), true
			p.file, err = raygo.Put(ctx, b)
		}
	}
	if err != nil {
		p.fault = fmt.Errorf("ship the input: %w", err)
		return p
	}
	p.submit(ctx, task)
	return p
}

func (p *pending) submit(ctx context.Context, task *raygo.Task2[Call, []byte, Ended]) {
	body := raygo.Val[[]byte](nil)
	if p.call.File {
		body = p.file
	}
	p.ref = task.RemoteArgs(ctx, raygo.Val(p.call), body)
}

// end waits for the command, and runs it again if it failed and may be.
func (p *pending) end(ctx context.Context, task *raygo.Task2[Call, []byte, Ended], retries int, halted bool) *Result {
	r := &Result{Input: p.input, Fault: p.fault}
	if p.fault != nil {
		return r
	}
	if p.call.File {
		defer raygo.Release(p.file)
	}
	for {
		r.Tries++
		e, err := raygo.Get(ctx, p.ref)
		raygo.Release(p.ref)
		switch r.Ended, r.Fault = e, err; {
		case halted && errors.Is(err, raygo.ErrTaskCancelled):
			r.Fault = ErrHalted
			return r
		case err != nil || e.Code == 0 || r.Tries > retries || halted:
			return r
		}
		p.submit(ctx, task)
	}
}

// isFile reports whether an input is a file to ship.
func isFile(input, as string) (bool, error) {
	if as == AsText {
		return false, nil
	}
	st, err := os.Stat(input)
	switch {
	case err == nil && st.Mode().IsRegular():
		return true, nil
	case as == AsAuto:
		return false, nil
	case err == nil:
		return false, fmt.Errorf("%s is no regular file", input)
	}
	return false, err
}
