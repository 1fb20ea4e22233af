package swarm

import (
	"context"
	"io"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/raygo/raygo"
	"github.com/raygo/raygo/objects"
)

// Stream is one stream to a peer. Close ends it in order, Reset at once.
type Stream interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	Reset() error
}

// Dialer opens a stream to the server of a peer. Names come from other peers too:
// it dials those that it knows and nobody else.
type Dialer func(ctx context.Context, peer string) (Stream, error)

// Priority says what a fetch is for: lower goes first.
type Priority uint8

// What fetches are for, the most urgent first.
const (
	ForGet Priority = iota
	ForWait
	ForArguments
	ForPrefetch
	ForCopy
)

// Want is one wish for an object or a program.
type Want struct {
	// Object is what to fetch. If it is zero, the program of CID is.
	Object raygo.ObjectID
	// CID is the name by content, undefined if an object's is not known yet.
	CID cid.Cid
	// Size is the object's, exactly. With a program 0 means that it is not known.
	Size uint64
	// Maker is the peer whose manifest is believed when the CID is not known. If
	// it is empty, anybody's is.
	Maker string
	// Holders says who has it, all or parts. It is called at the start and again
	// and again while the fetch runs, and must not block for long.
	Holders func() []string
	// Find looks for holders where that takes time, such as the DHT. It is called
	// when those of Holders do not have it. Nil: there is no such place.
	Find func(ctx context.Context) []string
	// Priority decides who is served first.
	Priority Priority
	// Pin asks for the object to be pinned once for the caller when Fetch returns
	// without error, before anything can evict it.
	Pin bool
	// Into takes the bytes. Nil: an object goes to the Store, a program to Programs.
	Into Sink
}

func (w *Want) key() Key {
	if w.Object.IsZero() {
		return FileKey(w.CID)
	}
	return ObjectKey(w.Object)
}

// Result is what a fetch found.
type Result struct {
	CID     cid.Cid
	Size    uint64
	From    []string // who sent blocks of it
	Present bool     // it was here already: CID and Size are those wanted
}

// Sink takes the bytes of one fetch. Its methods may be called from many
// goroutines, but no two for the same block, and none after Commit or Abort has
// begun except ReadAt, which may fail then.
type Sink interface {
	// Open makes room; the size of a program of one block may not be known and is
	// 0 then. It fails with ErrPresent if all is there already.
	Open(ctx context.Context, size uint64) error
	// WriteAt takes verified bytes.
	WriteAt(p []byte, off int64) (int, error)
	// ReadAt gives back what WriteAt took.
	ReadAt(p []byte, off int64) (int, error)
	// Commit shows what was written, all of it, pinned so many times.
	Commit(m objects.Manifest, pins int) error
	// Abort forgets what was written.
	Abort()
}

// pinner is a Sink whose object can be pinned later.
type pinner interface {
	pin(ctx context.Context) error
	unpin()
}
