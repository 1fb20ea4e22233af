package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	"github.com/raygo/raygo/node"
	"github.com/raygo/raygo/sdk/p2p"
)

// Variables that say what cluster a command is a member of, as for raygo-peer.
const (
	clusterKeyVariable = "RAYGO_CLUSTER_KEY"
	joinVariable       = "RAYGO_JOIN"
)

// place is where a command looks for its peer, and as whom.
type place struct {
	address    string
	clusterKey string
	join       string
}

// bridge starts a bridge to a peer elsewhere.
func (p *place) bridge(ctx context.Context, addr string) (*p2p.Peer, error) {
	b, err := p2p.Bridge(ctx, addr, p.membership(addr))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ask.ErrNoPeer, err)
	}
	return b, nil
}

// membership is who a bridge is: the holder of a cluster's key, one that joins
// with an invite, one that did so before, or else one of this user's peers on
// this machine. Peers of both kinds listen on loopback; those of the cluster that
// was joined are known by their IDs since then.
func (p *place) membership(addr string) p2p.Config {
	if key := or(p.clusterKey, os.Getenv(clusterKeyVariable)); key != "" {
		return p2p.Config{ClusterKeyFile: key}
	}
	invite, dir := or(p.join, os.Getenv(joinVariable)), clientDir()
	if dir == "" {
		return p2p.Config{Join: invite}
	}
	before := node.Config{DataDir: dir}
	if invite == "" && (!before.InCluster() || local(addr) && !before.Met(addr)) {
		return p2p.Config{}
	}
	return p2p.Config{Join: invite, DataDir: dir, Socket: filepath.Join(dir, "bridge.sock")}
}

// clientDir keeps what an invite was swapped for, apart from a peer of this
// machine, which is a member of its own.
func clientDir() string {
	data := os.Getenv("XDG_DATA_HOME")
	if data == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		data = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(data, "raygo-client")
}

// local reports whether an address is of this machine alone.
func local(addr string) bool {
	return strings.HasPrefix(addr, "/ip4/127.") || strings.HasPrefix(addr, "/ip6/::1/")
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
