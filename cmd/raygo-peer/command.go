package main

import (
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/raygo/raygo/cmd/internal/completion"
	"github.com/raygo/raygo/node"
)

const longHelp = `raygo-peer runs the tasks of raygo programs on this machine: it starts worker
processes of the program's own binary, keeps objects in shared memory, and
answers the questions of the raygo command.

With no flags at all it serves: all cores, a data directory and a socket of your
own, nothing reachable from outside this machine. When it serves it prints one
line of JSON on stdout:

  {"ready":true,"id":"12D3…","addrs":["/ip4/127.0.0.1/tcp/4001/p2p/12D3…"],"socket":"/run/user/1000/raygo/peer.sock","http":"127.0.0.1:7421"}

Peers that you start on this machine find each other by --bootstrap and one of
those addresses alone. Peers on several machines are a cluster with a key: see
'raygo cluster'.

The log goes to stderr. SIGTERM or Ctrl-C lets running tasks end (--drain-timeout)
and stops; a second signal stops at once.

Every flag has a variable (RAYGO_NUM_CPUS for --num-cpus) and a key in the YAML
file of --config (num-cpus). A flag beats a variable, a variable beats the file.`

const helpExamples = `  # a peer for this user, until Ctrl-C
  raygo-peer

  # two CPUs, 2 GiB of objects, a custom resource that bounds a kind of task
  raygo-peer --num-cpus 2 --object-store-memory 2GiB --resources licence=1

  # the same from a file
  printf 'num-cpus: 2\nobject-store-memory: 2GiB\nresources: {licence: 1}\n' > peer.yaml
  raygo-peer --config peer.yaml

  # a second peer on this machine, with a directory and a socket of its own
  raygo-peer --data-dir /tmp/two --socket /tmp/two.sock --bootstrap /ip4/127.0.0.1/tcp/4001/p2p/12D3…

  # a cluster of several machines: the first, and each of the others
  raygo cluster create ~/cluster.key
  raygo-peer --cluster-key ~/cluster.key --listen /ip4/0.0.0.0/tcp/4001
  raygo-peer --join INVITE --listen /ip4/0.0.0.0/tcp/4001   # INVITE: 'raygo cluster invite', run beside the first

  # what this machine offers and lacks
  raygo-peer doctor`

// newCommand makes the command; started tells whether its usage was accepted.
func newCommand(in io.Reader, out, errOut io.Writer) (cmd *cobra.Command, started func() bool) {
	s := newSettings()
	ran := false
	cmd = &cobra.Command{
		Use:               "raygo-peer",
		Short:             "Run the tasks of raygo programs on this machine",
		Long:              longHelp,
		Example:           helpExamples,
		Version:           node.Version,
		Args:              cobra.NoArgs,
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRun:  func(*cobra.Command, []string) { ran = true },
		DisableAutoGenTag: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := fillIn(cmd.Flags(), os.LookupEnv); err != nil {
				return err
			}
			cfg, err := s.configuration(errOut)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), cfg, in, out)
		},
	}
	cmd.SetOut(out)
	cmd.SetErr(errOut)
	cmd.SetVersionTemplate(versionText())
	s.flags(cmd.Flags())
	cmd.AddCommand(newDoctor(), completion.Command(cmd), &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run:   func(cmd *cobra.Command, _ []string) { fmt.Fprint(cmd.OutOrStdout(), versionText()) },
	})
	return cmd, func() bool { return ran }
}

func versionText() string {
	return fmt.Sprintf("raygo-peer %s (%s, %s/%s)\n", node.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
