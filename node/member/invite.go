package member

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Limits of invites.
const (
	// DefaultInviteTTL is how long an invite lasts that is made without saying.
	DefaultInviteTTL = time.Hour
	// MaxInviteTTL is the longest that any invite lasts.
	MaxInviteTTL = 30 * 24 * time.Hour

	invitePrefix   = "raygo-invite-1."
	inviteWords    = "raygo invite 1\x00" // before what is signed
	inviteChecksum = 4
	maxInvite      = 3 << 10 // bytes, about 4,000 characters
	maxInviteAddrs = 16
)

// ErrInvite is wrapped by errors about the text of an invite.
var ErrInvite = errors.New("this is not a whole raygo invite")

var inviteText = base64.RawURLEncoding.Strict()

// Invite lets one peer become a member, once. It is a secret: whoever has its
// text can use it.
type Invite struct {
	ClusterPub []byte // the cluster's public key
	Role       Role
	Expires    time.Time // whole seconds
	Addrs      []string  // multiaddrs with /p2p/ of peers that take it

	secret []byte // seed of the key that proves possession
}

// wireInvite is the encoding, version 1.
type wireInvite struct {
	ClusterPub []byte   `cbor:"1,keyasint"`
	Secret     []byte   `cbor:"2,keyasint"`
	Role       string   `cbor:"3,keyasint"`
	Expires    int64    `cbor:"4,keyasint"`
	Addrs      [][]byte `cbor:"5,keyasint"`
}

// newInvite makes an invite with a fresh secret.
func newInvite(clusterPub []byte, role Role, expires time.Time, addrs []string) (Invite, error) {
	inv := Invite{ClusterPub: clusterPub, Role: role, Expires: time.Unix(expires.Unix(), 0), Addrs: addrs, secret: make([]byte, ed25519.SeedSize)}
	if len(addrs) == 0 || len(addrs) > maxInviteAddrs {
		return Invite{}, fmt.Errorf("an invite has 1 to %d addresses, not %d", maxInviteAddrs, len(addrs))
	}
	for _, a := range addrs {
		if _, err := parseMemberAddr(a); err != nil {
			return Invite{}, err
		}
	}
	if _, err := rand.Read(inv.secret); err != nil {
		return Invite{}, err
	}
	return inv, nil
}

// ClusterID names the cluster that the invite is for.
func (i Invite) ClusterID() string { return ClusterID(i.ClusterPub) }

// String is the text that ParseInvite reads. It has the secret in it.
func (i Invite) String() string {
	w := wireInvite{ClusterPub: i.ClusterPub, Secret: i.secret, Role: string(i.Role), Expires: i.Expires.Unix(), Addrs: [][]byte{}}
	for _, s := range i.Addrs {
		if a, err := ma.NewMultiaddr(s); err == nil { // else the invite was not made here and cannot be read back
			w.Addrs = append(w.Addrs, a.Bytes())
		}
	}
	b := encode(w)
	sum := sha256.Sum256(b)
	return invitePrefix + inviteText.EncodeToString(append(b, sum[:inviteChecksum]...))
}

// LogValue keeps the secret out of logs.
func (i Invite) LogValue() slog.Value {
	return slog.GroupValue(slog.String("cluster", i.ClusterID()), slog.String("role", string(i.Role)), slog.Time("expires", i.Expires))
}

// ParseInvite reads an invite's text. Space around it does not matter.
func ParseInvite(text string) (Invite, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), invitePrefix)
	if !ok {
		return Invite{}, fmt.Errorf("%w: it does not begin with %s", ErrInvite, invitePrefix)
	}
	if len(rest) > inviteText.EncodedLen(maxInvite+inviteChecksum) {
		return Invite{}, fmt.Errorf("%w: it is too long", ErrInvite)
	}
	b, err := inviteText.DecodeString(rest)
	if err != nil || len(b) <= inviteChecksum {
		return Invite{}, fmt.Errorf("%w: copy all of it, up to its last letter", ErrInvite)
	}
	b, sum := b[:len(b)-inviteChecksum], b[len(b)-inviteChecksum:]
	if want := sha256.Sum256(b); !bytes.Equal(sum, want[:inviteChecksum]) {
		return Invite{}, fmt.Errorf("%w: copy all of it, up to its last letter", ErrInvite)
	}
	var w wireInvite
	if err := decode(b, maxInvite, &w); err != nil {
		return Invite{}, fmt.Errorf("%w: %w", ErrInvite, err)
	}
	return w.invite()
}

