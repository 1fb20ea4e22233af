package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/raygo/raygo/objects"
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

// Law 7: a program whose kept bytes were spoilt is not run; it is fetched anew.
func TestASpoiltProgramIsNotRun(t *testing.T) {
	good := []byte("#!/bin/true\n")
	name, err := programID(bytes.NewReader(good), int64(len(good)))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if _, err := keptProgram(path, name); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("there is none: %v", err)
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	prog, err := keptProgram(path, name)
	if err != nil {
		t.Fatal(err)
	}
	_ = prog.Close()
	good[3] ^= 1
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keptProgram(path, name); !errors.Is(err, objects.ErrCorrupt) {
		t.Fatalf("spoilt: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("it is still there: %v", err)
	}
}
