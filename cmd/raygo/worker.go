package main

import (
	"context"
	"fmt"
	"os"

	raygo "github.com/raygo/raygo/sdk"
)

// serveTasks makes this process a worker when a peer started it as one; then it
// does not return. The demo's functions are in this very binary.
func serveTasks() {
	if os.Getenv(raygo.WorkerEnv) == "" {
		return
	}
	_, _, err := raygo.Init(context.Background())
	fmt.Fprintln(os.Stderr, "raygo: serve tasks:", err)
	os.Exit(exitFailed)
}
