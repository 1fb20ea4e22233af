package node

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestKeptProgramsAreBounded(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	for i := range maxPrograms + 5 {
		path := filepath.Join(dir, fmt.Sprintf("p%03d", i))
		if err := os.WriteFile(path, nil, 0o500); err != nil {
			t.Fatal(err)
		}
		at := now.Add(time.Duration(i) * time.Second)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	for name, age := range map[string]time.Duration{".fetch-old": 2 * fetchLeft, ".fetch-new": 0} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now, now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := prunePrograms(dir, now); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != maxPrograms+1 || left[0].Name() != ".fetch-new" || left[1].Name() != "p005" {
		t.Errorf("%d files are left, the first are %v: %v", len(left), left[:2], err)
	}
}
