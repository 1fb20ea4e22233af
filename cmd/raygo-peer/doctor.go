package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/raygo/raygo/cmd/internal/show"
	"github.com/raygo/raygo/node/machine"
	"github.com/raygo/raygo/sdk/ipc"
)

func newDoctor() *cobra.Command {
	format, socket := show.Table, os.Getenv(variable("socket"))
	if socket == "" {
		socket = ipc.DefaultSocket()
	}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Print what this machine offers and lacks, and what to do about it",
		Long: `Print what this machine offers and lacks for running tasks: cores, GPUs, shared
memory, control groups, Landlock, user namespaces, ports, the clock, and the
isolation of workers that follows; how the peer that runs here is reached from
other machines, if one does; and what to do about each gap.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := show.Printer{Out: cmd.OutOrStdout(), Notes: cmd.ErrOrStderr(), Format: format}
			findings := append(machine.Doctor(cmd.Context()), reachability(cmd.Context(), socket)...)
			return p.Value(findings, func(w io.Writer) { printFindings(w, findings) })
		},
	}
	cmd.Flags().Var(oneOf{&format, show.Formats}, "format", "form of the output")
	cmd.Flags().StringVar(&socket, "socket", socket, "`PATH` of the socket of the peer to ask")
	return cmd
}

func printFindings(w io.Writer, findings []machine.Finding) {
	lacks := 0
	show.Rows(w, findings, []show.Column[machine.Finding]{
		{Head: "", Cell: func(f machine.Finding) string {
			if f.OK {
				return "ok"
			}
			lacks++
			return "LACKS"
		}},
		{Head: "what", Cell: func(f machine.Finding) string { return f.Name }},
		{Head: "here", Cell: func(f machine.Finding) string { return f.Value }},
	}, false)
	if lacks == 0 {
		fmt.Fprintln(w, "\nNothing is lacking.")
		return
	}
	fmt.Fprintf(w, "\nWhat to do (raygo runs without; it is slower or less strict):\n")
	for _, f := range findings {
		if !f.OK && f.Advice != "" {
			fmt.Fprintf(w, "  %s: %s\n", f.Name, f.Advice)
		}
	}
}
