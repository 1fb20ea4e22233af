package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/raygo/raygo/cmd/internal/show"
	"github.com/raygo/raygo/cmd/raygo/internal/shell"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

// execFlags are those of raygo exec.
type execFlags struct {
	as, labels string
	cpus       float64
	jobs       int
	retries    int
	timeout    time.Duration
	keep       int64
	halt       bool
}

func newExec(s *shared) *cobra.Command {
	f := execFlags{as: shell.AsAuto, cpus: 1, keep: 16 << 20}
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND... [::: INPUT...]",
		Short: "Run shell commands over the cluster, one for each input",
		Long: `Run a command for each INPUT, or without ::: for each line of standard input, on the
peers of the cluster; without one, on a private peer. {} in COMMAND is the input; where
there is no {}, it comes last. A COMMAND of one word is a line for sh, in which
the input is one word; of several, a program and its arguments.

An INPUT that names a file here is shipped: on the peer {} is the path of a copy, of the same
name. Any other is text. --as file or --as text says so of all of them. A command runs in an
empty directory of its own, which goes with it, with the rights of a task: what else
it may read and write is for the peer to say (raygo-peer doctor).

What a command wrote is printed when it has ended, in the order of the inputs. The exit code is 0
if all succeeded, else 1. A command that fails is run again --retries times;
one whose peer is gone is run elsewhere in any case.`,
		Example: `  raygo exec -- gzip -c {} ::: *.log > all.gz
  ls *.wav | raygo exec --num-cpus 2 -- 'sox {} -n stat 2>&1 | grep RMS'
  raygo exec --as text --format json -- curl -sI {} ::: https://a.example https://b.example`,
		RunE: func(cmd *cobra.Command, args []string) error {
			words, inputs, err := splitInputs(args, cmd.InOrStdin())
			if err != nil {
				return err
			}
			o, err := f.options(words)
			if err != nil {
				return err
			}
			return runExec(cmd, s, o, inputs)
		},
	}
	cmd.Flags().SetInterspersed(false) // what follows is the command's
	cmd.Flags().StringVar(&f.as, "as", f.as, "what inputs are: `KIND` auto, file or text")
	cmd.Flags().Float64Var(&f.cpus, "num-cpus", f.cpus, "`N` CPUs that each command takes")
	cmd.Flags().StringVar(&f.labels, "labels", "", "run only on peers whose labels `SELECTOR` fits, as zone=eu,disk!=hdd")
	cmd.Flags().IntVar(&f.jobs, "jobs", 0, "have `N` commands under way; 0 means four for each CPU of the cluster")
	cmd.Flags().IntVar(&f.retries, "retries", 0, "run a command that failed `N` times more")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 0, "end a command after `TIME`; 0 means never")
	cmd.Flags().Int64Var(&f.keep, "max-output", f.keep, "keep so many `BYTES` of each of a command's outputs")
	cmd.Flags().BoolVar(&f.halt, "halt", false, "end all commands when one fails")
	_ = cmd.RegisterFlagCompletionFunc("as", cobra.FixedCompletions(shell.Forms, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// splitInputs parts the command from its inputs.
func splitInputs(args []string, in io.Reader) (words []string, inputs iter.Seq2[string, error], err error) {
	words, inputs = args, lines(in)
	if i := slices.Index(args, ":::"); i >= 0 {
		words = args[:i]
		inputs = func(yield func(string, error) bool) {
			for _, a := range args[i+1:] {
				if !yield(a, nil) {
					return
				}
			}
		}
	}
	if len(words) == 0 || strings.TrimSpace(words[0]) == "" {
		return nil, nil, usagef("raygo exec takes a command: raygo exec -- COMMAND {} ::: INPUT...")
	}
	return words, inputs, nil
}

// longestLine bounds an input that is read from a stream.
const longestLine = 1 << 20

func lines(in io.Reader) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		sc := bufio.NewScanner(in)
		sc.Buffer(nil, longestLine)
		for sc.Scan() {
			if !yield(sc.Text(), nil) {
				return
			}
		}
		if err := sc.Err(); err != nil {
			yield("", err)
		}
	}
}

