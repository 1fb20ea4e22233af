package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/raygo/raygo/cmd/raygo/internal/demo"
	"github.com/raygo/raygo/cmd/raygo/internal/fleet"
	raygo "github.com/raygo/raygo/sdk"
)

func newDemo(s *shared) *cobra.Command {
	top, peers := 10, defaultPeers
	cmd := &cobra.Command{
		Use:   "demo [FOLDER]",
		Short: "See it work: index the identifiers of Go's own source, or of a folder, on several peers",
		Long: `Index the identifiers of Go's own source tree, or of the text files in FOLDER, as
a map-reduce of tasks: files are put as objects, a task per batch counts, tasks
merge the counts in a tree, and a generator streams the result.

Several peers work at it: processes on this machine that find each other over
loopback, each with a share of the CPUs, and that end with it; nothing stays
behind. With --address, $RAYGO_ADDRESS or a peer at the default socket the work
is done by that one's cluster instead, unless --peers is given.`,
		Example: "  raygo demo\n  raygo demo --peers 5\n  raygo demo ~/src/mine --top 25",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if top < 1 {
				return usagef("--top %d: at least 1 identifier is needed", top)
			}
			own := cmd.Flags().Changed("peers")
			switch {
			case peers < 1 || peers > fleet.MaxPeers:
				return usagef("--peers %d is not from 1 to %d", peers, fleet.MaxPeers)
			case own && s.address != "":
				return usagef("--peers and --address: the demo runs peers of its own, or on those that serve")
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
			h, err := demoPeers(cmd.Context(), &s.place, peers, own, o.Notes)
			if err != nil {
				return interrupted(cmd.Context(), err)
			}
			res, err := runDemo(cmd.Context(), h.address, job)
			if err = errors.Join(err, h.stop()); err != nil {
				return interrupted(cmd.Context(), err)
			}
			return s.printer(cmd).Value(res, func(w io.Writer) {
				res.Print(w)
				printNext(w, h.fleet != nil)
			})
		},
	}
	cmd.Flags().IntVar(&top, "top", top, "identifiers to show")
	cmd.Flags().IntVar(&peers, "peers", peers, "`N` peers to run on this machine, from 1 to 16")
	return cmd
}

// defaultPeers is how many peers the demo runs.
const defaultPeers = 3

// interrupted says so in place of what follows from it.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted; nothing is left behind")
	}
	return err
}

// demoPeers are the peers to work on: those that serve, or our own.
func demoPeers(ctx context.Context, at *place, peers int, own bool, notes io.Writer) (*hosted, error) {
	if !own {
		h, err := servingPeers(ctx, at, notes)
		if h != nil || err != nil {
			return h, err
		}
	}
	began := time.Now()
	f, err := fleet.Start(ctx, fleet.Options{Peers: peers})
	if err != nil {
		return nil, err
	}
	all := f.Peers()
	fmt.Fprintf(notes, "Running %d of our own on this machine; they found each other in %.2f s:\n", len(all), time.Since(began).Seconds())
	for _, p := range all {
		fmt.Fprintln(notes, " ", p.Addrs[0])
	}
	return &hosted{address: all[0].Address, fleet: f}, nil
}

// runDemo does the work in a session with a peer, and asks the cluster what
// became of it.
func runDemo(ctx context.Context, address string, job *demo.Job) (res *demo.Result, err error) {
	sctx, session, err := raygo.Init(ctx, raygo.Address(address), raygo.JobName("raygo demo"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	before, _, err := moved(ctx, address)
	if err != nil {
		return nil, err
	}
	if res, err = job.Run(sctx); err != nil {
		return nil, err
	}
	res.Job, res.Peer = session.JobID(), session.Peer()
	return res, account(ctx, address, before, res)
}

// printNext says what to try after the demo.
func printNext(w io.Writer, own bool) {
	fmt.Fprintln(w, "\nTo try next")
	if own {
		fmt.Fprintln(w, "  raygo-peer &                     a peer that stays, so that you can look at what ran")
		fmt.Fprintln(w, "  raygo demo --peers 8             the same on more peers")
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
