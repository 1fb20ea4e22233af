package node

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
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
	field         int // of the row
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
	columns := columnsOf[R]()
	for _, s := range q.Filters {
		c, err := parseCondition(s)
		if err != nil {
			return nil, err
		}
		var ok bool
		if c.field, ok = columns[c.column]; !ok {
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

// columnsOf are a row's columns by their JSON names, with their fields.
func columnsOf[R any]() map[string]int {
	t := reflect.TypeFor[R]()
	columns := make(map[string]int, t.NumField())
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		columns[name] = i
	}
	return columns
}

// columnText is a column's value as people write it: as in JSON, without quotes.
// What is empty is "".
func columnText(v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Map, reflect.Slice:
		if v.Len() == 0 {
			return ""
		}
	case reflect.Int, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	}
	if v.IsZero() {
		return ""
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		b, err := m.MarshalText()
		if err == nil {
			return string(b)
		}
	}
	b, err := json.Marshal(v.Interface())
	if err != nil {
		return ""
	}
	return string(b)
}

// add takes a row if it meets the conditions. It must not hold the loop when
// there are conditions: they are compared as text.
func (f *filter[R]) add(row *R) {
	if len(f.conditions) > 0 {
		have := reflect.ValueOf(row).Elem()
		for _, c := range f.conditions {
			if (columnText(have.Field(c.field)) == c.value) == c.not {
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
	found := map[string]bool{}
	last := ""
	for _, id := range ids {
		if id == prefix {
			return id, nil
		}
		if strings.HasPrefix(id, prefix) {
			found[id], last = true, id
		}
	}
	switch len(found) {
	case 0:
		return "", raygo.Fail(raygo.CodeRefused, "there is no %s %s here; list %ss shows what there is", what, prefix, what)
	case 1:
		return last, nil
	}
	return "", raygo.Fail(raygo.CodeRefused, "%s %s is not unique: %d begin so; give more of it", what, prefix, len(found))
}
