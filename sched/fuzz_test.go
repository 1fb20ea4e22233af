package sched

import "testing"

// A selector is text from a user: whatever it is, it is matched or refused.
func FuzzMatch(f *testing.F) {
	for _, s := range []string{"zone=eu", "disk!=hdd,arch in (amd64,arm64)", "a !in (b)", "a in (", ",", "=", "a=b=c", "(,)"} {
		f.Add(s)
	}
	labels := map[string]string{"zone": "eu", "arch": "amd64", "a": "b=c"}
	f.Fuzz(func(t *testing.T, s string) {
		ok, err := Match(s, labels)
		if err != nil && ok {
			t.Fatalf("%q is refused and matches", s)
		}
		again, err2 := Match(s, labels)
		if again != ok || (err == nil) != (err2 == nil) {
			t.Fatalf("%q does not always give the same", s)
		}
	})
}
