package objects

import (
	"context"
	"fmt"
	"time"

	"github.com/raygo/raygo"
)

// pinWait is a Pin that waits. Store.mu guards it until done is closed.
type pinWait struct {
	ids      []raygo.ObjectID
	admitted chan struct{}
	pinned   []*entry // of an admitted one, in the order of ids
	left     int      // restores that have not ended
	done     chan struct{}
	err      error
}

// TryPin pins objects that are all in memory, or none.
func (s *Store) TryPin(ids []raygo.ObjectID) ([]Extent, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tryPin(ids)
}

func (s *Store) tryPin(ids []raygo.ObjectID) ([]Extent, bool) {
	out := make([]Extent, len(ids))
	for i, id := range ids {
		e := s.find(id)
		if e == nil || e.state != InMemory || (e.pins == 0 && s.committed+e.pages() > s.limit) {
			for _, done := range ids[:i] {
				s.unpin(s.find(done))
			}
			return nil, false
		}
		s.pin(e)
		out[i] = e.extent()
	}
	return out, true
}

// pin is called for objects in memory and for those whose restore is admitted.
func (s *Store) pin(e *entry) {
	if e.pins == 0 {
		s.committed += e.pages()
		s.count.Pinned += e.pages()
		e.unlist()
	}
	e.pins++
}

func (s *Store) unpin(e *entry) {
	e.pins--
	if e.pins > 0 {
		return
	}
	s.committed -= e.pages()
	s.count.Pinned -= e.pages()
	if e.state == Restoring && e.ext.Size == 0 {
		s.dropClaim(e)
	}
	if e.deleted {
		s.reap(e)
		return
	}
	s.list(e)
}

// list makes an object evictable if it is.
func (s *Store) list(e *entry) {
	switch {
	case e.state != InMemory || e.pins > 0 || e.deleted:
	case e.copied:
		e.unlist()
		s.copies.pushBack(e)
	case e.disk != nil:
		e.unlist()
		s.clean.pushBack(e)
	default:
		e.unlist()
		s.dirty.pushBack(e)
	}
}

// Pin pins all of the objects or none, restoring the spilled ones. While pinned,
// an object stays where its Extent says. Pins are admitted in order of arrival,
// each when there is room for all of it at once, but one whose objects are all
// in memory goes ahead.
func (s *Store) Pin(ctx context.Context, ids []raygo.ObjectID) ([]Extent, error) {
	w, out, err := s.enqueuePin(ids)
	if err == nil && w != nil {
		out, err = s.waitPin(ctx, w)
	}
	if err != nil {
		return nil, fmt.Errorf("pin %d objects: %w", len(ids), err)
	}
	return out, nil
}

func (s *Store) enqueuePin(ids []raygo.ObjectID) (*pinWait, []Extent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if out, ok := s.tryPin(ids); ok {
		return nil, out, nil
	}
	if s.done {
		return nil, nil, ErrClosed
	}
	if len(s.pins) >= s.cfg.MaxWaiting {
		return nil, nil, fmt.Errorf("%w: %d sets of objects wait already", ErrStoreFull, len(s.pins))
	}
	_, total, err := s.inspect(ids)
	if err != nil {
		return nil, nil, err
	}
	if total > s.limit {
		return nil, nil, fmt.Errorf("%w: together they have %d bytes, the store %d", ErrTooLarge, total, s.limit)
	}
	w := &pinWait{ids: ids, admitted: make(chan struct{}), done: make(chan struct{})}
	s.pins = append(s.pins, w)
	s.advance()
	return w, nil, nil
}

// inspect sums up the pages of a set, and of those in it that nothing commits yet.
func (s *Store) inspect(ids []raygo.ObjectID) (fresh, total int64, err error) {
	seen := make(map[raygo.ObjectID]bool, len(ids))
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		e := s.find(id)
		switch {
		case e == nil:
			return 0, 0, fmt.Errorf("object %s: %w", id, ErrNotFound)
		case e.state == Writing:
			return 0, 0, fmt.Errorf("object %s: %w", id, ErrNotSealed)
		case e.pins == 0:
			fresh += e.pages()
		}
		total += e.pages()
	}
	return fresh, total, nil
}

// admitPin pins the whole set and claims ranges for what has to be restored.
func (s *Store) admitPin(w *pinWait) {
	close(w.admitted)
	w.pinned = make([]*entry, len(w.ids))
	for i, id := range w.ids {
		e := s.find(id)
		w.pinned[i] = e
		s.pin(e)
		if e.state == Spilled {
			e.state = Restoring
			s.promised += e.pages()
			s.claims = append(s.claims, claim{restore: e})
		}
		if e.state == Restoring {
			e.waiters = append(e.waiters, w)
			w.left++
		}
	}
	if w.left == 0 {
		close(w.done)
	}
}

func (s *Store) waitPin(ctx context.Context, w *pinWait) ([]Extent, error) {
	admitted, timeout := w.admitted, (<-chan time.Time)(nil)
	for {
		select {
		case <-w.done:
			return s.pinResult(w)
		case <-admitted:
			// From here on only failing storage can keep it from its room.
			timer := time.NewTimer(s.cfg.PutWait)
			defer timer.Stop()
			admitted, timeout = nil, timer.C
		case <-ctx.Done():
			s.giveUpPin(w, func() error { return ctx.Err() }, true)
			return s.pinResult(w)
		case <-timeout:
			timeout = nil
			s.giveUpPin(w, s.whyNoRoom, false)
		}
	}
}

func (s *Store) pinResult(w *pinWait) ([]Extent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.err != nil {
		return nil, w.err
	}
	out := make([]Extent, len(w.pinned))
	for i, e := range w.pinned {
		out[i] = e.extent()
	}
	return out, nil
}

// giveUpPin ends a wait, but not one whose objects all have their room when
// that is what is lacked: they are on their way.
func (s *Store) giveUpPin(w *pinWait, why func() error, always bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-w.done:
		return
	default:
	}
	for _, e := range w.pinned {
		always = always || e.state == Restoring && e.ext.Size == 0
	}
	if !always {
		return
	}
	s.failPin(w, why())
	s.advance()
}

// failPin ends a waiting Pin, admitted or not, and gives back what it pinned.
func (s *Store) failPin(w *pinWait, err error) {
	select {
	case <-w.done:
		return
	default:
	}
	w.err = err
	close(w.done)
	for i, o := range s.pins {
		if o == w {
			s.pins = append(s.pins[:i], s.pins[i+1:]...)
			break
		}
	}
	for _, e := range w.pinned {
		e.waiters = without(e.waiters, w)
		s.unpin(e)
	}
	w.pinned = nil
}

// failPins fails the Pins that wait to be admitted and want a matching object.
func (s *Store) failPins(err error, match func(raygo.ObjectID) bool) {
	var hit []*pinWait
	for _, w := range s.pins {
		for _, id := range w.ids {
			if match(id) {
				hit = append(hit, w)
				break
			}
		}
	}
	for _, w := range hit {
		s.failPin(w, err)
	}
}

func without(ws []*pinWait, gone *pinWait) []*pinWait {
	var rest []*pinWait
	for _, w := range ws {
		if w != gone {
			rest = append(rest, w)
		}
	}
	return rest
}

// Unpin gives back one pin of each object. Objects of closed jobs are passed over.
func (s *Store) Unpin(ids ...raygo.ObjectID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		j := s.jobs[id.Job()]
		if j == nil {
			continue
		}
		if e := j.entries[id]; e != nil && e.pins > 0 {
			s.unpin(e)
		}
	}
	s.advance()
}
