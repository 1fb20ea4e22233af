package show

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/raygo/raygo/sdk/ipc"
)

// Column is one column of a list of R.
type Column[R any] struct {
	Head   string
	Detail bool // shown with --detail only
	Short  bool // a peer's ID, shortened unless all is shown
	Cell   func(R) string
}

// List prints rows as a table with what is said about them underneath.
func List[R any](p Printer, what string, rows ipc.Rows[R], columns []Column[R], detail bool) error {
	return p.Value(rows, func(w io.Writer) {
		Rows(w, rows.Rows, columns, detail)
		fmt.Fprintln(w, Footer(what, len(rows.Rows), rows.Total, rows.Truncated, rows.Peers))
	})
}

// Rows prints a table alone; without rows it prints nothing.
func Rows[R any](w io.Writer, rows []R, columns []Column[R], detail bool) {
	if len(rows) == 0 {
		return
	}
	t := newTable(w)
	head := table.Row{}
	for _, c := range columns {
		if detail || !c.Detail {
			head = append(head, c.Head)
		}
	}
	t.AppendHeader(head)
	for _, r := range rows {
		line := table.Row{}
		for _, c := range columns {
			if detail || !c.Detail {
				cell := c.Cell(r)
				if c.Short && !detail {
					cell = ID(cell)
				}
				line = append(line, oneLine(cell))
			}
		}
		t.AppendRow(line)
	}
	t.Render()
}

// Fields prints the columns of one row under each other.
func Fields[R any](w io.Writer, r R, columns []Column[R]) {
	t := newTable(w)
	for _, c := range columns {
		if v := c.Cell(r); v != "" {
			t.AppendRow(table.Row{strings.ToLower(c.Head) + ":", oneLine(v)})
		}
	}
	t.Render()
}

// newTable is a table without lines, which a person reads and awk splits.
func newTable(w io.Writer) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	style := table.StyleDefault
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format.Header = text.FormatUpper
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	return t
}

// Footer says how much of what there is was shown and who answered.
func Footer(what string, shown, total int, truncated bool, peers ipc.Asked) string {
	s := fmt.Sprintf("%d %s", total, what)
	if truncated || shown < total {
		s = fmt.Sprintf("%d of %d %s shown; --limit N shows more, --filter KEY=VALUE fewer", shown, total, what)
	}
	return s + "; " + Answered(peers)
}

// Answered says how many of the peers that were asked answered.
func Answered(peers ipc.Asked) string {
	return fmt.Sprintf("%d of %d peers answered", peers.Answered, peers.Asked)
}

const widestCell = 120

// oneLine keeps a cell to a line of the table.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > widestCell {
		return string(r[:widestCell-1]) + "…"
	}
	return s
}
