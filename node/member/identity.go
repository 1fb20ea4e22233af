package member

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
)

// The extensions of TLS certificates that this package adds. They are under
// 2.25, where numbers need no registration, and not critical.
var (
	certificateOID = asn1.ObjectIdentifier{2, 25, 1718580079, 1} // a Certificate
	joinOID        = asn1.ObjectIdentifier{2, 25, 1718580079, 2} // a joinProof
)

// newIdentity makes the TLS certificate that carries a certificate of
// membership.
func newIdentity(key crypto.PrivKey, cert Certificate) (*libp2ptls.Identity, error) {
	ext := pkix.Extension{Id: certificateOID, Value: cert.Bytes()}
	return identityWith(key, ext, cert.NotBefore, cert.NotAfter)
}

// identityWith makes a TLS certificate with an extension.
func identityWith(key crypto.PrivKey, ext pkix.Extension, from, to time.Time) (*libp2ptls.Identity, error) {
	t, err := template(ext, from, to)
	if err != nil {
		return nil, err
	}
	return libp2ptls.NewIdentity(key, libp2ptls.WithCertTemplate(t))
}

// template is what libp2p fills in its own extension and key into. A template
// serves once: libp2p changes it.
func template(ext pkix.Extension, from, to time.Time) (*x509.Certificate, error) {
	limit := new(big.Int).Lsh(big.NewInt(1), 62)
	serial, err := rand.Int(rand.Reader, limit)
	if err != nil {
		return nil, fmt.Errorf("make a TLS certificate: %w", err)
	}
	subject, err := rand.Int(rand.Reader, limit)
	if err != nil {
		return nil, fmt.Errorf("make a TLS certificate: %w", err)
	}
	return &x509.Certificate{
		SerialNumber: serial, NotBefore: from, NotAfter: to,
		Subject:         pkix.Name{SerialNumber: subject.String()},
		ExtraExtensions: []pkix.Extension{ext},
	}, nil
}

// extension finds one of our extensions in a peer's TLS certificate.
func extension(leaf *x509.Certificate, id asn1.ObjectIdentifier) ([]byte, bool) {
	for _, e := range leaf.Extensions {
		if e.Id.Equal(id) {
			return e.Value, true
		}
	}
	return nil, false
}

// checkLeaf checks the certificate of membership in a peer's TLS certificate.
func (m *Membership) checkLeaf(p peer.ID, leaf *x509.Certificate) error {
	err := m.leafError(p, leaf)
	if err != nil {
		m.count.refused.Add(1)
	}
	return err
}

func (m *Membership) leafError(p peer.ID, leaf *x509.Certificate) error {
	b, ok := extension(leaf, certificateOID)
	if !ok {
		return ErrNoCertificate
	}
	cert, err := ParseCertificate(b)
	if err != nil {
		return err
	}
	return m.Check(p, cert)
}

// verified is what a handshake found out about the other end.
type verified struct {
	key  crypto.PubKey
	peer peer.ID
}

// chain makes a handshake check what libp2p checks and then ours. It returns
// where the other end's identity is after the handshake.
func chain(conf *tls.Config, keys <-chan crypto.PubKey, check func(peer.ID, *x509.Certificate) error) *verified {
	v := &verified{}
	libp2ps := conf.VerifyPeerCertificate
	conf.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
		if err := libp2ps(raw, chains); err != nil {
			return err
		}
		var key crypto.PubKey
		select {
		case key = <-keys:
		default:
		}
		if key == nil {
			return errors.New("the TLS certificate names no peer")
		}
		id, err := peer.IDFromPublicKey(key)
		if err != nil {
			return err
		}
		leaf, err := x509.ParseCertificate(raw[0]) // libp2p has seen that there is exactly one
		if err != nil {
			return err
		}
		if err := check(id, leaf); err != nil {
			return fmt.Errorf("peer %s: %w", id, err)
		}
		v.key, v.peer = key, id
		return nil
	}
	return v
}
