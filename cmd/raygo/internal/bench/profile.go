package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/raygo/raygo/cmd/raygo/internal/fleet"
	raygo "github.com/raygo/raygo/sdk"
)

// Workers profile themselves between two tasks, since they end without notice.
var (
	profileFunc   = raygo.Func0(beginProfile)
	profiledFunc  = raygo.Func0(endProfile)
	workerProfile bytes.Buffer // of this process, when it is a worker
)

// everyWorker is how long a task takes so that as many at once as there are
// CPUs run in as many workers.
const everyWorker = 50 * time.Millisecond

func beginProfile(context.Context) (int, error) {
	time.Sleep(everyWorker)
	workerProfile.Reset()
	return 0, pprof.StartCPUProfile(&workerProfile)
}

func endProfile(context.Context) ([]byte, error) {
	time.Sleep(everyWorker)
	pprof.StopCPUProfile()
	return workerProfile.Bytes(), nil
}

// profileAll begins profiles of this process and of all workers of the session.
func profileAll(ctx context.Context, dir string) (stop func(), err error) {
	if dir == "" {
		return func() {}, nil
	}
	if _, err := onEach(ctx, profileFunc); err != nil {
		return nil, fmt.Errorf("profile the workers: %w", err)
	}
	own, err := fleet.Profile(dir, "driver")
	return func() {
		own()
		profiles, err := onEach(ctx, profiledFunc)
		for i, b := range profiles {
			err = errors.Join(err, os.WriteFile(filepath.Join(dir, fmt.Sprintf("worker-%d.pprof", i)), b, 0o644))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "raygo bench: profiles of workers:", err)
		}
	}, err
}

// onEach calls a function at once as often as there are CPUs.
func onEach[T any](ctx context.Context, f *raygo.Task0[T]) ([]T, error) {
	refs := make([]raygo.Ref[T], runtime.NumCPU())
	for i := range refs {
		refs[i] = f.Remote(ctx)
	}
	return raygo.GetAll(ctx, refs)
}
