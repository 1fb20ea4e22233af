package host

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	trimmer "github.com/libp2p/go-libp2p/p2p/net/connmgr"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
)

// plain lets everybody in: what a membership does is node/member's to test.
type plain struct {
	id      peer.ID
	cluster string
}

func (m plain) Peer() peer.ID                  { return m.id }
func (m plain) ClusterID() string              { return m.cluster }
func (m plain) Security() libp2p.Option        { return libp2p.Security(libp2ptls.ID, libp2ptls.New) }
func (m plain) QUIC() libp2p.Option            { return libp2p.Transport(libp2pquic.NewTransport) }
func (m plain) Gater() connmgr.ConnectionGater { return nil }

// start makes a host that listens at addr; an empty one is a port of loopback.
func start(t testing.TB, addr string, change func(*Config)) *Host {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	return startAs(t, key, addr, change)
}

func startAs(t testing.TB, key crypto.PrivKey, addr string, change func(*Config)) *Host {
	t.Helper()
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if addr == "" {
		addr = "/ip4/127.0.0.1/tcp/0"
	}
	cfg := Config{Key: key, Member: plain{id, "testcluster"}, Listen: []string{addr}}
	if change != nil {
		change(&cfg)
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// info says where a host is.
func info(h *Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

// join connects two hosts.
func join(t testing.TB, from *Host, to peer.AddrInfo) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := from.Connect(ctx, to); err != nil {
		t.Fatalf("connect: %v", err)
	}
}

const echoProtocol protocol.ID = "/test/echo/1"

func echo(s network.Stream) {
	_, _ = io.Copy(s, s)
	_ = s.Close()
}

// ask sends a few bytes over a stream and hears them again.
func ask(h *Host, p peer.ID) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := h.NewStream(ctx, p, echoProtocol)
	if err != nil {
		return nil, err
	}
	_ = s.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := s.Write([]byte("hello")); err != nil {
		return s, err
	}
	_, err = io.ReadFull(s, make([]byte, 5))
	return s, err
}

// A host of a cluster speaks TCP with TLS and yamux, and nothing that it was
// not told to.
func TestAHostSpeaksTCPAndNothingElse(t *testing.T) {
	registry := prometheus.NewRegistry()
	a := start(t, "", func(c *Config) { c.Registerer = registry; c.UserAgent = "raygo/test" })
	b := start(t, "", nil)
	b.SetStreamHandler(echoProtocol, echo)
	join(t, a, info(b))
	s, err := ask(a, b.ID())
	if err != nil {
		t.Fatal(err)
	}
	state := s.Conn().ConnState()
	if state.Transport != "tcp" || state.Security != libp2ptls.ID || state.StreamMultiplexer != "/yamux/1.0.0" {
		t.Errorf("the connection is %+v", state)
	}
	for _, p := range b.Mux().Protocols() {
		if strings.Contains(string(p), "circuit") || strings.Contains(string(p), "autonat") || strings.Contains(string(p), "ping") || strings.Contains(string(p), "dcutr") {
			t.Errorf("it speaks %s", p)
		}
	}
	families, err := registry.Gather()
	if err != nil || len(families) == 0 {
		t.Errorf("%d families of metrics, %v", len(families), err)
	}
}

// Two hosts with metrics of their own in one process, and one without, start.
func TestHostsOfOneProcessCountApart(t *testing.T) {
	for range 2 {
		start(t, "", func(c *Config) { c.Registerer = prometheus.NewRegistry() })
	}
	start(t, "", nil)
}

// QUIC works by configuration, and TCP is still what nearby peers use.
func TestQUICIsForThoseThatCannotUseTCP(t *testing.T) {
	both := func(c *Config) {
		c.QUIC = true
		c.Listen = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}
	}
	a, b := start(t, "", both), start(t, "", both)
	b.SetStreamHandler(echoProtocol, echo)
	for _, proto := range []string{"tcp", "quic-v1"} {
		to := info(b)
		if proto == "quic-v1" {
			to.Addrs = nil
			for _, x := range b.Addrs() {
				if has(x, ma.P_QUIC_V1) {
					to.Addrs = append(to.Addrs, x)
				}
			}
			a.Peerstore().ClearAddrs(b.ID())
		}
		join(t, a, to)
		s, err := ask(a, b.ID())
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Conn().ConnState().Transport; got != proto {
			t.Errorf("the connection is on %s, not %s", got, proto)
		}
		_ = a.Network().ClosePeer(b.ID())
	}
}

