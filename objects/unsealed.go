package objects

import (
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
	"github.com/raygo/raygo"
)

// WriteUnsealed writes into an object that this process allocated and has not
// sealed, as io.WriterAt does: through a mapping where that meets pages that have
// been touched before, and by pwrite into fresh ones, which need not be cleared
// first then.
func (s *Store) WriteUnsealed(id raygo.ObjectID, p []byte, off int64) (int, error) {
	e, err := s.holdUnsealed(id, off, len(p))
	if err != nil {
		return 0, fmt.Errorf("write object %s: %w", id, err)
	}
	defer s.release(e)
	if !e.cold {
		if all := e.job.window.bytes(e.job, s.cfg.ArenaSize); all != nil {
			return write(all, e.ext.Offset+uint64(off), p), nil
		}
	}
	n, err := e.job.arena.WriteAt(p, int64(e.ext.Offset)+off)
	if err != nil {
		return n, fmt.Errorf("write object %s: %w", id, err)
	}
	return n, nil
}

// ReadUnsealed reads what WriteUnsealed wrote, as io.ReaderAt does. What was not
// written yet reads as anything.
func (s *Store) ReadUnsealed(id raygo.ObjectID, p []byte, off int64) (int, error) {
	e, err := s.holdUnsealed(id, off, len(p))
	if err != nil {
		return 0, fmt.Errorf("read object %s: %w", id, err)
	}
	defer s.release(e)
	n, err := e.job.arena.ReadAt(p, int64(e.ext.Offset)+off)
	if err != nil {
		return n, fmt.Errorf("read object %s: %w", id, err)
	}
	return n, nil
}

// holdUnsealed finds an object that is being written and keeps its range.
func (s *Store) holdUnsealed(id raygo.ObjectID, off int64, n int) (*entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(id)
	switch {
	case e == nil:
		return nil, ErrNotFound
	case e.state != Writing:
		return nil, fmt.Errorf("%w (%s)", ErrExists, e.state)
	case off < 0 || uint64(off) > e.size || uint64(n) > e.size-uint64(off):
		return nil, fmt.Errorf("%d bytes at %d of %d: %w", n, off, e.size, io.ErrShortWrite)
	}
	s.hold(e)
	return e, nil
}

func (s *Store) release(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.letGo(e)
}

// SealCopy declares an object complete that is a copy of another peer's, whose
// bytes were compared with m, and pins it so many times before anything can evict
// it. It is Seal, MarkCopy and Pin at once, without a hash.
func (s *Store) SealCopy(id raygo.ObjectID, m Manifest, pins int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(id)
	switch {
	case e == nil:
		return fmt.Errorf("seal object %s: %w", id, ErrNotFound)
	case e.state != Writing:
		return fmt.Errorf("seal object %s: %w (%s)", id, ErrExists, e.state)
	case e.size != m.Size:
		return fmt.Errorf("seal object %s of %d bytes with the manifest of %d: %w", id, e.size, m.Size, ErrCorrupt)
	}
	s.endWriting(e)
	e.copied = true
	e.manifest = &m
	for range pins {
		s.pin(e)
	}
	s.list(e)
	s.advance()
	return nil
}

// BlockManifest is the manifest of an object of one block, which its CID alone
// determines; ok is false if c names a larger one.
func BlockManifest(c cid.Cid, size uint64) (m Manifest, ok bool) {
	if !c.Defined() || size > BlockSize {
		return Manifest{}, false
	}
	h := c.Hash()
	if c.Prefix().Codec != cid.Raw || len(h) < sha256.Size {
		return Manifest{}, false
	}
	m = Manifest{Size: size, Digests: [][sha256.Size]byte{[sha256.Size]byte(h[len(h)-sha256.Size:])}}
	return m, m.CID().Equals(c)
}
