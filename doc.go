// Package raygo owns the words that every other package shares: identities of
// jobs, tasks and objects, exact quantities of resources, task options, task
// states and the failures that cross process boundaries.
//
// It does nothing: no I/O, no goroutines, standard library only. Programs
// import the SDK, github.com/raygo/raygo/sdk, and rarely need this package.
package raygo
