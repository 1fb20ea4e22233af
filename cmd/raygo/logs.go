package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/raygo/raygo/sdk/ipc"
)

func newLogs(s *shared) *cobra.Command {
	follow := false
	cmd := &cobra.Command{
		Use:     "logs TASK|JOB",
		Short:   "Print what a task, or all tasks of a job, wrote to stdout and stderr",
		Example: "  raygo logs 4f1b… -f",
		Args:    cobra.ExactArgs(1),
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
			p := s.printer(cmd)
			var missing []string
			err = c.Each(cmd.Context(), ipc.Query{Op: ipc.QueryLogs, ID: id, Follow: follow}, func(body []byte) error {
				chunk := ipc.LogChunk{Lines: []string{}}
				if err := ipc.Unmarshal(body, &chunk); err != nil {
					return err
				}
				missing = chunk.Missing
				return p.Value(chunk, func(w io.Writer) {
					for _, l := range chunk.Lines {
						fmt.Fprintln(w, l)
					}
				})
			})
			if len(missing) > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "raygo: lines of these peers are missing; they ran some of it and do not answer: %s\n", strings.Join(missing, ", "))
			}
			if follow && cmd.Context().Err() != nil {
				return nil // Ctrl-C is how following ends
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is written from now on, until the task or job ends")
	return cmd
}
