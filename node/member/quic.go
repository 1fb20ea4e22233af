package member

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"
)

// QUIC is the option of a libp2p host that adds the QUIC transport, in the place
// of libp2p.Transport(quic.NewTransport).
func (m *Membership) QUIC() libp2p.Option {
	return libp2p.Transport(func(key crypto.PrivKey, reuse *quicreuse.ConnManager, gate connmgr.ConnectionGater, rcmgr network.ResourceManager) (*quicTransport, error) {
		t := &quicTransport{m: m, reuse: reuse, listeners: map[*quicListener]struct{}{}}
		t.make = func() (transport.Transport, error) {
			cert := m.Certificate()
			tmpl, err := template(pkix.Extension{Id: certificateOID, Value: cert.Bytes()}, cert.NotBefore, cert.NotAfter)
			if err != nil {
				return nil, err
			}
			return libp2pquic.NewTransport(key, reuse, nil, gate, rcmgr, libp2pquic.WithTLSIdentityOption(libp2ptls.WithCertTemplate(tmpl)))
		}
		var err error
		if t.inner, err = t.make(); err != nil {
			return nil, err
		}
		m.mu.Lock()
		m.renewed[t] = struct{}{}
		m.mu.Unlock()
		return t, nil
	})
}

// quicTransport is libp2p's QUIC transport for members. libp2p makes the TLS
// certificate of a transport once, so that a new certificate of membership
// means a new transport inside, which then listens in the place of the old one;
// connections are not touched by that.
type quicTransport struct {
	m     *Membership
	reuse *quicreuse.ConnManager
	make  func() (transport.Transport, error)

	mu        sync.Mutex
	inner     transport.Transport
	listeners map[*quicListener]struct{}
}

var _ transport.Transport = (*quicTransport)(nil)

func (t *quicTransport) current() transport.Transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.inner
}

// Dial connects to a member.
func (t *quicTransport) Dial(ctx context.Context, addr ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	c, err := t.current().Dial(ctx, addr, p)
	if err != nil {
		return nil, err
	}
	leaf, ok := quicLeaf(c)
	if !ok {
		err = ErrNoCertificate
	} else {
		err = t.m.checkLeaf(p, leaf)
	}
	if err != nil {
		_ = c.CloseWithError(network.ConnGated)
		return nil, fmt.Errorf("peer %s: %w", p, err)
	}
	return c, nil
}

// CanDial is the inner transport's.
func (t *quicTransport) CanDial(addr ma.Multiaddr) bool { return t.current().CanDial(addr) }

// Protocols is the inner transport's.
func (t *quicTransport) Protocols() []int { return t.current().Protocols() }

// Proxy is false.
func (t *quicTransport) Proxy() bool { return false }

// ListenOrder is that of libp2p's QUIC transport, to which TCP's is compared.
func (t *quicTransport) ListenOrder() int { return libp2pquic.ListenOrder }

func (t *quicTransport) String() string { return "QUIC" }

// Close ends the interest in new certificates; connections and listeners are
// closed by the host.
func (t *quicTransport) Close() error {
	t.m.mu.Lock()
	delete(t.m.renewed, t)
	t.m.mu.Unlock()
	return nil
}

// Listen accepts members.
func (t *quicTransport) Listen(addr ma.Multiaddr) (transport.Listener, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := &quicListener{t: t, addr: addr, joins: newJoins(t.m)}
	if err := l.listen(t.inner); err != nil {
		return nil, err
	}
	l.addr, l.local = l.inner.Multiaddr(), l.inner.Addr() // with the port, if it was 0
	t.listeners[l] = struct{}{}
	return l, nil
}

// renew puts a transport with the membership's present certificate in the place
// of the one inside.
func (t *quicTransport) renew() error {
	next, err := t.make()
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inner = next
	for _, l := range slices.Collect(maps.Keys(t.listeners)) {
		err = errors.Join(err, l.replace(next))
	}
	return err
}

// holdALPN is what the holder of a socket listens for; no handshake with it
// succeeds.
const holdALPN = "raygo-hold"

// relistenFor bounds how long a socket is asked for that libp2p has yet to let
// go of: it does within half a minute.
const relistenFor = time.Minute

