// Package link owns the long-lived streams between this peer and every other:
// how they come up, what keeps them honest and how they end.
//
// Two peers have at most one link. It is a pair of streams that the peer with
// the lower ID opens over whatever connection there is, whoever dialled it:
// /raygo/ctl/1 for what must not wait and /raygo/task/1 for the rest. Bytes of
// objects have streams of their own, /raygo/obj/1, opened by whoever fetches.
//
// # Wire
//
// A stream is a sequence of frames: four bytes of length, big endian, then so
// many bytes. No frame is longer than MaxFrame. A length whose highest bit is
// set is a frame of this package, at most maxNote bytes; its first byte says
// which (note.go). The others are the Handler's and their bytes mean nothing
// here.
//
// A link begins with
//
//	opener → acceptor   ctl:  hello     Hello with a session drawn by the opener
//	                    task: session   the same, which ties the streams together
//	acceptor → opener   ctl:  hello     its own, with the opener's session: accepted
//	                       or refuse    why not, in words
//	opener → acceptor   ctl:  confirm   accepted; the link is up on both sides
//	                       or refuse
//
// so that nobody takes a peer for reachable before that peer has said so: a
// dial may succeed though the other side refuses us.
//
// # Flow
//
// Send only appends to a buffer; Flush hands all that has gathered to the
// stream at once, which is one TLS record for many frames. It writes in the
// caller's goroutine if that cannot block, which the sender knows from what the
// other end has acknowledged (out.go), and otherwise wakes the link's writer.
package link
