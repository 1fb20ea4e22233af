package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/raygo/raygo/cmd/raygo/internal/bench"
	"github.com/raygo/raygo/cmd/raygo/internal/fleet"
)

func newBench(s *shared) *cobra.Command {
	var o bench.Options
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure raygo on this machine, each figure beside the least the machine can do",
		Long: `Measure calls, objects, queues and starts, each beside its floor: the same work
done by the least that could do it, on this machine, in turns with raygo. Ratios
are what to compare; a figure alone depends on what else the machine does. The
peer that is measured is a private one in a process of its own.

With --peers N what peers do with each other is measured instead: calls, rates,
transfers, broadcasts to up to N, and joining, over loopback; the floors are bare
libp2p streams between two processes over the same transport.`,
		Example: "  raygo bench\n  raygo bench --peers 8\n  raygo bench --only 'tasks|put' --runs 15\n  raygo bench --format json > before.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Runs < 0 {
				return usagef("--runs %d: at least 1 is needed", o.Runs)
			}
			if p := o.Peers; cmd.Flags().Changed("peers") && (p < bench.LeastPeers || p >= fleet.MaxPeers) {
				return usagef("--peers %d is not from %d to %d", p, bench.LeastPeers, fleet.MaxPeers-1)
			}
			if o.Profile != "" {
				if err := os.MkdirAll(o.Profile, 0o755); err != nil {
					return usageError{fmt.Errorf("--profile: %w", err)}
				}
			}
			o.Notes = cmd.ErrOrStderr()
			rep, err := bench.Run(cmd.Context(), o)
			if errors.Is(err, bench.ErrNothing) {
				return usageError{err}
			}
			if err != nil {
				return err
			}
			return s.printer(cmd).Value(rep, rep.Print)
		},
	}
	cmd.Flags().StringVar(&o.Only, "only", "", "measure only workloads whose name matches `REGEXP`")
	cmd.Flags().IntVar(&o.Runs, "runs", 0, "`N` pairs of workload and floor each (default 7, with --quick 1)")
	cmd.Flags().BoolVar(&o.Quick, "quick", false, "measure little, to see that everything works")
	cmd.Flags().IntVar(&o.Peers, "peers", 0, "measure between `N` peers of this machine")
	cmd.Flags().BoolVar(&o.Full, "full", false, "with --peers: broadcasts of 1 GiB in place of 256 MiB")
	cmd.Flags().StringVar(&o.Profile, "profile", "", "write CPU profiles of driver and peer into `FOLDER`")
	return cmd
}
