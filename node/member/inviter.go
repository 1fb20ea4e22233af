package member

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Bounds of invites at one peer.
const (
	// MaxInvites bounds the invites that a peer remembers.
	MaxInvites = 1024
	// remembered is how long after its expiry an invite is remembered, so that
	// who comes too late is told so.
	remembered = 24 * time.Hour
)

// ErrTooManyInvites refuses an invite when MaxInvites are open.
var ErrTooManyInvites = errors.New("this peer has as many open invites as it can")

// errUnknownInvite is for the log of the member: who shows one gets no further
// than the handshake.
var errUnknownInvite = errors.New("it shows an invite that was not made here, or long ago")

// InviterConfig says who invites.
type InviterConfig struct {
	Authority  *Authority
	Membership *Membership
	Store      *Store
	// Addrs are the addresses that newcomers can reach this peer at, with
	// /p2p/ID at the end.
	Addrs func() []string
	// TTL is how long the certificates of newcomers last. Default: DefaultTTL.
	TTL time.Duration
	// Logger takes what newcomers did. Default: discard.
	Logger *slog.Logger
}

// Inviter makes invites, remembers them across restarts, and decides about
// newcomers. It belongs to a peer that holds the cluster's key.
type Inviter struct {
	cfg InviterConfig

	mu  sync.Mutex
	all map[string]invited // by the secret's public key
}

// NewInviter reads the invites that were made before and lets the membership's
// handshakes ask it about newcomers.
func NewInviter(cfg InviterConfig) (*Inviter, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Authority.ClusterID() != cfg.Membership.ClusterID() {
		return nil, fmt.Errorf("invite to cluster %s: this peer is a member of %s", cfg.Authority.ClusterID(), cfg.Membership.ClusterID())
	}
	all, err := cfg.Store.invites(cfg.Membership.ClusterID())
	if err != nil {
		return nil, err
	}
	i := &Inviter{cfg: cfg, all: all}
	m := cfg.Membership
	m.mu.Lock()
	m.admits = i
	m.mu.Unlock()
	return i, nil
}

// New makes an invite that this peer takes once; a ttl of 0 is
// DefaultInviteTTL. It is on disk before it is returned.
func (i *Inviter) New(role Role, ttl time.Duration) (Invite, error) {
	if ttl == 0 {
		ttl = DefaultInviteTTL
	}
	if ttl < time.Second || ttl > MaxInviteTTL {
		return Invite{}, fmt.Errorf("make an invite: a lifetime of %s is not between 1s and %s", ttl, MaxInviteTTL)
	}
	if _, err := ParseRole(string(role)); err != nil {
		return Invite{}, fmt.Errorf("make an invite: %w", err)
	}
	now := i.cfg.Membership.now()
	addrs := reachable(i.cfg.Addrs())
	inv, err := newInvite(i.cfg.Authority.Public(), role, now.Add(ttl), addrs[:min(len(addrs), maxInviteAddrs)])
	if err != nil {
		return Invite{}, fmt.Errorf("make an invite: %w", err)
	}
	pub := string(inv.key().Public().(ed25519.PublicKey))
	i.mu.Lock()
	defer i.mu.Unlock()
	i.forget(now)
	if len(i.all) >= MaxInvites {
		return Invite{}, fmt.Errorf("make an invite: %w (%d); each ends when it expires", ErrTooManyInvites, MaxInvites)
	}
	i.all[pub] = invited{pub: pub, role: role, expires: inv.Expires}
	if err := i.save(); err != nil {
		delete(i.all, pub)
		return Invite{}, fmt.Errorf("make an invite: %w", err)
	}
	i.cfg.Logger.Info("made an invite", "invite", inv)
	return inv, nil
}

// Open counts the invites that can still be used.
func (i *Inviter) Open() int {
	now := i.cfg.Membership.now()
	i.mu.Lock()
	defer i.mu.Unlock()
	n := 0
	for _, v := range i.all {
		if v.usedBy == "" && now.Before(v.expires) {
			n++
		}
	}
	return n
}

