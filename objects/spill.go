package objects

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"
)

// How failing storage is treated: each read is tried readTries times; a write is
// tried again, in a new file, for as long as somebody waits for the room.
const (
	readTries    = 4
	firstBackoff = 20 * time.Millisecond
	lastBackoff  = time.Second
)

// spillFile holds spilled objects of one job. It takes more until it has
// FuseBytes. Store.mu guards size and live.
type spillFile struct {
	name string
	medium
	size int64
	live int // objects in it, those being written included

	closing sync.Once
	failed  error
}

func (f *spillFile) close() error {
	f.closing.Do(func() { f.failed = f.Close() })
	return f.failed
}

// trash is a part of a spill file that nobody needs, or the whole file.
type trash struct {
	file   *spillFile
	off, n int64
	whole  bool
}

// spill writes objects to disk; each becomes evictable without cost as soon as
// it is there. They were taken by victims.
func (s *Store) spill(victims []*entry) {
	err := s.checkDisk()
	for _, e := range victims {
		var at location
		var m *Manifest
		if err == nil {
			at, m, err = s.writeOut(e)
		}
		s.mu.Lock()
		s.spilling -= e.pages()
		if err == nil {
			s.spilled(e, at, m)
		}
		s.letGo(e)
		for s.shortage() > 0 && s.retained == 0 && s.dropClean() {
			continue // those who wait for room need not wait for the other victims
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spillErr = err
	if err == nil {
		s.retries = 0
		s.advance()
		return
	}
	s.count.SpillErrors++
	if s.retries == 0 {
		s.cfg.Logger.Warn("spill", "err", err)
	}
	s.pause()
}

// pause keeps spilling off for a while that doubles with each failure.
func (s *Store) pause() {
	d := min(firstBackoff<<min(s.retries, 10), lastBackoff)
	s.retries++
	s.spillAfter = time.Now().Add(d)
	s.wake = time.AfterFunc(d, s.work.Broadcast)
}

func (s *Store) checkDisk() error {
	used, err := s.disk.used()
	if err == nil && used >= s.cfg.DiskHigh {
		err = fmt.Errorf("%w: %.1f %% used, limit %.1f %%", ErrOutOfDisk, 100*used, 100*s.cfg.DiskHigh)
	}
	return err
}

// spilled notes that a copy is on disk.
func (s *Store) spilled(e *entry, at location, m *Manifest) {
	e.disk = &at
	if e.manifest == nil {
		e.manifest = m
		s.count.Hashed++
	}
	s.count.SpilledEver += int64(e.size)
	s.list(e)
}

// writeOut copies an object into a spill file of its job, hashing it on the way.
func (s *Store) writeOut(e *entry) (location, *Manifest, error) {
	f, off, err := s.reserve(e)
	if err != nil {
		return location{}, nil, fmt.Errorf("spill object %s: %w", e.id, err)
	}
	m := &Manifest{Size: e.size, Digests: make([][sha256.Size]byte, blocksOf(e.size))}
	buf := takeBlock()
	defer giveBlock(buf)
	for i := range m.Digests {
		b := (*buf)[:m.blockLen(i)]
		at := int64(i) * BlockSize
		if _, err = e.job.arena.ReadAt(b, int64(e.ext.Offset)+at); err != nil {
			break
		}
		m.Digests[i] = sha256.Sum256(b)
		if _, err = f.WriteAt(b, off+at); err != nil {
			break
		}
	}
	if err != nil {
		s.unreserve(e.job, f)
		return location{}, nil, fmt.Errorf("spill object %s: %w", e.id, err)
	}
	return location{f, off}, m, nil
}

// reserve finds a place in the job's open spill file or in a new one.
func (s *Store) reserve(e *entry) (*spillFile, int64, error) {
	s.mu.Lock()
	if f := e.job.spill; f != nil {
		defer s.mu.Unlock()
		return f, s.place(e, f), nil
	}
	s.nextFile++
	name := fmt.Sprintf("%s-%06d", e.job.id, s.nextFile)
	s.mu.Unlock()
	m, err := s.disk.create(name)
	if err != nil {
		return nil, 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count.SpillFiles++
	f := &spillFile{name: name, medium: m}
	e.job.spill = f
	return f, s.place(e, f), nil
}

func (s *Store) place(e *entry, f *spillFile) int64 {
	off := f.size
	f.size += e.pages()
	f.live++
	if f.size >= s.cfg.FuseBytes && e.job.spill == f {
		e.job.spill = nil
	}
	return off
}

// unreserve takes a failed write back. The file takes no more objects.
func (s *Store) unreserve(j *job, f *spillFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j.spill == f {
		j.spill = nil
	}
	s.dropPart(j, f, trash{})
}

// dropDisk gives up an object's copy on disk.
func (s *Store) dropDisk(e *entry) {
	if e.disk == nil {
		return
	}
	f := e.disk.file
	t := trash{file: f, off: e.disk.off, n: e.pages()}
	e.disk = nil
	s.dropPart(e.job, f, t)
}

func (s *Store) dropPart(j *job, f *spillFile, t trash) {
	if f.live--; f.live == 0 {
		if j.spill == f {
			j.spill = nil
		}
		t = trash{file: f, whole: true}
	}
	if t.file != nil {
		s.trash = append(s.trash, t)
		s.work.Signal()
	}
}

func (s *Store) emptyTrash(parts []trash) {
	var removed int
	for _, t := range parts {
		if !t.whole {
			t.file.discard(t.off, t.n)
			continue
		}
		if err := errors.Join(t.file.close(), s.disk.remove(t.file.name)); err != nil {
			s.cfg.Logger.Warn("remove spill file", "file", t.file.name, "err", err)
		}
		removed++
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count.SpillFiles -= removed
	s.count.FilesRemoved += int64(removed)
}
