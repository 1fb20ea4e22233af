package member

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Certificates are replaced often while others connect: nobody is lost for
// longer than a moment, and connections stay.
func TestQUICListenerSurvivesRenewals(t *testing.T) {
	a := testAuthority(1)
	m, other := testMember(t, 11), testMember(t, 12)
	h, stays := listen(t, m, transports["quic"]), listen(t, other, transports["quic"])
	if err := reach(t, stays, h); err != nil {
		t.Fatal(err)
	}
	c := stays.Network().ConnsToPeer(h.ID())[0]
	for n := range uint64(6) {
		if err := m.Renew(issue(t, a, m.Peer(), RolePeer, 0, time.Now())); err != nil {
			t.Fatal(err)
		}
		if err := reach(t, listen(t, testMember(t, 60+n), transports["quic"]), h); err != nil {
			t.Fatalf("after renewal %d: %v", n, err)
		}
	}
	if c.IsClosed() {
		t.Error("a connection from before the renewals is closed")
	}
	if err := reach(t, stays, h); err != nil {
		t.Error(err)
	}
	if err := h.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// A machine that slept too long comes back by itself: nobody lets it connect,
// but a member that holds the key takes the lapsed certificate.
func TestKeeperRejoins(t *testing.T) {
	a := testAuthority(1)
	mx, my := testMember(t, 11), testMember(t, 12)
	x, y := listen(t, mx, transports["tcp"]), listen(t, my, transports["tcp"])
	inviting(t, a, mx, x)
	lapsed := issue(t, a, my.Peer(), RoleClient, time.Hour, time.Now().Add(-2*time.Hour))
	identity, err := newIdentity(my.key, lapsed)
	if err != nil {
		t.Fatal(err)
	}
	my.mu.Lock()
	my.cert, my.identity = lapsed, identity
	my.mu.Unlock()
	if err := reach(t, y, x); err == nil {
		t.Fatal("a lapsed certificate connects")
	}
	k := NewKeeper(KeeperConfig{Host: y, Membership: my, Addrs: func() []string { return addrsOf(x) }})
	if err := k.RenewNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := reach(t, y, x); err != nil {
		t.Error(err)
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(mx.Collector())
	got, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range got {
		if f.GetName() == "raygo_member_newcomers_total" && f.GetMetric()[0].GetCounter().GetValue() != 1 {
			t.Errorf("%v", f)
		}
	}
	if len(got) != 7 {
		t.Errorf("%d metrics", len(got))
	}
}

func TestInvitesNameLoopbackLast(t *testing.T) {
	got := reachable([]string{"/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip6/::1/tcp/1", "/dns4/x/tcp/1"})
	if want := []string{"/ip4/10.0.0.1/tcp/1", "/dns4/x/tcp/1", "/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1"}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}
