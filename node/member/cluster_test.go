package member

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

// patience bounds what is waited for.
const patience = 10 * time.Second

// transports are what every rule about handshakes is tested on.
var transports = map[string]string{"tcp": "/ip4/127.0.0.1/tcp/0", "quic": "/ip4/127.0.0.1/udp/0/quic-v1"}

// echoed is a protocol for tests.
const echoed = "/test/echo"

// seeded is a reader of bytes that a seed gives.
type seeded struct{ *rand.ChaCha8 }

func newSeeded(n uint64) seeded {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], n)
	return seeded{rand.NewChaCha8(seed)}
}

// testKey is a peer's key, the same for the same number.
func testKey(t testing.TB, n uint64) (crypto.PrivKey, peer.ID) {
	t.Helper()
	k, _, err := crypto.GenerateEd25519Key(newSeeded(n))
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return k, id
}

// testAuthority is a cluster, the same for the same number.
func testAuthority(n uint64) *Authority {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = newSeeded(n).Read(seed)
	return &Authority{key: ed25519.NewKeyFromSeed(seed)}
}

// issue is a certificate for a test.
func issue(t testing.TB, a *Authority, p peer.ID, r Role, ttl time.Duration, now time.Time) Certificate {
	t.Helper()
	c, err := a.Issue(p, r, ttl, now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// enter makes a peer a member.
func enter(t testing.TB, a *Authority, n uint64, r Role) *Membership {
	t.Helper()
	key, id := testKey(t, n)
	m, err := New(key, a.Public(), issue(t, a, id, r, 0, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// listen starts a member's host.
func listen(t testing.TB, m *Membership, addr string) host.Host {
	t.Helper()
	opts := []libp2p.Option{
		libp2p.Identity(m.key), libp2p.ListenAddrStrings(addr), libp2p.Transport(tcp.NewTCPTransport), m.Security(), m.QUIC(),
		libp2p.ConnectionGater(m.Gater()), libp2p.DisableRelay(), libp2p.DisableIdentifyAddressDiscovery(), libp2p.ForceReachabilityPublic(), libp2p.DisableMetrics(),
	}
	h, err := libp2p.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	h.SetStreamHandler(echoed, func(s network.Stream) {
		defer s.Close()
		b := make([]byte, 4)
		if _, err := s.Read(b); err == nil {
			_, _ = s.Write(b)
		}
	})
	return h
}

func info(h host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

// addrsOf are a host's addresses as invites have them.
func addrsOf(h host.Host) (all []string) {
	for _, a := range h.Addrs() {
		all = append(all, a.String()+"/p2p/"+h.ID().String())
	}
	return all
}

// reach connects and gets an echo: a connection alone says little, since TLS
// lets the dialler finish first.
func reach(t testing.TB, from, to host.Host) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := from.Connect(ctx, info(to)); err != nil {
		return err
	}
	s, err := from.NewStream(ctx, to.ID(), echoed)
	if err != nil {
		return err
	}
	defer s.Close()
	_ = s.SetDeadline(time.Now().Add(patience))
	if _, err := s.Write([]byte("ping")); err != nil {
		return err
	}
	_, err = io.ReadFull(s, make([]byte, 4))
	return err
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %s still not: %s", patience, what)
		}
	}
}
