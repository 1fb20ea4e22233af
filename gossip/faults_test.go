package gossip

import (
	"testing"
	"time"
)

// doze stops a peer for a while, again and again until a time: it takes part in
// nothing, its ticks come late, and what it was sent meanwhile is lost.
func (m *member) doze(until time.Time, every, least, most time.Duration) {
	w := m.w
	between := func(a, b time.Duration) time.Duration { return a + time.Duration(w.rng.Int64N(int64(b-a)+1)) }
	var sleep func()
	sleep = func() {
		if m.gone || w.now.After(until) {
			return
		}
		m.asleep = true
		w.after(between(least, most), func() {
			m.wake()
			w.after(between(every/2, every), sleep)
		})
	}
	w.after(between(0, every), sleep)
}

// A machine whose cores are all busy stops every peer on it now and then, with
// loss on top: nobody is taken for dead.
func TestBusyCoresKillNobody(t *testing.T) {
	for _, n := range []int{3, 50} {
		w := newWorld(t, n)
		w.loss = 0.05
		w.run(w.now.Add(10 * time.Second))
		until := w.now.Add(time.Minute)
		for _, m := range w.peers {
			m.doze(until, 4*time.Second, 100*time.Millisecond, 1500*time.Millisecond)
		}
		w.run(until.Add(20 * time.Second))
		if len(w.dead) > 0 {
			t.Errorf("%d peers: judged dead: %v", n, w.dead)
		}
	}
}

// A crash is noticed by all who had a link, also while everybody is busy, and
// nobody else is taken for dead.
func TestCrashesAmongTheBusyAreNoticed(t *testing.T) {
	const n = 50
	w := newWorld(t, n)
	w.loss = 0.05
	w.run(w.now.Add(10 * time.Second))
	until := w.now.Add(40 * time.Second)
	for _, m := range w.peers {
		m.doze(until, 4*time.Second, 100*time.Millisecond, time.Second)
	}
	victims := map[string]bool{}
	watchers := map[string][]*member{}
	for i := 4; i < n; i += 10 {
		v := w.peers[i]
		victims[v.id], watchers[v.id] = true, w.linkedTo(v)
	}
	for id := range victims {
		w.by[id].gone = true
	}
	w.run(until)
	for id := range w.dead {
		if !victims[id] {
			t.Errorf("%s lives and was judged dead by %v", id, w.dead[id])
		}
	}
	for id, ms := range watchers {
		for _, m := range ms {
			if _, named := w.dead[id][m.id]; !named && !m.gone {
				t.Errorf("%s did not notice the death of %s", m.id, id)
			}
		}
	}
}

// Adverts that others forged are refused with who passed them on, and change
// nothing.
func TestForgedAdvertsAreRefused(t *testing.T) {
	c := New(Config{Self: "me", Incarnation: 1, Verify: verify})
	now := time.Unix(1000, 0)
	c.Step(now, &LinkUp{Peer: "p1", Incarnation: 1})
	forged := advertOf(t, "p2", 1, 1)
	forged.Labels["zone"] = "forged"
	effects := c.Step(now, &Frame{From: "p1", Bytes: (&message{Kind: kindAdverts, Adverts: []Advert{forged}}).bytes()})
	bad := false
	for _, e := range effects {
		switch e := e.(type) {
		case *Bad:
			bad = e.Peer == "p1"
		case *News:
			t.Errorf("it is news: %v", e.Advert)
		}
	}
	if !bad || c.View().Advert("p2") != nil {
		t.Error("it was taken")
	}
	// What comes another way is refused without blaming anybody.
	for _, e := range c.Step(now, &Learnt{Advert: forged}) {
		if _, ok := e.(*Bad); ok {
			t.Error("somebody is blamed")
		}
	}
}

func TestWhoIsNotLinkedIsNotHeard(t *testing.T) {
	c := New(Config{Self: "me", Incarnation: 1, Verify: verify})
	a := advertOf(t, "p1", 1, 1)
	if effects := c.Step(time.Unix(1000, 0), &Frame{From: "p1", Bytes: (&message{Kind: kindAdverts, Adverts: []Advert{a}}).bytes()}); len(effects) > 0 {
		t.Errorf("%v", effects)
	}
}

// The bytes of messages stay as they are for as long as the version does.
func TestGoldenMessages(t *testing.T) {
	for _, g := range []struct {
		m    message
		want string
	}{
		{message{Kind: kindPing}, "\x01\xa1\x01\x01"},
		{message{Kind: kindAck}, "\x01\xa1\x01\x02"},
		{message{Kind: kindAsk, About: "p"}, "\x01\xa2\x01\x03\x02ap"},
		{message{Kind: kindVouch, About: "p", Incarnation: 7}, "\x01\xa3\x01\x04\x02ap\x03\x07"},
		{message{Kind: kindPush, Loads: []Load{{Peer: "p", Incarnation: 1, Beat: 2, Free: 3, Queued: 4}}}, "\x01\xa2\x01\x05\x04\x81\xa5\x01ap\x02\x01\x03\x02\x04\x03\x05\x04"},
		{message{Kind: kindHashes, Hashes: []uint64{1, 2}}, "\x01\xa2\x01\x07\x05\x82\x01\x02"},
		{message{Kind: kindStamps, Of: []int{3}, Stamps: []Stamp{{Peer: "p", Incarnation: 1, Seq: 2}}}, "\x01\xa3\x01\x08\x06\x81\x03\x07\x81\xa3\x01ap\x02\x01\x03\x02"},
		{message{Kind: kindNeed, Need: []string{"p"}}, "\x01\xa2\x01\x0a\x09\x81ap"},
	} {
		if got := string(g.m.bytes()); got != g.want {
			t.Errorf("the bytes of kind %d changed\n got %q\nwant %q", g.m.Kind, got, g.want)
		}
	}
}
