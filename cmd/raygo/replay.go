package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	"github.com/raygo/raygo/sdk/ipc"
)

// replayVariable names the file that says which call a program is to run again
// instead of its main function.
const replayVariable = "RAYGO_REPLAY"

func newReplay(s *shared) *cobra.Command {
	return &cobra.Command{
		Use:   "replay TASK",
		Short: "Run a task's last attempt again here: same program, same arguments",
		Long: `Run a task's last attempt again here, in a fresh process of the same program with
the same arguments, and print its result or its failure. It changes nothing in
the cluster. Set a debugger or GODEBUG in the environment: the process has it.`,
		Example: "  raygo list tasks --filter state=FAILED\n  raygo replay 4f1b…",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			id, err := resolve(cmd.Context(), c, args[0], taskIDs)
			if err != nil {
				return err
			}
			spec := ipc.ReplaySpec{}
			err = c.Each(cmd.Context(), ipc.Query{Op: ipc.QueryReplay, ID: id}, func(body []byte) error {
				return ipc.Unmarshal(body, &spec) // maps of several answers add up
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "raygo: attempt %d of %s (%s), program %s\n", spec.Attempt, spec.Class.Function, id, spec.CID)
			return replay(cmd, &spec)
		},
	}
}

// replay runs the call in a process of its own, whose exit code is ours.
func replay(cmd *cobra.Command, spec *ipc.ReplaySpec) (err error) {
	if _, err := os.Stat(spec.Program); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the program is not kept on this machine any more: %w", err)
	}
	dir, err := os.MkdirTemp("", "raygo-replay-")
	if err != nil {
		return fmt.Errorf("make a place for the call: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "call")
	if err := os.WriteFile(file, ipc.Marshal(spec), 0o600); err != nil {
		return fmt.Errorf("write the call: %w", err)
	}
	env := os.Environ()
	for k, v := range spec.Env {
		env = append(env, k+"="+v)
	}
	return runDriver(cmd.Context(), spec.Program, nil, append(env, replayVariable+"="+file, ask.Variable+"="))
}
