package machine

import (
	"context"
	"testing"
)

func TestDoctorSaysSomethingAboutEverything(t *testing.T) {
	fs := Doctor(context.Background())
	seen := map[string]bool{}
	for _, f := range fs {
		if f.Name == "" || f.Value == "" || seen[f.Name] {
			t.Errorf("finding without a name of its own or a value: %+v", f)
		}
		if !f.OK && f.Advice == "" {
			t.Errorf("%s is not OK and there is no advice: %+v", f.Name, f)
		}
		seen[f.Name] = true
		t.Logf("%-15s ok=%-5v %s | %s", f.Name, f.OK, f.Value, f.Advice)
	}
	for _, want := range []string{"cores", "GPUs", "memory", "shared memory", "memory files", "huge pages", "cgroup v2", "Landlock",
		"namespaces", "ports", "clock", "isolation tier", "disk", "open files"} {
		if !seen[want] {
			t.Errorf("the doctor says nothing of %s", want)
		}
	}
}
