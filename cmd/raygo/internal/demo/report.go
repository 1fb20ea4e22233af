package demo

import (
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize"
)

// Print writes the result for people, with the commands that confirm it.
func (r *Result) Print(w io.Writer) {
	fmt.Fprintf(w, "\nTop identifiers\n")
	for i, e := range r.Top {
		fmt.Fprintf(w, "%4d. %-24s %12s\n", i+1, e.Word, humanize.Comma(e.Count))
	}
	t := r.Totals
	fmt.Fprintf(w, "\nTotals\n  files         %12s\n  lines         %12s\n  bytes         %12s\n  occurrences   %12s of %s identifiers\n",
		humanize.Comma(t.Files), humanize.Comma(t.Lines), humanize.Comma(t.Bytes), humanize.Comma(t.Occurrences), humanize.Comma(r.Distinct))
	if r.Word.Word != "" {
		fmt.Fprintf(w, "  %-13s %12s times as a word anywhere, comments and strings too\n", "'"+r.Word.Word+"'", humanize.Comma(r.Word.Count))
	}
	r.printChecks(w)
	fmt.Fprintf(w, "\nWhere tasks ran (%d in %.2f s)\n", r.Tasks, r.Seconds)
	number := map[string]int{}
	for i := range r.Peers {
		number[r.Peers[i].Peer] = i + 1
		r.Peers[i].print(w, i+1)
	}
	fmt.Fprintf(w, "\nWhat moved\n  %s of files into %d objects, put at the driver's peer; its tasks read them in shared memory, without a copy\n  %s of partial indexes from task to task\n",
		humanize.Bytes(uint64(r.Put)), r.Objects, humanize.Bytes(uint64(t.Moved)))
	r.printFetched(w, number)
}

// print says what ran on a peer, and in which processes.
func (s *Share) print(w io.Writer, number int) {
	where := ""
	switch {
	case s.Bridge:
		fmt.Fprintf(w, "  peer %d, %s: the bridge of this command, which runs none\n", number, s.Peer)
		return
	case s.Driver:
		where = ", which the driver is attached to"
	}
	pids := "no worker"
	if len(s.PIDs) > 0 {
		pids = "worker pid " + strings.Trim(strings.ReplaceAll(fmt.Sprint(s.PIDs), " ", ", "), "[]")
	}
	fmt.Fprintf(w, "  peer %d, %s%s: %d tasks (%s)\n", number, s.Peer, where, s.Tasks, pids)
}

// printFetched says what peers got from each other.
func (r *Result) printFetched(w io.Writer, number map[string]int) {
	var all int64
	var lines []string
	for _, s := range r.Peers {
		var parts []string
		for _, f := range s.Fetched {
			all += f.Bytes
			parts = append(parts, fmt.Sprintf("%s from peer %d", humanize.Bytes(uint64(f.Bytes)), number[f.From]))
		}
		if len(parts) > 0 {
			lines = append(lines, fmt.Sprintf("  peer %d: %s", number[s.Peer], strings.Join(parts, ", ")))
		}
	}
	if all > 0 {
		fmt.Fprintf(w, "\nFetched from each other (%s, the program for workers among it)\n%s\n", humanize.Bytes(uint64(all)), strings.Join(lines, "\n"))
	}
}

// printChecks prints commands that count the same without raygo.
func (r *Result) printChecks(w io.Writer) {
	dir := shellQuote(r.Folder)
	fmt.Fprintln(w, "\nTo confirm them")
	if !r.Golang {
		fmt.Fprintf(w, "  LC_ALL=C grep -rIl '' %s | tr '\\n' '\\0' | xargs -0 cat | wc\n", dir)
		fmt.Fprintf(w, "  LC_ALL=C grep -rIhow %s %s | wc -l\n", shellQuote(r.Word.Word), dir)
		return
	}
	fmt.Fprintf(w, "  find %s -type f -name '*.go' | wc -l\n", dir)
	fmt.Fprintf(w, "  find %s -type f -name '*.go' -exec cat {} + | wc -lc\n", dir)
	if r.Word.Word != "" {
		fmt.Fprintf(w, "  LC_ALL=C grep -rahow --include='*.go' %s %s | wc -l\n", shellQuote(r.Word.Word), dir)
	}
}

func shellQuote(s string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("/._-+@", c)
	}
	if s != "" && strings.IndexFunc(s, func(c rune) bool { return !plain(c) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
