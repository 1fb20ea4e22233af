package link

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// note is the kind of a frame of this package. Only append.
type note byte

const (
	noteHello   note = 1 // CBOR of Hello
	noteSession note = 2 // 8 bytes: the first on a task stream
	noteRefuse  note = 3 // CBOR of refusal: the last on a control stream
	noteConfirm note = 4 // 8 bytes: the session
	notePing    note = 5 // 8 bytes: a number
	notePong    note = 6 // 8 bytes: that number
	noteAck     note = 7 // 8 bytes: how many bytes of this stream's other direction were taken in
	noteBye     note = 8 // text: why the sender ends the link
)

// noteBit marks the length of a note.
const noteBit = 1 << 31

// maxBye bounds the texts of refusals and farewells.
const maxBye = 1024

// ackSize is the size of an acknowledgement with its length.
const ackSize = 4 + 1 + 8

// appendNote appends a note as it travels.
func appendNote(b []byte, kind note, body []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, noteBit|uint32(1+len(body)))
	return append(append(b, byte(kind)), body...)
}

// appendNumber appends a note that is a number.
func appendNumber(b []byte, kind note, n uint64) []byte {
	b = binary.BigEndian.AppendUint32(b, noteBit|(1+8))
	return binary.BigEndian.AppendUint64(append(b, byte(kind)), n)
}

// number is the number that a note is.
func number(body []byte) (uint64, error) {
	if len(body) != 8 {
		return 0, violation(fmt.Sprintf("a note of a number with %d bytes", len(body)))
	}
	return binary.BigEndian.Uint64(body), nil
}

// violation is something that no honest peer of any version sends.
type violation string

func (v violation) Error() string { return "it broke the protocol: " + string(v) }

// reason is why a link is refused, for programs.
type reason uint8

// Only append.
const (
	refusedOther   reason = 1
	refusedVersion reason = 2
	refusedCluster reason = 3
	refusedStale   reason = 4 // an incarnation that was followed by another
	refusedFull    reason = 5
	refusedBanned  reason = 6
)

// refusal is the answer to a Hello that is not accepted.
type refusal struct {
	Why  reason `cbor:"1,keyasint"`
	Text string `cbor:"2,keyasint"`
}

func (r *refusal) Error() string { return r.Text }

// Is lets errors.Is find ErrRefused, and ErrVersion and ErrFull where they fit.
func (r *refusal) Is(target error) bool {
	return target == ErrRefused || r.Why == refusedVersion && target == ErrVersion || r.Why == refusedFull && target == ErrFull
}

// dec refuses what no Hello needs before it costs memory.
var dec = func() cbor.DecMode {
	mode, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxArrayElements: 64, MaxMapPairs: 64, MaxNestedLevels: 4, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden}.DecMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

// maxAddrs bounds the addresses of a Hello, and the bytes of each.
const maxAddrs, maxAddr = 32, 512

// decodeHello reads a Hello and checks its form.
func decodeHello(b []byte) (Hello, error) {
	var h Hello
	if len(b) > MaxHello {
		return Hello{}, violation(fmt.Sprintf("a hello of %d bytes", len(b)))
	}
	if err := dec.Unmarshal(b, &h); err != nil {
		return Hello{}, violation("a hello that is none: " + err.Error())
	}
	if err := h.check(); err != nil {
		return Hello{}, violation("a hello " + err.Error())
	}
	return h, nil
}

// check reports what is wrong with a Hello's form.
func (h *Hello) check() error {
	if h.Versions[0] > h.Versions[1] || h.Versions[1] == 0 {
		return fmt.Errorf("whose wire versions are from %d to %d", h.Versions[0], h.Versions[1])
	}
	if len(h.Peer) > 128 || len(h.Cluster) > 128 {
		return errors.New("with a name of more than 128 bytes")
	}
	if len(h.Addrs) > maxAddrs {
		return fmt.Errorf("with %d addresses; at most %d are allowed", len(h.Addrs), maxAddrs)
	}
	for _, a := range h.Addrs {
		if len(a) > maxAddr {
			return fmt.Errorf("with an address of %d bytes; at most %d are allowed", len(a), maxAddr)
		}
	}
	return nil
}

// decodeRefusal reads a refusal.
func decodeRefusal(b []byte) error {
	var r refusal
	if err := dec.Unmarshal(b, &r); err != nil {
		return violation("a refusal that is none: " + err.Error())
	}
	r.Text = clip(r.Text)
	return &r
}

// clip bounds a text from the other side.
func clip(s string) string {
	if len(s) > maxBye {
		return s[:maxBye] + "…"
	}
	return s
}

// Negotiate is the newest version in both ranges.
func Negotiate(a, b [2]uint16) (uint16, bool) {
	v := min(a[1], b[1])
	return v, v >= a[0] && v >= b[0]
}

// speaks says a range of versions in words.
func speaks(v [2]uint16) string {
	if v[0] == v[1] {
		return fmt.Sprintf("wire version %d", v[0])
	}
	return fmt.Sprintf("wire versions %d to %d", v[0], v[1])
}
