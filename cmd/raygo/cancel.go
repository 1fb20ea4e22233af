package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/raygo/raygo/cmd/internal/show"
	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	"github.com/raygo/raygo/sdk/ipc"
)

func newCancel(s *shared) *cobra.Command {
	force := false
	cmd := &cobra.Command{
		Use:   "cancel TASK|JOB",
		Short: "Cancel a task with its children, or all tasks of a job",
		Long: `Cancel a task with its children, or all tasks of a job. A running task's context
is cancelled; --force ends its process. A cancelled task is never retried.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			id, err := resolve(cmd.Context(), c, args[0], jobIDs, taskIDs)
			if err != nil {
				return err
			}
			r, err := ask.One[ipc.CancelReport](cmd.Context(), c, ipc.Query{Op: ipc.QueryCancel, ID: id, Force: force})
			if err != nil {
				return err
			}
			return s.printer(cmd).Value(r, func(w io.Writer) {
				fmt.Fprintf(w, "%s never started, %s stopped, %s already done", show.Count(r.NeverStarted), show.Count(r.Stopped), show.Count(r.AlreadyDone))
				if r.Unreachable > 0 {
					fmt.Fprintf(w, ", %s go on in spite of it (their results are dropped; --force ends their processes)", show.Count(r.Unreachable))
				}
				fmt.Fprintln(w)
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "end the worker process instead of cancelling the context")
	return cmd
}
