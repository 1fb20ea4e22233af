package host

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"

	"github.com/raygo/raygo/node/link"
	"github.com/raygo/raygo/node/member"
)

// internet is a network in memory on which hosts are reached at addresses of
// their own or behind a router, for which most machines that run tests have not
// the means. A router rewrites the source of what goes out to its own address
// and port, and lets in what comes from where something went.
type internet struct {
	mu sync.Mutex
	at map[netip.AddrPort]*socket // by how others see it
}

// socket is one UDP socket.
type socket struct {
	net    *internet
	inside netip.AddrPort // as its own host sees it
	seen   netip.AddrPort // as others do: the same unless behind a router
	in     chan datagram
	done   chan struct{}
	once   sync.Once

	mu     sync.Mutex
	sentTo map[netip.AddrPort]bool // guarded by the internet's mutex
	late   chan struct{}           // closed when the read deadline has passed
	timer  *time.Timer
}

type datagram struct {
	from netip.AddrPort
	data []byte
}

// host is the option of a host on this network; router is its router's address,
// none for one in the open.
func (n *internet) host(router string) libp2p.Option {
	sel := &source{}
	return libp2p.QUICReuse(quicreuse.NewConnManager,
		quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return sel, nil }),
		quicreuse.OverrideListenUDP(func(_ string, at *net.UDPAddr) (net.PacketConn, error) {
			sel.ip = at.IP
			s := &socket{net: n, inside: addrPort(at), in: make(chan datagram, 4096), done: make(chan struct{}), sentTo: map[netip.AddrPort]bool{}, late: make(chan struct{})}
			s.seen = s.inside
			if router != "" {
				s.seen = netip.AddrPortFrom(netip.MustParseAddr(router), s.inside.Port()+20000)
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.at[s.seen] != nil {
				return nil, fmt.Errorf("%s is taken", s.seen)
			}
			n.at[s.seen] = s
			return s, nil
		}))
}

// source is where a host's packets come from.
type source struct{ ip net.IP }

func (s *source) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) { return s.ip, nil }

func addrPort(a net.Addr) netip.AddrPort {
	p := a.(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// WriteTo sends a datagram, or loses it.
func (s *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	dst := addrPort(to)
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	s.sentTo[dst] = true
	t := s.net.at[dst]
	if t == nil || t.seen != t.inside && !t.sentTo[s.seen] {
		return len(b), nil
	}
	select {
	case t.in <- datagram{s.seen, append([]byte(nil), b...)}:
	default:
	}
	return len(b), nil
}

func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	s.mu.Lock()
	late := s.late
	s.mu.Unlock()
	select {
	case d := <-s.in:
		return copy(b, d.data), net.UDPAddrFromAddrPort(d.from), nil
	case <-late:
		return 0, nil, os.ErrDeadlineExceeded
	case <-s.done:
		return 0, nil, net.ErrClosed
	}
}

func (s *socket) Close() error {
	s.once.Do(func() {
		close(s.done)
		s.net.mu.Lock()
		defer s.net.mu.Unlock()
		delete(s.net.at, s.seen)
	})
	return nil
}

func (s *socket) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(s.inside) }

func (s *socket) SetReadDeadline(at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	late := make(chan struct{})
	s.late = late
	if !at.IsZero() {
		s.timer = time.AfterFunc(time.Until(at), func() { close(late) })
	}
	return nil
}

func (s *socket) SetDeadline(at time.Time) error   { return s.SetReadDeadline(at) }
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

// hears is a handler of links that counts frames.
type hears struct {
	mu     sync.Mutex
	frames int
}

func (*hears) Up(string, link.Hello) {}
func (*hears) Down(string, string)   {}
func (h *hears) Frames(_ string, _ link.Class, frames [][]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.frames += len(frames)
}