// forget drops what nobody needs to be told about any more; mu is held.
func (i *Inviter) forget(now time.Time) {
	keep := remembered
	if len(i.all) >= MaxInvites {
		keep = 0 // room for new ones is worth more
	}
	maps.DeleteFunc(i.all, func(_ string, v invited) bool { return now.Sub(v.expires) >= keep })
}

// save writes all invites; mu is held, so that files are in the order of what
// they say.
func (i *Inviter) save() error {
	all := slices.SortedFunc(maps.Values(i.all), func(x, y invited) int { return strings.Compare(x.pub, y.pub) })
	return i.cfg.Store.saveInvites(i.cfg.Membership.ClusterID(), all)
}

// proves reports why a newcomer has shown nothing worth an answer. It changes
// nothing.
func (i *Inviter) proves(proof joinProof, p peer.ID) error {
	if len(proof.Lapsed) > 0 {
		_, err := i.lapsed(proof, p)
		return err
	}
	i.mu.Lock()
	_, ok := i.all[string(proof.Invite)]
	i.mu.Unlock()
	if !ok || !ed25519.Verify(proof.Invite, inviteSigned(i.cfg.Membership.ClusterID(), p), proof.Sig) {
		return errUnknownInvite
	}
	return nil
}

// lapsed is the certificate of a member that comes back.
func (i *Inviter) lapsed(proof joinProof, p peer.ID) (Certificate, error) {
	cert, err := ParseCertificate(proof.Lapsed)
	if err != nil {
		return Certificate{}, err
	}
	if err := cert.verifySignature(i.cfg.Membership.pub); err != nil {
		return Certificate{}, err
	}
	if cert.Peer != p {
		return Certificate{}, ErrOtherPeer
	}
	if i.cfg.Membership.now().After(cert.NotAfter.Add(LapsedGrace)) {
		return Certificate{}, fmt.Errorf("%w more than %d days ago", ErrExpired, LapsedGrace/(24*time.Hour))
	}
	return cert, nil
}

// admit decides about a newcomer whose proof is good, and signs its
// certificate. That an invite is used is on disk before anybody is told.
func (i *Inviter) admit(proof joinProof, p peer.ID) (Certificate, error) {
	role, err := i.roleFor(proof, p)
	if err == nil {
		var cert Certificate
		if cert, err = i.cfg.Authority.Issue(p, role, i.cfg.TTL, i.cfg.Membership.now()); err == nil {
			i.cfg.Membership.count.admitted.Add(1)
			i.cfg.Logger.Info("admitted a newcomer", "peer", p, "role", role, "until", cert.NotAfter, "again", len(proof.Lapsed) > 0)
			return cert, nil
		}
	}
	i.cfg.Membership.count.notAdmitted.Add(1)
	i.cfg.Logger.Warn("refused a newcomer", "peer", p, "err", err)
	return Certificate{}, err
}

func (i *Inviter) roleFor(proof joinProof, p peer.ID) (Role, error) {
	if err := i.proves(proof, p); err != nil {
		return "", err
	}
	if i.cfg.Membership.Denied(p) {
		return "", ErrDenied
	}
	if len(proof.Lapsed) > 0 {
		cert, err := i.lapsed(proof, p)
		return cert.Role, err
	}
	now := i.cfg.Membership.now()
	i.mu.Lock()
	defer i.mu.Unlock()
	v, ok := i.all[string(proof.Invite)]
	switch {
	case !ok:
		return "", errUnknownInvite
	case !now.Before(v.expires):
		return "", ErrInviteExpired
	case v.usedBy == p:
		return v.role, nil
	case v.usedBy != "":
		return "", ErrInviteUsed
	}
	before := v
	v.usedBy = p
	i.all[v.pub] = v
	if err := i.save(); err != nil {
		i.all[v.pub] = before
		return "", err
	}
	return v.role, nil
}

// reachable puts addresses last that only this machine can reach.
func reachable(addrs []string) []string {
	var far, near []string
	for _, s := range addrs {
		if a, err := ma.NewMultiaddr(s); err == nil && manet.IsIPLoopback(a) {
			near = append(near, s)
		} else {
			far = append(far, s)
		}
	}
	return append(far, near...)
}
