package objects

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/raygo/raygo"
)

// allocWait is an Alloc that waits for room. Store.mu guards it until done is closed.
type allocWait struct {
	id   raygo.ObjectID
	size uint64
	job  *job
	done chan struct{}
	got  *entry
	err  error
}

// TryAlloc makes room for an object if that does not take eviction.
func (s *Store) TryAlloc(id raygo.ObjectID, size uint64) (Extent, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[id.Job()]
	if j == nil || size > uint64(s.limit) || j.entries[id] != nil || len(s.allocs) > 0 {
		return Extent{}, false
	}
	n := int64(roundUp(size))
	if s.used-s.retained+s.promised+n > s.limit || s.committed+n > s.limit {
		return Extent{}, false
	}
	ext, ok := s.takeWarm(j, uint64(n))
	cold := !ok
	if cold && s.used+s.promised+n <= s.limit {
		ext, ok = s.takeCold(j, uint64(n))
	}
	if !ok {
		return Extent{}, false
	}
	s.committed += n
	return s.addWriting(j, id, size, ext, cold).extent(), true
}

// addWriting makes the entry of an object that is committed and has its range.
func (s *Store) addWriting(j *job, id raygo.ObjectID, size uint64, ext Extent, cold bool) *entry {
	e := &entry{id: id, job: j, size: size, ext: ext, state: Writing, cold: cold}
	j.entries[id] = e
	s.count.Writing += e.pages()
	return e
}

// Alloc makes room for an object, evicting others where needed. It waits for at
// most PutWait, behind the Allocs that came before it.
func (s *Store) Alloc(ctx context.Context, id raygo.ObjectID, size uint64) (Extent, error) {
	e, err := s.alloc(ctx, id, size)
	if err != nil {
		return Extent{}, fmt.Errorf("allocate %d bytes for object %s: %w", size, id, err)
	}
	return e.extent(), nil
}

func (s *Store) alloc(ctx context.Context, id raygo.ObjectID, size uint64) (*entry, error) {
	w, err := s.enqueueAlloc(id, size)
	if err != nil {
		return nil, err
	}
	select {
	case <-w.done:
		return w.got, w.err
	default:
	}
	timer := time.NewTimer(s.cfg.PutWait)
	defer timer.Stop()
	select {
	case <-w.done:
	case <-ctx.Done():
		s.giveUpAlloc(w, func() error { return ctx.Err() })
	case <-timer.C:
		s.giveUpAlloc(w, s.whyNoRoom)
	}
	<-w.done
	return w.got, w.err
}

func (s *Store) enqueueAlloc(id raygo.ObjectID, size uint64) (*allocWait, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[id.Job()]
	switch {
	case s.done:
		return nil, ErrClosed
	case j == nil:
		return nil, ErrNoJob
	case size > uint64(s.limit):
		return nil, fmt.Errorf("%w: it has %d bytes, the store %d", ErrTooLarge, size, s.limit)
	case j.entries[id] != nil:
		return nil, existsError(j.entries[id])
	case len(s.allocs)+len(s.claims) >= s.cfg.MaxWaiting:
		return nil, fmt.Errorf("%w: %d calls wait for room already", ErrStoreFull, len(s.allocs)+len(s.claims))
	}
	w := &allocWait{id: id, size: size, job: j, done: make(chan struct{})}
	s.allocs = append(s.allocs, w)
	s.advance()
	return w, nil
}

func existsError(e *entry) error {
	if e.deleted {
		return fmt.Errorf("%w: it was deleted, but %d readers still have it", ErrExists, e.pins)
	}
	return fmt.Errorf("%w (%s)", ErrExists, e.state)
}

// giveUpAlloc ends the wait with an error unless room came just before.
func (s *Store) giveUpAlloc(w *allocWait, why func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-w.done:
		return
	default:
	}
	err := why()
	s.failAllocs(err, func(o *allocWait) bool { return o == w })
	s.advance()
}

// whyNoRoom is called with mu held.
func (s *Store) whyNoRoom() error {
	spillErr := s.spillErr
	if s.dirty.first == nil {
		spillErr = nil // there is nothing that could be spilled
	}
	if errors.Is(spillErr, ErrOutOfDisk) {
		return fmt.Errorf("%w: nothing more can be spilled, and %d of %d bytes of memory are in use", spillErr, s.used-s.retained, s.limit)
	}
	why := fmt.Sprintf("limit %d, pinned %d, being written %d, no room after %v", s.limit, s.count.Pinned, s.count.Writing, s.cfg.PutWait)
	switch {
	case spillErr != nil:
		return fmt.Errorf("%w: %s, spilling fails: %w", ErrStoreFull, why, spillErr)
	case s.disk == nil:
		return fmt.Errorf("%w: %s, spilling is off", ErrStoreFull, why)
	}
	return fmt.Errorf("%w: %s", ErrStoreFull, why)
}

