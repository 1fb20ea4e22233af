// Package gossip owns what peers know of each other: who there is, what each one
// says of itself, how loaded it roughly is, and which of them have died.
//
// It is a state machine without clock, goroutine, lock or source of randomness of
// its own. One goroutine of the caller owns a Core, steps it with events and
// carries out its effects:
//
//	effects := core.Step(now, event)   // what happened
//	core.Next()                        // when to step with a Tick at the latest
//
// A Core joins three parts that may be used and are tested on their own: View,
// what is known, merged so that order, repetition and loss of messages do not
// change where it ends; Detector, who is alive; and Rounds, who is told next.
//
// # What is believed of whom
//
// An advert is signed by the peer it is about and believed from anybody. A Load
// is not signed: it is a hint, relayed by third parties, and nothing is decided by
// it. A Rumour says that somebody gets no answer from a peer; whoever hears it
// asks that peer itself, so nobody can talk a peer dead. An incarnation that is
// dead or has left stays so; the peer comes back with a higher one.
//
// # Wire
//
// A message is a byte of version, a byte of kind and a body in core-deterministic
// CBOR with integer keys (message.go). Kinds and keys are only ever added, and a
// kind that a peer does not know is passed over.
//
//	opener → other   ctl:  Ping            answered by Ack
//	                       PingReq         ping that peer for me; answered by Vouch
//	                       Digest          the entries forwarded least; answered by a
//	                                       Digest with Pull set if there is news to tell
//	                       Want            the adverts of these peers; answered by Bundle
//	                       Buckets         hashes of what I know; answered by Summary,
//	                                       of the buckets that differ
//	                       Obituary        that incarnation of yours is dead here
//
// History:
//
//	1  2026-11-23  the first
package gossip
