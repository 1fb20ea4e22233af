package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/raygo/raygo/cmd/internal/completion"
	"github.com/raygo/raygo/cmd/internal/show"
	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	"github.com/raygo/raygo/node"
)

const longHelp = `raygo asks a peer what runs on it, runs programs, and shows raygo at work.

Commands that ask find the peer by --address, else $RAYGO_ADDRESS, else the
default socket of raygo-peer. 'raygo run' and 'raygo demo' need none: they host
peers of their own for as long as they run when no other serves.

An address is unix:///PATH, or the multiaddr of a peer elsewhere, which is reached
through a bridge for as long as the command runs. On another machine that takes
membership of its cluster: --cluster-key, or once --join with an invite.

Exit codes: 0 done, 1 failed, 2 bad usage, 3 no peer answers.`

const helpExamples = `  raygo demo                        # see it work, with nothing set up
  raygo run ./cmd/mine --input x    # build a program and run it as the driver

  raygo status
  raygo list tasks --filter state=FAILED --detail
  raygo summary tasks
  raygo explain TASK                # why it is where it is, or why it waits
  raygo logs JOB -f
  raygo timeline -o trace.json      # for chrome://tracing or ui.perfetto.dev`

// shared are the flags that all commands take.
type shared struct {
	place
	format string
}

func (s *shared) printer(cmd *cobra.Command) show.Printer {
	return show.Printer{Out: cmd.OutOrStdout(), Notes: cmd.ErrOrStderr(), Format: s.format}
}

// dial finds the peer: one of this machine by its socket, one elsewhere through a
// bridge for as long as the client is open.
func (s *shared) dial(cmd *cobra.Command) (*ask.Client, error) {
	addr := ask.Elsewhere(s.address)
	if addr == "" {
		return ask.Dial(cmd.Context(), s.address)
	}
	b, err := s.bridge(cmd.Context(), addr)
	if err != nil {
		return nil, err
	}
	c, err := ask.Dial(cmd.Context(), b.Address())
	if err != nil {
		return nil, errors.Join(err, b.Stop())
	}
	c.After(b.Stop)
	return c, nil
}

// newCommand makes the root command; started tells whether its usage was
// accepted.
func newCommand(out, errOut io.Writer) (root *cobra.Command, started func() bool) {
	s := &shared{format: show.Table}
	ran := false
	root = &cobra.Command{
		Use:               "raygo",
		Short:             "Run Go functions as tasks, and see what they do",
		Long:              longHelp,
		Example:           helpExamples,
		Version:           node.Version,
		SilenceUsage:      true,
		SilenceErrors:     true,
		DisableAutoGenTag: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if !slices.Contains(show.Formats, s.format) {
				return fmt.Errorf("--format %q is not one of %s", s.format, strings.Join(show.Formats, ", "))
			}
			ran = true
			return nil
		},
	}
	root.SetOut(out)
	root.SetErr(errOut)
	root.SetVersionTemplate(versionText())
	root.PersistentFlags().StringVar(&s.address, "address", "", "`ADDRESS` of the peer, as unix:///PATH or a multiaddr (default $RAYGO_ADDRESS, else the default socket)")
	root.PersistentFlags().StringVar(&s.clusterKey, "cluster-key", "", "`FILE` of the cluster's key, to be a member for a peer elsewhere (default $RAYGO_CLUSTER_KEY)")
	root.PersistentFlags().StringVar(&s.join, "join", "", "`INVITE` to be a member with from now on (default $RAYGO_JOIN); what it was swapped for is kept")
	root.PersistentFlags().StringVar(&s.format, "format", s.format, "`FORM` of the output: table, json or yaml")
	_ = root.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(show.Formats, cobra.ShellCompDirectiveNoFileComp))
	root.AddGroup(&cobra.Group{ID: "work", Title: "Work:"}, &cobra.Group{ID: "look", Title: "Look:"}, &cobra.Group{ID: "act", Title: "Act:"})
	group := func(id string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	group("work", newDemo(s), newRun(s), newExec(s), newBench(s), newVet())
	group("look", newStatus(s), newTop(s), newSummary(s), newList(s), newGet(s), newExplain(s), newLogs(s), newTimeline(s), newMemory(s))
	group("act", newCancel(s), newReplay(s), newCluster(s))
	root.AddCommand(completion.Command(root), &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run:   func(cmd *cobra.Command, _ []string) { fmt.Fprint(cmd.OutOrStdout(), versionText()) },
	})
	return root, func() bool { return ran }
}

func versionText() string {
	return fmt.Sprintf("raygo %s (%s, %s/%s)\n", node.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// subcommandNeeded is the RunE of a command that only groups others.
func subcommandNeeded(cmd *cobra.Command, args []string) error {
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	if len(args) > 0 {
		return usagef("unknown %q: raygo %s takes one of %s", args[0], cmd.Name(), strings.Join(names, ", "))
	}
	return usagef("raygo %s takes one of %s", cmd.Name(), strings.Join(names, ", "))
}
