package host

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/raygo/raygo/node/member"
)

var _ Member = (*member.Membership)(nil)

// memberHost is a host of a member of a cluster.
func memberHost(t *testing.T, cluster *member.Authority, change func(*Config)) *Host {
	t.Helper()
	return start(t, "", func(c *Config) {
		id, err := peer.IDFromPrivateKey(c.Key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := cluster.Issue(id, member.RolePeer, time.Hour, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		m, err := member.New(c.Key, cluster.Public(), cert)
		if err != nil {
			t.Fatal(err)
		}
		c.Member = m
		if change != nil {
			change(c)
		}
	})
}

// Members reach each other on TCP and on QUIC; members of another cluster and
// other libp2p programs get nothing past the handshake, not even a list of
// protocols, and a port scanner gets no more.
func TestOnlyMembersGetPastTheHandshake(t *testing.T) {
	ours, err := member.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	others, err := member.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	both := func(c *Config) {
		c.QUIC, c.Listen = true, []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}
	}
	b := memberHost(t, ours, both)
	b.SetStreamHandler(echoProtocol, echo)
	key, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	outsider, err := libp2p.New(libp2p.Identity(key), libp2p.NoListenAddrs, libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer outsider.Close()
	for _, addr := range b.Addrs() {
		a := memberHost(t, ours, both)
		join(t, a, peer.AddrInfo{ID: b.ID(), Addrs: []ma.Multiaddr{addr}})
		if _, err := ask(a, b.ID()); err != nil {
			t.Errorf("a member at %s: %v", addr, err)
		}
		x := memberHost(t, others, both)
		for name, h := range map[string]*Host{"a member of another cluster": x, "an outsider": {Host: outsider}} {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			_ = h.Connect(ctx, peer.AddrInfo{ID: b.ID(), Addrs: []ma.Multiaddr{addr}})
			cancel()
			if _, err := ask(h, b.ID()); err == nil {
				t.Errorf("%s at %s gets an answer", name, addr)
			}
			if p, _ := h.Peerstore().GetProtocols(b.ID()); len(p) != 0 {
				t.Errorf("%s at %s learns the protocols %v", name, addr, p)
			}
			if n := len(b.Network().ConnsToPeer(h.ID())); n != 0 {
				t.Errorf("%s at %s has %d connections", name, addr, n)
			}
			h.Peerstore().ClearAddrs(b.ID())
		}
	}
	c, err := manet.Dial(b.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte("GET / HTTP/1.1\r\nUser-Agent: " + strings.Repeat("scanner ", 20) + "\r\n\r\n"))
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	answer, err := io.ReadAll(c)
	var e net.Error
	if errors.As(err, &e) && e.Timeout() {
		t.Error("a scanner keeps its connection")
	}
	if strings.Contains(string(answer), "raygo/") || len(answer) > 64 {
		t.Errorf("a scanner hears %q", answer)
	}
}
