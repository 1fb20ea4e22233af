package swarm

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/raygo/raygo/objects"
)

// outBuffer has a block behind the head of its frame, so that both go out at once.
type outBuffer [headLen + indexLen + objects.BlockSize]byte

var outPool = sync.Pool{New: func() any { return new(outBuffer) }}

// lead is a frame's head and the first bytes of the block, which go out at once.
type lead [headLen + indexLen + leadBytes]byte

const leadBytes = 32 << 10

var leadPool = sync.Pool{New: func() any { return new(lead) }}

// quick is how long a piece may take of a block that is sent from where it lies:
// meanwhile nothing can be evicted for others.
const quick = 250 * time.Millisecond

// lend sends a block from where it lies in the store. A reader that is slow gets
// the rest of it, and all later ones, from a copy. It reports false if that cannot
// be done, and nothing was sent.
func (v *served) lend(j *job, i int) (n int, ok bool, err error) {
	if v.slow || j.key.Object.IsZero() || v.s.cfg.Store == nil {
		return 0, false, nil
	}
	info, there := v.s.cfg.Store.Info(j.key.Object)
	if !there || i >= blocksOf(info.Size) {
		return 0, false, nil
	}
	n = blockLen(info.Size, i)
	b, release, ok := v.s.cfg.Store.View(j.key.Object, int64(i)*objects.BlockSize, n)
	if !ok {
		return 0, false, nil
	}
	buf := leadPool.Get().(*lead)
	defer leadPool.Put(buf)
	head{len: indexLen + n, typ: typeBlock, id: j.id}.append(buf[:0])
	binary.BigEndian.PutUint32(buf[headLen:], uint32(i))
	k := copy(buf[headLen+indexLen:], b)
	first, rest := buf[:headLen+indexLen+k], b[k:]
	for len(first)+len(rest) > 0 && err == nil {
		piece := &rest
		if len(first) > 0 {
			piece = &first
		}
		var sent int
		_ = v.st.SetWriteDeadline(time.Now().Add(quick))
		sent, err = v.st.Write((*piece)[:min(len(*piece), writePiece)])
		*piece = (*piece)[sent:]
	}
	if !isTimeout(err) {
		release()
		return n, true, err
	}
	v.slow = true
	copied := append(bytes.Clone(first), rest...)
	release()
	return n, true, v.send(copied)
}

// copyOut sends a block of a fetch that runs, of what is on disk, or to a reader
// that is slow. It returns -1 if it was refused.
func (v *served) copyOut(ctx context.Context, j *job, i int, one refusal) (n int, err error) {
	b := outPool.Get().(*outBuffer)
	defer outPool.Put(b)
	n, err = v.s.blockFor(ctx, j.key, i, b[headLen+indexLen:])
	if err != nil {
		if ctx.Err() != nil {
			return -1, ctx.Err()
		}
		v.refuse(j, one, err)
		return -1, nil
	}
	head{len: indexLen + n, typ: typeBlock, id: j.id}.append(b[:0])
	binary.BigEndian.PutUint32(b[headLen:], uint32(i))
	return n, v.send(b[:headLen+indexLen+n])
}

// sendBlock sends one block, unless it went elsewhere just now.
func (v *served) sendBlock(ctx context.Context, j *job, i int) error {
	one := refusal{spans: []span{{uint32(i), 1}}}
	spread := v.s.blocksOf(j.key) >= v.s.cfg.SpreadFrom
	if spread {
		if one.peer = v.s.ledger.send(j.key, i, v.from, j.insist, time.Now()); one.peer != "" {
			v.s.countElsewhere()
			v.answer(j.id, typeElsewhere, one.append)
			return nil
		}
	}
	if err := v.s.send.enter(ctx); err != nil {
		return err
	}
	defer v.s.send.leave()
	n, lent, err := v.lend(j, i)
	if !lent {
		n, err = v.copyOut(ctx, j, i, one)
	}
	if err != nil || n < 0 {
		return err
	}
	v.mu.Lock()
	v.refused = 0
	v.mu.Unlock()
	if spread {
		v.s.ledger.sent(j.key, i, v.from, time.Now())
	}
	v.s.sent(v.from, n)
	return nil
}