// Two peers behind routers of their own, who know each other's address at a relay
// alone, come to be connected directly, through both routers, and their links
// with them.
func TestPeersBehindTwoRoutersPunchAHole(t *testing.T) {
	cluster, err := member.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	n := &internet{at: map[netip.AddrPort]*socket{}}
	at := func(ip, router string, change func(*Config)) *Host {
		return memberHost(t, cluster, func(c *Config) {
			c.QUIC, c.Listen = true, []string{"/ip4/" + ip + "/udp/4001/quic-v1"}
			c.Options = []libp2p.Option{n.host(router)}
			change(c)
		})
	}
	// Peers in the open: one relays, all say what they see a peer's address as;
	// libp2p believes four.
	var open []*Host
	for i := range 4 {
		open = append(open, at(fmt.Sprintf("1.%d.0.1", i+1), "", func(c *Config) { c.Relay, c.Reach = true, Public }))
	}
	relay := open[0].Addrs()[0].String() + "/p2p/" + open[0].ID().String()
	behind := func(ip, router string) *Host {
		h := at(ip, router, func(c *Config) { c.Relays, c.HolePunch, c.Reach = []string{relay}, true, Private })
		for _, o := range open {
			join(t, h, info(o))
		}
		return h
	}
	a, b := behind("192.168.1.10", "5.5.5.5"), behind("192.168.1.20", "6.6.6.6")
	var there string
	soon(t, "b is reached at the relay", func() bool {
		for _, r := range b.Reachability().Relays {
			there = r
		}
		return there != ""
	})
	soon(t, "both know that routers are in the way", func() bool {
		return slices.Contains(a.Mux().Protocols(), holepunch.Protocol) && slices.Contains(b.Mux().Protocols(), holepunch.Protocol)
	})
	if _, err := ask(a, b.ID()); err == nil {
		t.Fatal("it is reached though nobody said where")
	}

	heard := &hears{}
	mesh := map[*Host]*link.Mesh{}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { stop(); wg.Wait() })
	for _, h := range []*Host{a, b} {
		m, err := link.New(link.Config{Host: h, Handler: heard, Hello: link.Hello{Versions: [2]uint16{1, 1}, Cluster: "testcluster", Incarnation: 1}})
		if err != nil {
			t.Fatal(err)
		}
		mesh[h] = m
		wg.Go(func() { _ = m.Run(ctx) })
	}
	if err := mesh[a].Connect(t.Context(), there+"/p2p/"+b.ID().String()); err != nil {
		t.Fatal(err)
	}
	soon(t, "they are connected directly", func() bool { return direct(a, b.ID()) && direct(b, a.ID()) })
	over := func(h *Host) bool {
		for _, s := range mesh[h].Peers() {
			if s.Up && !s.Relayed {
				return true
			}
		}
		return false
	}
	soon(t, "the links are direct too", func() bool { return over(a) && over(b) })
	for from, to := range map[*Host]*Host{a: b, b: a} {
		if n := len(from.relayedConns(to.ID())); n > 0 {
			t.Errorf("%d connections through the relay are left", n)
		}
		if err := mesh[from].Send(to.ID().String(), link.Control, []byte("hello")); err != nil {
			t.Error(err)
		}
		mesh[from].Flush(to.ID().String())
	}
	soon(t, "what is said on control streams arrives", func() bool {
		heard.mu.Lock()
		defer heard.mu.Unlock()
		return heard.frames >= 2
	})
	for _, o := range open { // the relay is not needed any more
		_ = o.Close()
	}
	if err := mesh[a].Send(b.ID().String(), link.Control, []byte("alone")); err != nil {
		t.Error(err)
	}
	mesh[a].Flush(b.ID().String())
	soon(t, "nor is anybody else", func() bool {
		heard.mu.Lock()
		defer heard.mu.Unlock()
		return heard.frames >= 3
	})
}

// direct reports whether there is a connection that is not through a relay.
func direct(h *Host, p peer.ID) bool {
	for _, c := range h.Network().ConnsToPeer(p) {
		if !relayedConn(c) {
			return true
		}
	}
	return false
}

func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in a minute: %s", what)
		}
	}
}
