// Package behaviours owns the tests of what a user sees: numbered behaviours,
// each shown with real worker processes. The test binary is the program: its
// functions are in funcs_test.go and run in workers that a peer in the test's
// process starts from it. docs/behaviours.md lists number and test.
package behaviours
