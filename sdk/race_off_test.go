//go:build !race

package raygo_test

const raceOn = false
