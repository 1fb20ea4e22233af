package member

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
)

// MaxMembers bounds the members whose certificates are remembered, which are
// those connected and those that were within the last minutes.
const MaxMembers = 16384

// ErrTooManyMembers refuses a handshake when MaxMembers are remembered.
var ErrTooManyMembers = errors.New("this peer remembers as many members as it can")

// Membership is a peer's place in a cluster: its own certificate, the cluster's
// public key, who was expelled, and what connected members have shown. It is
// safe for concurrent use.
type Membership struct {
	key     crypto.PrivKey
	self    peer.ID
	pub     []byte // the cluster's
	cluster string
	now     func() time.Time
	joining chan struct{} // newcomers being answered
	count   counts

	mu       sync.Mutex
	cert     Certificate
	identity *libp2ptls.Identity // made from cert
	denied   DenyList
	known    map[peer.ID]shown
	renewed  map[*quicTransport]struct{} // to be told of a new identity
	admits   *Inviter
}

// shown is what a member last showed.
type shown struct {
	cert Certificate
	at   time.Time
}

// Member is a member that this peer knows from a handshake.
type Member struct {
	Peer     peer.ID
	Role     Role
	NotAfter time.Time // of the certificate it showed last
	Self     bool
}

// New makes the membership of the peer that has key.
func New(key crypto.PrivKey, clusterPub []byte, cert Certificate) (*Membership, error) {
	self, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make a membership: %w", err)
	}
	m := &Membership{
		key: key, self: self, pub: bytes.Clone(clusterPub), cluster: ClusterID(clusterPub), now: time.Now,
		joining: make(chan struct{}, maxJoins),
		denied:  DenyList{Cluster: ClusterID(clusterPub)},
		known:   map[peer.ID]shown{}, renewed: map[*quicTransport]struct{}{},
	}
	if err := m.Renew(cert); err != nil {
		return nil, err
	}
	return m, nil
}

// ClusterID names the cluster.
func (m *Membership) ClusterID() string { return m.cluster }

// ClusterPublic is the cluster's public key.
func (m *Membership) ClusterPublic() []byte { return bytes.Clone(m.pub) }

// Peer is the ID of the peer whose membership it is.
func (m *Membership) Peer() peer.ID { return m.self }

// Certificate is the peer's certificate.
func (m *Membership) Certificate() Certificate {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cert
}

// Role is the peer's own role.
func (m *Membership) Role() Role { return m.Certificate().Role }

// Renew replaces the certificate: handshakes that begin from here on show the
// new one, connections stay.
func (m *Membership) Renew(cert Certificate) error {
	if err := cert.Verify(m.pub, m.now()); err != nil {
		return fmt.Errorf("take a certificate of membership: %w", err)
	}
	if cert.Peer != m.self {
		return fmt.Errorf("take a certificate of membership: it is for %s, this peer is %s: %w", cert.Peer, m.self, ErrOtherPeer)
	}
	id, err := newIdentity(m.key, cert)
	if err != nil {
		return fmt.Errorf("take a certificate of membership: %w", err)
	}
	m.mu.Lock()
	m.cert, m.identity = cert, id
	transports := slices.Collect(maps.Keys(m.renewed))
	m.mu.Unlock()
	for _, t := range transports {
		if e := t.renew(); e != nil {
			err = errors.Join(err, fmt.Errorf("show the new certificate of membership on QUIC: %w", e))
		}
	}
	return err
}

// Deny puts a deny list in force. A list that is not the cluster's, or older
// than the one in force, is refused; the one in force again is fine. It does not
// close connections: the Keeper does.
func (m *Membership) Deny(list DenyList) error {
	if list.Epoch == 0 && len(list.Peers) == 0 {
		return nil
	}
	if err := list.Verify(m.pub); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case bytes.Equal(list.Sig, m.denied.Sig):
		return nil
	case !list.after(m.denied):
		return fmt.Errorf("epoch %d, in force is %d: %w", list.Epoch, m.denied.Epoch, ErrOldDenyList)
	}
	m.denied = list
	maps.DeleteFunc(m.known, func(p peer.ID, _ shown) bool { return list.Has(p) })
	return nil
}

// DenyList is the list in force.
func (m *Membership) DenyList() DenyList {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.denied
}

// Denied reports whether a peer was expelled.
func (m *Membership) Denied(p peer.ID) bool {
	return m.DenyList().Has(p)
}

// Check reports why a certificate does not make this peer a member; nil means
// that it does. A good one is remembered: it is what RoleOf answers from.
func (m *Membership) Check(p peer.ID, cert Certificate) error {
	now := m.now()
	if err := cert.Verify(m.pub, now); err != nil {
		return err
	}
	if cert.Peer != p {
		return ErrOtherPeer
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.denied.Has(p) {
		return ErrDenied
	}
	before, ok := m.known[p]
	if !ok && len(m.known) >= MaxMembers {
		return ErrTooManyMembers
	}
	if ok && before.cert.NotBefore.After(cert.NotBefore) {
		cert = before.cert // an older one does not undo what a newer one says
	}
	m.known[p] = shown{cert: cert, at: now}
	return nil
}

// RoleOf is the role of the member at the other end of a connection; ok is
// false when it is no member any more: expelled, or its certificate lapsed.
func (m *Membership) RoleOf(c network.Conn) (role Role, ok bool) {
	cert, ok := m.CertificateOf(c.RemotePeer())
	return cert.Role, ok
}

// CertificateOf is the certificate that a member showed last, if it is good.
func (m *Membership) CertificateOf(p peer.ID) (Certificate, bool) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.known[p]
	if !ok || !now.Before(s.cert.NotAfter) || m.denied.Has(p) {
		return Certificate{}, false
	}
	return s.cert, true
}

// Guard lets a stream handler see only streams of members that may do what is
// open to need; others are reset.
func (m *Membership) Guard(need Role, handle network.StreamHandler) network.StreamHandler {
	return func(s network.Stream) {
		if r, ok := m.RoleOf(s.Conn()); !ok || !r.Allows(need) {
			_ = s.Reset()
			return
		}
		handle(s)
	}
}

// Members are this peer and those that it knows from handshakes, in the order
// of their IDs.
func (m *Membership) Members() []Member {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	all := []Member{{Peer: m.self, Role: m.cert.Role, NotAfter: m.cert.NotAfter, Self: true}}
	for p, s := range m.known {
		if p != m.self && now.Before(s.cert.NotAfter) {
			all = append(all, Member{Peer: p, Role: s.cert.Role, NotAfter: s.cert.NotAfter})
		}
	}
	slices.SortFunc(all, func(x, y Member) int { return compareIDs(x.Peer, y.Peer) })
	return all
}

// sweep forgets members that are not connected and were not seen lately, and
// names those connected whose certificate has lapsed.
func (m *Membership) sweep(connected func(peer.ID) bool) (lapsed []peer.ID) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	for p, s := range m.known {
		switch {
		case !connected(p):
			if now.Sub(s.at) > sweepEvery {
				delete(m.known, p)
			}
		case !now.Before(s.cert.NotAfter):
			lapsed = append(lapsed, p)
		}
	}
	slices.SortFunc(lapsed, compareIDs)
	return lapsed
}

// current is the identity that a handshake shows.
func (m *Membership) current() *libp2ptls.Identity {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.identity
}