func (w wireInvite) invite() (Invite, error) {
	role, err := ParseRole(w.Role)
	switch {
	case err != nil:
		return Invite{}, fmt.Errorf("%w: %w", ErrInvite, err)
	case len(w.ClusterPub) != ed25519.PublicKeySize || len(w.Secret) != ed25519.SeedSize:
		return Invite{}, fmt.Errorf("%w: its keys have the wrong size", ErrInvite)
	case w.Expires < 0 || w.Expires > maxSeconds:
		return Invite{}, fmt.Errorf("%w: its expiry is not a time", ErrInvite)
	case len(w.Addrs) == 0 || len(w.Addrs) > maxInviteAddrs:
		return Invite{}, fmt.Errorf("%w: it has %d addresses", ErrInvite, len(w.Addrs))
	}
	i := Invite{ClusterPub: w.ClusterPub, Role: role, Expires: time.Unix(w.Expires, 0), secret: w.Secret}
	for _, b := range w.Addrs {
		a, err := ma.NewMultiaddrBytes(b)
		if err != nil {
			return Invite{}, fmt.Errorf("%w: address: %w", ErrInvite, err)
		}
		s := a.String()
		if back, err := parseMemberAddr(s); err != nil || !back.Equal(a) {
			return Invite{}, fmt.Errorf("%w: address %q is not that of a peer", ErrInvite, s)
		}
		i.Addrs = append(i.Addrs, s)
	}
	return i, nil
}

// parseMemberAddr reads a multiaddr that ends in /p2p/ID.
func parseMemberAddr(s string) (ma.Multiaddr, error) {
	a, err := ma.NewMultiaddr(s)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", s, err)
	}
	rest, id := peer.SplitAddr(a)
	if id == "" || rest == nil || len(rest) == 0 {
		return nil, fmt.Errorf("address %q does not end in /p2p/ and a peer's ID", s)
	}
	return a, nil
}

// key is what the invite's secret signs with.
func (i Invite) key() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(i.secret) }

// joinProof is what a newcomer shows in its TLS certificate: that it has an
// invite's secret, or a certificate that has lapsed. Version 1.
type joinProof struct {
	Invite []byte `cbor:"1,keyasint,omitempty"` // the secret's public key
	Sig    []byte `cbor:"2,keyasint,omitempty"` // of the secret, over the cluster and the newcomer's peer ID
	Lapsed []byte `cbor:"3,keyasint,omitempty"` // a Certificate
}

// inviteSigned is what the secret signs: it is of no use to another peer, nor in
// another cluster.
func inviteSigned(cluster string, p peer.ID) []byte {
	return slices.Concat([]byte(inviteWords), []byte(cluster), []byte{0}, []byte(p))
}

func (i Invite) proof(p peer.ID) joinProof {
	k := i.key()
	return joinProof{Invite: k.Public().(ed25519.PublicKey), Sig: ed25519.Sign(k, inviteSigned(i.ClusterID(), p))}
}

// parseJoinProof reads a proof; its form alone is checked.
func parseJoinProof(b []byte) (joinProof, error) {
	var p joinProof
	if err := decode(b, maxJoinFrame, &p); err != nil {
		return joinProof{}, fmt.Errorf("read a newcomer's proof: %w", err)
	}
	invite := len(p.Invite) == ed25519.PublicKeySize && len(p.Sig) == ed25519.SignatureSize && len(p.Lapsed) == 0
	lapsed := len(p.Invite) == 0 && len(p.Sig) == 0 && len(p.Lapsed) > 0
	if !invite && !lapsed {
		return joinProof{}, errors.New("read a newcomer's proof: it is neither of an invite nor of a certificate")
	}
	return p, nil
}
