package node

import (
	"log/slog"
	"time"
)

// Config says what a peer is and may use. The zero value, completed by New, is
// a peer of this machine alone that uses all of it.
type Config struct {
	// DataDir holds the peer's key, kept programs, logs and spill files; one
	// peer at a time may use it. Default: $XDG_DATA_HOME/raygo, else
	// ~/.local/share/raygo. With Private: a temporary directory that goes with
	// the peer.
	DataDir string
	// Socket is the path that programs connect to. Default: ipc.DefaultSocket,
	// or a file in DataDir with Private.
	Socket string
	// Private makes a peer for one program: its data directory and socket are
	// its own and are removed at its end.
	Private bool

	// CPUs is what the peer offers, in whole CPUs; negative means all of the
	// machine's. 0 is allowed: such a peer runs no task that asks for a CPU.
	CPUs float64
	// GPUs is the number of GPUs offered; negative means what is found.
	GPUs int
	// Memory in bytes that tasks may ask for by Memory(...); 0 means 70 % of
	// the machine's.
	Memory int64
	// Resources are the custom resources.
	Resources map[string]float64
	// Labels describe the peer to label strategies.
	Labels map[string]string

	// ObjectStoreMemory bounds shared memory for objects; 0 means 30 % of the
	// machine's memory.
	ObjectStoreMemory int64
	// SpillDir takes objects that memory has no room for. Default:
	// DataDir/spill. "off" turns spilling off.
	SpillDir string
	// DiskHigh is the share of the spill disk above which nothing more is
	// written to it. Default 0.95.
	DiskHigh float64

	// PutWait is how long a value may wait for room in the store. Default 30 s.
	PutWait time.Duration

	// HTTP is the address of the metrics endpoint: loopback only, "off", or ""
	// for a free loopback port.
	HTTP string

	// WorkerIdle is how long an idle worker is kept. Default 60 s.
	WorkerIdle time.Duration
	// WorkerStart is how long a worker may take to its first message. Default
	// 30 s.
	WorkerStart time.Duration
	// MaxWorkers bounds worker processes, blocked ones included. Default: 64 +
	// 16 per CPU. Past it only tasks deeper than every started one are begun.
	MaxWorkers int
	// MaxTasks bounds unfinished tasks of this peer. Default 4,000,000.
	MaxTasks int
	// MaxEvents bounds the task events kept. Default 200,000.
	MaxEvents int
	// DrainTimeout is how long running tasks get when the peer is asked to
	// stop. Default 30 s.
	DrainTimeout time.Duration
	// MemoryHigh is the share of the machine's memory in use above which the
	// out-of-memory guard ends a worker. Default 0.95; 0 < x <= 1. A value
	// above 1 turns the guard off.
	MemoryHigh float64
	// MemoryCheck is the guard's period. Default 250 ms.
	MemoryCheck time.Duration
	// MemoryProbe says how much memory there is and how much is available, in
	// place of the machine. Default: the machine and its control groups.
	MemoryProbe func() (total, available int64)

	// Listen are the multiaddrs to listen on. Default: 127.0.0.1, at the port of
	// the last run if that is free, and none with Private. Anything but loopback
	// needs a membership.
	Listen []string
	// Announce are the multiaddrs to tell others in place of those listened on.
	Announce []string
	// Bootstrap are multiaddrs with /p2p/ID of peers to join.
	Bootstrap []string
	// ClusterKeyFile is the cluster's key: a peer that has it admits itself.
	ClusterKeyFile string
	// Join is an invite, swapped for a certificate kept in DataDir.
	Join string
	// LoopbackDir holds the key that the peers of one user on one machine share
	// when no cluster is configured. Default: the directory of the default socket.
	LoopbackDir string
	// Client makes a peer that offers nothing and owns the jobs of its
	// programs: the bridge of a program to a cluster.
	Client bool
	// Alone turns the network off: a peer of this machine's programs only.
	Alone bool
	// QUIC, Relay, HolePunch, PortMap and MDNS turn on what they say.
	QUIC, Relay, HolePunch, PortMap, MDNS bool
	// Reach says whether others can dial this peer, "public" or "private", in
	// place of finding it out. Default: public, unless Relay, HolePunch or PortMap
	// is on, with which it is found out.
	Reach string

	// Simulation makes a peer of a simulated machine, without sockets and
	// processes. Default: nil, a peer of this machine.
	Simulation *Simulation

	// Logger takes the peer's log. Default: discard.
	Logger *slog.Logger
}

// Ready is what a peer says when it serves: the line raygo-peer prints.
type Ready struct {
	Ready  bool     `json:"ready"`
	ID     string   `json:"id"`
	Addrs  []string `json:"addrs"`
	Socket string   `json:"socket"`
	HTTP   string   `json:"http"`
}

// Version is the version of this build.
const Version = "0.1.0"
