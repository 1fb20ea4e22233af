package gossip

import (
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// blamed steps a core that p1 is linked to with a message of p1.
func blamed(t *testing.T, c *Core, raw []byte) (bad error) {
	t.Helper()
	now := time.Unix(1000, 0)
	c.Step(now, &LinkUp{Peer: "p1", Incarnation: 1})
	for _, e := range c.Step(now, &Frame{From: "p1", Bytes: raw}) {
		if e, ok := e.(*Bad); ok {
			bad = e.Err
		}
	}
	return bad
}

// A peer of a later version says more of itself. Those of this version believe
// and hand on what it signed, whole.
func TestAdvertsOfALaterVersion(t *testing.T) {
	a := advertOf(t, "p2", 1, 1)
	a.Sig = nil
	fields := map[uint64]cbor.RawMessage{}
	if err := cbor.Unmarshal(a.Bytes(), &fields); err != nil {
		t.Fatal(err)
	}
	fields[40] = cbor.RawMessage("\x65later")
	body := encode(fields)
	fields[15] = encode(ed25519.Sign(keyOf("p2"), append([]byte("raygo-advert-1\x00"), body...)))
	later := encode(fields)
	c := New(Config{Self: "me", Incarnation: 1, Verify: verify})
	m := append([]byte("\x01\xa2\x01\x09\x08\x81"), later...)
	if bad := blamed(t, c, m); bad != nil {
		t.Fatalf("who passed it on is blamed: %v", bad)
	}
	got := c.View().Advert("p2")
	if got == nil {
		t.Fatal("it is not believed")
	}
	if string(got.Bytes()) != string(later) {
		t.Fatalf("it is not handed on as it was:\n got %q\nwant %q", got.Bytes(), later)
	}
}

// Nobody can have others hand on an advert that is too large for them.
func TestLargeAdvertsAreRefused(t *testing.T) {
	a := advertOf(t, "p1", 1, 1)
	a.Labels["x"] = strings.Repeat("x", MaxAdvert)
	if err := a.Sign(func(msg []byte) ([]byte, error) { return ed25519.Sign(keyOf("p1"), msg), nil }); err != nil {
		t.Fatal(err)
	}
	c := New(Config{Self: "me", Incarnation: 1, Verify: verify})
	if bad := blamed(t, c, (&message{Kind: kindAdverts, Adverts: []Advert{a}}).bytes()); bad == nil || c.View().Advert("p1") != nil {
		t.Error("it was taken", bad)
	}
}

// A view that is full is nobody's fault.
func TestAFullViewBlamesNobody(t *testing.T) {
	c := New(Config{Self: "me", Incarnation: 1, Verify: func(string, []byte, []byte) bool { return true }})
	for i := range MaxPeers {
		a := Advert{Peer: fmt.Sprint("q", i), Incarnation: 1}
		c.view.Put(&a)
	}
	if bad := blamed(t, c, (&message{Kind: kindAdverts, Adverts: []Advert{{Peer: "z", Incarnation: 1}}}).bytes()); bad != nil {
		t.Error(bad)
	}
}

// The answers to one question to three others count as one.
func TestThreeVouchersCountOnce(t *testing.T) {
	b := newBench(4)
	b.pass(5*time.Second, "p0", "p1", "p2", "p3")
	b.pass(2600*time.Millisecond, "p0", "p1", "p2") // suspected
	for _, p := range []string{"p0", "p1", "p2"} {
		b.step(&Frame{From: p, Bytes: (&message{Kind: kindVouch, About: "p3", Incarnation: 1}).bytes()})
	}
	b.pass(4300*time.Millisecond, "p0", "p1", "p2")
	b.step(&Frame{From: "p0", Bytes: (&message{Kind: kindVouch, About: "p3", Incarnation: 1}).bytes()})
	if got := b.pass(4*time.Second, "p0", "p1", "p2"); len(got) > 0 {
		t.Errorf("%v, though others heard it", got)
	}
}

// All that has arrived is heard before anybody is judged.
func TestHeardBeforeJudged(t *testing.T) {
	b := newBench(2)
	b.pass(5*time.Second, "p0", "p1")
	b.pass(4400*time.Millisecond, "p0")
	b.now = b.now.Add(499 * time.Millisecond)
	got := b.step(&Heard{Peer: "p0"})
	got = append(got, b.step(&Heard{Peer: "p1"})...)
	got = append(got, b.step(&Tick{})...)
	for _, e := range got {
		if j, ok := e.(*Judged); ok && j.Health == Gone {
			t.Errorf("%+v", j)
		}
	}
}

// A dead peer whose links stand is named within five seconds.
func TestASilentPeerIsNamedInTime(t *testing.T) {
	for off := range 20 {
		b := newBench(3)
		b.pass(5*time.Second+time.Duration(off)*50*time.Millisecond, "p0", "p1", "p2")
		begin, dead := b.now, time.Duration(0)
		for dead == 0 && b.now.Sub(begin) < 10*time.Second {
			for _, j := range b.pass(10*time.Millisecond, "p0", "p1") {
				if j.Health == Gone {
					dead = b.now.Sub(begin)
				}
			}
		}
		if dead > 5*time.Second || dead < 4*time.Second {
			t.Errorf("named after %s", dead)
		}
	}
}
