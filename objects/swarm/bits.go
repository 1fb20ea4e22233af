package swarm

import mathbits "math/bits"

// bits is a set of blocks. Bit 0 of a byte comes first, as on the wire.
type bits []byte

func newBits(n int) bits { return make(bits, (n+7)/8) }

func (b bits) has(i int) bool { return i>>3 < len(b) && b[i>>3]>>(i&7)&1 == 1 }

func (b bits) set(i int) { b[i>>3] |= 1 << (i & 7) }

func (b bits) clear(i int) { b[i>>3] &^= 1 << (i & 7) }

func (b bits) count() (n int) {
	for _, x := range b {
		n += mathbits.OnesCount8(x)
	}
	return n
}

// next is the first block from i on that is in the set, or -1.
func (b bits) next(i int) int {
	for k := i >> 3; k < len(b); k++ {
		x := b[k]
		if k == i>>3 {
			x &= 0xff << (i & 7)
		}
		if x != 0 {
			return k<<3 + mathbits.TrailingZeros8(x)
		}
	}
	return -1
}

// or adds a piece of another set that begins at block from, a multiple of 8.
func (b bits) or(from int, piece []byte) {
	for k, x := range piece {
		if at := from>>3 + k; at < len(b) {
			b[at] |= x
		}
	}
}

// span is a run of blocks.
type span struct{ first, n uint32 }

// spansOf joins neighbours of an ordered list.
func spansOf(blocks []int) []span {
	var out []span
	for _, i := range blocks {
		if k := len(out) - 1; k >= 0 && out[k].first+out[k].n == uint32(i) {
			out[k].n++
			continue
		}
		out = append(out, span{uint32(i), 1})
	}
	return out
}
