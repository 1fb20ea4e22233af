package bench

import (
	"bytes"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Message is what a measured call takes and gives: about 190 bytes in CBOR, of
// the kinds of field that programs have.
type Message struct {
	Name   string
	Count  int64
	Scale  float64
	Tags   []string
	Record []byte
}

func newMessage(i int) Message {
	return Message{
		Name: "part-00017-of-00256", Count: int64(i), Scale: 0.25,
		Tags: []string{"training", "shard"}, Record: bytes.Repeat([]byte{0x5a}, 96),
	}
}

// body is the CBOR of the echo's ends, with buffers that are used again.
type body struct {
	enc cbor.UserBufferEncMode
	dec cbor.DecMode
	buf bytes.Buffer
}

func newBody() *body {
	enc, err := cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.UserBufferEncMode()
	if err != nil {
		panic(err) // the options are constants
	}
	dec, err := cbor.DecOptions{}.DecMode()
	if err != nil {
		panic(err)
	}
	return &body{enc: enc, dec: dec}
}

// append writes m at the end of b.
func (c *body) append(b []byte, m *Message) ([]byte, error) {
	c.buf.Reset()
	if err := c.enc.MarshalToBuffer(m, &c.buf); err != nil {
		return b, fmt.Errorf("encode the message: %w", err)
	}
	return append(b, c.buf.Bytes()...), nil
}

func (c *body) read(b []byte) (Message, error) {
	var m Message
	if err := c.dec.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("decode the message: %w", err)
	}
	return m, nil
}
