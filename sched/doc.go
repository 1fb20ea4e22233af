// Package sched owns every decision of a peer about tasks, refs, resources and
// workers: what is ready, what starts where, who is told, what is retried,
// cancelled and freed.
//
// It is a state machine: Step takes the time and an event and returns effects,
// which the caller carries out; Next says when to call with a Tick if nothing
// else happens. It has no clock, no goroutines, no I/O and no dependence on map
// order; its random numbers come from a seed. The same events give the same
// effects, so an incident can be replayed and a test can drive it by hand.
//
// A Core plays two roles. As owner it holds tasks and objects of jobs attached
// here (task.go, object.go, stream.go, attempt.go, cancel.go). As executor it
// holds this machine's resources and workers (ledger.go, worker.go, place.go);
// what it would bid for and what it admits come from one function, fits.
package sched
