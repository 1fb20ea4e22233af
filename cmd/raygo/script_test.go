package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/raygo/raygo/cmd/raygo/internal/fleet"
)

func TestMain(m *testing.M) {
	serveTasks()
	fleet.Serve()
	testscript.Main(m, map[string]func(){"raygo": main})
}

// TestScripts runs the command as a shell would; each script is one behaviour.
func TestScripts(t *testing.T) {
	goEnv, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE", "GOPROXY").Output()
	if err != nil {
		t.Fatalf("ask the go command for its caches: %v", err)
	}
	caches := strings.Split(strings.TrimSpace(string(goEnv)), "\n")
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			// Nothing of this user's own peer is touched. A socket's path is
			// short by nature, so that the directory is not the script's.
			run, err := os.MkdirTemp("", "rg")
			if err != nil {
				return err
			}
			env.Defer(func() { _ = os.RemoveAll(run) })
			env.Setenv("XDG_RUNTIME_DIR", run)
			env.Setenv("XDG_DATA_HOME", filepath.Join(run, "data"))
			env.Setenv("HOME", run)
			env.Setenv("GOCACHE", caches[0])
			env.Setenv("GOMODCACHE", caches[1])
			env.Setenv("GOPROXY", "off")
			env.Setenv("GOFLAGS", "-mod=mod")
			return nil
		},
	})
}