// What is wrong with a configuration is said.
func TestABadConfigurationIsSaid(t *testing.T) {
	key, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := peer.IDFromPrivateKey(key)
	good := plain{id, "c"}
	for want, cfg := range map[string]Config{
		"no key":                  {},
		"no membership":           {Key: key},
		"the key is peer":         {Key: key, Member: plain{"other", "c"}},
		`reach is "nowhere"`:      {Key: key, Member: good, Reach: "nowhere"},
		"/ip4/300.0.0.1/tcp/1":    {Key: key, Member: good, Listen: []string{"/ip4/300.0.0.1/tcp/1"}},
		`address "here"`:          {Key: key, Member: good, Announce: []string{"here"}},
		`relay "/ip4/10.0.0.1"`:   {Key: key, Member: good, Relays: []string{"/ip4/10.0.0.1"}},
		"/ip4/203.0.113.7/tcp/77": {Key: key, Member: good, Listen: []string{"/ip4/203.0.113.7/tcp/77"}},
	} {
		h, err := New(cfg)
		if err == nil {
			_ = h.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

// The report says what others are told and what to change.
func TestTheReportSaysHowAPeerIsReached(t *testing.T) {
	a := start(t, "", nil)
	r := a.Reachability()
	if r.Reachability != Public || !r.Forced || len(r.Addrs) != 1 || r.Direct != 0 || len(r.Advice) != 1 || !strings.Contains(r.Advice[0], "this machine only") {
		t.Errorf("on loopback: %+v", r)
	}
	b := start(t, "", func(c *Config) { c.Announce = []string{"/dns4/peer.example/tcp/4001"} })
	join(t, a, peer.AddrInfo{ID: b.ID(), Addrs: b.Network().ListenAddresses()})
	r = b.Reachability()
	if len(r.Addrs) != 1 || r.Addrs[0] != "/dns4/peer.example/tcp/4001" || r.Direct != 1 || len(r.Advice) != 0 {
		t.Errorf("with an address to announce: %+v", r)
	}
	c := start(t, "", func(c *Config) { c.HolePunch, c.Reach, c.Announce = true, Private, []string{"/ip4/192.0.2.1/tcp/1"} })
	if r = c.Reachability(); r.Reachability != Private || len(r.Advice) != 1 || !strings.Contains(r.Advice[0], "no relay") {
		t.Errorf("behind a router: %+v", r)
	}
	d := start(t, "", func(c *Config) { c.Listen = nil })
	if r = d.Reachability(); len(r.Advice) != 1 || !strings.Contains(r.Advice[0], "no address") {
		t.Errorf("without an address: %+v", r)
	}
}

// Connections are not trimmed at the number where libp2p does.
func TestTrimmingBeginsFarAboveLibp2ps(t *testing.T) {
	m := start(t, "", nil).ConnManager().(*trimmer.BasicConnMgr)
	if i := m.GetInfo(); i.LowWater != trimTo || i.HighWater != trimAbove || i.GracePeriod != time.Minute {
		t.Errorf("trimming is %+v", i)
	}
	m.Protect("p", protectTag)
	if !m.IsProtected("p", protectTag) {
		t.Error("a peer is not protected")
	}
}

// Nearby, TCP goes first; elsewhere libp2p's order stays.
func TestTCPGoesFirstNearby(t *testing.T) {
	delays := func(list ...string) map[string]time.Duration {
		var all []ma.Multiaddr
		for _, s := range list {
			all = append(all, ma.StringCast(s))
		}
		got := map[string]time.Duration{}
		for _, d := range rank(all) {
			got[d.Addr.String()] = d.Delay
		}
		if len(got) != len(list) {
			t.Errorf("%d of %d addresses are ranked", len(got), len(list))
		}
		return got
	}
	tcp, quic := "/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.1/udp/1/quic-v1"
	if d := delays(tcp, quic); d[tcp] != 0 || d[quic] != quicDelay {
		t.Errorf("nearby: %v", d)
	}
	if d := delays(quic); d[quic] != 0 {
		t.Errorf("nearby without TCP: %v", d)
	}
	tcp, quic = "/ip4/8.8.8.8/tcp/1", "/ip4/8.8.8.8/udp/1/quic-v1"
	if d := delays(tcp, quic); d[quic] != 0 || d[tcp] == 0 {
		t.Errorf("elsewhere: %v", d)
	}
}

// mDNS has a name per cluster, which is a label.
func TestTheServiceNameIsTheClusters(t *testing.T) {
	long := strings.Repeat("x", 100)
	if a, b := service("a"), service("b"); a != "_raygo-a._udp" || a == b || len(strings.TrimSuffix(service(long), "._udp")) != 63 {
		t.Errorf("services are %q, %q, %q", a, b, service(long))
	}
}

// A host can dial a restarted peer at once when it is told that the peer lives.
func TestARestartedPeerIsDialledAtOnce(t *testing.T) { redial(t, "/ip4/127.0.0.1/tcp/%s") }

// redial fails to dial a peer, restarts it, and dials again.
func redial(t *testing.T, pattern string) {
	a := start(t, fmt.Sprintf(pattern, "0"), nil)
	key, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := startAs(t, key, fmt.Sprintf(pattern, "0"), nil)
	to := info(b)
	port, err := to.Addrs[0].ValueForProtocol(ma.P_TCP)
	if err != nil {
		t.Fatal(err)
	}
	_ = b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := a.Connect(ctx, to); err == nil {
		t.Fatal("a peer that is gone was dialled")
	}
	b = startAs(t, key, fmt.Sprintf(pattern, port), nil)
	if err := a.Connect(ctx, to); err == nil {
		t.Log("libp2p had no backoff: this test shows nothing")
	}
	began := time.Now()
	a.ClearBackoff(b.ID())
	if err := a.Connect(ctx, to); err != nil {
		t.Fatalf("the restarted peer: %v", err)
	}
	if d := time.Since(began); d > time.Second {
		t.Errorf("it took %s", d)
	}
}
