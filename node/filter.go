package node

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// defaultRows is how many rows a list has when nobody says.
const (
	defaultRows = 100
	maxRows     = 100_000
)

// condition is one filter: a column is, or is not, a value.
type condition struct {
	column, value string
	not           bool
}

// filter keeps the rows that meet all conditions, up to a limit, and counts the
// others too.
type filter[R any] struct {
	conditions []condition
	limit      int
	rows       ipc.Rows[R]
}

func newFilter[R any](q *ipc.Query) (*filter[R], error) {
	f := &filter[R]{limit: q.Limit, rows: ipc.Rows[R]{Rows: []R{}, Peers: ipc.Asked{Asked: 1, Answered: 1}}}
	switch {
	case f.limit == 0:
		f.limit = defaultRows
	case f.limit < 0 || f.limit > maxRows:
		return nil, fmt.Errorf("a limit of %d rows: it is 1 to %d", q.Limit, maxRows)
	}
	var zero R
	columns := columnsOf(&zero)
	for _, s := range q.Filters {
		c, err := parseCondition(s)
		if err != nil {
			return nil, err
		}
		if _, ok := columns[c.column]; !ok {
			return nil, fmt.Errorf("filter %q: there is no column %q; there are %s", s, c.column, strings.Join(slices.Sorted(maps.Keys(columns)), ", "))
		}
		f.conditions = append(f.conditions, c)
	}
	return f, nil
}

// parseCondition reads "k=v" or "k!=v"; the value may have more of "=".
func parseCondition(s string) (condition, error) {
	k, v, ok := strings.Cut(s, "=")
	c := condition{column: strings.TrimSpace(strings.TrimSuffix(k, "!")), value: strings.TrimSpace(v), not: strings.HasSuffix(k, "!")}
	if !ok || c.column == "" {
		return c, fmt.Errorf("filter %q: want column=value or column!=value", s)
	}
	return c, nil
}

// columnsOf are a row's columns by their JSON names, with their values as text.
func columnsOf(row any) map[string]string {
	b, err := json.Marshal(row)
	if err != nil {
		return nil
	}
	var m map[string]any
	if json.Unmarshal(b, &m) != nil {
		return nil
	}
	out := map[string]string{}
	for _, k := range optionalColumns {
		if _, isTask := row.(*ipc.TaskRow); isTask {
			out[k] = ""
		}
	}
	for k, v := range m {
		if s, ok := v.(string); ok {
			out[k] = s
			continue
		}
		text, _ := json.Marshal(v)
		out[k] = string(text)
	}
	return out
}

// optionalColumns of tasks are left out of JSON when empty and can be filtered
// by all the same.
var optionalColumns = []string{"error_type", "error_message", "progress", "reason", "required_resources"}

// add takes a row if it meets the conditions. It must not hold the loop when
// there are conditions: they are compared as text.
func (f *filter[R]) add(row *R) {
	if len(f.conditions) > 0 {
		have := columnsOf(row)
		for _, c := range f.conditions {
			if (have[c.column] == c.value) == c.not {
				return
			}
		}
	}
	f.count(1)
	if len(f.rows.Rows) < f.limit {
		f.rows.Rows = append(f.rows.Rows, *row)
	}
}

func (f *filter[R]) count(n int) {
	f.rows.Total += n
	f.rows.Truncated = f.rows.Total > f.limit
}

// full reports whether further rows only have to be counted.
func (f *filter[R]) full() bool { return len(f.conditions) == 0 && len(f.rows.Rows) >= f.limit }

// one resolves an ID that may be a unique prefix of what is listed.
func one(what, prefix string, ids []string) (string, error) {
	var found []string
	for _, id := range ids {
		if id == prefix {
			return id, nil
		}
		if strings.HasPrefix(id, prefix) && !slices.Contains(found, id) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return "", raygo.Fail(raygo.CodeRefused, "there is no %s %s here; list %ss shows what there is", what, prefix, what)
	case 1:
		return found[0], nil
	}
	return "", raygo.Fail(raygo.CodeRefused, "%s %s is not unique: %d begin so; give more of it", what, prefix, len(found))
}
