// Package swarm owns the way of large objects and programs between peers: it
// fetches blocks from all who have some and serves them to all who ask.
//
// # Fetching
//
// One flight per object, however many wait for it. Its blocks come from several
// holders at once, each block is compared with its digest in the manifest before
// it is written, and nothing shows before all are there. What was verified stays
// when a holder goes. A peer that is still fetching serves what it has, so a
// broadcast is a swarm: a holder that has just sent a block of a large object to
// one peer refers others to that one.
//
// # Trust
//
// A manifest is compared with the CID. An object so new that its CID is not known
// is taken by the manifest of its maker alone, and its CID reported. Who sends a
// block that differs from its digest is not asked again for that object, and who
// does so for several objects is not asked for anything for a while.
//
// # Bounds
//
// Bytes asked for and not here yet are bounded per holder and in total; who gets
// them is decided by priority. A holder sends what it was asked for and nothing
// else, so what is asked for is the credit of the one who sends: a reader that is
// slow asks for less. Who serves bounds streams, requests and blocks of each peer
// and answers Busy above that; who goes on is cut off.
//
// # Copies
//
// Whole objects are sent from where they lie in the store. What arrives is read
// into a buffer of one block, compared with its digest there, while it is in the
// processor's cache and the next block arrives, and copied into the object's
// range: bytes that are wrong never get there, and two holders may send the same
// block without minding each other. Of the processor time of a transfer over TLS
// that copy is a twentieth and the digest a third; to read into the range itself
// would cost a fault for each fresh page, which is more.
//
// # Wire
//
// A frame is a head of 12 bytes and a body; numbers are big endian.
//
//	0  u32 length of the body
//	4  u8  version (1)
//	5  u8  type
//	6  u16 priority of a request, 0 in answers
//	8  u32 number of the request, chosen by who asks; answers repeat it
//
//	key      u8 kind (1 object, 2 CID), u8 length, bytes
//	ranges   u16 how many, then u32 first block, u32 blocks each
//
//	 1 GetManifest  key
//	 2 GetBlocks    u8 flags (1: here, whoever else has them), key, ranges
//	 3 Have         key: what is here now and, as long as it grows, what is added
//	 4 Cancel       nothing; the request of this number ends
//	16 Manifest     u64 size, 32 bytes of SHA-256 for each block
//	17 Block        u32 block, its bytes
//	18 Has          u8 flags (1: all), u32 first block of the map (a multiple of
//	                8), u16 length of the map, the map (bit 0 first), u8 how many
//	                peers, u8 length and name each: who else asked lately
//	19 NotFound     refusal: the object is not here, or no longer
//	20 Busy         refusal: ask again later
//	21 Missing      refusal: these blocks are not here yet
//	22 Elsewhere    refusal: these blocks went to the peer just now
//
//	refusal  ranges (none: the whole request), u8 length of a peer's name, the name
//
// The blocks of a request are answered in its order, each by Block or in a
// refusal. Requests of one stream are answered by priority and in order.
//
// 2026-11: version 1.
package swarm
