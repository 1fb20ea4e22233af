// Package objects owns the bytes of large objects on one peer: where they are in
// memory, which of them are on disk, and what they are called by content.
//
// Each job has one arena, a sparse memory file that the job's processes map. The
// Store hands out page-aligned ranges of it. A range goes through these states:
//
//	Alloc ─► writing ─ Seal ─► in memory ◄─────────┐
//	            │                 │ spill           │ restore, verified
//	          Abort               ▼                 │
//	            │             in memory and on disk ┴─► spilled
//	            ▼                 │ Delete, CloseJob       │
//	          gone ◄──────────────┴────────────────────────┘
//
// # Room
//
// The limit covers the ranges of all jobs, those that hold objects (live) and
// those that are free but whose pages have been touched (retained). Retained
// ranges are handed out again first, since touching a fresh page costs ten times
// a copy, and are given back by punching holes when the limit needs them, when
// they have not been needed for a while, and when the job closes.
//
// Who has to wait for room is admitted first: a request is admitted when what
// cannot be evicted (being written, pinned, or promised to earlier requests)
// leaves room for all of it. From then on its bytes are promised, and eviction
// alone can make them free, so admitted requests never wait for each other. A
// Pin is admitted as a whole and holds nothing before it is; that is why waiting
// Pins neither deadlock nor evict each other's objects by turns. Writers go
// before Pins: they come from tasks that run and will give back what they pin.
//
// How to fill a range: pwrite on the arena for pages that the writer has not
// mapped and touched yet (2.8 GB/s into fresh pages, 5 GB/s into recycled ones,
// against 1.1 and 2.5 GB/s through a new mapping, whose faults clear and map page
// by page), and a copy through a mapping that it has kept (memcpy's speed). The
// store maps recycled pages together before it copies there (7 GB/s both).
// Allocating pages ahead (fallocate) gains nothing: they are cleared at the
// first touch all the same.
//
// # Names
//
// An object of up to BlockSize bytes is named by the CIDv1 of its bytes (raw,
// sha2-256), a larger one by that of its Manifest (dag-cbor). Names are made
// behind Seal. What was spilled becomes visible again only after every block has
// been compared with its digest.
package objects
