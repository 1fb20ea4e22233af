package main

import (
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/raygo/raygo/node"
)

// settings is what flags, variables and the config file say.
type settings struct {
	node node.Config
	cpus float64
	gpus float64

	config    string
	logLevel  string
	logFormat string

	bridge string
}

// newSettings are the defaults.
func newSettings() *settings {
	return &settings{
		cpus: -1, gpus: -1, logLevel: "info", logFormat: "text",
		node: node.Config{
			Resources: map[string]float64{}, Labels: map[string]string{},
			DiskHigh: 0.95, MemoryHigh: 0.95, MemoryCheck: 250 * time.Millisecond,
			WorkerIdle: time.Minute, WorkerStart: 30 * time.Second, DrainTimeout: 30 * time.Second,
			MaxTasks: 4_000_000, MaxEvents: 200_000,
		},
	}
}

// flags declares every flag; the order is that of --help.
func (s *settings) flags(fs *pflag.FlagSet) {
	fs.SortFlags = false
	n := &s.node
	fs.StringVar(&n.DataDir, "data-dir", n.DataDir, "`DIR` of the peer's key, kept programs, logs and spill files (default $XDG_DATA_HOME/raygo, else ~/.local/share/raygo)")
	fs.StringVar(&n.Socket, "socket", n.Socket, "`PATH` that programs of this machine connect to (default $XDG_RUNTIME_DIR/raygo/peer.sock, else /tmp/raygo-UID/peer.sock)")
	fs.BoolVar(&n.Private, "private", false, "serve one program: temporary data directory and socket, end when stdin reaches its end")

	fs.Var(countValue{&s.cpus, false, "all"}, "num-cpus", "CPUs that tasks may use; 0 runs only tasks that ask for none")
	fs.Var(countValue{&s.gpus, true, "found"}, "num-gpus", "GPUs that tasks may use")
	fs.Var(sizeValue{&n.Memory, "70% of the machine's"}, "memory", "memory that tasks may ask for with Memory(...)")
	fs.Var(resourcesValue(n.Resources), "resources", "custom resources, as disk=2,licence=1")
	fs.Var(labelsValue(n.Labels), "labels", "labels for placement, as zone=eu,disk=ssd")

	fs.Var(sizeValue{&n.ObjectStoreMemory, "30% of the machine's"}, "object-store-memory", "shared memory for objects")
	fs.StringVar(&n.SpillDir, "spill-dir", n.SpillDir, "`DIR` for objects that memory has no room for, or off (default DATA-DIR/spill)")
	fs.Var(shareValue{&n.DiskHigh, 1}, "disk-high", "share of the spill disk in use above which nothing more is spilled")
	fs.Var(shareValue{&n.MemoryHigh, 100}, "memory-high", "share of the machine's memory in use above which a worker is ended; above 1 turns the guard off")
	fs.DurationVar(&n.MemoryCheck, "memory-check", n.MemoryCheck, "how often that share is looked at")

	fs.IntVar(&n.MaxWorkers, "max-workers", n.MaxWorkers, "worker processes at most (default 64 + 16 per CPU)")
	fs.DurationVar(&n.WorkerIdle, "worker-idle", n.WorkerIdle, "how long an idle worker process is kept")
	fs.DurationVar(&n.WorkerStart, "worker-start", n.WorkerStart, "how long a worker process may take to its first message")
	fs.IntVar(&n.MaxTasks, "max-tasks", n.MaxTasks, "unfinished tasks at most")
	fs.IntVar(&n.MaxEvents, "max-events", n.MaxEvents, "task events kept for the commands")
	fs.DurationVar(&n.DrainTimeout, "drain-timeout", n.DrainTimeout, "how long running tasks get when the peer is asked to stop")

	fs.StringVar(&n.HTTP, "http", n.HTTP, "loopback `ADDR` of the metrics, or off (default a free port of 127.0.0.1)")
	fs.Var(oneOf{&s.logLevel, []string{"debug", "info", "warn", "error"}}, "log-level", "least level of the log on stderr")
	fs.Var(oneOf{&s.logFormat, []string{"text", "json"}}, "log-format", "form of the log on stderr")
	fs.StringVar(&s.config, "config", "", "YAML `FILE` with any of these flags as keys")

	fs.StringArrayVar(&n.Listen, "listen", nil, "`MULTIADDR` to listen on; only loopback without a cluster (repeatable; default 127.0.0.1 at the last run's port)")
	fs.StringArrayVar(&n.Announce, "announce", nil, "`MULTIADDR` that others are told instead, as from behind a router (repeatable)")
	fs.StringArrayVar(&n.Bootstrap, "bootstrap", nil, "`MULTIADDR` of a peer to find the cluster by (repeatable)")
	fs.StringVar(&n.ClusterKeyFile, "cluster-key", "", "`FILE` of the cluster's key, made by 'raygo cluster create'")
	fs.StringVar(&n.Join, "join", "", "`INVITE` to a cluster, made by 'raygo cluster invite'")
	fs.BoolVar(&n.QUIC, "quic", false, "listen and dial by QUIC too")
	fs.BoolVar(&n.Relay, "relay", false, "be reached through other peers, and relay for them")
	fs.BoolVar(&n.HolePunch, "hole-punch", false, "make direct connections between peers behind NAT")
	fs.BoolVar(&n.PortMap, "port-map", false, "ask the router to forward the port (UPnP, NAT-PMP)")
	fs.Var(oneOf{&n.Reach, []string{"public", "private"}}, "reach", "whether others can dial this peer, in place of finding out, which it does with the three before")
	fs.BoolVar(&n.MDNS, "mdns", false, "find peers of the cluster on the local network")
	fs.StringVar(&s.bridge, "bridge", "", "`MULTIADDR` of a peer to hand programs on to: offer nothing here")
}

