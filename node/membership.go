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

// memberDir keeps the peer's membership, among its keys.
const memberDir = "cluster"

// joinWait bounds how long a newcomer's invite may take to be swapped.
const joinWait = 30 * time.Second

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
