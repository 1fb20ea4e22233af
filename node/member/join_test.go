package member

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
)

// inviting makes a member invite from a directory of its own.
func inviting(t *testing.T, a *Authority, m *Membership, h host.Host) *Inviter {
	t.Helper()
	return invitingFrom(t, t.TempDir(), a, m, h)
}

func invitingFrom(t *testing.T, dir string, a *Authority, m *Membership, h host.Host) *Inviter {
	t.Helper()
	store, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	i, err := NewInviter(InviterConfig{Authority: a, Membership: m, Store: store, Addrs: func() []string { return addrsOf(h) }})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func invite(t *testing.T, i *Inviter, r Role) Invite {
	t.Helper()
	inv, err := i.New(r, 0)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseInvite(" " + inv.String() + "\n")
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func TestInviteAdmitsOnce(t *testing.T) {
	for name, addr := range transports {
		t.Run(name, func(t *testing.T) {
			a := testAuthority(1)
			m := enter(t, a, 11, RolePeer)
			h := listen(t, m, addr)
			dir := t.TempDir()
			inv := invite(t, invitingFrom(t, dir, a, m, h), RoleClient)

			key, id := testKey(t, 31)
			pub, cert, addrs, err := Join(t.Context(), inv, key)
			if err != nil {
				t.Fatal(err)
			}
			if cert.Peer != id || cert.Role != RoleClient || len(addrs) == 0 {
				t.Errorf("the newcomer is %+v, addresses %v", cert, addrs)
			}
			if n := len(h.Network().Conns()); n != 0 {
				t.Errorf("the member has %d connections with a newcomer", n)
			}
			joined, err := New(key, pub, cert)
			if err != nil {
				t.Fatal(err)
			}
			if err := reach(t, listen(t, joined, addr), h); err != nil {
				t.Errorf("the newcomer, now a member: %v", err)
			}
			// The answer may have been lost: the same peer may ask again.
			if _, _, _, err := Join(t.Context(), inv, key); err != nil {
				t.Errorf("the same peer again: %v", err)
			}
			second, _ := testKey(t, 32)
			if _, _, _, err := Join(t.Context(), inv, second); !errors.Is(err, ErrInviteUsed) {
				t.Errorf("a second peer: %v", err)
			}
			invitingFrom(t, dir, a, m, h) // as after a restart
			if _, _, _, err := Join(t.Context(), inv, second); !errors.Is(err, ErrInviteUsed) {
				t.Errorf("a second peer after a restart: %v", err)
			}
		})
	}
}

func TestUnusedInviteOutlivesARestart(t *testing.T) {
	a := testAuthority(1)
	m := enter(t, a, 11, RolePeer)
	h := listen(t, m, transports["tcp"])
	dir := t.TempDir()
	inv := invite(t, invitingFrom(t, dir, a, m, h), RolePeer)
	i := invitingFrom(t, dir, a, m, h)
	if n := i.Open(); n != 1 {
		t.Fatalf("%d invites are open, not 1", n)
	}
	key, _ := testKey(t, 31)
	if _, _, _, err := Join(t.Context(), inv, key); err != nil {
		t.Fatal(err)
	}
	if n := i.Open(); n != 0 {
		t.Errorf("%d invites are open after the only one was used", n)
	}
}

// Many that race for one invite: one gets it.
func TestInviteIsRacedFor(t *testing.T) {
	a := testAuthority(1)
	m := enter(t, a, 11, RolePeer)
	h := listen(t, m, transports["tcp"])
	inv := invite(t, inviting(t, a, m, h), RolePeer)
	errs := make(chan error)
	for n := range uint64(6) {
		go func() {
			key, _ := testKey(t, 40+n)
			_, _, _, err := Join(t.Context(), inv, key)
			errs <- err
		}()
	}
	admitted := 0
	for range 6 {
		if err := <-errs; err == nil {
			admitted++
		} else if !errors.Is(err, ErrInviteUsed) {
			t.Error(err)
		}
	}
	if admitted != 1 {
		t.Errorf("%d peers were admitted by one invite", admitted)
	}
}

func TestInviteExpires(t *testing.T) {
	a := testAuthority(1)
	m := enter(t, a, 11, RolePeer)
	h := listen(t, m, transports["tcp"])
	i := inviting(t, a, m, h)
	inv := invite(t, i, RolePeer)
	i.mu.Lock()
	for k, v := range i.all {
		v.expires = time.Now().Add(-time.Second)
		i.all[k] = v
	}
	i.mu.Unlock()
	key, _ := testKey(t, 31)
	if _, _, _, err := Join(t.Context(), inv, key); !errors.Is(err, ErrInviteExpired) {
		t.Errorf("an expired invite: %v", err)
	}
}

func TestInviteIsForThePeerThatSignedWithIt(t *testing.T) {
	a := testAuthority(1)
	m := enter(t, a, 11, RolePeer)
	h := listen(t, m, transports["tcp"])
	i := inviting(t, a, m, h)
	inv := invite(t, i, RolePeer)
	_, id := testKey(t, 31)
	thief, self := testKey(t, 32)
	// The thief has seen the newcomer's proof, but not the invite.
	j := joiner{key: thief, self: self, pub: inv.ClusterPub, proof: inv.proof(id)}
	if _, err := j.ask(t.Context(), inv.Addrs); err == nil {
		t.Error("another peer's proof admits")
	}
	if i.Open() != 1 {
		t.Error("the invite is used")
	}
}

// A newcomer checks whom it gives its proof to: an address that the invite
// names may be somebody else's by now.
func TestNewcomerChecksTheMember(t *testing.T) {
	a, other := testAuthority(1), testAuthority(2)
	m := enter(t, other, 11, RolePeer)
	h := listen(t, m, transports["tcp"])
	inv, err := newInvite(a.Public(), RolePeer, time.Now().Add(time.Hour), addrsOf(h))
	if err != nil {
		t.Fatal(err)
	}
	inviting(t, other, m, h)
	key, _ := testKey(t, 31)
	if _, _, _, err := Join(t.Context(), inv, key); !errors.Is(err, ErrCluster) {
		t.Errorf("the member of another cluster: %v", err)
	}
}

func TestInvitesAreBounded(t *testing.T) {
	a := testAuthority(1)
	m := enter(t, a, 11, RolePeer)
	_, id := testKey(t, 11)
	store, err := OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	i, err := NewInviter(InviterConfig{Authority: a, Membership: m, Store: store, Addrs: func() []string { return []string{"/ip4/10.0.0.1/tcp/1/p2p/" + id.String()} }})
	if err != nil {
		t.Fatal(err)
	}
	soon := time.Now().Add(time.Minute)
	for n := range MaxInvites {
		k := strings.Repeat("x", 28) + string([]byte{byte(n >> 8), byte(n), 0, 0})
		i.all[k] = invited{pub: k, role: RolePeer, expires: soon}
	}
	if _, err := i.New(RolePeer, 0); !errors.Is(err, ErrTooManyInvites) {
		t.Fatalf("one invite too many: %v", err)
	}
	m.now = func() time.Time { return soon }
	if _, err := i.New(RolePeer, 0); err != nil {
		t.Errorf("after the others expired: %v", err)
	}
	for _, ttl := range []time.Duration{-1, MaxInviteTTL + 1} {
		if _, err := i.New(RolePeer, ttl); err == nil {
			t.Errorf("an invite for %s", ttl)
		}
	}
}

func TestRejoinAfterTheCertificateLapsed(t *testing.T) {
	for name, addr := range transports {
		t.Run(name, func(t *testing.T) {
			a := testAuthority(1)
			m := enter(t, a, 11, RolePeer)
			h := listen(t, m, addr)
			inviting(t, a, m, h)
			key, id := testKey(t, 31)
			now := time.Now()
			lapsed := issue(t, a, id, RoleClient, time.Hour, now.Add(-10*time.Hour))
			cert, err := Rejoin(t.Context(), key, a.Public(), lapsed, addrsOf(h))
			if err != nil {
				t.Fatal(err)
			}
			if cert.Role != RoleClient {
				t.Errorf("the role is %s now", cert.Role)
			}
			other, _ := testKey(t, 32)
			for what, try := range map[string]struct {
				cert Certificate
				mine bool
			}{
				"another peer's":    {lapsed, false},
				"too long ago":      {issue(t, a, id, RolePeer, time.Hour, now.Add(-LapsedGrace-2*time.Hour)), true},
				"another cluster's": {issue(t, testAuthority(2), id, RolePeer, time.Hour, now.Add(-2*time.Hour)), true},
			} {
				k := key
				if !try.mine {
					k = other
				}
				if _, err := Rejoin(t.Context(), k, a.Public(), try.cert, addrsOf(h)); err == nil {
					t.Errorf("a lapsed certificate, %s, gets a new one", what)
				}
			}
			list, err := a.Deny(DenyList{}, now, id)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Deny(list); err != nil {
				t.Fatal(err)
			}
			if _, err := Rejoin(t.Context(), key, a.Public(), lapsed, addrsOf(h)); err == nil || name == "tcp" && !errors.Is(err, ErrDenied) {
				t.Errorf("an expelled peer comes back: %v", err)
			}
		})
	}
}

func TestJoinEndsWithItsContext(t *testing.T) {
	_, id := testKey(t, 11)
	inv, err := newInvite(testAuthority(1).Public(), RolePeer, time.Now().Add(time.Hour), []string{"/ip4/192.0.2.1/tcp/1/p2p/" + id.String()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	key, _ := testKey(t, 31)
	if _, _, _, err := Join(ctx, inv, key); err == nil {
		t.Error("nobody was asked and there is a certificate")
	}
}

func TestInviteIsSecretInLogs(t *testing.T) {
	_, id := testKey(t, 11)
	inv, err := newInvite(testAuthority(1).Public(), RolePeer, time.Now().Add(time.Hour), []string{"/ip4/192.0.2.1/tcp/1/p2p/" + id.String()})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("made", "invite", inv)
	if strings.Contains(b.String(), invitePrefix) || !strings.Contains(b.String(), inv.ClusterID()) {
		t.Errorf("the log says %s", &b)
	}
}
