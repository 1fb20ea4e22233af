// Package node owns a running peer: it joins the scheduler core, the object
// store, the worker launcher and the sockets of programs into one process.
//
// The core and everything it decides on is guarded by one mutex, the loop.
// Whoever has events, usually the goroutine that reads a program's connection,
// takes it, steps the core and carries out the effects, none of which block.
package node
