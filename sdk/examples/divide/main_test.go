package main

import (
	"testing"

	"github.com/raygo/raygo/sdk/examples/internal/started"
)

// behaviour 240
func TestDivide(t *testing.T) {
	started.Want(t, started.Output(t), "1000000 numbers sorted: true, none lost: true")
}
