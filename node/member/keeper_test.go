package member

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
)

// keep runs a member's keeper until the test ends.
func keep(t *testing.T, h host.Host, m *Membership, a *Authority, store *Store) *Keeper {
	t.Helper()
	k := NewKeeper(KeeperConfig{Host: h, Membership: m, Authority: a, Store: store})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the keeper ended with %v", err)
		}
	})
	eventually(t, "the keeper serves", func() bool { return slices.Contains(h.Mux().Protocols(), SyncProtocol) })
	return k
}

// A certificate is renewed at half of its life by the member that holds the key,
// and handshakes after that show the new one.
func TestRenewal(t *testing.T) {
	for name, addr := range transports {
		t.Run(name, func(t *testing.T) {
			a := testAuthority(1)
			mx, key := enter(t, a, 11, RolePeer), testMember(t, 12)
			now := time.Now()
			old := issue(t, a, key.Peer(), RoleClient, time.Minute, now.Add(-50*time.Second)) // past half, in force for 10 s
			if err := key.Renew(old); err != nil {
				t.Fatal(err)
			}
			x, y := listen(t, mx, addr), listen(t, key, addr)
			if err := reach(t, y, x); err != nil {
				t.Fatal(err)
			}
			store, err := OpenStore(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			keep(t, x, mx, a, nil)
			keep(t, y, key, nil, store)
			eventually(t, "the certificate is renewed", func() bool { return key.Certificate().NotAfter.After(now.Add(time.Hour)) })
			if r := key.Role(); r != RoleClient {
				t.Errorf("the role is %s after the renewal", r)
			}
			eventually(t, "the certificate is kept", func() bool {
				j, err := store.Joined()
				return err == nil && j.Cert.Serial == key.Certificate().Serial
			})
			eventually(t, "the other member knows the new certificate", func() bool {
				c, ok := mx.CertificateOf(y.ID())
				return ok && c.Serial == key.Certificate().Serial
			})
			// A third member sees the new certificate, whoever dials.
			for n, dials := range map[uint64]bool{13: true, 14: false} {
				mz := enter(t, a, n, RolePeer)
				z := listen(t, mz, addr)
				from, to := y, z
				if dials {
					from, to = z, y
				}
				if err := reach(t, from, to); err != nil {
					t.Fatal(err)
				}
				if c, _ := mz.CertificateOf(y.ID()); c.Serial != key.Certificate().Serial {
					t.Errorf("a handshake after the renewal (it is dialled: %v) shows the old certificate", dials)
				}
			}
			if len(x.Network().ConnsToPeer(y.ID())) == 0 {
				t.Error("the renewal broke the connection that was there")
			}
		})
	}
}

// testMember is a member of testAuthority(1).
func testMember(t *testing.T, n uint64) *Membership { return enter(t, testAuthority(1), n, RolePeer) }

func TestRenewalNeedsTheKey(t *testing.T) {
	mx, my := testMember(t, 11), testMember(t, 12)
	x, y := listen(t, mx, transports["tcp"]), listen(t, my, transports["tcp"])
	keep(t, x, mx, nil, nil)
	k := keep(t, y, my, nil, nil)
	if err := reach(t, y, x); err != nil {
		t.Fatal(err)
	}
	before := my.Certificate()
	if err := k.RenewNow(t.Context()); err == nil {
		t.Error("a member without the key issued a certificate")
	}
	if my.Certificate().Serial != before.Serial {
		t.Error("the certificate changed")
	}
}

// An expelled member is disconnected everywhere, by those that do not hold the
// key too, and does not come back.
func TestExpelledMembersAreDisconnectedEverywhere(t *testing.T) {
	a := testAuthority(1)
	mx, my, mz := testMember(t, 11), testMember(t, 12), testMember(t, 13)
	x, y, z := listen(t, mx, transports["tcp"]), listen(t, my, transports["quic"]), listen(t, mz, transports["tcp"])
	dir := t.TempDir()
	store, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	kx := keep(t, x, mx, a, nil)
	keep(t, y, my, nil, store)
	for _, pair := range [][2]host.Host{{x, z}, {y, z}, {y, x}} {
		if err := reachBoth(t, pair[0], pair[1]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := kx.Expel(z.ID()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nobody is connected to the expelled", func() bool { return len(z.Network().Peers()) == 0 })
	eventually(t, "the list is kept", func() bool {
		d, err := store.DenyList(a.Public())
		return err == nil && d.Has(z.ID())
	})
	for _, h := range []host.Host{x, y} {
		if err := reachBoth(t, z, h); err == nil {
			t.Error("the expelled comes back")
		}
	}
	if _, err := kx.Expel(x.ID()); err == nil {
		t.Error("a member expels itself")
	}
	if _, err := NewKeeper(KeeperConfig{Host: y, Membership: my}).Expel(x.ID()); !errors.Is(err, ErrNoAuthority) {
		t.Errorf("a member without the key expels: %v", err)
	}
	// A member that was away learns it when it connects.
	mw := testMember(t, 14)
	w := listen(t, mw, transports["tcp"])
	keep(t, w, mw, nil, nil)
	if err := reach(t, w, x); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a member that was away has the list", func() bool { return mw.Denied(z.ID()) })
}

// reachBoth dials hosts that may speak different transports.
func reachBoth(t *testing.T, from, to host.Host) error {
	t.Helper()
	return reach(t, from, to)
}

// Two holders of the key expel at the same time: both stay expelled.
func TestTwoAuthoritiesExpelAtOnce(t *testing.T) {
	a := testAuthority(1)
	mx, my := testMember(t, 11), testMember(t, 12)
	x, y := listen(t, mx, transports["tcp"]), listen(t, my, transports["tcp"])
	kx, ky := keep(t, x, mx, a, nil), keep(t, y, my, a, nil)
	_, p := testKey(t, 31)
	_, q := testKey(t, 32)
	if _, err := kx.Expel(p); err != nil {
		t.Fatal(err)
	}
	if _, err := ky.Expel(q); err != nil {
		t.Fatal(err)
	}
	if err := reach(t, x, y); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both have one list with both", func() bool {
		dx, dy := mx.DenyList(), my.DenyList()
		return dx.Has(p) && dx.Has(q) && slices.Equal(dx.Sig, dy.Sig)
	})
}

func TestDenyListsOnlyGoForward(t *testing.T) {
	a := testAuthority(1)
	m := testMember(t, 11)
	_, p := testKey(t, 31)
	_, q := testKey(t, 32)
	now := time.Now()
	first, err := a.Deny(DenyList{}, now, p)
	if err != nil {
		t.Fatal(err)
	}
	second, err := a.Deny(first, now, q)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []DenyList{first, second, second} {
		if err := m.Deny(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Deny(first); !errors.Is(err, ErrOldDenyList) {
		t.Errorf("an older list: %v", err)
	}
	forged := second
	forged.Epoch, forged.Peers = 9, nil
	if err := m.Deny(forged); !errors.Is(err, ErrSignature) {
		t.Errorf("a forged list: %v", err)
	}
	foreign, err := testAuthority(2).Deny(DenyList{}, now, m.Peer())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Deny(foreign); err == nil {
		t.Error("another cluster's list is in force")
	}
	if !m.Denied(p) || !m.Denied(q) {
		t.Error("an expelled peer is back")
	}
	later, err := a.Deny(second, now.Add(deniedFor+time.Hour))
	if err != nil || len(later.Peers) != 0 {
		t.Errorf("entries whose certificates all lapsed: %d, %v", len(later.Peers), err)
	}
	full := DenyList{Peers: make([]Denied, 0, MaxDenied)}
	for n := range MaxDenied {
		id := []byte(p)
		id[len(id)-1], id[len(id)-2] = byte(n), byte(n>>8)
		full.Peers = append(full.Peers, Denied{Peer: peerID(id), Since: now})
	}
	if _, err := a.Deny(full, now, q); !errors.Is(err, ErrDenyListFull) {
		t.Errorf("one entry too many: %v", err)
	}
}

// Members whose certificate lapsed while they were connected are disconnected,
// and those long gone are forgotten.
func TestSweep(t *testing.T) {
	a := testAuthority(1)
	m := testMember(t, 11)
	now := time.Now()
	_, p := testKey(t, 31)
	_, q := testKey(t, 32)
	for _, id := range []Certificate{issue(t, a, p, RolePeer, time.Hour, now), issue(t, a, q, RolePeer, time.Hour, now)} {
		if err := m.Check(id.Peer, id); err != nil {
			t.Fatal(err)
		}
	}
	m.now = func() time.Time { return now.Add(2 * time.Hour) }
	lapsed := m.sweep(func(id peerID) bool { return id == p })
	if !slices.Equal(lapsed, []peerID{p}) {
		t.Errorf("lapsed are %v", lapsed)
	}
	if len(m.known) != 1 {
		t.Errorf("%d members are remembered", len(m.known))
	}
	if _, ok := m.CertificateOf(p); ok {
		t.Error("a lapsed certificate still counts")
	}
}

func TestKnownMembersAreBounded(t *testing.T) {
	a := testAuthority(1)
	m := testMember(t, 11)
	now := time.Now()
	_, p := testKey(t, 31)
	for n := range MaxMembers {
		m.known[peerID([]byte{byte(n >> 8), byte(n)})] = shown{at: now}
	}
	if err := m.Check(p, issue(t, a, p, RolePeer, 0, now)); !errors.Is(err, ErrTooManyMembers) {
		t.Errorf("one member too many: %v", err)
	}
}

// What is not a member's, too large or cut off ends the stream and nothing else.
func TestBrokenRequests(t *testing.T) {
	a := testAuthority(1)
	mx, my := testMember(t, 11), testMember(t, 12)
	x, y := listen(t, mx, transports["tcp"]), listen(t, my, transports["tcp"])
	keep(t, x, mx, a, nil)
	if err := reach(t, y, x); err != nil {
		t.Fatal(err)
	}
	other := testMember(t, 13).Certificate().Bytes()
	for _, b := range [][]byte{{}, {0, 0, 0, 9}, {255, 255, 255, 255, 1}, {0, 0, 0, 1, 0xff}, frame(syncRequest{Certificate: other}), frame(syncRequest{Certificate: my.Certificate().Bytes(), List: []byte{1}})} {
		for _, proto := range []string{string(SyncProtocol), string(RenewProtocol)} {
			s, err := y.NewStream(t.Context(), x.ID(), protocolID(proto))
			if err != nil {
				t.Fatal(err)
			}
			_ = s.SetDeadline(time.Now().Add(patience))
			_, _ = s.Write(b)
			_ = s.CloseWrite()
			var a syncAnswer
			if err := readFrame(s, maxSyncFrame, &a); err == nil {
				t.Errorf("%s answers %x", proto, b)
			}
			_ = s.Reset()
		}
	}
	if err := reach(t, y, x); err != nil {
		t.Errorf("after broken requests: %v", err)
	}
	if c, ok := mx.CertificateOf(y.ID()); !ok || c.Peer != y.ID() {
		t.Error("another's certificate took the place of a member's own")
	}
	if x.Network().Connectedness(y.ID()) != network.Connected {
		t.Error("the connection is gone")
	}
}
