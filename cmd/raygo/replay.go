package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/raygo/raygo/cmd/raygo/internal/replay"
	"github.com/raygo/raygo/sdk/ipc"
)

func newReplay(s *shared) *cobra.Command {
	return &cobra.Command{
		Use:   "replay TASK",
		Short: "Run a task's last attempt again here: same program, same arguments",
		Long: `Run a task's last attempt again here, in a fresh process of the same program with
the same arguments, and print its result or its failure. The peer and its objects
are left as they are. The process has this shell's environment, as GODEBUG; tasks
that the call submits are refused.`,
		Example: "  raygo list tasks --filter state=FAILED\n  raygo replay 4f1b…",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			id, err := resolve(cmd.Context(), c, args[0], taskIDs)
			if err != nil {
				return err
			}
			spec := ipc.ReplaySpec{}
			err = c.Each(cmd.Context(), ipc.Query{Op: ipc.QueryReplay, ID: id}, func(body []byte) error {
				return ipc.Unmarshal(body, &spec) // maps of several answers add up
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "raygo: attempt %d of %s (%s), program %s\n", spec.Attempt, spec.Class.Function, id, spec.CID)
			if err := replay.Kept(&spec); err != nil {
				return err
			}
			return replay.Run(cmd.Context(), &spec, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
}
