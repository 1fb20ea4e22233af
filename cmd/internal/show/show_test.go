package show

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/raygo/raygo/sdk/ipc"
)

func TestFooterSaysWhatWasCutAndWhoAnswered(t *testing.T) {
	for _, c := range []struct {
		shown, total int
		cut          bool
		asked        ipc.Asked
		want         string
	}{
		{3, 3, false, ipc.Asked{Asked: 1, Answered: 1}, "3 tasks; 1 of 1 peers answered"},
		{100, 250, true, ipc.Asked{Asked: 48, Answered: 47}, "100 of 250 tasks shown; --limit N shows more, --filter KEY=VALUE fewer; 47 of 48 peers answered"},
	} {
		if got := Footer("tasks", c.shown, c.total, c.cut, c.asked); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestACellIsOneLine(t *testing.T) {
	var out bytes.Buffer
	Rows(&out, []string{"a\nb", strings.Repeat("ü", 500)}, []Column[string]{{Head: "x", Cell: func(s string) string { return s }}}, false)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || lines[0] != "X" || strings.TrimSpace(lines[1]) != "a b" || len([]rune(strings.TrimSpace(lines[2]))) != widestCell {
		t.Errorf("the table is\n%s", &out)
	}
}

func TestFormats(t *testing.T) {
	rows := ipc.Rows[ipc.JobRow]{Rows: []ipc.JobRow{{JobID: "j"}}, Total: 1, Peers: ipc.Asked{Asked: 1, Answered: 1}}
	for format, want := range map[string]string{Table: "JOB_ID", JSON: `"job_id": "j"`, YAML: "job_id: j"} {
		var out bytes.Buffer
		p := Printer{Out: &out, Notes: io.Discard, Format: format}
		if err := List(p, "jobs", rows, []Column[ipc.JobRow]{{Head: "job_id", Cell: func(r ipc.JobRow) string { return r.JobID }}}, false); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), want) || format != Table && strings.Contains(out.String(), "end_time") {
			t.Errorf("%s:\n%s", format, &out)
		}
	}
}

// JSON and YAML have the same values: figures in ns and in bytes, text that
// looks like something else; and what is empty is that in both, not null.
func TestYAMLHasTheValuesOfJSON(t *testing.T) {
	type answer struct {
		ipc.Rows[ipc.NodeRow]
		Nested map[string][]string `json:"nested"`
		Next   *answer             `json:"next"`
		Text   []string            `json:"text"`
	}
	node := ipc.NodeRow{
		PeerID: "12e5", Total: map[string]float64{"memory": 17_700_000_000, "CPU": 0.5}, Started: time.Date(2026, 1, 1, 0, 0, 0, 5, time.UTC),
		Links: []ipc.LinkRow{{RTT: 1234567}, {}},
	}
	v := answer{Rows: ipc.Rows[ipc.NodeRow]{Rows: []ipc.NodeRow{node}}, Nested: map[string][]string{"none": nil}, Text: []string{"", "true", "null", "1", "a: b", "two\nlines", "<\u0007\u007f"}}
	print := func(format string) string {
		var out bytes.Buffer
		if err := (Printer{Out: &out, Format: format}).Value(v, nil); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	asJSON, asYAML := print(JSON), print(YAML)
	var fromJSON, fromYAML any
	if err := json.Unmarshal([]byte(asJSON), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(asYAML), &fromYAML); err != nil {
		t.Fatalf("%v:\n%s", err, asYAML)
	}
	again, err := json.Marshal(fromYAML)
	if err != nil {
		t.Fatal(err)
	}
	fromYAML = nil
	if err := json.Unmarshal(again, &fromYAML); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(fromJSON, fromYAML); d != "" {
		t.Errorf("YAML (+) has other values than JSON (-):\n%s\n%s", d, asYAML)
	}
	for _, want := range []string{"rtt_ns: 1234567\n", "rtt_ns: 0\n", "memory: 17700000000\n", "labels: {}\n", "addrs: []\n", "none: []\n", "next: null\n", `peer_id: "12e5"`} {
		if !strings.Contains(asYAML, want) {
			t.Errorf("YAML has no %q:\n%s", want, asYAML)
		}
	}
	for _, want := range []string{`"labels": {}`, `"addrs": []`, `"resources_free": {}`, `"none": []`} {
		if !strings.Contains(asJSON, want) {
			t.Errorf("JSON has no %s:\n%s", want, asJSON)
		}
	}
}

func TestWords(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for got, want := range map[string]string{
		Took(start, start.Add(1234567*time.Nanosecond)):               "1.23ms",
		Took(start, start.Add(90*time.Second)):                        "1m30s",
		Took(time.Time{}, time.Time{}):                                "",
		Time(time.Time{}):                                             "",
		Quantities(map[string]float64{"CPU": 1.5, "memory": 1 << 30}): "CPU=1.5 memory=1.0GiB",
		Bytes(-2048): "-2.0 KiB",
		Int(0):       "",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
