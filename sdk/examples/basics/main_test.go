package main

import (
	"errors"
	"testing"

	"github.com/raygo/raygo/sdk/examples/internal/started"
)

func TestBasics(t *testing.T) {
	started.Want(t, started.Output(t),
		"7 squared is 49",
		"squares, in the order of the arguments: [1 4 9 16 25]",
		"3² + 4² = 25",
		"1² + 2² + 3² + 100 = 114",
		"the digits of 42: [4 2]",
		"the sum of 100000 zeros: 0",
		"so does what needs its result: true",
		"not there after 50 ms: true",
		"cancelled: true",
		"ended by its own timeout: true",
	)
}

// A remote function is an ordinary function as well: Local calls it here.
func TestDivideLocally(t *testing.T) {
	if got, err := Divide.Local(t.Context(), 12, 4); got != 3 || err != nil {
		t.Errorf("12 / 4 = %d, %v", got, err)
	}
	if _, err := Divide.Local(t.Context(), 1, 0); !errors.Is(err, ErrZero) {
		t.Errorf("1 / 0: %v, want ErrZero", err)
	}
}
