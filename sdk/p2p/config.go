// Package p2p owns what a program links in to carry a peer inside itself, or to
// reach peers by itself, instead of relying on the installed commands.
//
//	raygo.Main(run, p2p.Embedded(p2p.Config{NumCPUs: 4}))
//
// It makes the program larger: it holds all of a peer.
package p2p

import (
	"log/slog"
	"time"

	"github.com/raygo/raygo/node"
)

// Config says what a peer inside a program offers. The zero value is a private
// peer that uses all of the machine and is gone without a trace when the
// program ends.
type Config struct {
	// NumCPUs is how many CPUs tasks may use; 0 means all of the machine's, a
	// negative number none.
	NumCPUs float64
	// NumGPUs is how many GPUs tasks may use; 0 means those that are found, a
	// negative number none.
	NumGPUs int
	// Memory in bytes that tasks may ask for by Memory(...); 0 means 70 % of
	// the machine's.
	Memory int64
	// Resources are the custom resources.
	Resources map[string]float64
	// Labels describe the peer to label strategies.
	Labels map[string]string
	// ObjectStoreMemory bounds shared memory for objects, in bytes; 0 means
	// 30 % of the machine's memory.
	ObjectStoreMemory int64
	// SpillDir takes objects that memory has no room for; "off" turns spilling
	// off. Default: a folder of the peer's data directory.
	SpillDir string
	// DataDir holds the peer's key, kept programs, logs and spill files.
	// Default: a temporary directory that goes with the peer.
	DataDir string
	// Socket is the path that other programs and the raygo command can connect
	// to. Default: a file in the data directory.
	Socket string
	// HTTP is the loopback address of the metrics endpoint. Default: "off".
	HTTP string
	// MaxWorkers bounds worker processes. Default: 64 + 16 per CPU.
	MaxWorkers int
	// WorkerIdle is how long an idle worker is kept. Default: 60 s.
	WorkerIdle time.Duration
	// DrainTimeout is how long running tasks get when the peer is drained.
	// Default: 30 s.
	DrainTimeout time.Duration
	// Listen are multiaddrs that other peers reach this one at. Default: none; it
	// can still find others by Bootstrap.
	Listen []string
	// Announce are the addresses to tell others in place of those listened on.
	Announce []string
	// Bootstrap are multiaddrs with /p2p/ID of peers whose cluster to be part of.
	Bootstrap []string
	// ClusterKeyFile is the key of the cluster to be a member of. Without one, and
	// without Join, the cluster is that of this user's peers on this machine.
	ClusterKeyFile string
	// Join is an invite to a cluster, kept in DataDir as a membership.
	Join string
	// QUIC listens and dials by QUIC, too. Relay has the peer be reached through
	// others and relay for them; HolePunch makes direct connections between peers
	// behind NAT; MDNS finds peers of the cluster on the local network.
	QUIC, Relay, HolePunch, MDNS bool
	// Logger takes the peer's log. Default: discard.
	Logger *slog.Logger
}

// node is the same in package node's words.
func (c Config) node() node.Config {
	n := node.Config{
		Listen: c.Listen, Announce: c.Announce, Bootstrap: c.Bootstrap, ClusterKeyFile: c.ClusterKeyFile, Join: c.Join,
		QUIC: c.QUIC, Relay: c.Relay, HolePunch: c.HolePunch, MDNS: c.MDNS,
		DataDir: c.DataDir, Socket: c.Socket, Private: c.DataDir == "",
		CPUs: c.NumCPUs, GPUs: c.NumGPUs, Memory: c.Memory, Resources: c.Resources, Labels: c.Labels,
		ObjectStoreMemory: c.ObjectStoreMemory, SpillDir: c.SpillDir, HTTP: c.HTTP,
		MaxWorkers: c.MaxWorkers, WorkerIdle: c.WorkerIdle, DrainTimeout: c.DrainTimeout, Logger: c.Logger,
	}
	n.CPUs, n.GPUs = offered(c.NumCPUs), offered(c.NumGPUs)
	if n.HTTP == "" {
		n.HTTP = "off"
	}
	return n
}

// offered turns this package's 0 for all and negative for none into package
// node's negative for all and 0 for none.
func offered[N int | float64](n N) N {
	switch {
	case n == 0:
		return -1
	case n < 0:
		return 0
	}
	return n
}
