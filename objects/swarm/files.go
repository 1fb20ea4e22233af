package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/raygo/raygo/objects"
)

// maxShelf bounds the manifests that are kept of files.
const maxShelf = 64

// fileShelf serves a directory of files that are named by their CID. Manifests
// are kept, since hashing a program takes longer than sending it.
type fileShelf struct {
	dir string
	mu  sync.Mutex
	m   map[cid.Cid]objects.Manifest
}

func newFileShelf(dir string) *fileShelf {
	return &fileShelf{dir: dir, m: map[cid.Cid]objects.Manifest{}}
}

func (s *fileShelf) open(c cid.Cid) (*os.File, int64, error) {
	if s.dir == "" || checkCID(c) != nil {
		return nil, 0, objects.ErrNotFound
	}
	f, err := os.Open(filepath.Join(s.dir, c.String()))
	if errors.Is(err, os.ErrNotExist) {
		err = objects.ErrNotFound
	}
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = objects.ErrNotFound
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, st.Size(), nil
}

// manifest of a file whose bytes are what its name says.
func (s *fileShelf) manifest(c cid.Cid) (objects.Manifest, error) {
	s.mu.Lock()
	m, ok := s.m[c]
	s.mu.Unlock()
	f, size, err := s.open(c)
	if err != nil {
		return objects.Manifest{}, err
	}
	defer f.Close()
	if ok && m.Size == uint64(size) {
		return m, nil
	}
	if m, err = objects.ManifestOf(f, size); err != nil {
		return objects.Manifest{}, err
	}
	if !m.CID().Equals(c) {
		return objects.Manifest{}, fmt.Errorf("file %s: %w", c, objects.ErrCorrupt)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.m) >= maxShelf {
		clear(s.m)
	}
	s.m[c] = m
	return m, nil
}

// block reads block i.
func (s *fileShelf) block(c cid.Cid, i int, b []byte) (int, error) {
	f, size, err := s.open(c)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if i >= blocksOf(uint64(size)) {
		return 0, errNoBlock
	}
	n := blockLen(uint64(size), i)
	if _, err := f.ReadAt(b[:n], int64(i)*objects.BlockSize); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	return n, nil
}

// errNoBlock is a block that is not here yet, or that the object does not have.
var errNoBlock = errors.New("no such block here")

// partOf finds the fetch of a key that runs here.
func (s *Swarm) partOf(k Key) (*partial, *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[k]; f != nil {
		return f.part, f
	}
	return nil, nil
}

// manifestFor finds a manifest to serve.
func (s *Swarm) manifestFor(ctx context.Context, k Key) (objects.Manifest, error) {
	if p, _ := s.partOf(k); p != nil {
		if m, ok := p.manifest(); ok {
			return m, nil
		}
	}
	if k.Object.IsZero() {
		return s.files.manifest(k.CID)
	}
	if s.cfg.Store == nil {
		return objects.Manifest{}, objects.ErrNotFound
	}
	return s.cfg.Store.Manifest(ctx, k.Object)
}

// blockFor reads a block to serve: of a fetch that runs, of a sealed object, in
// memory or on disk, or of a program. It fails with errNoBlock if it may come.
func (s *Swarm) blockFor(ctx context.Context, k Key, i int, b []byte) (int, error) {
	p, _ := s.partOf(k)
	if p != nil {
		if n, ok := p.read(i, b); ok {
			return n, nil
		}
	}
	n, err := s.wholeBlock(ctx, k, i, b)
	if p != nil && errors.Is(err, objects.ErrNotFound) {
		err = errNoBlock
	}
	return n, err
}

func (s *Swarm) wholeBlock(ctx context.Context, k Key, i int, b []byte) (int, error) {
	if k.Object.IsZero() {
		return s.files.block(k.CID, i, b)
	}
	if s.cfg.Store == nil {
		return 0, objects.ErrNotFound
	}
	info, ok := s.cfg.Store.Info(k.Object)
	switch {
	case !ok || info.State == objects.Writing:
		return 0, objects.ErrNotFound
	case i >= blocksOf(info.Size):
		return 0, errNoBlock
	}
	n := blockLen(info.Size, i)
	if n == 0 {
		return 0, nil
	}
	if k, err := s.cfg.Store.Read(ctx, k.Object, int64(i)*objects.BlockSize, b[:n]); k < n {
		return 0, errors.Join(err, io.ErrUnexpectedEOF)
	}
	return n, nil
}

// blocksOf is the number of blocks of what is served, if that is known without
// work; 0 if not.
func (s *Swarm) blocksOf(k Key) int {
	if p, _ := s.partOf(k); p != nil {
		if m, ok := p.manifest(); ok {
			return len(m.Digests)
		}
	}
	if !k.Object.IsZero() && s.cfg.Store != nil {
		if info, ok := s.cfg.Store.Info(k.Object); ok {
			return blocksOf(info.Size)
		}
		return 0
	}
	if f, size, err := s.files.open(k.CID); err == nil {
		_ = f.Close()
		return blocksOf(uint64(size))
	}
	return 0
}
