package hosts

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// wire is libp2p's TCP transport with the world in the place of the kernel:
// security, muxer, gater and resource manager are those of the host.
type wire struct {
	w        *World
	p        *Peer
	life     int
	upgrader transport.Upgrader
	rcmgr    network.ResourceManager
}

// Dial implements transport.Transport.
func (t *wire) Dial(ctx context.Context, raddr ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	scope, err := t.rcmgr.OpenConnection(network.DirOutbound, true, raddr)
	if err != nil {
		return nil, err
	}
	c, err := t.dial(ctx, raddr, p, scope)
	if err != nil {
		scope.Done()
		return nil, err
	}
	return c, nil
}

func (t *wire) dial(ctx context.Context, raddr ma.Multiaddr, p peer.ID, scope network.ConnManagementScope) (transport.CapableConn, error) {
	if err := scope.SetPeer(p); err != nil {
		return nil, err
	}
	e, err := t.w.connect(ctx, t, raddr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", raddr, err)
	}
	direction := network.DirOutbound
	if ok, client, _ := network.GetSimultaneousConnect(ctx); ok && !client {
		direction = network.DirInbound
	}
	return t.upgrader.Upgrade(ctx, t, e, direction, p, scope)
}

// connect opens a connection: one round trip, as long as there is an answer.
func (w *World) connect(ctx context.Context, t *wire, raddr ma.Multiaddr) (*end, error) {
	for {
		w.mu.Lock()
		to := w.byAddr[string(raddr.Bytes())]
		silent := to == nil || to.state == crashed || t.life != t.p.life || parted(t.p, to)
		wait := time.Second // between attempts that nobody answers
		if !silent {
			wait = w.roundTrip(t.p, to)
		}
		w.mu.Unlock()
		if err := pause(ctx, wait); err != nil {
			return nil, err
		}
		if !silent {
			return w.accepted(t.p, to, raddr)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// accepted makes the two ends of a connection and gives one to the listener.
func (w *World) accepted(from, to *Peer, raddr ma.Multiaddr) (*end, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := to.listener
	if l == nil || l.closed {
		return nil, syscall.ECONNREFUSED
	}
	from.port++
	here := &net.TCPAddr{IP: from.ip, Port: 20000 + from.port%40000}
	laddr, err := manet.FromNetAddr(here)
	if err != nil {
		return nil, err
	}
	a := w.newEnd(from, laddr, raddr, here, l.Addr())
	b := w.newEnd(to, raddr, laddr, l.Addr(), here)
	a.far, b.far = b, a
	select {
	case l.backlog <- b:
		return a, nil
	default:
		a.close()
		b.close()
		return nil, syscall.ECONNREFUSED
	}
}

// CanDial implements transport.Transport.
func (t *wire) CanDial(addr ma.Multiaddr) bool {
	_, err := addr.ValueForProtocol(ma.P_TCP)
	return err == nil
}

// Listen implements transport.Transport.
func (t *wire) Listen(laddr ma.Multiaddr) (transport.Listener, error) {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	if !laddr.Equal(t.p.addr) {
		return nil, fmt.Errorf("listen on %s: peer %s has the address %s", laddr, t.p.Name, t.p.addr)
	}
	if t.p.listener != nil && !t.p.listener.closed {
		return nil, fmt.Errorf("listen on %s: %w", laddr, syscall.EADDRINUSE)
	}
	l := &listener{w: t.w, p: t.p, backlog: make(chan *end, 256)}
	t.p.listener = l
	return t.upgrader.UpgradeGatedMaListener(t, t.upgrader.GateMaListener(l)), nil
}

// Protocols implements transport.Transport.
func (t *wire) Protocols() []int { return []int{ma.P_TCP} }

// Proxy implements transport.Transport.
func (t *wire) Proxy() bool { return false }

// listener implements manet.Listener.
type listener struct {
	w       *World
	p       *Peer
	backlog chan *end // closed with the listener
	closed  bool
}

// Accept implements manet.Listener.
func (l *listener) Accept() (manet.Conn, error) {
	e, ok := <-l.backlog
	if !ok {
		return nil, net.ErrClosed
	}
	return e, nil
}

// Close implements manet.Listener.
func (l *listener) Close() error {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	close(l.backlog)
	for e := range l.backlog {
		e.close()
	}
	return nil
}

// Addr implements manet.Listener.
func (l *listener) Addr() net.Addr { return &net.TCPAddr{IP: l.p.ip, Port: port} }

// Multiaddr implements manet.Listener.
func (l *listener) Multiaddr() ma.Multiaddr { return l.p.addr }
