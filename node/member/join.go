package member

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	ma "github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"
	manet "github.com/multiformats/go-multiaddr/net"
	mss "github.com/multiformats/go-multistream"
	"github.com/quic-go/quic-go"
)

const (
	// joinWait bounds a newcomer's exchange over one address.
	joinWait = 10 * time.Second
	// joinSpan is how far from now a newcomer's TLS certificate is valid in
	// both directions: its clock need not be right to join.
	joinSpan = 48 * time.Hour

	maxJoinAddrs = 64
)

// Join redeems an invite for the peer that has key: it asks the peers that the
// invite names, one after the other, and returns the cluster's public key, the
// certificate, and the addresses to bootstrap from. The same peer may redeem its
// invite again until it expires; no other may.
func Join(ctx context.Context, inv Invite, key crypto.PrivKey) (clusterPub []byte, cert Certificate, addrs []string, err error) {
	self, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, Certificate{}, nil, fmt.Errorf("join a cluster: %w", err)
	}
	if len(inv.secret) == 0 {
		return nil, Certificate{}, nil, fmt.Errorf("join a cluster: %w", ErrInvite)
	}
	j := joiner{key: key, self: self, pub: inv.ClusterPub, proof: inv.proof(self)}
	if cert, err = j.ask(ctx, inv.Addrs); err != nil {
		return nil, Certificate{}, nil, fmt.Errorf("join cluster %s: %w", inv.ClusterID(), err)
	}
	return inv.ClusterPub, cert, inv.Addrs, nil
}

// Rejoin asks members for a new certificate in exchange for one that has
// lapsed, no longer than LapsedGrace ago. addrs are multiaddrs with /p2p/ of
// members that may hold the cluster's key.
func Rejoin(ctx context.Context, key crypto.PrivKey, clusterPub []byte, lapsed Certificate, addrs []string) (Certificate, error) {
	self, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return Certificate{}, fmt.Errorf("join a cluster again: %w", err)
	}
	j := joiner{key: key, self: self, pub: clusterPub, proof: joinProof{Lapsed: lapsed.Bytes()}}
	cert, err := j.ask(ctx, addrs)
	if err != nil {
		return Certificate{}, fmt.Errorf("join cluster %s again: %w", ClusterID(clusterPub), err)
	}
	return cert, nil
}

// joiner is a newcomer.
type joiner struct {
	key   crypto.PrivKey
	self  peer.ID
	pub   []byte
	proof joinProof
}

