package objects

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// punchStep is how much memory is given back at a time.
const punchStep = 256 << 20

// Run hashes, spills, restores and gives memory back until ctx is done. It
// returns when all its goroutines have ended and all memory and files are gone;
// the Store cannot be used again.
func (s *Store) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for range s.cfg.HashWorkers {
		wg.Go(func() { s.hashLoop(ctx) })
	}
	for range s.cfg.IOWorkers {
		wg.Go(s.ioLoop)
	}
	wg.Go(func() { s.trimLoop(ctx) })
	<-ctx.Done()
	s.stop()
	wg.Wait()
	return s.removeAll()
}

// stop fails everybody who waits and lets the workers end.
func (s *Store) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = true
	s.failAllocs(ErrClosed, func(*allocWait) bool { return true })
	for len(s.pins) > 0 {
		s.failPin(s.pins[0], ErrClosed)
	}
	for _, j := range s.jobs {
		for _, e := range j.entries {
			for len(e.waiters) > 0 {
				s.failPin(e.waiters[0], ErrClosed)
			}
		}
	}
	if s.wake != nil {
		s.wake.Stop()
	}
	s.work.Broadcast()
}

// unused reports whether nobody reads a job's bytes where they lie. Who does goes
// on until the process ends.
func (s *Store) unused(j *job) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return j.busy == 0
}

func (s *Store) removeAll() error {
	s.mu.Lock()
	files := map[*spillFile]bool{}
	jobs := s.closing
	for _, j := range s.jobs {
		jobs = append(jobs, j)
		for _, e := range j.entries {
			if e.disk != nil {
				files[e.disk.file] = true
			}
		}
	}
	for _, t := range s.trash {
		files[t.file] = true
	}
	clear(s.jobs)
	s.mu.Unlock()
	var err error
	for f := range files {
		err = errors.Join(err, f.close())
	}
	for _, j := range jobs {
		if s.unused(j) {
			err = errors.Join(err, j.window.close())
		}
		err = errors.Join(err, j.arena.Close())
	}
	if s.disk != nil {
		err = errors.Join(err, s.disk.close())
	}
	if err != nil {
		return fmt.Errorf("close object store: %w", err)
	}
	return nil
}

// ioLoop is one I/O worker: it does what next finds until the store ends.
func (s *Store) ioLoop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.done {
		op := s.next()
		if op == nil {
			s.work.Wait()
			continue
		}
		s.mu.Unlock()
		op()
		s.mu.Lock()
	}
}

// next finds the most useful thing to do. Restores come first: they have their
// range already and need nobody, so one worker is enough for spills and
// restores at once. What it returns is run without the mutex.
func (s *Store) next() func() {
	if len(s.restores) > 0 {
		e := s.restores[0]
		s.restores[0] = nil
		s.restores = s.restores[1:]
		return func() { s.restore(e) }
	}
	for i, j := range s.closing {
		if j.busy == 0 {
			s.closing = append(s.closing[:i], s.closing[i+1:]...)
			return func() { s.freeJob(j) }
		}
	}
	if op := s.makeRoom(); op != nil {
		return op
	}
	if d := s.dropped; len(d) > 0 {
		s.dropped = nil
		return func() { s.cfg.Dropped(d) }
	}
	if len(s.trash) > 0 {
		t := s.trash
		s.trash = nil
		return func() { s.emptyTrash(t) }
	}
	return nil
}

// makeRoom prefers what costs least: retained memory, then copies of what is on
// disk, then spilling.
func (s *Store) makeRoom() func() {
	for short := s.shortage(); short > 0; short = s.shortage() {
		if j, ext, ok := s.retainedRange(uint64(short)); ok {
			return func() { s.punch(j, ext) }
		}
		if !s.dropClean() {
			return s.spillMore(short - s.spilling)
		}
	}
	return nil
}

func (s *Store) spillMore(short int64) func() {
	if short <= 0 || s.disk == nil || time.Now().Before(s.spillAfter) {
		return nil
	}
	v := s.victims(short)
	if len(v) == 0 {
		return nil
	}
	return func() { s.spill(v) }
}

// retainedRange takes retained memory of the job that has most, to be punched.
func (s *Store) retainedRange(n uint64) (*job, Extent, bool) {
	var most *job
	for _, j := range s.jobs {
		if most == nil || j.ranges.warm.total > most.ranges.warm.total {
			most = j
		}
	}
	if most == nil || most.ranges.warm.total == 0 {
		return nil, Extent{}, false
	}
	ext, _ := s.takeToPunch(most, min(roundUp(n), punchStep))
	return most, ext, true
}

func (s *Store) takeToPunch(j *job, n uint64) (Extent, bool) {
	ext, ok := j.ranges.takeWarmUpTo(n)
	if ok {
		s.retained -= int64(ext.Size)
		s.punching += int64(ext.Size)
		j.idle = min(j.idle, j.ranges.warm.total)
		j.busy++
	}
	return ext, ok
}

// punch gives a range back that takeToPunch took.
func (s *Store) punch(j *job, ext Extent) {
	err := punch(j.arena, ext)
	s.mu.Lock()
	defer s.mu.Unlock()
	j.busy--
	s.punching -= int64(ext.Size)
	if err != nil { // it stays held until the job closes: trying again would fail again
		s.cfg.Logger.Error("give memory back", "job", j.id, "err", err)
		return
	}
	if j.closed { // all of it goes with the arena
		s.advance()
		return
	}
	j.ranges.freePunched(ext)
	s.used -= int64(ext.Size)
	s.count.Punched += int64(ext.Size)
	s.advance()
}

// freeJob gives back the memory of a closed job, whoever still maps it.
func (s *Store) freeJob(j *job) {
	size := j.ranges.used()
	err := errors.Join(j.window.close(), punch(j.arena, Extent{0, s.cfg.ArenaSize}), j.arena.Close())
	if err != nil {
		s.cfg.Logger.Error("free the memory of a job", "job", j.id, "err", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= int64(size)
	s.punching -= int64(size)
	s.count.Punched += int64(size)
	s.advance()
}

// trimLoop gives back retained memory that was not needed for a while.
func (s *Store) trimLoop(ctx context.Context) {
	tick := time.NewTicker(s.cfg.Idle)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.trim(ctx)
		}
	}
}

func (s *Store) trim(ctx context.Context) {
	s.mu.Lock()
	jobs := make([]*job, 0, len(s.jobs))
	for _, j := range s.jobs {
		jobs = append(jobs, j)
	}
	s.mu.Unlock()
	for _, j := range jobs {
		s.mu.Lock()
		todo := j.idle
		for todo > 0 && !j.closed && ctx.Err() == nil {
			ext, ok := s.takeToPunch(j, min(todo, punchStep))
			if !ok {
				break
			}
			todo -= ext.Size
			s.mu.Unlock()
			s.punch(j, ext)
			s.mu.Lock()
		}
		j.idle = j.ranges.warm.total
		s.mu.Unlock()
	}
}
