package behaviours

import (
	"context"
	"os"
	"testing"

	raygo "github.com/raygo/raygo/sdk"
)

// TestMain makes the test binary a program: started by a peer it is a worker.
func TestMain(m *testing.M) {
	if os.Getenv("RAYGO_WORKER_FD") != "" {
		if instead := broken[os.Getenv(brokenEnv)]; instead != nil {
			instead()
		}
		_, _, err := raygo.Init(context.Background())
		panic(err) // a worker's Init does not return
	}
	if role := roles[os.Getenv(roleEnv)]; role != nil {
		role()
		return
	}
	os.Exit(m.Run())
}
