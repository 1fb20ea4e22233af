package member

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Limits of what is sent: a frame is its length in four bytes, then CBOR.
const (
	maxJoinFrame = 4 << 10
	maxSyncFrame = maxDenyList + 4<<10
)

// writeFrame sends a message.
func writeFrame(w io.Writer, v any) error {
	b := encode(v)
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// readFrame reads a message of at most limit bytes into v, which is a pointer.
// No more memory is taken than what arrives.
func readFrame(r io.Reader, limit int, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if uint64(n) > uint64(limit) {
		return fmt.Errorf("a message of %d bytes, the limit is %d", n, limit)
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err != nil {
		return err
	}
	if len(b) < int(n) {
		return io.ErrUnexpectedEOF
	}
	return decode(b, limit, v)
}
