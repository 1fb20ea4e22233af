package member

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Limits of certificates.
const (
	// DefaultTTL is how long a certificate lasts that is issued without saying.
	DefaultTTL = 24 * time.Hour
	// MaxTTL is the longest that any certificate lasts.
	MaxTTL = 90 * 24 * time.Hour
	// LapsedGrace is how long after its expiry a certificate still lets its
	// peer ask for a new one, and for nothing else: a machine that was switched
	// off over a holiday needs no new invite.
	LapsedGrace = 30 * 24 * time.Hour
	// skew is by how much a member's clock may be behind the issuer's.
	skew = 5 * time.Minute

	maxCertificate   = 512
	certificateWords = "raygo certificate of membership 1\x00" // before what is signed
)

// Why a certificate is refused.
var (
	ErrNoCertificate = errors.New("it shows no certificate of membership")
	ErrCluster       = errors.New("it is a member of another cluster")
	ErrSignature     = errors.New("the cluster's signature is not valid")
	ErrExpired       = errors.New("its certificate of membership has expired")
	ErrNotYetValid   = errors.New("its certificate of membership is not valid yet: compare the machines' clocks")
	ErrOtherPeer     = errors.New("its certificate of membership is another peer's")
	ErrDenied        = errors.New("it was expelled from the cluster")
)

// Certificate says that a peer is a member of a cluster, in a role, for a time.
// It is worth something only to who holds the peer's own key.
type Certificate struct {
	Cluster             string // see ClusterID
	Peer                peer.ID
	Role                Role
	NotBefore, NotAfter time.Time // whole seconds
	Serial              uint64
	Sig                 []byte // the cluster's, over all of the above
}

// wireCertificate is the encoding, version 1. Fields are only ever added; a
// reader of this version refuses a certificate that has others.
type wireCertificate struct {
	Cluster   string `cbor:"1,keyasint"`
	Peer      []byte `cbor:"2,keyasint"`
	Role      string `cbor:"3,keyasint"`
	NotBefore int64  `cbor:"4,keyasint"` // seconds since 1970
	NotAfter  int64  `cbor:"5,keyasint"`
	Serial    uint64 `cbor:"6,keyasint"`
	Sig       []byte `cbor:"7,keyasint,omitempty"`
}

func (c Certificate) wire() wireCertificate {
	return wireCertificate{
		Cluster: c.Cluster, Peer: []byte(c.Peer), Role: string(c.Role),
		NotBefore: c.NotBefore.Unix(), NotAfter: c.NotAfter.Unix(), Serial: c.Serial, Sig: c.Sig,
	}
}

// Bytes is the certificate's encoding.
func (c Certificate) Bytes() []byte { return encode(c.wire()) }

// signed is what the signature is over.
func (c Certificate) signed() []byte {
	w := c.wire()
	w.Sig = nil
	return append([]byte(certificateWords), encode(w)...)
}

// ParseCertificate reads an encoded certificate. It checks its form, not its
// signature or time: Verify does.
func ParseCertificate(b []byte) (Certificate, error) {
	var w wireCertificate
	if err := decode(b, maxCertificate, &w); err != nil {
		return Certificate{}, fmt.Errorf("read a certificate of membership: %w", err)
	}
	c, err := w.certificate()
	if err != nil {
		return Certificate{}, fmt.Errorf("read a certificate of membership: %w", err)
	}
	return c, nil
}

func (w wireCertificate) certificate() (Certificate, error) {
	id, err := peer.IDFromBytes(w.Peer)
	if err != nil {
		return Certificate{}, fmt.Errorf("peer ID: %w", err)
	}
	role, err := ParseRole(w.Role)
	if err != nil {
		return Certificate{}, err
	}
	switch {
	case !validClusterID(w.Cluster):
		return Certificate{}, errors.New("the cluster's ID is malformed")
	case w.NotBefore < 0 || w.NotAfter <= w.NotBefore || w.NotAfter-w.NotBefore > int64((MaxTTL+skew)/time.Second):
		return Certificate{}, fmt.Errorf("its time from %d to %d is not a valid one", w.NotBefore, w.NotAfter)
	case len(w.Sig) != ed25519.SignatureSize:
		return Certificate{}, fmt.Errorf("the signature has %d bytes, not %d", len(w.Sig), ed25519.SignatureSize)
	}
	return Certificate{
		Cluster: w.Cluster, Peer: id, Role: role,
		NotBefore: time.Unix(w.NotBefore, 0), NotAfter: time.Unix(w.NotAfter, 0), Serial: w.Serial, Sig: w.Sig,
	}, nil
}

// Verify reports why the certificate does not make its peer a member now of the
// cluster with this public key; nil means that it does.
func (c Certificate) Verify(clusterPub []byte, now time.Time) error {
	if err := c.verifySignature(clusterPub); err != nil {
		return err
	}
	switch {
	case now.Before(c.NotBefore):
		return ErrNotYetValid
	case !now.Before(c.NotAfter):
		return ErrExpired
	}
	return nil
}

func (c Certificate) verifySignature(clusterPub []byte) error {
	switch {
	case len(clusterPub) != ed25519.PublicKeySize:
		return fmt.Errorf("the cluster's public key has %d bytes, not %d", len(clusterPub), ed25519.PublicKeySize)
	case c.Cluster != ClusterID(clusterPub):
		return ErrCluster
	case !ed25519.Verify(clusterPub, c.signed(), c.Sig):
		return ErrSignature
	}
	return nil
}

// renewAt is when the certificate's holder asks for the next one.
func (c Certificate) renewAt() time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 2)
}
