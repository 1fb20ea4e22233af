// Package host owns the libp2p host of a peer: which transports, limits,
// time-outs and services it has, and what of libp2p's defaults is not good
// enough for a cluster.
//
// Libp2p is made for strangers on the internet. Between members of a cluster,
// of whom many may run on one machine or behind one address, its bounds are in
// the way: limits.go has those, the rest of this file the time-outs and the
// services that a private network has no use for.
package host

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	trimmer "github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
)

// Member is what keeps strangers out, a *member.Membership.
type Member interface {
	Peer() peer.ID
	ClusterID() string
	Security() libp2p.Option // of TCP
	QUIC() libp2p.Option     // the transport
	Gater() connmgr.ConnectionGater
}

// How far a peer can be reached, for Config.Reach and Report.
const (
	Public  = "public"
	Private = "private"
	unknown = "unknown"
)

// Config says what host to make. The zero value of a field is its default.
type Config struct {
	Key      crypto.PrivKey // required: the peer's identity
	Member   Member         // required, unless Transport brings its own security
	Listen   []string       // multiaddrs ("/ip4/127.0.0.1/tcp/0"); empty: only dials
	Announce []string       // the addresses to tell others in the place of those it listens on

	QUIC      bool     // QUIC as well as TCP; Listen needs a /quic-v1 address to accept it
	Relay     bool     // relays for other members when reachable, uses relays when not
	Relays    []string // multiaddrs with /p2p/ID of relays to be reachable through
	HolePunch bool     // tries to make relayed connections direct
	PortMap   bool     // asks the router to forward the port (UPnP, NAT-PMP)
	Reach     string   // Public or Private: no need to find out. Empty: Public, or found out if any of the above but QUIC is on
	MDNS      bool     // announces this peer on every interface, to members and others, and finds members

	// Found is told of peers that mDNS found, one call at a time. They are
	// strangers until the handshake.
	Found func(peer.AddrInfo)

	UserAgent  string                // "raygo"
	MaxConns   int                   // connections with all peers (4,096)
	MaxStreams int                   // streams with one peer, each way (4,096)
	Registerer prometheus.Registerer // nil: libp2p is not measured
	Logger     *slog.Logger          // nil: silent

	Transport libp2p.Option   // in the place of TCP, QUIC, their security and the resource limits: simulations
	Options   []libp2p.Option // appended
}

// Connections above the first number are closed when they exceed the second,
// those without Protect and with the least to do first.
const trimTo, trimAbove = 800, 1000

// Time-outs. Libp2p's are 15 and 5 s, for which a dead peer holds up whoever
// asks it.
const (
	dialTimeout      = 2 * time.Second
	dialTimeoutLocal = time.Second
	keepAlive        = 5 * time.Second // of yamux: a host that is gone is noticed in 15 s
)

// maxMessage is the most that yamux passes on at once. With libp2p's 64 KiB its
// goroutines' hand-offs cost a transfer a tenth of its CPU time; calls beside a
// transfer wait no longer for messages of this size.
const maxMessage = 256 << 10

// protectTag is this package's at the connection manager.
const protectTag = "raygo"

// Host is a libp2p host.
type Host struct {
	host.Host
	cfg   Config
	reach *reach
	mdns  mdns.Service // or nil
	once  sync.Once
	err   error
}

// New makes and starts a host.
func New(cfg Config) (*Host, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	self := &late{}
	opts, err := cfg.options(self)
	if err != nil {
		return nil, err
	}
	nat, err := cfg.nat(self)
	if err != nil {
		return nil, err
	}
	inner, err := libp2p.New(append(append(opts, nat...), cfg.Options...)...)
	if err != nil {
		return nil, fmt.Errorf("host: start libp2p: %w", err)
	}
	self.set(inner)
	if err := listen(inner, cfg.Listen); err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	h := &Host{Host: inner, cfg: cfg}
	if h.reach, err = watch(h); err != nil {
		_ = inner.Close()
		return nil, err
	}
	if cfg.HolePunch {
		h.preferDirect()
	}
	if cfg.MDNS {
		if err := h.startMDNS(); err != nil {
			_ = h.Close()
			return nil, err
		}
	}
	return h, nil
}

// listen makes a host listen at each of the addresses. Libp2p asked to start
// with them would be content if one of several worked, and if none does it
// writes that to stderr, thrice.
func listen(h host.Host, at []string) error {
	all, err := addrs(at)
	if err != nil {
		return err
	}
	for _, a := range all {
		one := func() error { return h.Network().Listen(a) }
		if s, ok := h.Network().(*swarm.Swarm); ok {
			one = func() error { return s.AddListenAddr(a) } // its error is the system's
		}
		if err := one(); err != nil {
			return fmt.Errorf("host: listen at %s: %w", a, err)
		}
	}
	return nil
}

