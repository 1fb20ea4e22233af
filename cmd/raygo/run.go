package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/raygo/raygo/cmd/raygo/internal/ask"
)

func newRun(s *shared) *cobra.Command {
	tags, race := "", false
	cmd := &cobra.Command{
		Use:   "run [flags] PACKAGE [ARGUMENT]...",
		Short: "Build a program and run it as the driver, with a private peer if none serves",
		Long: `Build a Go program and run it as the driver of a job. Its standard input and
output are yours, signals reach it, and its exit code is raygo's. When no peer
serves, one is hosted for as long as the program runs; nothing stays behind.`,
		Example: `  raygo run ./cmd/mine --input data.csv
  raygo run github.com/raygo/raygo/sdk/examples/mapreduce
  raygo --address unix:///tmp/other.sock run .`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			build := []string{"build"}
			if tags != "" {
				build = append(build, "-tags", tags)
			}
			if race {
				build = append(build, "-race")
			}
			return buildAndRun(cmd.Context(), s.address, build, args, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().SetInterspersed(false) // what follows PACKAGE is the program's
	cmd.Flags().StringVar(&tags, "tags", "", "build `TAGS`, as for go build")
	cmd.Flags().BoolVar(&race, "race", false, "build with the race detector")
	return cmd
}

func buildAndRun(ctx context.Context, address string, build, args []string, errOut io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "raygo-run-")
	if err != nil {
		return fmt.Errorf("make a place for the program: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary := filepath.Join(dir, programName(args[0]))
	if err := goBuild(ctx, append(build, "-o", binary, args[0]), errOut); err != nil {
		return err
	}
	h, err := hostPeer(ctx, address, errOut)
	if err != nil {
		return err
	}
	err = runDriver(ctx, binary, args[1:], append(os.Environ(), ask.Variable+"="+h.address))
	return errors.Join(err, h.stop())
}

// goBuild builds with the go command on PATH; the compiler's complaints go to
// errOut as they are.
func goBuild(ctx context.Context, args []string, errOut io.Writer) error {
	c := exec.CommandContext(ctx, "go", args...)
	c.Stdout, c.Stderr = errOut, errOut
	err := c.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit):
		return fmt.Errorf("go build %s: the program does not build", args[len(args)-1])
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("there is no go command on PATH to build the program with: install Go, or build the program elsewhere and start it directly")
	}
	return fmt.Errorf("go build: %w", err)
}

// programName is the name that go build would give the program.
func programName(pkg string) string {
	abs, err := filepath.Abs(pkg)
	if strings.HasPrefix(pkg, ".") && err == nil {
		pkg = abs
	}
	pkg, _, _ = strings.Cut(pkg, "@")
	name := strings.TrimSuffix(filepath.Base(pkg), ".go")
	if name == "" || name == "/" || name == "." || name == "..." {
		return "program"
	}
	return name
}
