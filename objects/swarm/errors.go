package swarm

import "errors"

// What fetching and serving fail with, wrapped with what was tried on whom.
var (
	// ErrLost: all holders that are known answered that they do not have it.
	ErrLost = errors.New("no peer has it any more")
	// ErrUnreachable: the holders that may have it cannot be reached, send
	// nothing, or lack blocks that nobody else has.
	ErrUnreachable = errors.New("no holder can be reached")
	// ErrCorrupt: every holder that is left sent bytes that differ from their CID.
	ErrCorrupt = errors.New("the holders sent bytes that differ from their CID")
	// ErrPresent: a Sink has all bytes already.
	ErrPresent = errors.New("already here")
	// ErrBusy: this peer serves or fetches as much as it may.
	ErrBusy = errors.New("too much at once")
	// ErrProtocol: the other side broke the protocol.
	ErrProtocol = errors.New("broken protocol")
	// ErrBanned: the peer has sent too much that was wrong, and is not asked now.
	ErrBanned = errors.New("peer is banned")
	// ErrClosed: the swarm has ended.
	ErrClosed = errors.New("swarm is closed")
)
