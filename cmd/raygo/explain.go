package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/raygo/raygo/cmd/internal/show"
	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	"github.com/raygo/raygo/sdk/ipc"
)

func newExplain(s *shared) *cobra.Command {
	return &cobra.Command{
		Use:     "explain TASK",
		Short:   "Say why a task is where it is, or why it waits",
		Example: "  raygo list tasks --filter state=PENDING_NODE_ASSIGNMENT\n  raygo explain 4f1b…",
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
			e, err := ask.One[ipc.Explanation](cmd.Context(), c, ipc.Query{Op: ipc.QueryExplain, ID: id})
			if err != nil {
				return err
			}
			return s.printer(cmd).Value(e, func(w io.Writer) {
				show.Fields(w, e.Task, taskColumns)
				fmt.Fprintln(w)
				for _, d := range e.Decisions {
					fmt.Fprintln(w, " -", d)
				}
				if len(e.Decisions) == 0 && e.Task.Reason == "" {
					fmt.Fprintln(w, " no decision about it is on record any more")
				}
			})
		},
	}
}
