package swarm

import (
	"encoding/binary"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/raygo/raygo"
	"github.com/raygo/raygo/objects"
)

// reader takes a body apart. The first thing that is wrong is kept.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrProtocol, what)
	}
	r.b = nil
}

func (r *reader) take(n int) []byte {
	if r.err != nil || n > len(r.b) {
		r.fail("a frame ends early")
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) u8() (v uint8) {
	if b := r.take(1); b != nil {
		v = b[0]
	}
	return v
}

func (r *reader) u16() (v uint16) {
	if b := r.take(2); b != nil {
		v = binary.BigEndian.Uint16(b)
	}
	return v
}

func (r *reader) u32() (v uint32) {
	if b := r.take(4); b != nil {
		v = binary.BigEndian.Uint32(b)
	}
	return v
}

func (r *reader) u64() (v uint64) {
	if b := r.take(8); b != nil {
		v = binary.BigEndian.Uint64(b)
	}
	return v
}

// end reports what was wrong, and bytes that nobody asked for.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail(fmt.Sprintf("%d bytes too many in a frame", len(r.b)))
	}
	return r.err
}

func (r *reader) name() string { return string(r.take(int(r.u8()))) }

func appendName(b []byte, s string) []byte {
	s = s[:min(len(s), maxName)]
	return append(append(b, byte(len(s))), s...)
}

const (
	keyObject = 1
	keyCID    = 2
)

func appendKey(b []byte, k Key) []byte {
	if !k.Object.IsZero() {
		return append(append(b, keyObject, byte(len(k.Object))), k.Object[:]...)
	}
	c := k.CID.Bytes()
	return append(append(b, keyCID, byte(len(c))), c...)
}

func (r *reader) key() (k Key) {
	kind, n := r.u8(), int(r.u8())
	b := r.take(n)
	if r.err != nil {
		return k
	}
	switch kind {
	case keyObject:
		if n != len(k.Object) {
			r.fail("an object ID of another length")
			return k
		}
		k.Object = raygo.ObjectID(b)
	case keyCID:
		c, err := cid.Cast(b)
		if err != nil {
			r.fail("not a CID")
			return k
		}
		k.CID = c
	}
	if k.validate() != nil {
		r.fail("a key that names nothing")
		return Key{}
	}
	return k
}

func appendSpans(b []byte, s []span) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	for _, x := range s {
		b = binary.BigEndian.AppendUint32(b, x.first)
		b = binary.BigEndian.AppendUint32(b, x.n)
	}
	return b
}

// spans reads runs of at most maxAsked blocks in total.
func (r *reader) spans() (out []span, total int) {
	n := int(r.u16())
	if n > maxAsked {
		r.fail(fmt.Sprintf("%d runs of blocks, at most %d are allowed", n, maxAsked))
	}
	for range n {
		x := span{r.u32(), r.u32()}
		if r.err != nil {
			return nil, 0
		}
		if x.n == 0 || x.n > maxAsked || uint64(x.first)+uint64(x.n) > objects.MaxBlocks || total+int(x.n) > maxAsked {
			r.fail("runs of blocks that no object has, or too many")
			return nil, 0
		}
		total += int(x.n)
		out = append(out, x)
	}
	return out, total
}

// askBlocks is the body of GetBlocks.
type askBlocks struct {
	insist bool // send them even if they went elsewhere just now
	key    Key
	spans  []span
	total  int
}

func (a askBlocks) append(b []byte) []byte {
	flags := byte(0)
	if a.insist {
		flags = 1
	}
	return appendSpans(appendKey(append(b, flags), a.key), a.spans)
}

func parseAskBlocks(b []byte) (a askBlocks, err error) {
	r := reader{b: b}
	a.insist = r.u8()&1 == 1
	a.key = r.key()
	a.spans, a.total = r.spans()
	if err := r.end(); err != nil {
		return askBlocks{}, err
	}
	if a.total == 0 {
		return askBlocks{}, fmt.Errorf("%w: no blocks are asked for", ErrProtocol)
	}
	return a, nil
}

func parseKey(b []byte) (Key, error) {
	r := reader{b: b}
	k := r.key()
	return k, r.end()
}

func appendManifest(b []byte, m objects.Manifest) []byte {
	b = binary.BigEndian.AppendUint64(b, m.Size)
	for i := range m.Digests {
		b = append(b, m.Digests[i][:]...)
	}
	return b
}

func parseManifest(b []byte) (objects.Manifest, error) {
	r := reader{b: b}
	m := objects.Manifest{Size: r.u64()}
	n := len(r.b) / digestLen
	if r.err == nil && (m.Size > objects.MaxBlocks*objects.BlockSize || n != blocksOf(m.Size) || n*digestLen != len(r.b)) {
		r.fail(fmt.Sprintf("a manifest of %d bytes for an object of %d", len(b), m.Size))
	}
	if r.err != nil {
		return objects.Manifest{}, r.err
	}
	m.Digests = make([][digestLen]byte, n)
	for i := range m.Digests {
		copy(m.Digests[i][:], r.take(digestLen))
	}
	return m, nil
}

// blocksOf is how many blocks an object has.
func blocksOf(size uint64) int {
	return max(1, int((size+objects.BlockSize-1)/objects.BlockSize))
}

// blockLen is the length of block i of an object.
func blockLen(size uint64, i int) int {
	at := uint64(i) * objects.BlockSize
	if at >= size {
		return 0
	}
	return int(min(objects.BlockSize, size-at))
}

// has is the body of Has.
type has struct {
	all   bool
	from  uint32
	bits  []byte
	peers []string
}

func (h has) append(b []byte) []byte {
	flags := byte(0)
	if h.all {
		flags = 1
	}
	b = binary.BigEndian.AppendUint32(append(b, flags), h.from)
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.bits)))
	b = append(b, h.bits...)
	b = append(b, byte(len(h.peers)))
	for _, p := range h.peers {
		b = appendName(b, p)
	}
	return b
}

func parseHas(b []byte) (h has, err error) {
	r := reader{b: b}
	h.all = r.u8()&1 == 1
	h.from = r.u32()
	h.bits = r.take(int(r.u16()))
	n := int(r.u8())
	if n > maxHints || h.from%8 != 0 || uint64(h.from)+8*uint64(len(h.bits)) > objects.MaxBlocks+7 {
		r.fail("a map of blocks that no object has")
	}
	for range n {
		h.peers = append(h.peers, r.name())
		if r.err != nil {
			break
		}
	}
	if err := r.end(); err != nil {
		return has{}, err
	}
	return h, nil
}

// refusal is the body of NotFound, Busy, Missing and Elsewhere.
type refusal struct {
	spans []span
	peer  string
}

func (f refusal) append(b []byte) []byte { return appendName(appendSpans(b, f.spans), f.peer) }

func parseRefusal(b []byte) (f refusal, err error) {
	r := reader{b: b}
	f.spans, _ = r.spans()
	f.peer = r.name()
	if err := r.end(); err != nil {
		return refusal{}, err
	}
	return f, nil
}
