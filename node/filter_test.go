package node

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/raygo/raygo/sdk/ipc"
)

var someRows = []ipc.TaskRow{
	{TaskID: "aa", State: "RUNNING", FuncName: "f", WorkerPID: 7},
	{TaskID: "ab", State: "FAILED", FuncName: "a=b", ErrorType: "TASK_ERROR", Ended: time.Unix(1, 0).UTC()},
	{TaskID: "ac", State: "FINISHED", FuncName: "f", Resources: map[string]float64{"CPU": 1}},
	{TaskID: "ad", State: "FINISHED", FuncName: "g", Attempt: 1},
}

// behaviours 220 and 221
func TestFilters(t *testing.T) {
	for _, c := range []struct {
		filters []string
		limit   int
		want    string
		total   int
	}{
		{nil, 0, "aa ab ac ad", 4},
		{nil, 2, "aa ab", 4},
		{[]string{"state=FINISHED"}, 1, "ac", 2},
		{[]string{"state=FINISHED", "func_name=f"}, 0, "ac", 1},
		{[]string{"state!=FINISHED"}, 0, "aa ab", 2},
		{[]string{"func_name=a=b"}, 0, "ab", 1},
		{[]string{"func_name!=a=b"}, 0, "aa ac ad", 3},
		{[]string{"attempt=1"}, 0, "ad", 1},
		{[]string{"worker_pid=7"}, 0, "aa", 1},
		{[]string{"error_type="}, 0, "aa ac ad", 3},
		{[]string{"error_type!="}, 0, "ab", 1},
		{[]string{"end_time=1970-01-01T00:00:01Z"}, 0, "ab", 1},
		{[]string{`required_resources={"CPU":1}`}, 0, "ac", 1},
	} {
		f, err := newFilter[ipc.TaskRow](&ipc.Query{Filters: c.filters, Limit: c.limit})
		if err != nil {
			t.Fatal(err)
		}
		var have []string
		for i := range someRows {
			f.add(&someRows[i])
		}
		for _, r := range f.rows.Rows {
			have = append(have, r.TaskID)
		}
		if got := strings.Join(have, " "); got != c.want || f.rows.Total != c.total || f.rows.Truncated != (len(have) < c.total) {
			t.Errorf("%q, limit %d: %q of %d, truncated %v; want %q of %d", c.filters, c.limit, got, f.rows.Total, f.rows.Truncated, c.want, c.total)
		}
	}
}

// behaviour 220
func TestFiltersThatCannotBe(t *testing.T) {
	for filter, says := range map[string]string{
		"colour=red":   "func_name",
		"state":        "column=value",
		"=x":           "column=value",
		"!=x":          "column=value",
		"state!RUN":    "column=value",
		"state !!=RUN": "no column",
	} {
		_, err := newFilter[ipc.TaskRow](&ipc.Query{Filters: []string{filter}})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", filter, err)
		}
	}
	for _, limit := range []int{-1, maxRows + 1} {
		if _, err := newFilter[ipc.TaskRow](&ipc.Query{Limit: limit}); err == nil {
			t.Errorf("a limit of %d is taken", limit)
		}
	}
}

func TestUniquePrefixes(t *testing.T) {
	ids := []string{"abc", "abd", "abd", "x", "xy"}
	for prefix, want := range map[string]string{"abd": "abd", "abc": "abc", "x": "x", "xy": "xy"} {
		if got, err := one("task", prefix, ids); err != nil || got != want {
			t.Errorf("%q is %q, %v; want %q", prefix, got, err, want)
		}
	}
	for prefix, says := range map[string]string{"ab": "2 begin so", "z": "there is no task z", "": "4 begin so"} {
		if _, err := one("task", prefix, ids); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", prefix, err)
		}
	}
}

func TestARingKeepsTheLast(t *testing.T) {
	r := ring[int]{limit: 3}
	var went []int
	for i := range 8 {
		if old, gone := r.add(i); gone {
			went = append(went, old)
		}
	}
	var have []int
	r.each(func(v *int) { have = append(have, *v) })
	if !slices.Equal(have, []int{5, 6, 7}) || !slices.Equal(went, []int{0, 1, 2, 3, 4}) {
		t.Errorf("it has %v, gone are %v", have, went)
	}
}
