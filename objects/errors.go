package objects

import "errors"

// What calls of a Store fail with. They are wrapped with the object and numbers.
var (
	// ErrStoreFull: no room appeared within PutWait, or too many calls wait already.
	ErrStoreFull = errors.New("object store is full")
	// ErrOutOfDisk: room could only come from spilling, and the spill disk is above DiskHigh.
	ErrOutOfDisk = errors.New("spill disk is full")
	// ErrTooLarge: the object, or the set to pin, can never fit under the limit.
	ErrTooLarge = errors.New("larger than the object store")
	// ErrNotFound: the store has no such object; it was never there, was deleted or aborted.
	ErrNotFound = errors.New("no such object in the store")
	// ErrExists: the ID is in use, if only by readers of an object deleted since.
	ErrExists = errors.New("object already exists")
	// ErrNotSealed: the object is still being written.
	ErrNotSealed = errors.New("object is not sealed")
	// ErrNoJob: the job was not opened or is closed.
	ErrNoJob = errors.New("job has no arena")
	// ErrCorrupt: bytes differ from their CID.
	ErrCorrupt = errors.New("bytes differ from their CID")
	// ErrClosed: the store has ended.
	ErrClosed = errors.New("object store is closed")
)