// configuration is the node's configuration, or what is wrong with the
// settings.
func (s *settings) configuration(errOut io.Writer) (node.Config, error) {
	cfg := s.node
	cfg.CPUs, cfg.GPUs = s.cpus, int(s.gpus)
	cfg.Logger = s.logger(errOut)
	if cfg.MaxWorkers < 0 || cfg.MaxTasks < 1 || cfg.MaxEvents < 0 {
		return cfg, usagef("--max-workers, --max-tasks and --max-events are counts: they cannot be negative, and a peer holds at least one task")
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{{"memory-check", cfg.MemoryCheck}, {"worker-idle", cfg.WorkerIdle}, {"worker-start", cfg.WorkerStart}} {
		if d.value <= 0 {
			return cfg, usagef("--%s %v: a positive duration is needed, as 30s", d.flag, d.value)
		}
	}
	if cfg.DrainTimeout < 0 {
		return cfg, usagef("--drain-timeout %v is negative", cfg.DrainTimeout)
	}
	return cfg, s.network(&cfg)
}

func (s *settings) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(s.logLevel)) // the flag takes only levels
	opts := &slog.HandlerOptions{Level: level}
	if s.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// network checks what the peer is to be reached at and finds others by.
func (s *settings) network(cfg *node.Config) error {
	if s.bridge != "" {
		cfg.Bootstrap = append(cfg.Bootstrap, s.bridge)
		cfg.Client = true
	}
	if cfg.ClusterKeyFile != "" && cfg.Join != "" {
		return usagef("--cluster-key and --join: a machine that has the cluster's key needs no invite; give one of them")
	}
	for _, a := range cfg.Listen {
		loopback, err := isLoopback("listen", a)
		if err != nil {
			return usageError{err}
		}
		if !loopback && !cfg.InCluster() {
			return usagef("--listen %s: without membership of a cluster a peer serves this machine alone and listens on loopback only; "+
				"'raygo cluster create' makes the key of a cluster, --cluster-key FILE uses it, and --join INVITE joins one", a)
		}
	}
	for _, a := range cfg.Bootstrap {
		if _, err := isLoopback("bootstrap", a); err != nil {
			return usageError{err}
		}
	}
	return nil
}

// isLoopback reports whether a multiaddr is of this machine alone.
func isLoopback(flag, multiaddr string) (bool, error) {
	parts := strings.Split(multiaddr, "/")
	if len(parts) < 3 || parts[0] != "" {
		return false, usagef("--%s %q is not a multiaddr, as /ip4/127.0.0.1/tcp/4001", flag, multiaddr)
	}
	switch parts[1] {
	case "ip4", "ip6":
		addr, err := netip.ParseAddr(parts[2])
		if err != nil {
			return false, usagef("--%s %q: %w", flag, multiaddr, err)
		}
		return addr.IsLoopback(), nil
	case "dns", "dns4", "dns6":
		return parts[2] == "localhost", nil
	case "unix":
		return true, nil
	}
	return false, usagef("--%s %q begins with neither /ip4 nor /ip6", flag, multiaddr)
}
