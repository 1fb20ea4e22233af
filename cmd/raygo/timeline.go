package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/raygo/raygo/sdk/ipc"
)

func newTimeline(s *shared) *cobra.Command {
	path := ""
	cmd := &cobra.Command{
		Use:   "timeline",
		Short: "Write when tasks ran where, as a Chrome trace",
		Long: `Write when tasks ran where, as a Chrome trace: JSON whatever --format says.
Open it in chrome://tracing or https://ui.perfetto.dev.`,
		Example: "  raygo timeline -o trace.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			all := ipc.Timeline{Events: []ipc.TraceEvent{}}
			err = c.Each(cmd.Context(), ipc.Query{Op: ipc.QueryTimeline}, func(body []byte) error {
				var part ipc.Timeline
				if err := ipc.Unmarshal(body, &part); err != nil {
					return err
				}
				all.Events = append(all.Events, part.Events...)
				return nil
			})
			if err != nil {
				return err
			}
			if path == "" || path == "-" {
				return writeTrace(cmd.OutOrStdout(), &all)
			}
			if err := writeTraceFile(path, &all); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "wrote %d events to %s; open it in chrome://tracing or https://ui.perfetto.dev\n", len(all.Events), path)
			return nil
		},
	}
	cmd.Flags().StringVarP(&path, "output", "o", "", "`FILE` to write to (default standard output)")
	return cmd
}

func writeTraceFile(path string, t *ipc.Timeline) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the timeline: %w", err)
	}
	if err := writeTrace(f, t); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write the timeline: %w", err)
	}
	return nil
}

func writeTrace(w io.Writer, t *ipc.Timeline) error {
	b := bufio.NewWriter(w)
	if err := json.NewEncoder(b).Encode(t); err != nil {
		return fmt.Errorf("write the timeline: %w", err)
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write the timeline: %w", err)
	}
	return nil
}
