package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/raygo/raygo/cmd/internal/show"
	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	"github.com/raygo/raygo/sdk/ipc"
)

func newSummary(s *shared) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "summary tasks|objects",
		Short: "Count tasks or objects by function and state",
		RunE:  subcommandNeeded,
	}
	cmd.AddCommand(summaryOf(s, "tasks", printTaskSummary), summaryOf(s, "objects", printObjectSummary))
	return cmd
}

func summaryOf(s *shared, what string, print func(io.Writer, *ipc.Summary)) *cobra.Command {
	return &cobra.Command{
		Use:   what,
		Short: "Count " + what + " by function and state",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			sum, err := ask.One[ipc.Summary](cmd.Context(), c, ipc.Query{Op: ipc.QuerySummary, ID: what})
			if err != nil {
				return err
			}
			if sum.Groups == nil {
				sum.Groups = []ipc.SummaryGroup{}
			}
			p := s.printer(cmd)
			if p.Format == show.Table {
				fmt.Fprintln(p.Notes, show.Answered(sum.Peers))
			}
			return p.Value(sum, func(w io.Writer) { print(w, &sum) })
		},
	}
}

const summaryRule = "------------------------------------"

// printTaskSummary prints the layout of Ray's command, which scripts know. No
// task here is an actor's.
func printTaskSummary(w io.Writer, sum *ipc.Summary) {
	summaryHeader(w, "Tasks", sum.Time)
	fmt.Fprintf(w, "total_actor_scheduled: 0\ntotal_actor_tasks: 0\ntotal_tasks: %d\n", sum.Total)
	var rows [][]string
	for _, g := range sum.Groups {
		rows = append(rows, []string{g.FuncName, stateCounts(g.States), g.Type})
	}
	fmt.Fprintf(w, "\n\nTable (group by func_name):\n%s\n", summaryRule)
	plainTable(w, []string{"FUNC_OR_CLASS_NAME", "STATE_COUNTS", "TYPE"}, rows)
}

func printObjectSummary(w io.Writer, sum *ipc.Summary) {
	summaryHeader(w, "Objects", sum.Time)
	fmt.Fprintf(w, "total_objects: %d\ntotal_size: %s\n", sum.Total, show.Bytes(sum.Bytes))
	var rows [][]string
	for _, g := range sum.Groups {
		rows = append(rows, []string{g.FuncName, stateCounts(g.States), show.Bytes(g.Bytes)})
	}
	fmt.Fprintf(w, "\n\nTable (group by func_name):\n%s\n", summaryRule)
	plainTable(w, []string{"FUNC_OR_CLASS_NAME", "STATE_COUNTS", "SIZE"}, rows)
}

func summaryHeader(w io.Writer, what string, at time.Time) {
	fmt.Fprintf(w, "\n======== %s Summary: %s ========\nStats:\n%s\n", what, at.Local().Format("2006-01-02 15:04:05.000000"), summaryRule)
}

// stateCounts is one state a line, in the order of their names.
func stateCounts(m map[string]int) string {
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		lines = append(lines, fmt.Sprintf("%s: %d", k, m[k]))
	}
	return strings.Join(lines, "\n")
}

// plainTable is the table of Ray's command: numbered rows, two spaces between
// columns, each as wide as its widest cell or two more than its head. A cell of
// several lines makes a row of as many.
func plainTable(w io.Writer, head []string, rows [][]string) {
	head = append([]string{""}, head...)
	widths := make([]int, len(head))
	for i, h := range head {
		widths[i] = len(h) + 2
	}
	cells := make([][][]string, len(rows))
	for r, row := range rows {
		for i, c := range append([]string{strconv.Itoa(r)}, row...) {
			lines := strings.Split(c, "\n")
			for _, l := range lines {
				widths[i] = max(widths[i], utf8.RuneCountInString(l))
			}
			cells[r] = append(cells[r], lines)
		}
	}
	line := func(at func(i int) string) {
		var b strings.Builder
		for i := range head {
			c := at(i)
			b.WriteString(c + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+2))
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
	line(func(i int) string { return head[i] })
	for _, row := range cells {
		height := 0
		for _, c := range row {
			height = max(height, len(c))
		}
		for n := range height {
			line(func(i int) string {
				if n < len(row[i]) {
					return row[i][n]
				}
				return ""
			})
		}
	}
}
