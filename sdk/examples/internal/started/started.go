// Package started owns how the tests of the examples start them: as a user
// would, in a process of their own, with no peer about but the one inside.
package started

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is far more than any example takes; past it the test says what the
// example printed so far.
const patience = 2 * time.Minute

// Output builds the program in the current directory, runs it with args, and
// returns what it wrote to stdout. It fails the test if the program fails, and
// if it leaves a file or a process behind.
func Output(t *testing.T, args ...string) string {
	t.Helper()
	// Not t.TempDir: with the test's name in it, a socket's path grows too long.
	dir, err := os.MkdirTemp("", "rg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	tmp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "example")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(without(os.Environ(), "RAYGO_"), "TMPDIR="+tmp, "XDG_RUNTIME_DIR="+tmp, "XDG_DATA_HOME="+tmp)
	var out, logs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &logs
	cmd.WaitDelay = 5 * time.Second // whoever keeps the pipes open outlived the program
	if err := cmd.Run(); err != nil {
		t.Fatalf("run %s: %v\nstdout:\n%s\nstderr:\n%s", filepath.Base(t.Name()), err, &out, &logs)
	}
	if left, _ := filepath.Glob(filepath.Join(tmp, "*")); len(left) > 0 {
		t.Errorf("the program left behind: %s", strings.Join(left, " "))
	}
	return out.String()
}

// Want fails the test for each line that the output does not have.
func Want(t *testing.T, output string, lines ...string) {
	t.Helper()
	have := "\n" + output
	for _, line := range lines {
		if !strings.Contains(have, "\n"+line+"\n") {
			t.Errorf("the output has no line %q:\n%s", line, output)
		}
	}
}

func without(env []string, prefix string) []string {
	var kept []string
	for _, kv := range env {
		if !strings.HasPrefix(kv, prefix) {
			kept = append(kept, kv)
		}
	}
	return kept
}