// ask tries the addresses in order until a member answers.
func (j joiner) ask(ctx context.Context, addrs []string) (Certificate, error) {
	var errs []error
	for _, s := range addrs[:min(len(addrs), maxJoinAddrs)] {
		cert, err := j.askAt(ctx, s)
		if err == nil {
			return cert, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", s, err))
		if ctx.Err() != nil || errors.Is(err, ErrInviteUsed) || errors.Is(err, ErrInviteExpired) || errors.Is(err, ErrDenied) {
			break
		}
	}
	if len(errs) == 0 {
		return Certificate{}, errors.New("no address of a member is known")
	}
	return Certificate{}, errors.Join(errs...)
}

func (j joiner) askAt(ctx context.Context, s string) (Certificate, error) {
	a, err := parseMemberAddr(s)
	if err != nil {
		return Certificate{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, joinWait)
	defer cancel()
	resolved := []ma.Multiaddr{a}
	if madns.Matches(a) {
		if resolved, err = madns.DefaultResolver.Resolve(ctx, a); err != nil {
			return Certificate{}, err
		}
	}
	err = errors.New("the name has no address")
	for _, r := range resolved[:min(len(resolved), maxInviteAddrs)] {
		at, id := peer.SplitAddr(r)
		var answer joinAnswer
		if answer, err = j.exchangeAt(ctx, at, id); err != nil {
			continue
		}
		return j.take(answer)
	}
	return Certificate{}, err
}

// take checks what a member answered.
func (j joiner) take(answer joinAnswer) (Certificate, error) {
	cert, err := answer.parse()
	if err != nil {
		return Certificate{}, err
	}
	if cert.Peer != j.self {
		return Certificate{}, fmt.Errorf("the answer: %w", ErrOtherPeer)
	}
	if err := cert.Verify(j.pub, time.Now()); err != nil {
		return Certificate{}, fmt.Errorf("the answer: %w", err)
	}
	return cert, nil
}

func (j joiner) exchangeAt(ctx context.Context, at ma.Multiaddr, id peer.ID) (joinAnswer, error) {
	if _, err := at.ValueForProtocol(ma.P_QUIC_V1); err == nil {
		return j.overQUIC(ctx, at, id)
	}
	return j.overTCP(ctx, at, id)
}

// checkMember checks that who answers is a peer of the cluster.
func (j joiner) checkMember(p peer.ID, leaf *x509.Certificate) error {
	b, ok := extension(leaf, certificateOID)
	if !ok {
		return ErrNoCertificate
	}
	cert, err := ParseCertificate(b)
	if err != nil {
		return err
	}
	if cert.Peer != p {
		return ErrOtherPeer
	}
	return cert.Verify(j.pub, time.Now())
}

func (j joiner) extension() pkix.Extension {
	return pkix.Extension{Id: joinOID, Value: encode(j.proof)}
}

func (j joiner) overTCP(ctx context.Context, at ma.Multiaddr, id peer.ID) (joinAnswer, error) {
	now := time.Now()
	identity, err := identityWith(j.key, j.extension(), now.Add(-joinSpan), now.Add(joinSpan))
	if err != nil {
		return joinAnswer{}, err
	}
	var d manet.Dialer
	raw, err := d.DialContext(ctx, at)
	if err != nil {
		return joinAnswer{}, err
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	if err := mss.SelectProtoOrFail(JoinProtocol, raw); err != nil {
		return joinAnswer{}, fmt.Errorf("it is no raygo peer, or too old a one: %w", err)
	}
	conf, keys := identity.ConfigForPeer(id)
	chain(conf, keys, j.checkMember)
	c := tls.Client(raw, conf)
	if err := c.HandshakeContext(ctx); err != nil {
		return joinAnswer{}, err
	}
	defer c.Close()
	return exchangeJoin(c)
}

func (j joiner) overQUIC(ctx context.Context, at ma.Multiaddr, id peer.ID) (joinAnswer, error) {
	now := time.Now()
	tmpl, err := template(j.extension(), now.Add(-joinSpan), now.Add(joinSpan))
	if err != nil {
		return joinAnswer{}, err
	}
	reuse, err := quicreuse.NewConnManager(quic.StatelessResetKey{}, quic.TokenGeneratorKey{}, quicreuse.DisableReuseport())
	if err != nil {
		return joinAnswer{}, err
	}
	defer reuse.Close()
	t, err := libp2pquic.NewTransport(j.key, reuse, nil, nil, nil, libp2pquic.WithTLSIdentityOption(libp2ptls.WithCertTemplate(tmpl)))
	if err != nil {
		return joinAnswer{}, err
	}
	c, err := t.Dial(ctx, at, id)
	if err != nil {
		return joinAnswer{}, err
	}
	defer c.Close()
	leaf, ok := quicLeaf(c)
	if !ok {
		return joinAnswer{}, ErrNoCertificate
	}
	if err := j.checkMember(id, leaf); err != nil {
		return joinAnswer{}, fmt.Errorf("peer %s: %w", id, err)
	}
	s, err := c.OpenStream(ctx)
	if err != nil {
		return joinAnswer{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	defer s.Close()
	return exchangeJoin(s)
}

// exchangeJoin says the request and reads the answer.
func exchangeJoin(rw io.ReadWriter) (a joinAnswer, err error) {
	if err := writeFrame(rw, joinRequest{Version: joinVersion}); err != nil {
		return a, fmt.Errorf("ask for a certificate: %w", err)
	}
	if err := readFrame(rw, maxJoinFrame, &a); err != nil {
		return a, fmt.Errorf("the member refuses: it does not know the invite, or does not hold the cluster's key: %w", err)
	}
	return a, nil
}
