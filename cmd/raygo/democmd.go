package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/raygo/raygo/cmd/raygo/internal/demo"
	raygo "github.com/raygo/raygo/sdk"
)

func newDemo(s *shared) *cobra.Command {
	top := 10
	cmd := &cobra.Command{
		Use:   "demo [FOLDER]",
		Short: "See it work: index the identifiers of Go's own source, or of a folder",
		Long: `Index the identifiers of Go's own source tree, or of the text files in FOLDER, as
a map-reduce of tasks: files are put as objects, a task per batch counts, tasks
merge the counts in a tree, and a generator streams the result. A private peer
is hosted while it runs when no other serves; nothing stays behind.`,
		Example: "  raygo demo\n  raygo demo ~/src/mine --top 25",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if top < 1 {
				return usagef("--top %d: at least 1 identifier is needed", top)
			}
			o := demo.Options{Top: top, Notes: cmd.ErrOrStderr(), Bars: isTerminal(cmd.ErrOrStderr())}
			if len(args) > 0 {
				o.Folder = args[0]
			}
			job, err := demo.Prepare(cmd.Context(), o)
			if errors.Is(err, demo.ErrNoSource) {
				return usageError{err}
			}
			if err != nil {
				return err
			}
			fmt.Fprintln(o.Notes, "Indexing", job)
			res, own, err := runDemo(cmd.Context(), s.address, job, o.Notes)
			if err != nil {
				return err
			}
			return s.printer(cmd).Value(res, func(w io.Writer) {
				res.Print(w)
				printNext(w, own)
			})
		},
	}
	cmd.Flags().IntVar(&top, "top", top, "identifiers to show")
	return cmd
}

// runDemo does the work in a session with a peer that serves, or one of our own.
func runDemo(ctx context.Context, address string, job *demo.Job, notes io.Writer) (res *demo.Result, own bool, err error) {
	h, err := hostPeer(ctx, address, notes)
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, h.stop()) }()
	if h.own != nil {
		fmt.Fprintln(notes, "No peer serves here: hosting a private one,", h.address)
	} else {
		fmt.Fprintln(notes, "On the peer at", h.address)
	}
	sctx, session, err := raygo.Init(ctx, raygo.Address(h.address), raygo.JobName("raygo demo"))
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	res, err = job.Run(sctx)
	if ctx.Err() != nil || sctx.Err() != nil {
		return nil, false, errors.New("interrupted; nothing is left behind")
	}
	if err != nil {
		return nil, false, err
	}
	res.Job, res.Peer = session.JobID(), session.Peer()
	return res, h.own != nil, nil
}

// printNext says what to try after the demo.
func printNext(w io.Writer, own bool) {
	fmt.Fprintln(w, "\nTo try next")
	if own {
		fmt.Fprintln(w, "  raygo-peer &                     a peer that stays, so that you can look at what ran")
	}
	fmt.Fprintln(w, "  raygo demo FOLDER                the same over your own source")
	fmt.Fprintln(w, "  raygo summary tasks              what ran, by function and state (while a peer serves)")
	fmt.Fprintln(w, "  raygo timeline -o trace.json     when each task ran, for https://ui.perfetto.dev")
	fmt.Fprintln(w, "  raygo run ./sdk/examples/basics  a program to start from")
}

// isTerminal reports whether w is a terminal on which bars can be drawn.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	return err == nil && width > 0
}
