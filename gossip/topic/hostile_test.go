package topic

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/raygo/raygo/gossip"
)

func valueOf(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(constant{m})
	all, err := reg.Gather()
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	got := all[0].GetMetric()[0]
	return got.GetCounter().GetValue() + got.GetGauge().GetValue()
}

// constant collects one metric.
type constant struct{ m prometheus.Metric }

func (c constant) Describe(ch chan<- *prometheus.Desc) { ch <- c.m.Desc() }
func (c constant) Collect(ch chan<- prometheus.Metric) { ch <- c.m }

// liar is a member whose own pubsub checks nothing, so that what it sends is
// checked by others or not at all.
func liar(t *testing.T, victims ...*member) *member {
	t.Helper()
	m := start(t)
	m.t.Close()
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	names := names("test")
	opts := []pubsub.Option{pubsub.WithFloodPublish(true), pubsub.WithMessageSignaturePolicy(pubsub.StrictSign), pubsub.WithPeerOutboundQueueSize(20_000)}
	ps, err := pubsub.NewGossipSub(ctx, m.h, opts...)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		if m.t.posts[i].topic, err = ps.Join(name); err != nil {
			t.Fatal(err)
		}
		if _, err = m.t.posts[i].topic.Subscribe(); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range victims {
		connect(t, m, v)
		eventually(t, "the liar is connected", func() bool {
			return len(m.t.posts[adverts].topic.ListPeers()) > 0 && v.t.Neighbours() > 0
		})
	}
	return m
}

