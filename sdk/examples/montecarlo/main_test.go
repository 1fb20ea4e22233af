package main

import (
	"testing"

	"github.com/raygo/raygo/sdk/examples/internal/started"
)

func TestMonteCarlo(t *testing.T) {
	// Eight seeds are busy twice, one crashes its worker once.
	started.Want(t, started.Output(t),
		"licences: 2",
		"9 of 40 tasks were tried again",
	)
}
