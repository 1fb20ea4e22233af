package member

import (
	"testing"
	"time"
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
