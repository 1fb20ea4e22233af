package main

import (
	"testing"

	"github.com/raygo/raygo/sdk/examples/internal/started"
)

func TestPipeline(t *testing.T) {
	// 17984 primes up to 200000, and their sum, are well known.
	started.Want(t, started.Output(t),
		"17984 primes up to 200000 in 200 batches, their sum is 1709600813",
		"batch 0 has 168 primes",
		"batch 1 has 135 primes",
		"batch 2 has 127 primes",
	)
}
