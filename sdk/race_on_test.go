//go:build race

package raygo_test

// raceOn: the detector keeps memory of its own.
const raceOn = true
