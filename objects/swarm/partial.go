package swarm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/raygo/raygo/objects"
)

// errBad is a block or manifest that differs from its digest or CID.
var errBad = errors.New("bytes differ from their CID")

// partial is an object on its way: what is known of its blocks and which are
// here. The flight fills it, the server reads it.
type partial struct {
	cid   cid.Cid // undefined: the maker's manifest is believed
	maker string  // empty: anybody's
	size  uint64
	sized bool // size is certain

	mu       sync.Mutex
	quiet    sync.Cond // writers have ended
	m        *objects.Manifest
	sink     Sink // nil until there is room
	have     bits
	busy     map[int]bool // being written
	left     int
	ended    bool
	complete bool
	subs     map[*subscription]struct{}
}

// subscription is a peer that wants to know which blocks come.
type subscription struct {
	told bits   // what it knows
	wake func() // must not block
}

func newPartial(w *Want) *partial {
	p := &partial{cid: w.CID, maker: w.Maker, size: w.Size, sized: !w.Object.IsZero() || w.Size > 0, busy: map[int]bool{}, subs: map[*subscription]struct{}{}}
	p.quiet.L = &p.mu
	if !p.cid.Defined() {
		return p
	}
	if m, ok := objects.BlockManifest(p.cid, min(p.size, objects.BlockSize)); ok {
		p.m = &m
	}
	return p
}

// manifest is what is known of the blocks; ok is false before that.
func (p *partial) manifest() (m objects.Manifest, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.m == nil || (p.loose() && !p.complete) {
		return objects.Manifest{}, false
	}
	return *p.m, true
}

// loose reports whether the size of the only block is learnt with it: its CID
// does not tell.
func (p *partial) loose() bool { return !p.sized && p.m != nil && len(p.m.Digests) == 1 }

// offer takes a manifest that a peer sent, or says what is wrong with it.
func (p *partial) offer(from string, m objects.Manifest) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.cid.Defined():
		if !m.CID().Equals(p.cid) {
			return fmt.Errorf("manifest of %s instead of %s: %w", m.CID(), p.cid, errBad)
		}
	case p.maker != "" && p.maker != from:
		return fmt.Errorf("manifest of another peer than the maker %s: %w", p.maker, errBad)
	}
	if p.sized && m.Size != p.size {
		return fmt.Errorf("manifest of %d bytes instead of %d: %w", m.Size, p.size, errBad)
	}
	if p.m == nil {
		p.m = &m
		if len(m.Digests) > 1 {
			p.size, p.sized = m.Size, true
		}
	}
	return nil
}

// open makes it ready to take blocks. The manifest may come later.
func (p *partial) open(sink Sink, blocks int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sink, p.have, p.left = sink, newBits(blocks), blocks
}

// verify compares a block with its digest.
func (p *partial) verify(i int, b []byte) error {
	p.mu.Lock()
	m, loose := p.m, p.loose()
	p.mu.Unlock()
	switch {
	case m == nil:
		return fmt.Errorf("block %d came before the manifest: %w", i, ErrProtocol)
	case loose && i == 0:
		if sha256.Sum256(b) == m.Digests[0] {
			return nil
		}
		return fmt.Errorf("block 0: %w", errBad)
	}
	if m.VerifyBlock(i, b) != nil {
		return fmt.Errorf("block %d: %w", i, errBad)
	}
	return nil
}

// accept writes a block after verifying it. It reports false if it is here
// already or on its way.
func (p *partial) accept(i int, b []byte) (fresh bool, err error) {
	if err := p.verify(i, b); err != nil {
		return false, err
	}
	p.mu.Lock()
	if p.ended || p.sink == nil || p.have.has(i) || p.busy[i] {
		p.mu.Unlock()
		return false, nil
	}
	p.busy[i] = true
	p.mu.Unlock()
	_, err = p.sink.WriteAt(b, int64(i)*objects.BlockSize)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.busy, i)
	if len(p.busy) == 0 {
		p.quiet.Broadcast()
	}
	if err != nil {
		return false, &sinkError{err}
	}
	if p.loose() {
		p.m.Size, p.size, p.sized = uint64(len(b)), uint64(len(b)), true
	}
	p.have.set(i)
	p.left--
	p.wake()
	return true, nil
}

// sinkError is one of our own: the holder did nothing wrong.
type sinkError struct{ error }

func (e *sinkError) Unwrap() error { return e.error }

// wake tells all who want to know that there is news.
func (p *partial) wake() {
	for s := range p.subs {
		s.wake()
	}
}

// read copies block i into b if it is here.
func (p *partial) read(i int, b []byte) (n int, ok bool) {
	p.mu.Lock()
	sink, size := p.sink, p.size
	ok = sink != nil && !p.loose() && p.have.has(i)
	p.mu.Unlock()
	if !ok {
		return 0, false
	}
	n = blockLen(size, i)
	if k, _ := sink.ReadAt(b[:n], int64(i)*objects.BlockSize); k < n {
		return 0, false
	}
	return n, true
}

// end stops writing and waits for those who write. From then on nothing changes.
func (p *partial) end(complete bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for len(p.busy) > 0 {
		p.quiet.Wait()
	}
	p.complete = complete
	p.wake()
}

// subscribe adds who wants to know which blocks come; ok is false after the end.
func (p *partial) subscribe(s *subscription) (ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return false
	}
	p.subs[s] = struct{}{}
	return true
}

func (p *partial) unsubscribe(s *subscription) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.subs, s)
}

// news is what a subscriber does not know yet. over says that it was the last.
func (p *partial) news(s *subscription) (h has, changed, over, lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return has{all: p.complete}, true, true, !p.complete
	}
	if bytes.Equal(s.told, p.have) {
		return has{}, false, false, false
	}
	first, last := 0, len(p.have)
	if len(s.told) == len(p.have) {
		for p.have[first] == s.told[first] {
			first++
		}
		for p.have[last-1] == s.told[last-1] {
			last--
		}
	}
	last = min(last, first+maxMap)
	if s.told == nil {
		s.told = make(bits, len(p.have))
	}
	copy(s.told[first:last], p.have[first:last])
	return has{from: uint32(8 * first), bits: bytes.Clone(p.have[first:last])}, true, false, false
}
