// Package topic owns what a peer tells the whole cluster at once, over
// go-libp2p-pubsub: its advert, when it changes and rarely otherwise, and events:
// it joined, it leaves, it drains, it passes on a deny list.
//
// Pubsub is for what is rare: a message costs each peer about 0.3 ms, however few
// it concerns. It loses messages without a word, at full queues and to peers that
// are not there, so nothing may depend on one: adverts are also compared between
// neighbours (package gossip), and lists are asked for.
//
// # What is believed
//
// Each message is signed by its author, whoever passes it on. An advert or an
// event is believed only about its author; a deny list has a signature of its own,
// which is checked by whoever takes it. What is malformed, too large, of another
// cluster, in another's name, said before or said too often is not passed on.
//
// # Wire
//
// The topics are /raygo/CLUSTER/adverts/1 and /raygo/CLUSTER/events/1. A message
// is the byte of the version and a post (post.go) in CBOR with integer keys. Keys
// and kinds of events are only ever added; an event of a kind that a peer does not
// know is passed on.
//
// History:
//
//	1  2026-11-23  the first
package topic
