package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/raygo/raygo/node/member"
	"github.com/raygo/raygo/sdk/ipc"
)

// alone reports whether the configuration wants no other peers at all: a peer
// that serves one program needs none unless it is told so.
func (c *Config) alone() bool {
	return c.Alone || c.Private && len(c.Listen) == 0 && len(c.Bootstrap) == 0 && c.ClusterKeyFile == "" && c.Join == "" && !c.MDNS
}

// InCluster reports whether the peer will be a member of a cluster beyond this
// user's peers on this machine: by the configuration, or by an earlier run with
// an invite.
func (c *Config) InCluster() bool {
	if c.ClusterKeyFile != "" || c.Join != "" {
		return true
	}
	dir := c.DataDir
	if dir == "" && !c.Private {
		dir, _ = defaultDataDir() // without one there is nothing kept
	}
	return member.HasJoined(filepath.Join(dir, keysDir, memberDir))
}

// Met reports whether the peer at an address, a multiaddr with /p2p/ID, is one that
// an earlier run with this data directory met.
func (c *Config) Met(addr string) bool {
	info, err := peerOf(addr)
	if err != nil {
		return false
	}
	known, err := openKnown(filepath.Join(c.DataDir, knownFile), time.Now())
	return err == nil && known.has(info.ID.String())
}

// memberDir keeps the peer's membership, among its keys.
const memberDir = "cluster"

// joinWait bounds how long a newcomer's invite may take to be swapped.
const joinWait = 30 * time.Second

// place is where a peer stands in its cluster, and whom of it it met before.
type place struct {
	stand *member.Opened
	known *knownPeers
}

// joinCluster makes the peer a member, unless it is to be alone. One whose role
// is not that of a peer offers nothing, whatever else it was told.
func (n *Node) joinCluster(key crypto.PrivKey) (*place, error) {
	if n.cfg.alone() {
		return nil, nil
	}
	if err := checkBootstrap(n.cfg.Bootstrap); err != nil {
		return nil, err
	}
	known, err := openKnown(filepath.Join(n.dir.path, knownFile), time.Now())
	if err != nil {
		n.log.Warn("start without the peers of the last run", "err", err)
	}
	stand, err := n.enroll(n.ctx, key, known.addrs())
	if err != nil {
		return nil, err
	}
	if role := stand.Role(); role != member.RolePeer && !n.cfg.Client {
		n.log.Info("this peer offers nothing and hands programs on: that is what its membership is for", "role", role)
		n.cfg.Client = true
	}
	n.reads = stand.Role() == member.RoleRead
	return &place{stand: stand, known: known}, nil
}

// enroll finds or makes the peer's membership. Members at the known addresses
// are asked when the one of an earlier run has lapsed.
func (n *Node) enroll(ctx context.Context, key crypto.PrivKey, known []string) (*member.Opened, error) {
	c := &n.cfg
	loopback := c.LoopbackDir
	if loopback == "" {
		loopback = filepath.Dir(ipc.DefaultSocket())
		if err := ipc.MakeSocketDir(ipc.DefaultSocket()); err != nil {
			return nil, fmt.Errorf("make a place for the key that this user's peers share: %w", err)
		}
	}
	role := member.RolePeer
	if c.Client {
		role = member.RoleClient
	}
	ctx, cancel := context.WithTimeout(ctx, joinWait)
	defer cancel()
	o, err := member.Open(ctx, member.OpenConfig{
		Key: key, Dir: filepath.Join(n.dir.keys(), memberDir), LoopbackDir: loopback, KeyFile: c.ClusterKeyFile, Invite: c.Join,
		Bootstrap: slices.Concat(c.Bootstrap, known), Role: role, Logger: n.log,
	})
	switch {
	case errors.Is(err, member.ErrInvite) || err != nil && c.ClusterKeyFile != "":
		return nil, fmt.Errorf("%w: become a member of the cluster: %w", ErrConfig, err)
	case err != nil:
		return nil, fmt.Errorf("become a member of the cluster: %w", err)
	}
	if err := o.CheckListen(c.Listen); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return o, nil
}

// checkBootstrap refuses addresses that nobody can be found at.
func checkBootstrap(addrs []string) error {
	for _, s := range addrs {
		if _, err := peerOf(s); err != nil {
			return fmt.Errorf("%w: find other peers at %q: want a multiaddr with the peer's ID, as /ip4/10.0.0.1/tcp/4001/p2p/12D3…: %w", ErrConfig, s, err)
		}
	}
	return nil
}
