package swarm

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/raygo/raygo/objects"
)

// version is that of the frames.
const version = 1

type frameType uint8

// Types are only ever added.
const (
	typeGetManifest frameType = 1
	typeGetBlocks   frameType = 2
	typeHave        frameType = 3
	typeCancel      frameType = 4
	typeManifest    frameType = 16
	typeBlock       frameType = 17
	typeHas         frameType = 18
	typeNotFound    frameType = 19
	typeBusy        frameType = 20
	typeMissing     frameType = 21
	typeElsewhere   frameType = 22
)

// Limits of what a frame may carry, known before anything is allocated for it.
const (
	headLen     = 12
	indexLen    = 4   // of the block's number in Block
	maxAsked    = 256 // blocks of a request
	maxKey      = 2 + 64
	maxName     = 255 // bytes of a peer's name
	maxHints    = 32  // peers in Has
	maxMap      = 1<<16 - 1
	maxRefusal  = 2 + 8*maxAsked + 1 + maxName
	digestLen   = 32
	maxManifest = 8 + digestLen*objects.MaxBlocks
)

// limitOf is the longest body of a type; ok is false if there is no such type.
func limitOf(t frameType) (n int, ok bool) {
	switch t {
	case typeGetManifest, typeHave:
		return maxKey, true
	case typeGetBlocks:
		return 1 + maxKey + 2 + 8*maxAsked, true
	case typeCancel:
		return 0, true
	case typeManifest:
		return maxManifest, true
	case typeBlock:
		return indexLen + objects.BlockSize, true
	case typeHas:
		return 1 + 4 + 2 + maxMap + 1 + maxHints*(1+maxName), true
	case typeNotFound, typeBusy, typeMissing, typeElsewhere:
		return maxRefusal, true
	}
	return 0, false
}

// head begins a frame.
type head struct {
	len  int
	typ  frameType
	prio Priority
	id   uint32
}

// append writes the head of a body of h.len bytes.
func (h head) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(h.len))
	b = append(b, version, byte(h.typ), 0, byte(h.prio))
	return binary.BigEndian.AppendUint32(b, h.id)
}

// parseHead checks everything about a frame that its head tells.
func parseHead(b []byte) (head, error) {
	h := head{typ: frameType(b[5]), prio: Priority(b[7]), id: binary.BigEndian.Uint32(b[8:])}
	if b[4] != version {
		return h, fmt.Errorf("%w: frame of version %d, this peer speaks %d", ErrProtocol, b[4], version)
	}
	limit, ok := limitOf(h.typ)
	if !ok {
		return h, fmt.Errorf("%w: frame of unknown type %d", ErrProtocol, h.typ)
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(limit) {
		return h, fmt.Errorf("%w: frame of type %d has %d bytes, at most %d are allowed", ErrProtocol, h.typ, n, limit)
	}
	h.len = int(n)
	return h, nil
}

// readHead reads the next head into buf.
func readHead(r io.Reader, buf *[headLen]byte) (head, error) {
	if _, err := io.ReadFull(r, buf[:]); err != nil {
		return head{}, err
	}
	return parseHead(buf[:])
}

// appendFrame writes a frame whose body is written by body.
func appendFrame(b []byte, h head, body func([]byte) []byte) []byte {
	at := len(b)
	b = h.append(b)
	if body != nil {
		b = body(b)
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-headLen))
	return b
}
