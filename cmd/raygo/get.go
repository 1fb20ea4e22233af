package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/raygo/raygo/cmd/internal/show"
	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	"github.com/raygo/raygo/sdk/ipc"
)

func newGet(s *shared) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "get task|object|node|job ID",
		Short:   "Show everything about one task, object, node or job",
		Long:    "Show everything about one task (each of its attempts), object, node or job.\nAn ID may be shortened to its first characters as long as they fit only one.",
		Example: "  raygo get task 4f1b…\n  raygo get job 4f1b… --format json",
		RunE:    subcommandNeeded,
	}
	cmd.AddCommand(
		getOne(s, "task", ipc.QueryTask, taskColumns, taskIDs),
		getOne(s, "object", ipc.QueryObject, objectColumns, objectIDs),
		getOne(s, "node", ipc.QueryNodes, nodeColumns, nodeIDs),
		getOne(s, "job", ipc.QueryJobs, jobColumns, jobIDs),
	)
	return cmd
}

func getOne[R any](s *shared, what, op string, columns []show.Column[R], among idKind) *cobra.Command {
	return &cobra.Command{
		Use:   what + " ID",
		Short: "Show one " + what,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			id, err := resolve(cmd.Context(), c, args[0], among)
			if err != nil {
				return err
			}
			q := ipc.Query{Op: op, ID: id, Detail: true}
			if op == ipc.QueryNodes || op == ipc.QueryJobs {
				q.Filters, q.Limit = []string{among.key + "=" + id}, 1
			}
			rows, err := ask.List[R](cmd.Context(), c, q)
			if err != nil {
				return err
			}
			if len(rows.Rows) == 0 {
				return fmt.Errorf("no %s %s is known here; %s", what, args[0], show.Answered(rows.Peers))
			}
			return s.printer(cmd).Value(rows, func(w io.Writer) {
				for i, r := range rows.Rows {
					if i > 0 {
						fmt.Fprintln(w)
					}
					show.Fields(w, r, columns)
				}
			})
		},
	}
}
