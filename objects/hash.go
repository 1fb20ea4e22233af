package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/ipfs/go-cid"
	"github.com/raygo/raygo"
)

// hashLoop hashes sealed objects, one at a time.
func (s *Store) hashLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-s.hashQueue:
			s.mu.Lock()
			todo := s.beginHash(e)
			s.mu.Unlock()
			if !todo {
				continue
			}
			m, err := s.arenaReader(e).manifest()
			if err != nil && !errors.Is(err, ErrNotFound) {
				s.cfg.Logger.Error("hash", "object", e.id, "err", err)
			}
			s.endHash(e, m, err)
			if err == nil && s.cfg.Named != nil {
				s.cfg.Named(e.id, m.CID())
			}
		}
	}
}

// beginHash takes an object to hash, unless that is needless or under way.
func (s *Store) beginHash(e *entry) bool {
	if e.deleted || e.manifest != nil || e.hashing != nil || e.state != InMemory {
		return false
	}
	e.hashing = make(chan struct{})
	s.hold(e)
	return true
}

func (s *Store) endHash(e *entry, m Manifest, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && e.manifest == nil {
		e.manifest = &m
		s.count.Hashed++
	}
	close(e.hashing)
	e.hashing = nil
	s.letGo(e)
}

// CID is the object's name by content. It waits for the hash, or makes it.
func (s *Store) CID(ctx context.Context, id raygo.ObjectID) (cid.Cid, error) {
	m, err := s.Manifest(ctx, id)
	if err != nil {
		return cid.Undef, err
	}
	return m.CID(), nil
}

// Manifest lists the blocks of an object. It waits for the hash, or makes it.
func (s *Store) Manifest(ctx context.Context, id raygo.ObjectID) (Manifest, error) {
	for {
		s.mu.Lock()
		e := s.find(id)
		if e == nil || e.state == Writing {
			s.mu.Unlock()
			if e == nil {
				return Manifest{}, fmt.Errorf("hash object %s: %w", id, ErrNotFound)
			}
			return Manifest{}, fmt.Errorf("hash object %s: %w", id, ErrNotSealed)
		}
		if e.manifest != nil {
			m := *e.manifest
			s.mu.Unlock()
			return m, nil
		}
		mine, wait := s.beginHash(e), e.hashing
		s.mu.Unlock()
		if mine {
			m, err := ManifestOf(s.arenaReader(e), int64(e.size))
			s.endHash(e, m, err)
			if err != nil {
				return Manifest{}, fmt.Errorf("hash object %s: %w", id, err)
			}
			return m, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return Manifest{}, fmt.Errorf("hash object %s: %w", id, ctx.Err())
		}
	}
}

// arenaReader reads a held object in memory, until it is deleted: its range is
// wanted for others then.
type arenaReader struct {
	*io.SectionReader
	unwanted *atomic.Bool
}

func (s *Store) arenaReader(e *entry) arenaReader {
	return arenaReader{io.NewSectionReader(e.job.arena, int64(e.ext.Offset), int64(e.size)), &e.unwanted}
}

// ReadAt is the section's, but fails once the object is deleted.
func (r arenaReader) ReadAt(p []byte, off int64) (int, error) {
	if r.unwanted.Load() {
		return 0, ErrNotFound
	}
	return r.SectionReader.ReadAt(p, off)
}

// manifest hashes on one core: several workers hash several objects.
func (r arenaReader) manifest() (Manifest, error) {
	return manifestOf(r, r.Size(), 1)
}