func (s *Swarm) countElsewhere() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count.Elsewhere++
}

// have answers which blocks are here, and introduces those to each other who
// want the same. Of a fetch that runs it goes on with what is added.
func (v *served) have(ctx context.Context, j *job) {
	var peers []string
	if v.s.blocksOf(j.key) >= v.s.cfg.SpreadFrom {
		peers = v.s.ledger.ask(j.key, v.from, time.Now())
	}
	if part, f := v.s.partOf(j.key); part != nil {
		sub := &standing{part: part, dirty: true}
		sub.wake = func() {
			v.mu.Lock()
			sub.dirty = true
			v.mu.Unlock()
			v.kick()
		}
		if v.stands(j.id, sub) && part.subscribe(&sub.subscription) {
			v.answer(j.id, typeHas, has{peers: peers}.append)
			f.meet(v.from)
			return
		}
		v.cancel(j.id)
	}
	if v.s.here(j.key) {
		v.answer(j.id, typeHas, has{all: true, peers: peers}.append)
		return
	}
	if ctx.Err() == nil {
		v.answer(j.id, typeNotFound, refusal{}.append)
	}
}

// here reports whether all of it can be served.
func (s *Swarm) here(k Key) bool {
	if k.Object.IsZero() {
		f, _, err := s.files.open(k.CID)
		if err == nil {
			_ = f.Close()
		}
		return err == nil
	}
	if s.cfg.Store == nil {
		return false
	}
	info, ok := s.cfg.Store.Info(k.Object)
	return ok && info.State != objects.Writing
}

// stands keeps a standing request, within bounds.
func (v *served) stands(id uint32, sub *standing) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.subs) >= maxSubs || v.subs[id] != nil {
		return false
	}
	v.subs[id] = sub
	return true
}

// meet tells a fetch of a peer that wants the same; it may be busy.
func (f *flight) meet(peer string) {
	select {
	case f.inbox <- evMeet{peer}:
	default:
	}
}

// news writes what subscribers do not know yet, not too often. It returns when to
// come again, if there is something left.
func (v *served) news(toldAt *time.Time) <-chan time.Time {
	v.mu.Lock()
	var dirty []uint32
	for id, sub := range v.subs {
		if sub.dirty {
			dirty = append(dirty, id)
		}
	}
	full := len(v.notes) > maxNotes
	v.mu.Unlock()
	if len(dirty) == 0 {
		return nil
	}
	now := time.Now()
	if wait := toldAt.Add(newsEvery).Sub(now); wait > 0 || full {
		return time.After(max(wait, newsEvery))
	}
	*toldAt = now
	for _, id := range dirty {
		v.tell(id)
	}
	return nil
}

// tell adds the news of one object to the answers.
func (v *served) tell(id uint32) {
	v.mu.Lock()
	sub := v.subs[id]
	if sub != nil {
		sub.dirty = false
	}
	v.mu.Unlock()
	if sub == nil {
		return
	}
	for {
		h, changed, over, lost := sub.part.news(&sub.subscription)
		if !changed {
			return
		}
		if lost {
			v.answer(id, typeNotFound, refusal{}.append)
		} else {
			v.answer(id, typeHas, h.append)
		}
		if over {
			v.cancel(id)
			return
		}
	}
}

// unsubscribe ends all standing requests.
func (v *served) unsubscribe() {
	v.mu.Lock()
	subs := v.subs
	v.subs = map[uint32]*standing{}
	v.mu.Unlock()
	for _, sub := range subs {
		sub.part.unsubscribe(&sub.subscription)
	}
}
