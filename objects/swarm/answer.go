package swarm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/raygo/raygo/objects"
)

// readBlock reads a block into a buffer of its own and has it verified and
// written while the next one arrives.
func (c *session) readBlock(ctx context.Context, in io.Reader, h head) error {
	var index [indexLen]byte
	n := h.len - indexLen
	if n < 0 {
		return fmt.Errorf("%w: a block without number", ErrProtocol)
	}
	if _, err := io.ReadFull(in, index[:]); err != nil {
		return err
	}
	i := int(binary.BigEndian.Uint32(index[:]))
	c.mu.Lock()
	r := c.reqs[h.id]
	mine, late := r != nil && r.left[i], r == nil && c.owed > 0
	if late {
		c.owed--
	}
	c.mu.Unlock()
	switch {
	case !mine && !late:
		return fmt.Errorf("%w: block %d was not asked for", ErrProtocol, i)
	case late:
		c.s.wasted(c.peer, n)
		_, err := io.CopyN(io.Discard, in, int64(n))
		return err
	}
	b := takeBlock()
	_, err := io.ReadFull(in, b[:n])
	if err == nil {
		c.took(r, i, n)
		err = c.s.verify.enter(ctx)
	}
	if err != nil {
		giveBlock(b)
		return err
	}
	c.s.wg.Go(func() { // Run waits for it; the slot bounds how many there are
		fresh, err := r.flight.part.accept(i, b[:n])
		giveBlock(b)
		c.s.verify.leave()
		c.s.received(c.peer, n, fresh, err)
		r.flight.post(evBlock{r.holder, i, n, fresh, err})
	})
	return nil
}

// took notes that a block of a request is here.
func (c *session) took(r *request, i, n int) {
	c.mu.Lock()
	delete(r.left, i)
	if len(r.left) == 0 {
		c.drop(r)
	}
	rate, ok := c.rate.add(n, time.Now(), c.waiting == 0)
	c.mu.Unlock()
	if ok {
		c.s.learnRate(c.peer, rate)
	}
}

// readAnswer takes an answer that is not a block.
func (c *session) readAnswer(in io.Reader, h head) error {
	c.mu.Lock()
	r := c.reqs[h.id]
	known := h.id <= c.nextID
	c.mu.Unlock()
	if !known {
		return fmt.Errorf("%w: an answer to nothing", ErrProtocol)
	}
	if h.typ == typeManifest && r != nil && h.len > 8+digestLen*r.flight.maxBlocks() {
		return fmt.Errorf("%w: a manifest of %d bytes for an object of at most %d blocks", ErrProtocol, h.len, r.flight.maxBlocks())
	}
	if r == nil {
		_, err := io.CopyN(io.Discard, in, int64(h.len))
		return err
	}
	body := make([]byte, h.len)
	if _, err := io.ReadFull(in, body); err != nil {
		return err
	}
	if r.alone && r.typ != typeGetBlocks {
		r.alone = false
		c.s.learnRTT(c.peer, time.Since(r.sent))
	}
	switch h.typ {
	case typeManifest:
		return c.manifest(r, body)
	case typeHas:
		v, err := parseHas(body)
		if err != nil || r.typ != typeHave {
			return errors.Join(err, ErrProtocol)
		}
		r.flight.post(evHas{r.holder, v})
		return nil
	case typeNotFound, typeBusy, typeMissing, typeElsewhere:
		return c.refused(r, h.typ, body)
	}
	return fmt.Errorf("%w: a request of type %d instead of an answer", ErrProtocol, h.typ)
}

// manifest is judged at once: blocks that follow it are compared with it.
func (c *session) manifest(r *request, body []byte) error {
	m, err := parseManifest(body)
	if err != nil || r.typ != typeGetManifest {
		return errors.Join(err, ErrProtocol)
	}
	c.mu.Lock()
	c.drop(r)
	c.mu.Unlock()
	err = r.flight.part.offer(c.peer, m)
	if err != nil {
		c.s.badManifest(c.peer)
	}
	r.flight.post(evManifest{r.holder, err})
	return nil
}

func (c *session) refused(r *request, typ frameType, body []byte) error {
	v, err := parseRefusal(body)
	if err != nil {
		return err
	}
	var blocks []int
	c.mu.Lock()
	for _, x := range v.spans {
		for i := int(x.first); i < int(x.first+x.n); i++ {
			if r.left[i] {
				blocks = append(blocks, i)
				delete(r.left, i)
			}
		}
	}
	if len(v.spans) == 0 {
		for i := range r.left {
			blocks = append(blocks, i)
		}
		r.left = nil
	}
	if len(r.left) == 0 {
		c.drop(r)
	}
	c.mu.Unlock()
	r.flight.post(evRefused{r.holder, r.typ, typ, blocks, v.peer})
	return nil
}

var blockPool = sync.Pool{New: func() any { return new([objects.BlockSize]byte) }}

func takeBlock() *[objects.BlockSize]byte  { return blockPool.Get().(*[objects.BlockSize]byte) }
func giveBlock(b *[objects.BlockSize]byte) { blockPool.Put(b) }