// failAllocs fails the waiting Allocs that match, admitted or not.
func (s *Store) failAllocs(err error, match func(*allocWait) bool) {
	rest := s.allocs[:0]
	for _, w := range s.allocs {
		if !match(w) {
			rest = append(rest, w)
			continue
		}
		w.err = err
		close(w.done)
	}
	clear(s.allocs[len(rest):])
	s.allocs = rest
	s.removeClaims(func(c claim) bool {
		if c.alloc == nil || !match(c.alloc) {
			return false
		}
		n := int64(roundUp(c.alloc.size))
		s.promised -= n
		s.committed -= n
		c.alloc.err = err
		close(c.alloc.done)
		return true
	})
}

// Seal declares an object complete. From then on it may be pinned, read and
// evicted; it is hashed behind this call.
func (s *Store) Seal(id raygo.ObjectID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[id.Job()]
	if j == nil {
		return fmt.Errorf("seal object %s: %w", id, ErrNoJob)
	}
	e := j.entries[id]
	if e == nil {
		return fmt.Errorf("seal object %s: %w", id, ErrNotFound)
	}
	if e.state != Writing {
		return fmt.Errorf("seal object %s: %w (%s)", id, ErrExists, e.state)
	}
	s.endWriting(e)
	if e.deleted {
		s.reap(e)
		s.advance()
		return nil
	}
	s.dirty.pushBack(e)
	if s.cfg.HashWorkers > 0 {
		select {
		case s.hashQueue <- e:
		default: // hashed when it is spilled or when somebody asks
		}
	}
	s.advance()
	return nil
}

func (s *Store) endWriting(e *entry) {
	e.state = InMemory
	s.committed -= e.pages()
	s.count.Writing -= e.pages()
}

// Abort forgets an object that will never be sealed. Its writer must be gone.
func (s *Store) Abort(id raygo.ObjectID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j := s.jobs[id.Job()]; j != nil {
		if e := j.entries[id]; e != nil && e.state == Writing {
			s.endWriting(e)
			e.deleted = true
			s.reap(e)
			s.advance()
		}
	}
}

// Delete forgets an object that nobody needs. What is pinned goes at the last
// Unpin, what is being written at Seal or Abort.
func (s *Store) Delete(id raygo.ObjectID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.find(id); e != nil {
		e.deleted = true
		e.unwanted.Store(true)
		s.reap(e)
		s.advance()
	}
}

// MarkCopy says that another peer has a sealed object too. Such copies are the
// first to go when room is short, and are not spilled; Config.Dropped is told.
func (s *Store) MarkCopy(id raygo.ObjectID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.find(id); e != nil && e.state != Writing {
		e.copied = true
		s.list(e)
	}
}

// reap removes a deleted entry once nothing uses it.
func (s *Store) reap(e *entry) {
	if !e.deleted || e.pins > 0 || e.busy > 0 || e.state == Writing {
		return
	}
	s.dropDisk(e)
	e.unlist()
	if e.job.closed {
		return
	}
	if e.ext.Size > 0 {
		s.free(e)
	}
	delete(e.job.entries, e.id)
}

// hold keeps an entry's bytes where they are while the store itself uses them.
func (s *Store) hold(e *entry) {
	e.busy++
	e.job.busy++
}

func (s *Store) letGo(e *entry) {
	e.busy--
	e.job.busy--
	s.reap(e)
	s.advance()
}

// PutBytes stores a sealed object.
func (s *Store) PutBytes(ctx context.Context, id raygo.ObjectID, b []byte) error {
	e, err := s.alloc(ctx, id, uint64(len(b)))
	if err != nil {
		return fmt.Errorf("put object %s of %d bytes: %w", id, len(b), err)
	}
	// The memory file may be closed meanwhile, but not shrunk: a write fails or succeeds.
	if _, err := e.job.arena.WriteAt(b, int64(e.ext.Offset)); err != nil {
		s.Abort(id)
		return fmt.Errorf("put object %s: %w", id, err)
	}
	return s.Seal(id)
}