// options checks what was asked for before a peer is looked for.
func (f *execFlags) options(words []string) (*shell.Options, error) {
	switch {
	case !slices.Contains(shell.Forms, f.as):
		return nil, usagef("--as %q is not one of %s", f.as, strings.Join(shell.Forms, ", "))
	case f.cpus < 0 || math.IsNaN(f.cpus) || math.IsInf(f.cpus, 0):
		return nil, usagef("--num-cpus %v is no number of CPUs", f.cpus)
	case f.jobs < 0, f.retries < 0, f.timeout < 0:
		return nil, usagef("--jobs, --retries and --timeout are not negative")
	case f.keep < 1 || f.keep > 1<<30:
		return nil, usagef("--max-output %d is not from 1 to %d", f.keep, 1<<30)
	}
	o := &shell.Options{Words: words, As: f.as, Window: f.jobs, Retries: f.retries, Most: f.keep, Halt: f.halt, Task: []raygo.Option{raygo.NumCPUs(f.cpus)}}
	if f.timeout > 0 {
		o.Task = append(o.Task, raygo.Timeout(f.timeout))
	}
	if f.labels != "" {
		o.Task = append(o.Task, raygo.Strategy(raygo.Labels(f.labels)))
	}
	return o, nil
}

// execRow is a command in JSON and YAML.
type execRow struct {
	Input    string  `json:"input"`
	PeerID   string  `json:"peer_id"`
	ExitCode int     `json:"exit_code"`
	Seconds  float64 `json:"seconds"`
	Tries    int     `json:"tries"`
	Stdout   string  `json:"stdout"`
	Stderr   string  `json:"stderr"`
	Cut      bool    `json:"output_cut"`
	Error    string  `json:"error"`
}

func runExec(cmd *cobra.Command, s *shared, o *shell.Options, inputs iter.Seq2[string, error]) (err error) {
	h, err := hostPeer(cmd.Context(), &s.place, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.stop()) }()
	ctx, session, err := raygo.Init(cmd.Context(), raygo.Address(h.address), raygo.JobName("raygo exec "+o.Words[0]), raygo.LogToDriver(false))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	p := s.printer(cmd)
	all := ipc.Rows[execRow]{Rows: []execRow{}}
	failed, halted := 0, 0
	err = shell.Run(ctx, *o, inputs, func(r *shell.Result) error {
		if err := cmd.Context().Err(); err != nil {
			return err // what did not run to its end for that needs no word each
		}
		all.Total++
		why := reason(r)
		switch {
		case errors.Is(r.Fault, shell.ErrHalted):
			halted++
		case !r.OK():
			failed++
		}
		if p.Format != show.Table {
			all.Rows = append(all.Rows, execRow{
				Input: r.Input, PeerID: r.Peer, ExitCode: r.Code, Seconds: r.Took.Seconds(), Tries: r.Tries,
				Stdout: string(r.Out), Stderr: string(r.Err), Cut: r.Cutoff, Error: why,
			})
			return nil
		}
		_, err := p.Out.Write(r.Out)
		_, errOut := p.Notes.Write(r.Err)
		if why != "" {
			fmt.Fprintf(p.Notes, "raygo: %s: %s\n", r.Input, why)
		}
		return errors.Join(err, errOut)
	})
	if cmd.Context().Err() != nil {
		return errors.New("interrupted; what ran was ended")
	}
	if err != nil {
		return err
	}
	if p.Format != show.Table {
		all.Peers = ipc.Asked{Asked: 1, Answered: 1}
		if err := p.Value(all, nil); err != nil {
			return err
		}
	}
	switch {
	case halted > 0:
		return fmt.Errorf("%s of %s commands failed; %s were not run to their end for it", show.Count(failed), show.Count(all.Total), show.Count(halted))
	case failed > 0:
		return fmt.Errorf("%s of %s commands failed", show.Count(failed), show.Count(all.Total))
	}
	return nil
}

// reason is what to say of a command beside what it wrote.
func reason(r *shell.Result) string {
	var parts []string
	switch {
	case r.Fault != nil:
		parts = append(parts, r.Fault.Error())
	case r.Code != 0:
		parts = append(parts, fmt.Sprintf("exit code %d on peer %s", r.Code, r.Peer))
		if r.Why != "" {
			parts = append(parts, r.Why)
		}
	}
	if r.Cutoff {
		parts = append(parts, "it wrote more than is kept (--max-output)")
	}
	return strings.Join(parts, ": ")
}
