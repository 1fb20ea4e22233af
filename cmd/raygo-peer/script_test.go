package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"raygo-peer": main})
}

// TestScripts runs the command as a shell would; each script is one behaviour.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"listen": listen,
		},
		Setup: func(env *testscript.Env) error {
			// Nothing of this user's own peer is touched. A socket's path is
			// short by nature, so that the directory is not the script's.
			run, err := os.MkdirTemp("", "rp")
			if err != nil {
				return err
			}
			env.Defer(func() { _ = os.RemoveAll(run) })
			env.Setenv("XDG_RUNTIME_DIR", run)
			env.Setenv("XDG_DATA_HOME", filepath.Join(run, "data"))
			env.Setenv("HOME", run)
			return nil
		},
	})
}

// listen VARIABLE: another program listens on loopback, at the port that the
// variable then has.
func listen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: listen VARIABLE")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	_, port, err := net.SplitHostPort(l.Addr().String())
	ts.Check(err)
	ts.Setenv(args[0], port)
}
