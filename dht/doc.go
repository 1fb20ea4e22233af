// Package dht owns what a cluster's peers tell each other through a distributed
// hash table: who holds an object or a program, and who owns a job. It wraps
// go-libp2p-kad-dht with a prefix of the cluster's own, so that only its
// members meet in it.
//
// It is the slow path. A peer asks the owner of an object first, and comes here
// when that hint fails; nothing here is waited for on the way of a task.
//
//   - [DHT.Provide] and [DHT.Withdraw] return at once. What is to be announced
//     is gathered into batches, placed at the closest peers by a bounded number
//     of workers, and placed again before it expires there. Alone, a peer keeps
//     what it has to say until somebody comes.
//   - [DHT.Providers] answers within about a second whoever is dead: it takes
//     what it has found by then. Peers that the failure detector calls dead are
//     neither asked nor named.
//   - Records are short-lived, so that the holdings of a peer that died go. One
//     that withdraws says so to the peers that keep the record (see
//     withdrawProtocol); what still slips through is told to [DHT.Drop] by whoever
//     asked in vain.
//   - Records of ownership ([OwnerRecord]) are signed by the owner; of two, the
//     higher epoch wins, then the smaller peer ID, so all readers agree.
//
// Every table is bounded: what one peer may announce, what is kept for others in
// all and for each of them, what waits to be said. At a bound the caller gets
// [ErrFull], a remote peer's record is refused, and a counter says so.
package dht
