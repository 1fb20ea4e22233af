package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/raygo/raygo"
)

// restore reads an object back into the range it was given and shows it once
// all of it is verified.
func (s *Store) restore(e *entry) {
	err := s.readBack(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	waiters := e.waiters
	e.waiters = nil
	if err == nil {
		s.count.Restored += int64(e.size)
		e.state = InMemory
		s.list(e)
	} else {
		s.cfg.Logger.Error("restore", "object", e.id, "err", err)
		if !e.job.closed {
			s.free(e)
		}
		e.state = Spilled
	}
	for _, w := range waiters {
		if err != nil {
			s.failPin(w, err)
		} else if w.left--; w.left == 0 && w.err == nil {
			close(w.done)
		}
	}
	s.letGo(e)
}

func (s *Store) readBack(e *entry) error {
	buf := takeBlock()
	defer giveBlock(buf)
	for i := range e.manifest.Digests {
		b := (*buf)[:e.manifest.blockLen(i)]
		if err := s.readBlock(e, i, b); err != nil {
			return fmt.Errorf("restore object %s: %w", e.id, err)
		}
		if _, err := e.job.arena.WriteAt(b, int64(e.ext.Offset)+int64(i)*BlockSize); err != nil {
			return fmt.Errorf("restore object %s: %w", e.id, err)
		}
	}
	return nil
}

// readBlock reads one block from disk and verifies it, trying again when that
// fails. The entry is held, so that its place on disk does not change.
func (s *Store) readBlock(e *entry, i int, b []byte) error {
	var last error
	for try := range readTries {
		if try > 0 {
			<-time.After(firstBackoff << (try - 1))
		}
		_, err := e.disk.file.ReadAt(b, e.disk.off+int64(i)*BlockSize)
		if errors.Is(err, io.EOF) {
			err = nil // a short read fails the verification
		}
		if err == nil {
			err = e.manifest.VerifyBlock(i, b)
		}
		if err == nil {
			return nil
		}
		last = err
		s.mu.Lock()
		s.count.RestoreErrors++
		done := s.done
		s.mu.Unlock()
		if done {
			break
		}
	}
	return last
}

// Read copies bytes of a sealed object from off on, from memory or, verified
// block by block, from disk; it restores nothing. It returns io.EOF at the end.
func (s *Store) Read(ctx context.Context, id raygo.ObjectID, off int64, p []byte) (int, error) {
	s.mu.Lock()
	e := s.find(id)
	var err error
	switch {
	case e == nil:
		err = ErrNotFound
	case e.state == Writing:
		err = ErrNotSealed
	case off < 0:
		err = errors.New("negative offset")
	}
	if err != nil {
		s.mu.Unlock()
		return 0, fmt.Errorf("read object %s: %w", id, err)
	}
	s.hold(e)
	inMemory := e.state == InMemory
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.letGo(e)
		s.mu.Unlock()
	}()
	if uint64(off) >= e.size {
		return 0, io.EOF
	}
	p = p[:min(uint64(len(p)), e.size-uint64(off))]
	if !inMemory {
		return s.readDisk(ctx, e, off, p)
	}
	n, err := e.job.arena.ReadAt(p, int64(e.ext.Offset)+off)
	if err != nil {
		return n, fmt.Errorf("read object %s: %w", id, err)
	}
	return n, nil
}

func (s *Store) readDisk(ctx context.Context, e *entry, off int64, p []byte) (int, error) {
	buf := takeBlock()
	defer giveBlock(buf)
	n := 0
	for n < len(p) {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		i := int((off + int64(n)) / BlockSize)
		b := (*buf)[:e.manifest.blockLen(i)]
		if err := s.readBlock(e, i, b); err != nil {
			return n, fmt.Errorf("read object %s: %w", e.id, err)
		}
		n += copy(p[n:], b[(off+int64(n))%BlockSize:])
	}
	return n, nil
}
