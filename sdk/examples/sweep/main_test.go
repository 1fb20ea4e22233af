package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/raygo/raygo/sdk/examples/internal/started"
)

func TestSweep(t *testing.T) {
	out := started.Output(t)
	started.Want(t, out, "one was good enough, the rest was called off: true")
	if !strings.Contains(out, "18 of 18, best loss 5e-05\n") || !strings.Contains(out, "settings diverged\n") {
		t.Errorf("the sweep did not find the line:\n%s", out)
	}
}

// train needs no peer to be tested.
func TestTrainDiverges(t *testing.T) {
	if _, err := Train.Local(context.Background(), Setting{Rate: 16, Decay: 1}, line(3, -2, 100)); !errors.Is(err, errDiverged) {
		t.Errorf("a huge rate gave %v, want errDiverged", err)
	}
}