// listenLater keeps libp2p from listening where it would without being asked.
func listenLater(c *libp2p.Config) error {
	c.ListenAddrs = []ma.Multiaddr{}
	return nil
}

// check reports what is wrong with a configuration, and fills in defaults.
func (c *Config) check() error {
	switch {
	case c.Key == nil:
		return errors.New("host: no key")
	case c.Member == nil && c.Transport == nil:
		return errors.New("host: no membership, and no host without")
	case c.Member == nil && c.MDNS:
		return errors.New("host: mDNS needs a cluster's name")
	case c.Reach != "" && c.Reach != Public && c.Reach != Private:
		return fmt.Errorf("host: reach is %q; it may be %q, %q or empty", c.Reach, Public, Private)
	}
	id, err := peer.IDFromPrivateKey(c.Key)
	if err != nil {
		return fmt.Errorf("host: key: %w", err)
	}
	if c.Member != nil && c.Member.Peer() != id {
		return fmt.Errorf("host: the key is peer %s's, the certificate of membership peer %s's", id, c.Member.Peer())
	}
	if c.UserAgent == "" {
		c.UserAgent = "raygo"
	}
	if c.MaxConns == 0 {
		c.MaxConns = 4096
	}
	if c.MaxStreams == 0 {
		c.MaxStreams = 4096
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// options are those of every host.
func (c *Config) options(self *late) ([]libp2p.Option, error) {
	conns, err := trimmer.NewConnManager(trimTo, trimAbove, trimmer.WithGracePeriod(time.Minute))
	if err != nil {
		return nil, fmt.Errorf("host: connection manager: %w", err)
	}
	mux := *yamux.DefaultTransport // a copy: it is every host's of this process
	mux.KeepAliveInterval = keepAlive
	mux.MaxMessageSize = maxMessage
	opts := []libp2p.Option{
		libp2p.Identity(c.Key),
		libp2p.Muxer(yamux.ID, &mux),
		libp2p.ConnectionManager(conns),
		libp2p.SwarmOpts(swarm.WithDialTimeout(dialTimeout), swarm.WithDialTimeoutLocal(dialTimeoutLocal), swarm.WithDialRanker(rank)),
		libp2p.UserAgent(c.UserAgent),
		libp2p.Ping(false), // the link measures
		// They decide from failures that UDP or IPv6 does not work at all; in a
		// cluster a failure says that a peer is gone.
		libp2p.UDPBlackHoleSuccessCounter(nil),
		libp2p.IPv6BlackHoleSuccessCounter(nil),
		listenLater,
	}
	if c.Registerer != nil {
		opts = append(opts, libp2p.PrometheusRegisterer(c.Registerer))
	} else {
		opts = append(opts, libp2p.DisableMetrics())
	}
	announce, err := addrs(c.Announce)
	if err != nil {
		return nil, err
	}
	opts = append(opts, libp2p.AddrsFactory(c.told(announce, self)))
	if c.Transport != nil {
		return append(opts, c.Transport), nil
	}
	limits, err := limits(c.MaxConns, c.MaxStreams)
	if err != nil {
		return nil, err
	}
	opts = append(opts, libp2p.ResourceManager(limits), c.Member.Security(), libp2p.ConnectionGater(c.Member.Gater()))
	var tcpOpts []any
	if !c.HolePunch {
		// Dialling from the port it listens on helps only there, and two that
		// do it at the same moment get a connection without a server.
		tcpOpts = append(tcpOpts, tcp.DisableReuseport())
	}
	opts = append(opts, libp2p.Transport(tcp.NewTCPTransport, tcpOpts...))
	if c.QUIC {
		opts = append(opts, c.Member.QUIC())
	}
	return opts, nil
}

// addrs reads multiaddrs.
func addrs(list []string) ([]ma.Multiaddr, error) {
	var all []ma.Multiaddr
	for _, s := range list {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("host: address %q: %w", s, err)
		}
		all = append(all, a)
	}
	return all, nil
}

// ClearBackoff makes the next dial of a peer go out at once, whatever failed
// before: call it on evidence that the peer lives.
func (h *Host) ClearBackoff(p peer.ID) {
	if s, ok := h.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(p)
	}
}

// Protect keeps connections to a peer from being trimmed when there are many.
func (h *Host) Protect(p peer.ID) { h.ConnManager().Protect(p, protectTag) }

// Unprotect ends Protect.
func (h *Host) Unprotect(p peer.ID) { h.ConnManager().Unprotect(p, protectTag) }

// Close ends the host and all its connections.
func (h *Host) Close() error {
	h.once.Do(func() {
		if h.mdns != nil {
			h.err = h.mdns.Close()
		}
		h.err = errors.Join(h.err, h.Host.Close())
		h.reach.close()
	})
	return h.err
}
