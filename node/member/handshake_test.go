package member

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multistream"
)

func TestMembersReachEachOther(t *testing.T) {
	for name, addr := range transports {
		t.Run(name, func(t *testing.T) {
			a := testAuthority(1)
			mx, my := enter(t, a, 11, RolePeer), enter(t, a, 12, RoleClient)
			x, y := listen(t, mx, addr), listen(t, my, addr)
			if err := reach(t, x, y); err != nil {
				t.Fatal(err)
			}
			c := x.Network().ConnsToPeer(y.ID())[0]
			if r, ok := mx.RoleOf(c); !ok || r != RoleClient {
				t.Errorf("the role of %s is %q, %v", y.ID(), r, ok)
			}
			if name == "tcp" && !c.ConnState().UsedEarlyMuxerNegotiation {
				t.Error("the muxer was not chosen in the handshake")
			}
			for role, want := range map[Role]bool{RolePeer: false, RoleClient: true, RoleRead: true} {
				passed := false
				s, err := x.NewStream(t.Context(), y.ID(), echoed)
				if err != nil {
					t.Fatal(err)
				}
				mx.Guard(role, func(network.Stream) { passed = true })(s)
				if passed != want {
					t.Errorf("a client passes a guard for role %s: %v", role, passed)
				}
				_ = s.Reset()
			}
			if n := len(my.Members()); n != 2 {
				t.Errorf("%d members are known, not 2", n)
			}
		})
	}
}

// outsiders are those that must not get a connection with a member of
// testAuthority(1); their hosts show what they have without checking it.
func outsiders(t *testing.T) map[string]*Membership {
	t.Helper()
	a, other := testAuthority(1), testAuthority(2)
	now := time.Now()
	key, id := testKey(t, 21)
	_, another := testKey(t, 22)
	forged := issue(t, other, id, RolePeer, 0, now)
	forged.Cluster = a.ClusterID()
	altered := issue(t, a, id, RoleRead, 0, now)
	altered.Role = RolePeer
	all := map[string]*Membership{}
	for name, cert := range map[string]Certificate{
		"another cluster's":                 issue(t, other, id, RolePeer, 0, now),
		"another cluster's with this name":  forged,
		"altered":                           altered,
		"expired":                           issue(t, a, id, RolePeer, time.Hour, now.Add(-2*time.Hour)),
		"not yet valid":                     issue(t, a, id, RolePeer, time.Hour, now.Add(time.Hour)),
		"another peer's":                    issue(t, a, another, RolePeer, 0, now),
		"another peer's in a shifted frame": {Cluster: a.ClusterID(), Peer: id, Role: RolePeer, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), Sig: make([]byte, 64)},
	} {
		m, err := New(key, a.Public(), issue(t, a, id, RolePeer, 0, now))
		if err != nil {
			t.Fatal(err)
		}
		m.cert = cert
		from, to := now.Add(-time.Hour), now.Add(time.Hour) // the TLS certificate itself is fine
		if m.identity, err = identityWith(key, certExtension(cert), from, to); err != nil {
			t.Fatal(err)
		}
		all[name] = m
	}
	return all
}

// behaviour: law 10. An outsider gets no connection, whichever side dials.
func TestOutsidersGetNoConnection(t *testing.T) {
	for name, addr := range transports {
		for what, out := range outsiders(t) {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				in := enter(t, testAuthority(1), 11, RolePeer)
				x, stranger := listen(t, in, addr), listen(t, out, addr)
				refused(t, x, stranger)
			})
		}
	}
}

func TestExpelledGetNoConnection(t *testing.T) {
	for name, addr := range transports {
		t.Run(name, func(t *testing.T) {
			a := testAuthority(1)
			in, out := enter(t, a, 11, RolePeer), enter(t, a, 12, RolePeer)
			list, err := a.Deny(DenyList{}, time.Now(), out.Peer())
			if err != nil {
				t.Fatal(err)
			}
			if err := in.Deny(list); err != nil {
				t.Fatal(err)
			}
			refused(t, listen(t, in, addr), listen(t, out, addr))
		})
	}
}

// refused checks that neither end gets anything from the other, and that the
// member saw no connection.
func refused(t *testing.T, in, out host.Host) {
	t.Helper()
	in.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
		t.Errorf("the member has a connection %s with an outsider", c.Stat().Direction)
	}})
	if err := reach(t, out, in); err == nil {
		t.Error("an outsider that dials gets an answer")
	}
	if err := reach(t, in, out); err == nil {
		t.Error("an outsider that is dialled gets a request")
	}
	if err := in.Connect(t.Context(), info(out)); err == nil {
		t.Error("the member connects to an outsider")
	}
}