// quicListener accepts members on one address. Newcomers are answered here and
// go no further.
type quicListener struct {
	t     *quicTransport
	addr  ma.Multiaddr
	local net.Addr
	joins *joins

	mu     sync.Mutex
	inner  transport.Listener
	holder quicreuse.Listener // keeps the socket, with its connections, while inner is replaced
	closed bool
}

// listen begins to listen; mu is held, or nobody else has the listener yet.
func (l *quicListener) listen(with transport.Transport) error {
	in, err := with.Listen(l.addr)
	if err != nil {
		return err
	}
	refuse := &tls.Config{NextProtos: []string{holdALPN}, MinVersion: tls.VersionTLS13, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return nil, ErrNoCertificate
	}}
	l.holder, err = l.t.reuse.ListenQUIC(in.Multiaddr(), refuse, func(*quic.Conn, uint64) bool { return false })
	if err != nil {
		return errors.Join(err, in.Close())
	}
	l.inner = in
	return nil
}

// replace listens with another transport on the same address. Two cannot listen
// at once, so the old one goes first; a handshake between the two is refused and
// tried again by whoever dialled.
func (l *quicListener) replace(next transport.Transport) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	if l.inner == nil {
		return nil // relisten will take the next one
	}
	err := l.inner.Close() // once: libp2p panics at the second
	l.inner = nil
	in, e := next.Listen(l.addr)
	if e != nil {
		return errors.Join(err, e) // Accept begins anew
	}
	l.inner = in
	return err
}

// relisten begins anew after libp2p has given up the socket, as it does when a
// handshake ends at the very moment of a replacement.
func (l *quicListener) relisten() error {
	var err error
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for end := time.Now().Add(relistenFor); time.Now().Before(end); {
		with := l.t.current()
		l.mu.Lock()
		if l.closed {
			l.mu.Unlock()
			return transport.ErrListenerClosed
		}
		e := l.listen(with)
		l.mu.Unlock()
		if e == nil {
			return nil
		}
		err = e
		select {
		case <-tick.C:
		case <-l.joins.ctx.Done():
			return transport.ErrListenerClosed
		}
	}
	return err
}

func (l *quicListener) current() (in transport.Listener, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inner, l.closed
}

// broken gives up a socket on which nothing more is accepted, unless what was
// listened with has been replaced since.
func (l *quicListener) broken(in transport.Listener) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed && l.inner == in {
		_ = l.closeBoth()
	}
}

// Accept waits for the next member.
func (l *quicListener) Accept() (transport.CapableConn, error) {
	for {
		in, closed := l.current()
		if closed {
			return nil, transport.ErrListenerClosed
		}
		if in == nil {
			if err := l.relisten(); err != nil {
				return nil, err
			}
			continue
		}
		c, err := in.Accept()
		if err != nil {
			l.broken(in)
			continue
		}
		leaf, ok := quicLeaf(c)
		switch {
		case ok && l.t.m.checkLeaf(c.RemotePeer(), leaf) == nil:
			return c, nil
		case ok:
			l.joins.conn(c, leaf)
		default:
			_ = c.CloseWithError(network.ConnGated)
		}
	}
}

// Close stops accepting, and waits for newcomers that are being answered.
func (l *quicListener) Close() error {
	l.t.mu.Lock()
	delete(l.t.listeners, l)
	l.t.mu.Unlock()
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	err := l.closeBoth()
	l.mu.Unlock()
	l.joins.close()
	return err
}

// closeBoth gives up the socket, if it is not given up; mu is held.
func (l *quicListener) closeBoth() (err error) {
	if l.inner != nil {
		err = l.inner.Close()
		l.inner = nil
	}
	return errors.Join(err, l.holder.Close())
}

// Addr is the address listened on.
func (l *quicListener) Addr() net.Addr { return l.local }

// Multiaddr is the address listened on.
func (l *quicListener) Multiaddr() ma.Multiaddr { return l.addr }

// quicLeaf is the TLS certificate that the other end of a QUIC connection
// showed.
func quicLeaf(c interface{ As(any) bool }) (*x509.Certificate, bool) {
	var q *quic.Conn
	if !c.As(&q) {
		return nil, false
	}
	certs := q.ConnectionState().TLS.PeerCertificates
	if len(certs) != 1 {
		return nil, false
	}
	return certs[0], true
}