func raw(t *testing.T, p *post) []byte {
	t.Helper()
	b, err := p.bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What is malformed, in another's name, or for another cluster is neither heard
// nor passed on, and what comes after it is.
func TestWhatMayNotBeSaidIsNotPassedOn(t *testing.T) {
	a, b := start(t), start(t)
	chain(t, a, b)
	l := liar(t, a)
	other := b.advert(666)
	large := append([]byte{wireVersion}, make([]byte, maxPost)...)
	newer := append([]byte{wireVersion + 1}, raw(t, &post{Cluster: "test", Advert: l.advert(2).Bytes()})[1:]...)
	bad := [][]byte{
		raw(t, &post{Cluster: "test", Advert: other.Bytes()}),
		raw(t, &post{Cluster: "else", Advert: l.advert(3).Bytes()}),
		raw(t, &post{Cluster: "test", Notice: &Notice{Kind: Joined}}), // on the wrong topic
		raw(t, &post{Cluster: "test"}),
		{}, {wireVersion}, []byte("nonsense"), large, newer,
	}
	for _, m := range bad {
		l.publishRaw(t, adverts, m)
	}
	l.publishRaw(t, events, raw(t, &post{Cluster: "test", Notice: &Notice{}}))
	l.publishRaw(t, events, raw(t, &post{Cluster: "test", Notice: &Notice{Kind: Joined, Incarnation: 5}}))
	l.publishRaw(t, adverts, raw(t, &post{Cluster: "test", Advert: l.advert(7).Bytes()}))
	eventually(t, "what is right is passed on", func() bool { return b.hears(l, 7) && len(b.told()) == 1 })
	if a.hears(b, 666) {
		t.Error("an advert in another's name was believed")
	}
	if got := a.counted(t, refusedKind); got < float64(len(bad)) {
		t.Errorf("%v refused of %d", got, len(bad)+1)
	}
	if got := b.counted(t, refusedKind); got != 0 {
		t.Errorf("%v of them passed on", got)
	}
}

// A peer that floods is heard as often as a peer may be, and others all the time.
func TestAFloodIsLimited(t *testing.T) {
	a, b := start(t), start(t)
	chain(t, a, b)
	l := liar(t, a)
	for i := range 600 {
		l.publishRaw(t, events, raw(t, &post{Cluster: "test", Notice: &Notice{Kind: Joined, Incarnation: uint64(i + 1)}}))
	}
	eventually(t, "the flood is seen", func() bool { return a.counted(t, tooManyKind)+a.counted(t, flooded) > 400 })
	if err := a.t.Tell(t.Context(), Notice{Kind: Draining}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "others are heard", func() bool {
		for _, h := range b.told() {
			if h.from == a.id() && h.n.Kind == Draining {
				return true
			}
		}
		return false
	})
	if n := len(b.told()); n > authorBurst+50 {
		t.Errorf("%d events of the flood were passed on", n)
	}
}

// Clients may hear what peers are, but are not heard.
func TestWhoIsNotAdmittedIsNotHeard(t *testing.T) {
	var stranger peer.ID
	a := start(t, func(c *Config) { c.Admit = func(p peer.ID) bool { return p != stranger } })
	b := start(t)
	l := start(t)
	stranger = l.h.ID()
	chain(t, l, b, a)
	if err := l.t.SetAdvert(l.advert(1)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is refused", func() bool { return a.counted(t, strangerKind) > 0 && b.hears(l, 1) })
	if a.hears(l, 1) {
		t.Error("it was heard")
	}
}

func TestNumbersOfMessagesAreTakenOnce(t *testing.T) {
	s := newAuthors(1000, 0)
	now := time.Unix(1, 0)
	number := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	for _, c := range []struct {
		n    uint64
		want outcome
	}{
		{100, fine}, {100, replayed}, {102, fine}, {101, fine}, {101, replayed}, {102, replayed}, {39, fine}, {38, replayed},
		{1000, fine}, {102, replayed}, {1063, fine}, {1000, replayed}, {999, replayed}, {1001, fine}, {1001, replayed},
	} {
		if got := s.spend(now, "p", number(c.n)); got != c.want {
			t.Fatalf("message %d: %v, not %v", c.n, got, c.want)
		}
	}
}

func TestAuthorsAreBounded(t *testing.T) {
	s := newAuthors(2, 1)
	now := time.Unix(1, 0)
	for i := range maxAuthors + 10 {
		id := peer.ID(binary.BigEndian.AppendUint32(nil, uint32(i)))
		if got := s.spend(now.Add(time.Duration(i)), id, nil); got != fine {
			t.Fatal(got)
		}
	}
	if len(s.byID) != maxAuthors {
		t.Errorf("%d are remembered", len(s.byID))
	}
	for i, want := range []outcome{fine, fine, tooMany} {
		if got := s.spend(now, "p", nil); got != want {
			t.Fatalf("message %d: %v", i, got)
		}
	}
	if s.spend(now.Add(time.Second), "p", nil) != fine {
		t.Error("nothing is given back with time")
	}
}

func TestGoldenPosts(t *testing.T) {
	p := post{Cluster: "c", Notice: &Notice{Kind: Denied, Incarnation: 3, Body: []byte{9}}}
	const want = "\x01\xa2\x01\x61c\x03\xa3\x01\x04\x02\x03\x03\x41\x09"
	if got := raw(t, &p); string(got) != want {
		t.Errorf("the bytes changed\n got %q\nwant %q", got, want)
	}
	a := gossip.Advert{Peer: "p", Incarnation: 1}
	q, err := parse(raw(t, &post{Cluster: "c", Advert: a.Bytes()}), "c", "p", true)
	if err != nil || q.advert.Peer != "p" {
		t.Error(q, err)
	}
	if _, err := (&post{Cluster: "c", Notice: &Notice{Kind: Denied, Body: make([]byte, maxPost)}}).bytes(); err == nil {
		t.Error("a message that is too large is sent")
	}
}

func FuzzParse(f *testing.F) {
	a := gossip.Advert{Peer: "p", Incarnation: 1, Labels: map[string]string{"a": "b"}}
	for _, p := range []post{{Cluster: "c", Advert: a.Bytes()}, {Cluster: "c", Notice: &Notice{Kind: Joined, Body: []byte("x")}}} {
		b, err := p.bytes()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, true)
		f.Add(b, false)
	}
	f.Fuzz(func(t *testing.T, b []byte, ofAdverts bool) {
		p, err := parse(b, "c", "p", ofAdverts)
		if err != nil {
			return
		}
		again := post{Cluster: "c", Notice: p.notice}
		if p.advert != nil {
			again.Advert = p.advert.Bytes()
		}
		enc, err := again.bytes()
		if err != nil {
			t.Skip("it grew above the limit: maps in another order do not, other encodings of numbers may")
		}
		q, err := parse(enc, "c", "p", ofAdverts)
		if err != nil || (q.advert != nil) != ofAdverts {
			t.Fatal(q, err)
		}
		if q.advert != nil && !bytes.Equal(q.advert.Bytes(), p.advert.Bytes()) {
			t.Fatal("it does not survive a round trip")
		}
	})
}
