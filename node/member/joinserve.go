package member

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/core/transport"
)

// maxJoins bounds newcomers that a peer answers at once; one more is
// disconnected and may try again.
const maxJoins = 16

var (
	errNoJoin  = errors.New("this peer does not admit newcomers: it does not hold the cluster's key")
	errBusy    = errors.New("too many newcomers at once")
	errServed  = errors.New("a newcomer was answered, the connection ends here")
	errNotDial = errors.New("this protocol is for newcomers: members do not dial with it")
)

// inviter is who decides about newcomers, if this peer does.
func (m *Membership) inviter() (*Inviter, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.admits == nil {
		return nil, errNoJoin
	}
	return m.admits, nil
}

// newcomer finds the proof in a newcomer's TLS certificate and checks that it
// is one at all: whoever has none learns nothing.
func (m *Membership) newcomer(p peer.ID, leaf *x509.Certificate) (joinProof, error) {
	i, err := m.inviter()
	if err != nil {
		return joinProof{}, err
	}
	b, ok := extension(leaf, joinOID)
	if !ok {
		return joinProof{}, ErrNoCertificate
	}
	proof, err := parseJoinProof(b)
	if err != nil {
		return joinProof{}, err
	}
	return proof, i.proves(proof, p)
}

// answer is the exchange with a newcomer who has shown a proof.
func (m *Membership) answer(rw io.ReadWriter, p peer.ID, proof joinProof) error {
	i, err := m.inviter()
	if err != nil {
		return err
	}
	var q joinRequest
	if err := readFrame(rw, maxJoinFrame, &q); err != nil {
		return fmt.Errorf("read a newcomer's request: %w", err)
	}
	cert, err := i.admit(proof, p)
	if err != nil {
		return errors.Join(err, writeFrame(rw, refuse(err)))
	}
	return writeFrame(rw, joinAnswer{Version: joinVersion, Certificate: cert.Bytes()})
}

// joinSecurity is the security transport for newcomers. Its handshake never
// gives a connection.
type joinSecurity struct{ m *Membership }

var _ sec.SecureTransport = (*joinSecurity)(nil)

// ID is the protocol.
func (s *joinSecurity) ID() protocol.ID { return JoinProtocol }

// SecureOutbound fails: members do not dial as newcomers.
func (s *joinSecurity) SecureOutbound(_ context.Context, insecure net.Conn, _ peer.ID) (sec.SecureConn, error) {
	_ = insecure.Close()
	return nil, errNotDial
}

// SecureInbound answers a newcomer and ends the connection.
func (s *joinSecurity) SecureInbound(ctx context.Context, insecure net.Conn, _ peer.ID) (sec.SecureConn, error) {
	defer insecure.Close()
	if _, err := s.m.inviter(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, joinWait)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = insecure.Close() })
	defer stop()
	conf, keys := s.m.current().ConfigForPeer("")
	var proof joinProof
	v := chain(conf, keys, func(p peer.ID, leaf *x509.Certificate) (err error) {
		proof, err = s.m.newcomer(p, leaf)
		return err
	})
	c := tls.Server(insecure, conf)
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	select { // after the handshake, so that strangers do not hold places
	case s.m.joining <- struct{}{}:
		defer func() { <-s.m.joining }()
	default:
		return nil, errBusy
	}
	if v.key == nil {
		return nil, ErrNoCertificate
	}
	if err := s.m.answer(c, v.peer, proof); err != nil {
		return nil, err
	}
	// The newcomer closes when it has read the answer.
	_ = c.CloseWrite()
	_, _ = io.Copy(io.Discard, io.LimitReader(c, maxJoinFrame))
	return nil, errServed
}

// joins answers the newcomers of a QUIC listener, in goroutines that it owns.
type joins struct {
	m    *Membership
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup
}

func newJoins(m *Membership) *joins {
	j := &joins{m: m}
	j.ctx, j.stop = context.WithCancel(context.Background())
	return j
}

// conn answers a newcomer, or disconnects who is none.
func (j *joins) conn(c transport.CapableConn, leaf *x509.Certificate) {
	proof, err := j.m.newcomer(c.RemotePeer(), leaf)
	if err == nil {
		select {
		case j.m.joining <- struct{}{}:
		default:
			err = errBusy
		}
	}
	if err != nil {
		_ = c.CloseWithError(network.ConnGated)
		return
	}
	j.wg.Go(func() {
		defer func() { <-j.m.joining }()
		j.serve(c, proof)
	})
}

func (j *joins) serve(c transport.CapableConn, proof joinProof) {
	ctx, cancel := context.WithTimeout(j.ctx, joinWait)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	defer c.Close()
	s, err := c.AcceptStream()
	if err != nil {
		return
	}
	_ = s.SetDeadline(time.Now().Add(joinWait))
	_ = j.m.answer(s, c.RemotePeer(), proof) // the inviter has logged what matters
	_ = s.CloseWrite()
	_, _ = io.Copy(io.Discard, io.LimitReader(s, maxJoinFrame))
	// The newcomer ends the connection when it has read the answer; ending it
	// here could overtake the answer.
	_, _ = c.AcceptStream()
}

// close ends what is under way and waits for it.
func (j *joins) close() {
	j.stop()
	j.wg.Wait()
}
