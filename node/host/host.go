// Package host owns the libp2p host of a peer: which transports, limits,
// time-outs and services it has, and what of libp2p's defaults is not good
// enough for a cluster.
package host

import (
	"log/slog"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/raygo/raygo/node/member"
)

// Config says what host to make. The zero value of a field is its default.
type Config struct {
	Key      crypto.PrivKey     // required: the peer's identity
	Member   *member.Membership // required, unless Transport brings its own security
	Listen   []string           // multiaddrs ("/ip4/127.0.0.1/tcp/0"); empty: only dials
	Announce []string           // the addresses to tell others in the place of those it listens on

	QUIC      bool                // QUIC as well as TCP, when Listen has a /quic-v1 address
	Relay     bool                // relays for other members when reachable, uses relays when not
	Relays    []string            // multiaddrs with /p2p/ID of relays to be reachable through; implies the client side of Relay
	HolePunch bool                // tries to make relayed connections direct
	PortMap   bool                // asks the router to forward the port (UPnP, NAT-PMP)
	Reach     string              // "public" or "private": no need to find out. Empty: public, or found out if any of the above is on
	MDNS      bool                // announces this peer on every interface and finds others of the cluster
	Found     func(peer.AddrInfo) // told of peers that mDNS found, one call at a time

	UserAgent  string                // "raygo"
	MaxConns   int                   // connections of all peers (4,096)
	Registerer prometheus.Registerer // nil: libp2p is not measured
	Logger     *slog.Logger          // nil: silent

	Transport libp2p.Option   // in the place of TCP, QUIC, their security and the resource limits: simulations
	Options   []libp2p.Option // appended
}

// Host is a libp2p host.
type Host struct{ host.Host }

// New makes and starts a host.
func New(cfg Config) (*Host, error) { return nil, nil }

// Report is how this peer can be reached.
type Report struct {
	Reachability string   // "public", "private" or "unknown"
	Forced       bool     // by configuration, not found out
	Addrs        []string // what others are told
	Relays       []string // of them, those through relays
	Direct       int      // connections
	Relayed      int      // connections through relays
	Advice       []string // what to change when others cannot connect
}

// Reachability reports how this peer can be reached.
func (h *Host) Reachability() Report { return Report{} }

// ClearBackoff makes the next dial of a peer go out at once, whatever failed
// before: call it on evidence that the peer lives.
func (h *Host) ClearBackoff(p peer.ID) {}

// Protect keeps connections to a peer from being trimmed when there are many.
func (h *Host) Protect(p peer.ID) {}

// Unprotect ends Protect.
func (h *Host) Unprotect(p peer.ID) {}
