package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/raygo/raygo/cmd/internal/show"
	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	"github.com/raygo/raygo/cmd/raygo/internal/top"
	"github.com/raygo/raygo/sdk/ipc"
)

func newTop(s *shared) *cobra.Command {
	o := top.Options{Interval: 2 * time.Second}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show what peers and functions do, live",
		Long: `Show what peers and functions do, live, until q or Ctrl-C. Where standard output is
no terminal, or with --format json or yaml, one frame is printed and that is all;
--frames says how many in place of that.`,
		Example: "  raygo top\n  raygo top --interval 500ms\n  raygo top --frames 60 --interval 1s --format json > minute.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.Interval < top.LeastInterval:
				return usagef("--interval %s is less than %s", o.Interval, top.LeastInterval)
			case o.Frames < 0:
				return usagef("--frames %d is negative; 0 means without end", o.Frames)
			}
			p := s.printer(cmd)
			if p.Format != show.Table {
				begun := false
				o.Value = func(snap *top.Snapshot) error {
					if begun && p.Format == show.YAML {
						fmt.Fprintln(p.Out, "---")
					}
					begun = true
					return p.Value(snap, nil)
				}
			}
			f, isFile := cmd.OutOrStdout().(*os.File)
			if !cmd.Flags().Changed("frames") && (o.Value != nil || !isFile || !term.IsTerminal(int(f.Fd()))) {
				o.Frames = 1
			}
			w := watch{s: s, cmd: cmd}
			if err := w.find(cmd.Context()); err != nil {
				return err
			}
			defer w.close()
			o.Ask, o.Again = w.ask, w.find
			return top.Run(cmd.Context(), os.Stdin, cmd.OutOrStdout(), o)
		},
	}
	cmd.Flags().DurationVar(&o.Interval, "interval", o.Interval, "`TIME` from one frame to the next")
	cmd.Flags().IntVar(&o.Frames, "frames", 0, "end after `N` frames; 0 means without end")
	return cmd
}

// watch is the connection that a live view asks on, made anew when it is lost.
type watch struct {
	s   *shared
	cmd *cobra.Command
	c   *ask.Client
}

func (w *watch) find(context.Context) (err error) {
	w.close()
	w.c, err = w.s.dial(w.cmd)
	return err
}

func (w *watch) close() {
	if w.c != nil {
		_ = w.c.Close()
		w.c = nil
	}
}

// askFor bounds one question: a peer that does not answer is looked for again.
const askFor = 15 * time.Second

func (w *watch) ask(ctx context.Context) (*top.Snapshot, error) {
	if w.c == nil {
		return nil, ask.ErrNoPeer
	}
	ctx, cancel := context.WithTimeoutCause(ctx, askFor, errors.New("the peer does not answer"))
	defer cancel()
	var snap top.Snapshot
	var err error
	if snap.Status, err = ask.One[ipc.ClusterStatus](ctx, w.c, ipc.Query{Op: ipc.QueryStatus}); err != nil {
		return nil, err
	}
	snap.Tasks, err = ask.One[ipc.Summary](ctx, w.c, ipc.Query{Op: ipc.QuerySummary, ID: "tasks"})
	return &snap, err
}
