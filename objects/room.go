package objects

// claim is an admitted request for one range: for an Alloc or for a restore.
type claim struct {
	alloc   *allocWait
	restore *entry
}

func (c claim) pages() int64 {
	if c.alloc != nil {
		return int64(roundUp(c.alloc.size))
	}
	return c.restore.pages()
}

// advance lets those who wait for room go on as far as they can, in order, and
// wakes the workers if room has to be made. It is called with mu held after
// every change that may help anybody.
func (s *Store) advance() {
	s.admit()
	for len(s.claims) > 0 && s.grant(s.claims[0]) {
		s.claims[0] = claim{}
		s.claims = s.claims[1:]
		s.admit()
	}
	if len(s.claims) > 0 || len(s.restores) > 0 || len(s.trash) > 0 || len(s.dropped) > 0 || len(s.closing) > 0 {
		s.work.Broadcast()
	}
}

// admit moves waiting calls to claims while what cannot be evicted leaves room:
// Allocs first, each queue in its order.
func (s *Store) admit() {
	for len(s.allocs) > 0 {
		w := s.allocs[0]
		n := int64(roundUp(w.size))
		if s.committed+n > s.limit {
			break
		}
		s.allocs[0] = nil
		s.allocs = s.allocs[1:]
		if old := w.job.entries[w.id]; old != nil {
			w.err = existsError(old)
			close(w.done)
			continue
		}
		s.committed += n
		s.promised += n
		s.claims = append(s.claims, claim{alloc: w})
	}
	for len(s.pins) > 0 {
		w := s.pins[0]
		fresh, _, err := s.inspect(w.ids)
		if err != nil {
			s.failPin(w, err)
			continue
		}
		if s.committed+fresh > s.limit {
			break
		}
		s.pins[0] = nil
		s.pins = s.pins[1:]
		s.admitPin(w)
	}
}

// grant gives a claim its range if there is one.
func (s *Store) grant(c claim) bool {
	n := uint64(c.pages())
	j := s.claimJob(c)
	if c.alloc != nil && j.entries[c.alloc.id] != nil { // made by TryAlloc meanwhile
		s.promised -= int64(n)
		s.committed -= int64(n)
		c.alloc.err = existsError(j.entries[c.alloc.id])
		close(c.alloc.done)
		return true
	}
	ext, ok := s.takeWarm(j, n)
	cold := !ok
	if cold && s.used+int64(n) <= s.limit {
		ext, ok = s.takeCold(j, n)
	}
	if !ok {
		return false
	}
	s.promised -= int64(n)
	if c.restore != nil {
		c.restore.ext = ext
		s.hold(c.restore)
		s.restores = append(s.restores, c.restore)
		return true
	}
	w := c.alloc
	w.got = s.addWriting(j, w.id, w.size, ext, cold)
	close(w.done)
	return true
}

func (s *Store) claimJob(c claim) *job {
	if c.alloc != nil {
		return c.alloc.job
	}
	return c.restore.job
}

// dropClaim ends the claim of an object that nobody waits for any more. What it
// committed went with its last pin.
func (s *Store) dropClaim(e *entry) {
	s.removeClaims(func(c claim) bool { return c.restore == e })
	s.promised -= e.pages()
	e.state = Spilled
}

func (s *Store) removeClaims(gone func(claim) bool) {
	var rest []claim
	for _, c := range s.claims {
		if !gone(c) {
			rest = append(rest, c)
		}
	}
	s.claims = rest
}

func (s *Store) takeWarm(j *job, n uint64) (Extent, bool) {
	ext, ok := j.ranges.takeWarm(n)
	if ok {
		s.retained -= int64(n)
		j.idle = min(j.idle, j.ranges.warm.total)
	}
	return ext, ok
}

func (s *Store) takeCold(j *job, n uint64) (Extent, bool) {
	ext, ok := j.ranges.takeCold(n)
	if ok {
		s.used += int64(n)
	}
	return ext, ok
}

// free makes an object's range retained memory.
func (s *Store) free(e *entry) {
	e.job.ranges.free(e.ext)
	s.retained += int64(e.ext.Size)
	e.ext = Extent{}
}

// shortage is how much memory has to be given back for the claims, beyond what
// is being punched.
func (s *Store) shortage() int64 {
	if len(s.claims) == 0 {
		return 0
	}
	return s.used + s.promised - s.limit - s.punching
}

// dropClean evicts an object that costs nothing to evict: a copy of what another
// peer has, else what is on disk already, the least recently used. It reports
// false if there is none.
func (s *Store) dropClean() bool {
	for e := s.copies.first; e != nil; e = e.next {
		if e.busy == 0 {
			e.deleted = true
			s.reap(e)
			if s.cfg.Dropped != nil {
				s.dropped = append(s.dropped, e.id)
			}
			s.advance()
			return true
		}
	}
	for e := s.clean.first; e != nil; e = e.next {
		if e.busy == 0 {
			e.unlist()
			s.free(e)
			e.state = Spilled
			s.advance()
			return true
		}
	}
	return false
}

// victims takes the objects to spill next, least recently used first: enough
// for the shortage, and more while it is at it.
func (s *Store) victims(short int64) []*entry {
	want := max(short, min(s.cfg.FuseBytes, s.limit/8))
	var found []*entry
	for e, got := s.dirty.first, int64(0); e != nil && got < want; e = e.next {
		if e.busy == 0 && (len(found) == 0 || e.job == found[0].job) {
			found = append(found, e)
			got += e.pages()
		}
	}
	for _, e := range found {
		s.hold(e)
		s.spilling += e.pages()
	}
	return found
}
