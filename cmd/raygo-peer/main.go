// Command raygo-peer owns the flags, the signals and the exit codes of a peer:
// the process that runs tasks on this machine. Everything else is package node.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/raygo/raygo/node"
)

// Exit codes of raygo-peer.
const (
	exitStopped = 0
	exitFailed  = 1
	exitUsage   = 2
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// errUsage is wrapped by errors about flags, variables and the config file.
var errUsage = errors.New("bad usage")

// run is main with its surroundings passed in.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	cmd, started := newCommand(in, out, errOut)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return exitStopped
	}
	fmt.Fprintf(errOut, "raygo-peer: %s\n", text(err))
	switch {
	case !started(), errors.Is(err, errUsage):
		fmt.Fprintln(errOut, "Run 'raygo-peer --help' for the flags and what they mean.")
		return exitUsage
	case errors.Is(err, node.ErrConfig):
		return exitUsage
	}
	return exitFailed
}

// usageError is an error about how the command was called; its text is the
// cause's alone.
type usageError struct{ cause error }

func (e usageError) Error() string   { return e.cause.Error() }
func (e usageError) Unwrap() []error { return []error{errUsage, e.cause} }

// usagef makes a usageError.
func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// text is what an error says to a person.
func text(err error) string {
	if errors.Is(err, node.ErrInUse) {
		return err.Error() + "\n  Stop that peer, or give this one a socket and a data directory of its own: --socket PATH --data-dir DIR"
	}
	return err.Error()
}
