package member

import (
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/protocol"
)

// JoinProtocol is the security protocol by which newcomers reach a member: TLS
// 1.3 as libp2p has it, in which the newcomer shows a joinProof and the member
// its certificate. Then one request, one answer, and the end of the connection:
// nothing else of the member can be reached by it. On QUIC it is the same on
// the one stream of a connection.
const JoinProtocol protocol.ID = "/raygo-join/1.0.0"

// joinVersion is the version of the messages below. Fields are only ever added.
//
//	1  the first
const joinVersion = 1

// joinRequest is what the newcomer says.
type joinRequest struct {
	Version uint16 `cbor:"1,keyasint"`
}

// joinAnswer is a certificate, or why there is none.
type joinAnswer struct {
	Version     uint16  `cbor:"1,keyasint"`
	Certificate []byte  `cbor:"2,keyasint,omitempty"`
	Refusal     refusal `cbor:"3,keyasint,omitempty"`
	Text        string  `cbor:"4,keyasint,omitempty"`
}

// refusal says in one number why a newcomer is refused.
type refusal uint8

const (
	refusedUsed refusal = 1 + iota
	refusedExpired
	refusedDenied
	refusedOther
)

// Why a newcomer is refused by a member that knows its invite.
var (
	ErrInviteUsed    = errors.New("the invite has been used by another peer")
	ErrInviteExpired = errors.New("the invite has expired")
	// ErrNotAdmitted is a newcomer that a member answered and refused.
	ErrNotAdmitted = errors.New("the cluster does not admit this peer")
)

var refusals = map[refusal]error{
	refusedUsed:    ErrInviteUsed,
	refusedExpired: ErrInviteExpired,
	refusedDenied:  ErrDenied,
}

// refuse is the answer for an error.
func refuse(err error) joinAnswer {
	for r, e := range refusals {
		if errors.Is(err, e) {
			return joinAnswer{Version: joinVersion, Refusal: r, Text: e.Error()}
		}
	}
	return joinAnswer{Version: joinVersion, Refusal: refusedOther, Text: "the member that was asked could not issue a certificate; its log says why"}
}

// parse gives the certificate of an answer, or its refusal as an error.
func (a joinAnswer) parse() (Certificate, error) {
	if a.Refusal == 0 {
		return ParseCertificate(a.Certificate)
	}
	if e, ok := refusals[a.Refusal]; ok {
		return Certificate{}, fmt.Errorf("%w: %w", ErrNotAdmitted, e)
	}
	return Certificate{}, fmt.Errorf("%w: %q", ErrNotAdmitted, a.Text)
}
