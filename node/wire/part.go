package wire

import "fmt"

// A Part's body is a byte that says whether it is the last, and a piece of the
// message's frame.
const (
	partMore = 0
	partLast = 1
)

// cut sends a message that is too long for a frame in pieces.
func cut(b []byte, each func([]byte) error) error {
	if len(b) > MaxMessage {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(b), MaxMessage)
	}
	for len(b) > 0 {
		piece := b[:min(len(b), maxBatch)]
		b = b[len(piece):]
		mark := byte(partMore)
		if len(b) == 0 {
			mark = partLast
		}
		if err := each(append([]byte{Version, byte(KindPart), mark}, piece...)); err != nil {
			return err
		}
	}
	return nil
}

// Joiner puts messages together that were cut. One belongs to each stream.
type Joiner struct {
	have  []byte
	parts int
}

// Add takes the body of a Part. It returns the message's kind and body when that
// was the last one.
func (j *Joiner) Add(body []byte) (k Kind, whole []byte, done bool, err error) {
	switch {
	case len(body) < 2 || body[0] > partLast:
		return 0, nil, false, fmt.Errorf("%w: a part of %d bytes", ErrFrame, len(body))
	case j.parts >= maxParts || len(j.have)+len(body)-1 > MaxMessage:
		return 0, nil, false, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, MaxMessage)
	}
	j.have = append(j.have, body[1:]...)
	j.parts++
	if body[0] != partLast {
		return 0, nil, false, nil
	}
	whole = j.have
	j.have, j.parts = nil, 0
	if len(whole) < headSize || whole[0] != Version || Kind(whole[1]) == KindPart {
		return 0, nil, false, fmt.Errorf("%w: parts of no message", ErrFrame)
	}
	return Kind(whole[1]), whole[headSize:], true, nil
}

// Reader decodes the frames of one stream.
type Reader struct{ joiner Joiner }

// Read takes one frame. k is 0 while a message is not whole; m is set for a
// core's message, body for any other.
func (r *Reader) Read(frame []byte) (k Kind, m Message, body []byte, err error) {
	k, body, err = KindOf(frame)
	if err != nil {
		return 0, nil, nil, err
	}
	if k == KindPart {
		var done bool
		if k, body, done, err = r.joiner.Add(body); err != nil || !done {
			return 0, nil, nil, err
		}
	}
	m, err = decodeBody(k, body)
	return k, m, body, err
}
