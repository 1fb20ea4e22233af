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
	var platforms []string
	cmd := &cobra.Command{
		Use:   "run [flags] PACKAGE [ARGUMENT]...",
		Short: "Build a program and run it as the driver, with a private peer if none serves",
		Long: `Build a Go program and run it as the driver of a job. Its standard input and
output are yours, signals reach it, and its exit code is raygo's. When no peer
serves, one is hosted for as long as the program runs; nothing stays behind.

With --address MULTIADDR the job is of the cluster of that peer, which is reached
through a bridge for as long as the program runs.

The program is built for this platform, and without cgo for every other that
peers of the cluster have, or that --platform names for peers still to come.`,
		Example: `  raygo run ./cmd/mine --input data.csv
  raygo run github.com/raygo/raygo/sdk/examples/mapreduce
  raygo --address unix:///tmp/other.sock run .
  raygo run --address /ip4/10.0.0.1/tcp/4001/p2p/12D3… --platform linux/arm64 .`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			named, err := parsePlatforms(platforms)
			if err != nil {
				return err
			}
			b := &building{notes: cmd.ErrOrStderr()}
			if tags != "" {
				b.flags = append(b.flags, "-tags", tags)
			}
			if race {
				if len(named) > 0 {
					return usagef("--race and --platform: the race detector needs cgo, and builds for other platforms have none")
				}
				b.flags = append(b.flags, "-race")
			}
			return b.run(cmd.Context(), s, args, named)
		},
	}
	cmd.Flags().SetInterspersed(false) // what follows PACKAGE is the program's
	cmd.Flags().StringVar(&tags, "tags", "", "build `TAGS`, as for go build")
	cmd.Flags().StringSliceVar(&platforms, "platform", nil, "build for peers of `OS/ARCH` too, as linux/arm64,darwin/arm64 (default those of the cluster's peers)")
	cmd.Flags().BoolVar(&race, "race", false, "build with the race detector")
	return cmd
}

// run builds a program and runs it as the driver.
func (b *building) run(ctx context.Context, s *shared, args, platforms []string) (err error) {
	dir, err := os.MkdirTemp("", "raygo-run-")
	if err != nil {
		return fmt.Errorf("make a place for the program: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary := filepath.Join(dir, programName(args[0]))
	if err := b.build(ctx, args[0], binary); err != nil {
		return err
	}
	h, err := hostPeer(ctx, &s.place, b.notes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.stop()) }()
	byName := len(platforms) > 0
	if !byName {
		if platforms, err = clusterPlatforms(ctx, h.address); err != nil {
			return err
		}
	}
	env := append(os.Environ(), ask.Variable+"="+h.address)
	others, err := b.builds(ctx, args[0], binary, platforms, byName)
	if err != nil {
		return err
	}
	if others != "" {
		env = append(env, others)
	}
	return runDriver(ctx, binary, args[1:], env)
}

// goBuild builds with the go command on PATH; the compiler's complaints go to
// errOut as they are.
func goBuild(ctx context.Context, args, env []string, errOut io.Writer) error {
	c := exec.CommandContext(ctx, "go", args...)
	c.Env = env
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
