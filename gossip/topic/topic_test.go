package topic

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/raygo/raygo/gossip"
)

// member is a peer on 127.0.0.1 and what it heard.
type member struct {
	t *Topic
	h host.Host

	mu      sync.Mutex
	adverts map[string]gossip.Advert
	notices []heard
}

type heard struct {
	from string
	n    Notice
}

// start runs a member of cluster "test" until the test ends.
func start(t *testing.T, edit ...func(*Config)) *member {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.Transport(tcp.NewTCPTransport),
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.ForceReachabilityPublic(), libp2p.DisableIdentifyAddressDiscovery())
	if err != nil {
		t.Fatal(err)
	}
	m := &member{h: h, adverts: map[string]gossip.Advert{}}
	cfg := Config{
		Host: h, Cluster: "test", Gap: time.Millisecond, Registerer: prometheus.NewRegistry(),
		Advert: func(a gossip.Advert) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.adverts[a.Peer] = a
		},
		Notice: func(from string, n Notice) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.notices = append(m.notices, heard{from, n})
		},
	}
	for _, e := range edit {
		e(&cfg)
	}
	if m.t, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.t.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// chain links members in a row, so that news of one end has to be passed on.
func chain(t *testing.T, all ...*member) {
	t.Helper()
	for i := range all[1:] {
		connect(t, all[i], all[i+1])
	}
	for i, m := range all {
		want := 2
		if i == 0 || i == len(all)-1 {
			want = 1
		}
		eventually(t, fmt.Sprintf("member %d passes on to %d neighbours", i, want), func() bool {
			return m.t.Neighbours() >= want && m.mesh(t, adverts) >= want && m.mesh(t, events) >= want
		})
	}
}

func connect(t *testing.T, a, b *member) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := a.h.Connect(ctx, peer.AddrInfo{ID: b.h.ID(), Addrs: b.h.Addrs()}); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so within 10 s: %s", what)
		}
	}
}

func (m *member) id() string { return m.h.ID().String() }

func (m *member) advert(seq uint64) *gossip.Advert {
	return &gossip.Advert{Peer: m.id(), Incarnation: 1, Seq: seq, Platform: "linux/amd64", Sig: []byte("not looked at here")}
}

// hears says whether m has the advert of a peer with a sequence number.
func (m *member) hears(of *member, seq uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.adverts[of.id()].Seq == seq
}

func (m *member) told() []heard {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]heard(nil), m.notices...)
}

// publishRaw sends bytes on a topic without looking at them first, as a peer that
// lies would.
func (m *member) publishRaw(t *testing.T, which int, b []byte) {
	t.Helper()
	if err := m.t.posts[which].topic.Publish(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// mesh is to how many neighbours m passes on what it hears. Pubsub takes until its
// next heartbeat to do so.
func (m *member) mesh(t *testing.T, which int) int {
	t.Helper()
	ch := make(chan prometheus.Metric, 1)
	m.t.metrics.mesh.WithLabelValues(names("test")[which]).Collect(ch)
	return int(valueOf(t, <-ch))
}

// counted is how many messages had an outcome.
func (m *member) counted(t *testing.T, outcome string) float64 {
	t.Helper()
	ch := make(chan prometheus.Metric, 1)
	m.t.metrics.messages.WithLabelValues(outcome).Collect(ch)
	return valueOf(t, <-ch)
}

func TestAdvertsReachPeersThatAreNotNeighbours(t *testing.T) {
	a, b, c, d := start(t), start(t), start(t), start(t)
	chain(t, a, b, c, d)
	for seq := uint64(1); seq <= 3; seq++ {
		if err := a.t.SetAdvert(a.advert(seq)); err != nil {
			t.Fatal(err)
		}
		for i, m := range []*member{b, c, d} {
			eventually(t, fmt.Sprintf("member %d hears advert %d", i+1, seq), func() bool { return m.hears(a, seq) })
		}
	}
	if a.hears(a, 3) {
		t.Error("a peer is told what it said itself")
	}
	if err := a.t.SetAdvert(b.advert(9)); err == nil {
		t.Error("an advert of another peer is told")
	}
}

func TestAnAdvertIsToldAgainNowAndThen(t *testing.T) {
	a := start(t, func(c *Config) { c.Refresh = 50 * time.Millisecond })
	if err := a.t.SetAdvert(a.advert(1)); err != nil { // nobody hears it
		t.Fatal(err)
	}
	eventually(t, "it is told", func() bool { return a.counted(t, published) > 0 })
	b := start(t)
	chain(t, a, b)
	eventually(t, "it is told again", func() bool { return b.hears(a, 1) })
}

func TestManyChangesAreToldAsOne(t *testing.T) {
	a, b := start(t, func(c *Config) { c.Gap = 300 * time.Millisecond }), start(t)
	chain(t, a, b)
	for seq := uint64(1); seq <= 100; seq++ {
		if err := a.t.SetAdvert(a.advert(seq)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the last one is told", func() bool { return b.hears(a, 100) })
	if n := a.counted(t, published); n > 4 {
		t.Errorf("%v messages for changes within milliseconds", n)
	}
}

func TestEventsReachAll(t *testing.T) {
	a, b, c := start(t), start(t), start(t)
	chain(t, a, b, c)
	want := []Notice{{Kind: Joined, Incarnation: 4}, {Kind: Draining, Incarnation: 4}, {Kind: Denied, Body: []byte("list")}, {Kind: 77}}
	for _, n := range want {
		if err := a.t.Tell(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range []*member{b, c} {
		eventually(t, "all events arrive", func() bool { return len(m.told()) == len(want) })
		kinds := map[Kind]bool{}
		for _, h := range m.told() {
			kinds[h.n.Kind] = true
			if h.from != a.id() {
				t.Errorf("told by %s", h.from)
			}
		}
		if len(kinds) != len(want) {
			t.Errorf("told of %v", kinds)
		}
	}
}

func TestTheEndIsSaid(t *testing.T) {
	a := start(t)
	a.t.Close()
	if err := a.t.Tell(t.Context(), Notice{Kind: Leaving}); err == nil {
		t.Error("told after the end")
	}
	if a.t.Neighbours() != 0 {
		t.Error("neighbours after the end")
	}
}

func TestConfigurationsThatCannotBe(t *testing.T) {
	a := start(t)
	for name, cfg := range map[string]Config{
		"no host":       {Cluster: "x"},
		"no cluster":    {Host: a.h},
		"negative time": {Host: a.h, Cluster: "x", Gap: -1},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
