package member

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// OpenConfig says how a peer becomes a member.
type OpenConfig struct {
	// Key is the peer's own.
	Key crypto.PrivKey
	// Dir keeps the membership: a directory of this peer alone.
	Dir string
	// LoopbackDir keeps the key that the user's peers on this machine share.
	LoopbackDir string
	// KeyFile is a cluster key file: the peer admits itself. It beats Invite.
	KeyFile string
	// Invite is the text of an invite, redeemed unless the peer is a member of
	// its cluster already.
	Invite string
	// Bootstrap are addresses of members, asked for a new certificate when the
	// kept one has lapsed.
	Bootstrap []string
	// Role is that of a peer that admits itself. Default: RolePeer.
	Role Role
	// TTL is that of the certificate of a peer that admits itself. Default:
	// DefaultTTL.
	TTL time.Duration
	// Logger takes what was done. Default: discard.
	Logger *slog.Logger
}

// Opened is a peer's membership as it starts.
type Opened struct {
	*Membership
	Store *Store
	// Authority is the cluster's key, if this peer holds it.
	Authority *Authority
	// Loopback says that the cluster is that of a user's peers on this machine:
	// the peer may listen on loopback alone.
	Loopback bool
	// Addrs are members' addresses that the invite named.
	Addrs []string
}

// Open makes the peer a member, in this order: by the cluster's key, by an
// invite or what was got for it before, by a membership kept from an earlier
// run, and else among the user's own peers on this machine.
func Open(ctx context.Context, cfg OpenConfig) (*Opened, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Role == "" {
		cfg.Role = RolePeer
	}
	store, err := OpenStore(cfg.Dir)
	if err != nil {
		return nil, err
	}
	o := &Opened{Store: store}
	if err := o.open(ctx, cfg); err != nil {
		return nil, err
	}
	list, err := store.DenyList(o.pub)
	if err != nil {
		return nil, err
	}
	if list.Has(o.self) && !o.Loopback {
		return nil, fmt.Errorf("this peer, %s: %w", o.self, ErrDenied)
	}
	return o, o.Deny(list)
}

func (o *Opened) open(ctx context.Context, cfg OpenConfig) error {
	if cfg.KeyFile != "" {
		a, err := LoadAuthority(cfg.KeyFile)
		if err != nil {
			return err
		}
		return o.admitSelf(cfg, a)
	}
	joined, err := o.join(ctx, cfg)
	if errors.Is(err, fs.ErrNotExist) {
		a, err := LoopbackAuthority(cfg.LoopbackDir)
		if err != nil {
			return err
		}
		o.Loopback = true
		return o.admitSelf(cfg, a)
	}
	if err != nil {
		return err
	}
	o.Addrs = joined.Addrs
	o.Membership, err = New(cfg.Key, joined.ClusterPub, joined.Cert)
	return err
}

// admitSelf is how a machine becomes a member that has the cluster's key.
func (o *Opened) admitSelf(cfg OpenConfig, a *Authority) error {
	self, err := peer.IDFromPrivateKey(cfg.Key)
	if err != nil {
		return err
	}
	cert, err := a.Issue(self, cfg.Role, cfg.TTL, time.Now())
	if err != nil {
		return err
	}
	o.Authority = a
	o.Membership, err = New(cfg.Key, a.Public(), cert)
	return err
}

// join is how a machine becomes or stays a member that has not the key; the
// error is fs.ErrNotExist if it is none and has no invite.
func (o *Opened) join(ctx context.Context, cfg OpenConfig) (Joined, error) {
	kept, keptErr := o.kept(ctx, cfg)
	if cfg.Invite == "" {
		return kept, keptErr
	}
	inv, err := ParseInvite(cfg.Invite)
	if err != nil {
		return Joined{}, err
	}
	if keptErr == nil && bytes.Equal(kept.ClusterPub, inv.ClusterPub) {
		return kept, nil // restarted with the invite that it used
	}
	var j Joined
	if j.ClusterPub, j.Cert, j.Addrs, err = Join(ctx, inv, cfg.Key); err != nil {
		return Joined{}, err
	}
	cfg.Logger.Info("joined a cluster", "cluster", j.Cert.Cluster, "role", j.Cert.Role, "until", j.Cert.NotAfter)
	return j, o.Store.SaveJoined(j)
}

// kept is the membership of an earlier run, renewed if it has lapsed.
func (o *Opened) kept(ctx context.Context, cfg OpenConfig) (Joined, error) {
	j, err := o.Store.Joined()
	if err != nil {
		return Joined{}, err
	}
	self, err := peer.IDFromPrivateKey(cfg.Key)
	if err != nil {
		return Joined{}, err
	}
	if j.Cert.Peer != self {
		return Joined{}, fmt.Errorf("the kept membership is that of peer %s, this is %s: remove %s, and join with a new invite", j.Cert.Peer, self, cfg.Dir)
	}
	switch err := j.Cert.Verify(j.ClusterPub, time.Now()); {
	case errors.Is(err, ErrExpired):
	default:
		return j, err
	}
	addrs := slices.Concat(cfg.Bootstrap, j.Addrs)
	if j.Cert, err = Rejoin(ctx, cfg.Key, j.ClusterPub, j.Cert, addrs); err != nil {
		return Joined{}, fmt.Errorf("the certificate of membership expired and no member issued another, so that a new invite is needed (raygo cluster invite): %w", err)
	}
	cfg.Logger.Info("joined again after the certificate had lapsed", "cluster", j.Cert.Cluster, "until", j.Cert.NotAfter)
	return j, o.Store.SaveJoined(j)
}

// CheckListen reports addresses that a peer must not listen on: among a user's
// own peers, all that are not loopback.
func (o *Opened) CheckListen(addrs []string) error {
	for _, s := range addrs {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return fmt.Errorf("listen on %q: %w", s, err)
		}
		if o.Loopback && !manet.IsIPLoopback(a) {
			return fmt.Errorf("listen on %s: other machines could reach it, and this peer is in no cluster; "+
				"make one with 'raygo cluster create' and pass --cluster-key FILE, or join one with --join INVITE", s)
		}
	}
	return nil
}
