// Command raygo owns the flags and the text of the commands that ask a peer,
// run programs and show what raygo does.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	"github.com/raygo/raygo/cmd/raygo/internal/bench"
	"github.com/raygo/raygo/cmd/raygo/internal/fleet"
	"github.com/raygo/raygo/node"
)

// Exit codes of raygo.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitNoPeer = 3
)

func main() {
	serveTasks()
	fleet.Serve()
	bench.ServeRole()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// errUsage is wrapped by errors about how a command was called.
var errUsage = errors.New("bad usage")

type usageError struct{ cause error }

func (e usageError) Error() string   { return e.cause.Error() }
func (e usageError) Unwrap() []error { return []error{errUsage, e.cause} }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitCode is an error that has been reported by whoever ended with it.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// run is main with its surroundings passed in.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	cmd, started := newCommand(out, errOut)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintf(errOut, "raygo: %s\n", err)
	switch {
	case !started(), errors.Is(err, errUsage), errors.Is(err, ask.ErrAddress), errors.Is(err, node.ErrConfig):
		fmt.Fprintln(errOut, "Run 'raygo --help', or 'raygo COMMAND --help', for the commands and their flags.")
		return exitUsage
	case errors.Is(err, ask.ErrNoPeer):
		fmt.Fprintln(errOut, "Start a peer with 'raygo-peer', or name the socket of one with --address unix:///PATH or $RAYGO_ADDRESS.")
		return exitNoPeer
	}
	return exitFailed
}
