// Package world owns the simulated cluster: sched cores on peers that crash,
// stop, lie and come back, links that lose and break, workers, stores and
// drivers, all in virtual time from one seed, and the laws of the design checked
// while they run.
//
// Some worlds that nothing else befalls have a detached job, whose driver leaves in
// the middle of it and whose owners may die: its values are read at the last owner.
//
// A World is one goroutine and reads no clock: the same Config gives the same
// run. What a core sees is the contract of sched: links are reliable ordered
// sessions, loss shows as delay, and a session that breaks is PeerDown at both
// ends before there is another.
package world
