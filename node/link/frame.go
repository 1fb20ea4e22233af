package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Sizes of the reader's buffer when frames are small: it follows what arrives.
const minBuffer, maxBuffer = 4 << 10, 64 << 10

// reader takes a stream apart into frames.
type reader struct {
	s   io.Reader
	buf []byte
	w   int // buf[:w] has arrived and is not handed over
	n   int // bytes of the last read
}

// next reads once and returns the frames that are complete, which are the
// caller's to keep, and calls note for the notes between them. It may return
// neither. The error is io.EOF only between frames.
func (r *reader) next(note func(kind note, body []byte) error) ([][]byte, error) {
	if err := r.fill(); err != nil {
		return nil, err
	}
	end, frames, err := r.scan(note)
	if err != nil || end == 0 {
		return nil, err
	}
	// A large part is handed over with the buffer it lies in; a small one is
	// copied, so that a handler that keeps one frame keeps little more.
	whole := r.buf[:end]
	tail := r.buf[end:r.w]
	if frames > 0 && end > maxBuffer/4 {
		r.buf = make([]byte, max(min(2*r.n, maxBuffer), 2*len(tail), minBuffer))
		r.w = copy(r.buf, tail)
	} else {
		if frames > 0 {
			whole = append(make([]byte, 0, end), whole...)
		}
		r.w = copy(r.buf, tail)
	}
	if frames == 0 {
		return nil, nil
	}
	return split(whole, frames), nil
}

// fill reads once.
func (r *reader) fill() error {
	if r.w == len(r.buf) {
		// All of it is one frame that is not complete, checked against
		// MaxFrame; memory grows only with what has arrived.
		grown := make([]byte, max(min(2*len(r.buf), 4+MaxFrame), minBuffer))
		r.w = copy(grown, r.buf[:r.w])
		r.buf = grown
	}
	n, err := r.s.Read(r.buf[r.w:])
	r.w += n
	r.n = n
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	if errors.Is(err, io.EOF) && r.w > 0 {
		return fmt.Errorf("a frame was cut off after %d bytes: %w", r.w, io.ErrUnexpectedEOF)
	}
	return err
}

// scan finds the end of the last complete frame in the buffer, counts the
// handler's frames before it and passes on the notes.
func (r *reader) scan(note func(kind note, body []byte) error) (end, frames int, err error) {
	b := r.buf[:r.w]
	for len(b)-end >= 4 {
		size := binary.BigEndian.Uint32(b[end:])
		n := int(size &^ noteBit)
		switch {
		case size&noteBit != 0 && (n > maxNote || n == 0):
			return 0, 0, violation(fmt.Sprintf("a note of %d bytes; from 1 to %d are allowed", n, maxNote))
		case n > MaxFrame:
			return 0, 0, violation(fmt.Sprintf("a frame of %d bytes; at most %d are allowed", n, MaxFrame))
		}
		if len(b)-end-4 < n {
			break
		}
		body := b[end+4 : end+4+n]
		end += 4 + n
		if size&noteBit == 0 {
			frames++
		} else if err := note(kindOf(body), body[1:]); err != nil {
			return 0, 0, err
		}
	}
	return end, frames, nil
}

func kindOf(body []byte) note { return note(body[0]) }

// split lists the handler's frames in complete frames.
func split(b []byte, frames int) [][]byte {
	list := make([][]byte, 0, frames)
	for len(b) > 0 {
		size := binary.BigEndian.Uint32(b)
		n := int(size &^ noteBit)
		if size&noteBit == 0 {
			list = append(list, b[4:4+n:4+n])
		}
		b = b[4+n:]
	}
	return list
}

// readNote reads one note of at most limit bytes and nothing that follows it: for
// what is said before a link is up.
func readNote(s io.Reader, limit int) (note, []byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(s, head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	n := int(size &^ noteBit)
	if size&noteBit == 0 || n == 0 || n > limit {
		return 0, nil, violation(fmt.Sprintf("it began with a frame of %d bytes that is no note of up to %d", n, limit))
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(s, body); err != nil {
		return 0, nil, fmt.Errorf("a note was cut off: %w", err)
	}
	return note(body[0]), body[1:], nil
}
