package node

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

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
	_, err := os.Stat(filepath.Join(dir, keysDir, clusterFile))
	return err == nil
}

// Files of a peer's membership among its keys.
const (
	clusterFile = "cluster.pub"
)

// standing is how a peer is in its cluster.
type standing struct {
	cluster   string
	secret    []byte
	loopback  bool     // the cluster of this user on this machine
	bootstrap []string // addresses that an invite named
}

// enroll finds the peer's cluster: the one that this user's peers on this machine
// share, by a secret made on first use.
func (n *Node) enroll() (*standing, error) {
	c := &n.cfg
	if c.InCluster() {
		return nil, fmt.Errorf("%w: raygo %s joins the peers of this machine only", ErrConfig, Version)
	}
	dir := filepath.Dir(ipc.DefaultSocket())
	if c.LoopbackDir != "" {
		dir = c.LoopbackDir
	} else if err := ipc.MakeSocketDir(ipc.DefaultSocket()); err != nil {
		return nil, fmt.Errorf("make a place for the key that this user's peers share: %w", err)
	}
	secret, err := sharedSecret(filepath.Join(dir, "peers.secret"))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(secret)
	return &standing{cluster: hex.EncodeToString(sum[:8]), secret: secret, loopback: true}, nil
}

// sharedSecret reads a file of 32 random bytes, or makes it: whole or not at all,
// so that processes that start at the same time agree.
func sharedSecret(path string) ([]byte, error) {
	read := func() ([]byte, error) {
		b, err := os.ReadFile(path)
		if err == nil && len(b) != 32 {
			err = fmt.Errorf("it has %d bytes, not 32", len(b))
		}
		return b, err
	}
	b, err := read()
	if !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	b = make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	tmp := fmt.Sprintf("%s-%d", path, os.Getpid())
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return nil, fmt.Errorf("make the secret that this user's peers share: %w", err)
	}
	defer os.Remove(tmp)
	if err := os.Link(tmp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the secret that this user's peers share: %w", err)
	}
	return read()
}

// host opens the libp2p host. Nobody without the secret gets past its first
// bytes.
func (s *standing) host(key crypto.PrivKey, listen []string) (host.Host, error) {
	return libp2p.New(
		libp2p.Identity(key), listenOn(listen), libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.PrivateNetwork(s.secret), libp2p.DisableRelay(), libp2p.DisableIdentifyAddressDiscovery(), libp2p.ForceReachabilityPublic(),
		libp2p.DisableMetrics(), libp2p.UserAgent("raygo/"+Version), libp2p.Ping(false),
	)
}

func listenOn(addrs []string) libp2p.Option {
	if len(addrs) == 0 {
		return libp2p.NoListenAddrs
	}
	return libp2p.ListenAddrStrings(addrs...)
}

// checkListen refuses to be reached from outside by who shares no cluster with
// anybody there.
func checkListen(listen []string, loopback bool) error {
	for _, s := range listen {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return fmt.Errorf("%w: listen on %q: %w", ErrConfig, s, err)
		}
		if loopback && !manet.IsIPLoopback(a) {
			return fmt.Errorf("%w: listen on %s: without membership of a cluster a peer serves this machine alone and listens on loopback only; "+
				"'raygo cluster create' makes the key of a cluster, --cluster-key FILE uses it, --join INVITE joins one", ErrConfig, s)
		}
	}
	return nil
}