// plain is a libp2p host that knows nothing of clusters.
func plain(t *testing.T) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"), libp2p.DisableRelay(), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func TestPlainLibp2pGetsNothing(t *testing.T) {
	for name, addr := range transports {
		t.Run(name, func(t *testing.T) {
			in := listen(t, enter(t, testAuthority(1), 11, RolePeer), addr)
			out := plain(t)
			refused(t, in, out)
			if protos, _ := out.Peerstore().GetProtocols(in.ID()); len(protos) > 0 {
				t.Errorf("an outsider knows the protocols %v", protos)
			}
		})
	}
}

// A port scanner sees a port that speaks multistream, and that is all: it lists
// no protocols, knows no other security, and its TLS handshake fails.
func TestPortScannerGetsNothing(t *testing.T) {
	m := enter(t, testAuthority(1), 11, RolePeer)
	h := listen(t, m, transports["tcp"])
	addr, err := h.Addrs()[0].ValueForProtocol(6) // TCP's number
	if err != nil {
		t.Fatal(err)
	}
	dial := func() net.Conn {
		c, err := net.DialTimeout("tcp", "127.0.0.1:"+addr, patience)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(patience))
		return c
	}
	for _, said := range []string{"GET / HTTP/1.0\r\n\r\n", "\x16\x03\x01\x00\x05hello", strings.Repeat("\xff", 1<<16)} {
		c := dial()
		_, _ = io.WriteString(c, said)
		_ = c.(*net.TCPConn).CloseWrite()
		b, _ := io.ReadAll(c)
		if got := strings.TrimPrefix(string(b), "\x13/multistream/1.0.0\n"); got != "" {
			t.Errorf("after %.20q a scanner reads %q", said, got)
		}
	}
	for _, proto := range []string{"/tls/1.0.0", "/noise", "/plaintext/2.0.0", "/yamux/1.0.0", "/ipfs/id/1.0.0", "ls"} {
		if err := multistream.SelectProtoOrFail(proto, dial()); err == nil {
			t.Errorf("a scanner may speak %s", proto)
		}
	}
	scan := func(proto string, conf *tls.Config) (string, error) {
		c := dial()
		if err := multistream.SelectProtoOrFail(proto, c); err != nil {
			t.Fatal(err)
		}
		conf.InsecureSkipVerify = true //nolint:gosec // a scanner does not check
		s := tls.Client(c, conf)
		if err := s.Handshake(); err != nil {
			return "", err
		}
		_, _ = io.WriteString(s, "\x13/multistream/1.0.0\n")
		line, err := bufio.NewReader(s).ReadString('\n')
		return line, err
	}
	self, err := tls.X509KeyPair(selfSigned(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, proto := range []string{string(Protocol), string(JoinProtocol)} {
		for _, certs := range [][]tls.Certificate{nil, {self}} {
			if got, err := scan(proto, &tls.Config{Certificates: certs, NextProtos: []string{"/yamux/1.0.0", "libp2p"}, MinVersion: tls.VersionTLS12}); err == nil {
				t.Errorf("a scanner with %d certificates reads %q on %s", len(certs), got, proto)
			}
		}
	}
	if n := len(h.Network().Conns()); n != 0 {
		t.Errorf("the member has %d connections", n)
	}
}

// The join protocol of a peer that admits nobody, and of one that does, is no
// way in without an invite.
func TestMembersCannotBeReachedByTheJoinProtocol(t *testing.T) {
	for name, addr := range transports {
		for _, admits := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/admits=%v", name, admits), func(t *testing.T) {
				a := testAuthority(1)
				m := enter(t, a, 11, RolePeer)
				h := listen(t, m, addr)
				if admits {
					inviting(t, a, m, h)
				}
				key, _ := testKey(t, 31)
				guess, err := newInvite(a.Public(), RolePeer, time.Now().Add(time.Hour), addrsOf(h))
				if err != nil {
					t.Fatal(err)
				}
				if _, _, _, err := Join(t.Context(), guess, key); err == nil {
					t.Error("a guessed invite admits")
				}
				if n := len(h.Network().Conns()); n != 0 {
					t.Errorf("the member has %d connections", n)
				}
			})
		}
	}
}

// Security of libp2p itself is on the host too by mistake: the gater still lets
// nobody through.
func TestGaterRefusesOtherSecurity(t *testing.T) {
	m := enter(t, testAuthority(1), 11, RolePeer)
	h, err := libp2p.New(libp2p.Identity(m.key), libp2p.ListenAddrStrings(transports["tcp"]), libp2p.Transport(tcp.NewTCPTransport),
		m.Security(), libp2p.DefaultSecurity, libp2p.ConnectionGater(m.Gater()), libp2p.DisableRelay(), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	refused(t, h, plain(t))
}
