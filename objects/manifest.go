package objects

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
)

// MaxBlocks bounds a manifest: objects up to 1 TiB.
const MaxBlocks = 1 << 20

// MaxManifestBytes is the longest encoding of a manifest.
const MaxManifestBytes = len(manifestSize) + 9 + len(manifestBlocks) + 9 + MaxBlocks*linkLen

// Manifest lists the blocks of an object: all of BlockSize bytes but the last.
// A manifest of one block or none stands for the raw bytes themselves and has
// no encoding.
//
// It is encoded as dag-cbor, {"size": uint, "blocks": [link, …]}, in its only
// deterministic form.
type Manifest struct {
	Size    uint64
	Digests [][sha256.Size]byte // sha2-256 of each block
}

// The parts of an encoded manifest that never change.
const (
	manifestSize   = "\xa2\x64size"
	manifestBlocks = "\x66blocks"
	// A link: tag 42, byte string of 37 bytes, identity prefix, CIDv1, raw, sha2-256 of 32 bytes.
	linkHead = "\xd8\x2a\x58\x25\x00\x01\x55\x12\x20"
	linkLen  = len(linkHead) + sha256.Size
)

var errManifest = errors.New("not a manifest")

func blocksOf(size uint64) int {
	return max(1, int((size+BlockSize-1)/BlockSize))
}

func (m *Manifest) blockLen(i int) int {
	return int(min(BlockSize, m.Size-uint64(i)*BlockSize))
}

// CID is the object's name.
func (m Manifest) CID() cid.Cid {
	if len(m.Digests) == 1 {
		return digestCID(cid.Raw, m.Digests[0])
	}
	return digestCID(cid.DagCBOR, sha256.Sum256(m.Encode()))
}

// Block is the name of block i.
func (m Manifest) Block(i int) cid.Cid { return digestCID(cid.Raw, m.Digests[i]) }

// VerifyBlock reports whether b is block i: ErrCorrupt if it is not.
func (m Manifest) VerifyBlock(i int, b []byte) error {
	if i < 0 || i >= len(m.Digests) {
		return fmt.Errorf("block %d of %d: %w", i, len(m.Digests), ErrNotFound)
	}
	if len(b) != m.blockLen(i) || sha256.Sum256(b) != m.Digests[i] {
		return fmt.Errorf("block %d: %w", i, ErrCorrupt)
	}
	return nil
}

// Encode is the manifest in dag-cbor.
func (m Manifest) Encode() []byte {
	b := make([]byte, 0, len(manifestSize)+9+len(manifestBlocks)+9+len(m.Digests)*linkLen)
	b = append(b, manifestSize...)
	b = appendHead(b, 0, m.Size)
	b = append(b, manifestBlocks...)
	b = appendHead(b, 4, uint64(len(m.Digests)))
	for _, d := range m.Digests {
		b = append(b, linkHead...)
		b = append(b, d[:]...)
	}
	return b
}

// DecodeManifest reads what Encode wrote and nothing else: another encoding of
// the same manifest would be another CID.
func DecodeManifest(b []byte) (Manifest, error) {
	if len(b) > MaxManifestBytes {
		return Manifest{}, fmt.Errorf("%w: %d bytes, the longest has %d", errManifest, len(b), MaxManifestBytes)
	}
	rest, ok := bytes.CutPrefix(b, []byte(manifestSize))
	if !ok {
		return Manifest{}, fmt.Errorf("%w: it does not begin with its size", errManifest)
	}
	size, rest, ok := cutHead(rest, 0)
	if !ok || size <= BlockSize || size > MaxBlocks*BlockSize {
		return Manifest{}, fmt.Errorf("%w: size %d", errManifest, size)
	}
	rest, ok = bytes.CutPrefix(rest, []byte(manifestBlocks))
	if !ok {
		return Manifest{}, fmt.Errorf("%w: no blocks", errManifest)
	}
	n, rest, ok := cutHead(rest, 4)
	if !ok || n != uint64(blocksOf(size)) || uint64(len(rest)) != n*uint64(linkLen) {
		return Manifest{}, fmt.Errorf("%w: %d blocks in %d bytes for an object of %d", errManifest, n, len(rest), size)
	}
	m := Manifest{Size: size, Digests: make([][sha256.Size]byte, n)}
	for i := range m.Digests {
		link := rest[i*linkLen : (i+1)*linkLen]
		if string(link[:len(linkHead)]) != linkHead {
			return Manifest{}, fmt.Errorf("%w: block %d is not a link to a raw sha2-256 block", errManifest, i)
		}
		copy(m.Digests[i][:], link[len(linkHead):])
	}
	return m, nil
}

// appendHead writes a CBOR head in its shortest form.
func appendHead(b []byte, major byte, v uint64) []byte {
	major <<= 5
	switch {
	case v < 24:
		return append(b, major|byte(v))
	case v < 1<<8:
		return append(b, major|24, byte(v))
	case v < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(v))
	case v < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), v)
}

// cutHead reads a CBOR head of the given major type and refuses longer forms.
func cutHead(b []byte, major byte) (v uint64, rest []byte, ok bool) {
	if len(b) == 0 || b[0]>>5 != major {
		return 0, nil, false
	}
	n := 0
	switch info := b[0] & 31; {
	case info < 24:
		return uint64(info), b[1:], true
	case info <= 27:
		n = 1 << (info - 24)
	default:
		return 0, nil, false
	}
	if len(b) < 1+n {
		return 0, nil, false
	}
	for _, c := range b[1 : 1+n] {
		v = v<<8 | uint64(c)
	}
	shortest := appendHead(nil, major, v)
	return v, b[1+n:], len(shortest) == 1+n
}
