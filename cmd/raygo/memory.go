package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/raygo/raygo/cmd/internal/show"
	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	"github.com/raygo/raygo/sdk/ipc"
)

func newMemory(s *shared) *cobra.Command {
	limit := 0
	cmd := &cobra.Command{
		Use:   "memory",
		Short: "Show what holds memory: objects with who needs them, and worker processes",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return usagef("--limit %d: at least 1 row is needed", limit)
			}
			c, err := s.dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			m, err := ask.One[ipc.MemoryReport](cmd.Context(), c, ipc.Query{Op: ipc.QueryMemory, Limit: limit})
			if err != nil {
				return err
			}
			if m.Objects.Rows == nil {
				m.Objects.Rows = []ipc.ObjectRow{}
			}
			if m.Workers == nil {
				m.Workers = []ipc.WorkerRow{}
			}
			return s.printer(cmd).Value(m, func(w io.Writer) { printMemory(w, &m) })
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "objects at most, the largest first")
	return cmd
}

func printMemory(w io.Writer, m *ipc.MemoryReport) {
	st := m.Store
	fmt.Fprintf(w, "Object store: %s of %s in %s objects, %s in use by processes\n", show.Bytes(st.Used), show.Bytes(st.Limit), show.Count(st.Objects), show.Bytes(st.Pinned))
	fmt.Fprintf(w, "Spilled: %s now, %s ever, %s read back; %d puts wait for room\n", show.Bytes(st.Spilled), show.Bytes(st.SpilledEver), show.Bytes(st.Restored), st.Waiting)
	fmt.Fprintf(w, "Machine: %s free of %s; %d workers ended for want of memory\n", show.Bytes(m.Host.Available), show.Bytes(m.Host.Total), m.Host.OOMKills)
	if len(m.Workers) > 0 {
		fmt.Fprintln(w, "\nWorkers")
		show.Rows(w, m.Workers, workerColumns, false)
	}
	fmt.Fprintln(w, "\nObjects")
	show.Rows(w, m.Objects.Rows, objectColumns, false)
	fmt.Fprintln(w, show.Footer("objects", len(m.Objects.Rows), m.Objects.Total, m.Objects.Truncated, m.Objects.Peers))
}
