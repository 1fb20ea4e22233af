// Package ipc owns the protocol between a peer and the programs on its machine:
// drivers, workers and the command line. An SDK in another language can be
// written from this comment and the comments of message.go, object.go and mark.go alone.
//
// # Transport
//
// A Unix stream socket. A driver or a command connects to the peer's socket
// file; a worker inherits one end of a socket pair as the descriptor that
// $RAYGO_WORKER_FD names. Only the socket file's owner can connect (mode 0600).
//
// # Frames
//
// Everything is little-endian. A frame is
//
//	length  uint32   bytes that follow, 1 to MaxFrame
//	type    uint8    one of the Type constants
//	payload
//
// A frame above MaxFrame, of length 0, or whose payload does not parse ends the
// connection with a Refused frame that says why; nobody else is affected.
// Frames of unknown type are skipped, which is how a newer side speaks to an
// older one within a version.
//
// # Handshake
//
// The process speaks first: Hello. Its payload begins with a fixed part that
// never changes between versions (the magic "raygo", the lowest and highest
// version spoken as uint16 each) and goes on with a CBOR Hello. The peer answers
// Welcome (CBOR), which carries the version it chose, or Refused (CBOR
// raygo.Failure) and closes. The Welcome of a driver or worker carries one
// descriptor (SCM_RIGHTS): the job's arena, a sparse memory file in which every
// large value of the job lies. No other frame carries a descriptor.
//
// # Routing by header
//
// Messages on the path of a task (Submit, Execute, Result, Yield, Ready, Put,
// Release …) are a binary layout that the peer can route by. Values inside them
// are opaque to the peer: a format byte and bytes that only the two ends decode.
//
// # Values
//
//	kind uint8
//	  ValueInline     format uint8, length uint32, bytes
//	  ValueStored     format uint8, object ID (24), offset uint64, length uint64: bytes of the arena
//	  ValueFailed     code uint8, length uint32, CBOR raygo.Failure
//	  ValueComposite  parts uint32: the value is made of the objects 1..parts of the same task
//	  ValueElsewhere  format uint8, length uint64: it exists; ask with Want to have it
//
// Formats: FormatCBOR; FormatRaw, the memory of a []byte or of a slice of
// fixed-size numbers in little-endian order.
//
// Values above raygo.InlineLimit never travel in frames: the process asks for
// room (Alloc), writes into the arena, and sends the value as ValueStored; a
// reader maps the range read-only. A value that was put can be held on several
// peers: Replicate (object ID 24, copies uint32).
//
// # Life of a task
//
// A driver defines a Class (function and options) once per connection, then
// sends Submit with an ID it made itself. Arguments are inline values, refs,
// gathered refs or streams. The peer sends Execute to a worker of the same
// program: the argument section of Submit word for word, then the values of the
// refs in it. The worker answers Result, or Yield for each item of a generator
// and then Result. The peer tells the submitter Ready for each object: with the
// value when it is at most PushLimit bytes or was asked for by Want, with
// ValueElsewhere otherwise.
//
// A worker may be sent several tasks of one class ahead; it runs them one at a
// time in order. When its function blocks in Get, Wait or on a stream it sends
// Blocked, drops every Execute it has not begun, and drops those that arrive
// before Resume; the peer places them anew. After Unblocked it waits for Resume
// before it goes on. Recall asks it to give back what it has not begun, which it
// answers with Returned. Every Execute has an award number; a Result, Yield or
// Returned with another award than the current one is ignored.
//
// A driver that ends its session says so last: Goodbye, with how its job ended. A
// connection that ends without it was lost: the process was killed or crashed.
//
// # Counting refs
//
// A process holds each object that it submitted or put until it sends Release.
// Refs that reach it inside a value are reported with Borrow before the object
// that contained them is released, and count until Release. Counts add up: two
// Borrows want two Releases. A process that ends releases everything.
// ValueStored in a Ready pins the bytes for the process until Unpin; in an
// Execute, until that task's Result.
//
// # Streams
//
// A generator's item i is the object with index i. Submitting a generator gives
// the submitter one hold on the object raygo.StreamIndex, which stands for the
// stream; when nobody holds it (Release, or StreamClose by the last holder) the
// producer is stopped and what nobody took is freed. A consumer sends StreamOpen
// once (the submitter need not: it is told unasked) and then gets StreamState
// whenever the stream grew or ended, and Ready for items up to PushLimit. It
// reports Borrow for an item's ref before the StreamTaken that covers it. A
// failure ends the stream at its position: StreamState has it, and the object
// with that index fails with it. The object raygo.CompletedIndex is the CBOR
// array of the items' refs; hold it with Borrow, ask for it with Want. Before the
// Execute of a generator's second or later attempt the worker gets a
// StreamState that says how many items exist already: it yields those again
// without sending them. Credit says how many items were taken.
//
// # Versions
//
//	1  2026-11-23  first
package ipc
