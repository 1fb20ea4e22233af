package objects

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/raygo/raygo"
)

// Store holds the bytes of large objects. All methods may be called from many
// goroutines; those without a context never wait for anything but the mutex.
// Whatever waits for room or bytes needs Run to be running.
type Store struct {
	cfg   Config
	limit int64
	disk  storage // nil: spilling is off

	hashQueue chan *entry

	// mu guards everything below, and all jobs, entries and spill files. No
	// system call, hash or copy is made while it is held.
	mu   sync.Mutex
	work sync.Cond // wakes the I/O workers
	done bool      // Run has ended or is about to

	jobs    map[raygo.JobID]*job
	closing []*job // closed, but their arenas still cost memory

	// Room, in bytes of whole pages. used <= limit, and committed <= limit.
	used      int64 // touched pages: live, retained and those being punched
	retained  int64 // free ranges whose pages have been touched
	punching  int64 // part of used that is being given back now
	spilling  int64 // being written to disk, to be evicted then
	committed int64 // cannot be evicted: being written, pinned, or promised
	promised  int64 // part of committed that has no range yet

	// Evictable objects: without and with a copy on disk, and with one elsewhere.
	dirty, clean, copies entryList
	dropped              []raygo.ObjectID // copies that went, for Config.Dropped

	// Those who wait for room, in order of arrival.
	allocs   []*allocWait
	pins     []*pinWait
	claims   []claim  // admitted, each for one range
	restores []*entry // have their range, wait for an I/O worker

	trash      []trash // parts of spill files that nobody needs
	nextFile   uint64
	spillAfter time.Time // after a failed write: not to be tried before
	spillErr   error     // why the last write failed; nil after a good one
	retries    int       // failed writes in a row
	wake       *time.Timer

	count Usage // the counters of Usage
}

// Usage is a Store's account of itself. Byte figures are in whole pages but for
// those of disk.
type Usage struct {
	Limit    int64 // bytes of memory it may use
	Used     int64 // bytes of memory in use, Retained included
	Retained int64 // bytes of free memory kept for the next objects
	Pinned   int64 // bytes of pinned objects
	Writing  int64 // bytes of objects being written
	Spilled  int64 // bytes of objects that are on disk only
	Objects  int   // objects, wherever they are
	Waiting  int   // calls that wait for room

	SpilledEver   int64 // bytes written to disk
	Restored      int64 // bytes read back
	SpillErrors   int64 // failed writes
	RestoreErrors int64 // failed reads and bytes that differed from their CID
	SpillFiles    int   // spill files there are
	FilesRemoved  int64 // spill files removed
	Hashed        int64 // objects hashed
	Punched       int64 // bytes of memory given back
}

// Open makes a Store. With a spill directory it also removes what earlier
// processes that are gone left there.
func Open(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("open object store: %w", err)
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open object store: %w", err)
	}
	s := &Store{
		cfg: cfg, limit: cfg.Limit, disk: cfg.storage,
		hashQueue: make(chan *entry, hashQueueLen),
		jobs:      map[raygo.JobID]*job{},
	}
	s.work.L = &s.mu
	if s.disk == nil && cfg.SpillDir != "" {
		d, err := openSpillDir(cfg.SpillDir)
		if err != nil {
			return nil, fmt.Errorf("open object store: %w", err)
		}
		s.disk = d
	}
	return s, nil
}

// OpenJob makes the job's arena, or finds it. The file stays the Store's: the
// caller may pass it on and must not close it.
func (s *Store) OpenJob(id raygo.JobID) (arena *os.File, size uint64, err error) {
	if j, err := s.findJob(id); err == nil {
		return j.arena, s.cfg.ArenaSize, nil
	}
	f, err := newArena(id.String(), s.cfg.ArenaSize)
	if err != nil {
		return nil, 0, fmt.Errorf("open job %s: %w", id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		_ = f.Close()
		return nil, 0, fmt.Errorf("open job %s: %w", id, ErrClosed)
	}
	if j := s.jobs[id]; j != nil { // another caller was faster
		_ = f.Close()
		return j.arena, s.cfg.ArenaSize, nil
	}
	s.jobs[id] = &job{id: id, arena: f, ranges: newRanges(s.cfg.ArenaSize), entries: map[raygo.ObjectID]*entry{}}
	return f, s.cfg.ArenaSize, nil
}

func (s *Store) findJob(id raygo.JobID) (*job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j := s.jobs[id]; j != nil {
		return j, nil
	}
	return nil, ErrNoJob
}

// CloseJob forgets the job's objects, pinned ones too, and fails whoever waits
// for room for them. Memory and spill files are given back behind it.
func (s *Store) CloseJob(id raygo.JobID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[id]
	if j == nil {
		return
	}
	delete(s.jobs, id)
	j.closed = true
	err := fmt.Errorf("job %s: %w", id, ErrNoJob)
	s.failAllocs(err, func(w *allocWait) bool { return w.job == j })
	for _, e := range j.entries {
		for len(e.waiters) > 0 {
			s.failPin(e.waiters[0], err)
		}
	}
	for _, e := range j.entries {
		s.forget(e)
	}
	s.failPins(err, func(o raygo.ObjectID) bool { return o.Job() == id })
	s.retained -= int64(j.ranges.warm.total)
	s.punching += int64(j.ranges.used())
	s.closing = append(s.closing, j)
	s.advance()
}

// forget ends an entry whose job is closed, without giving back its range: that
// goes with the arena.
func (s *Store) forget(e *entry) {
	if e.pins > 0 || e.state == Writing {
		s.committed -= e.pages()
	}
	if e.pins > 0 {
		s.count.Pinned -= e.pages()
	}
	if e.state == Writing {
		s.count.Writing -= e.pages()
	}
	e.pins, e.deleted = 0, true
	e.unwanted.Store(true)
	e.unlist()
	if e.busy == 0 {
		s.dropDisk(e)
	}
}

// find returns a live entry.
func (s *Store) find(id raygo.ObjectID) *entry {
	if j := s.jobs[id.Job()]; j != nil {
		if e := j.entries[id]; e != nil && !e.deleted {
			return e
		}
	}
	return nil
}

// Info describes an object; ok is false if the store does not have it.
func (s *Store) Info(id raygo.ObjectID) (info Info, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(id)
	if e == nil {
		return Info{}, false
	}
	info = Info{Size: e.size, Pins: e.pins, State: e.state, OnDisk: e.disk != nil}
	if e.manifest != nil && e.name == "" {
		e.name = e.manifest.CID().String() // once: it hashes the whole manifest
	}
	info.CID = e.name
	return info, true
}

// Usage is the store's account of this moment.
func (s *Store) Usage() Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.count
	u.Limit, u.Used, u.Retained = s.limit, s.used, s.retained
	u.Waiting = len(s.allocs) + len(s.pins) + len(s.claims)
	for _, j := range s.jobs {
		u.Objects += len(j.entries)
		for _, e := range j.entries {
			if e.state == Spilled {
				u.Spilled += int64(e.size)
			}
		}
	}
	return u
}
