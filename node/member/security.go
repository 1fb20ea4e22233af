package member

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"

	"github.com/raygo/raygo/internal/nowait"
)

// Protocol is the security protocol of members on TCP: TLS 1.3 as libp2p has
// it, with certificates of membership. That it is not libp2p's own keeps other
// libp2p programs out before the handshake begins.
const Protocol protocol.ID = "/raygo-tls/1.0.0"

// libp2pALPN is what libp2p negotiates in TLS when no muxer is chosen there.
const libp2pALPN = "libp2p"

// Security are the options of a libp2p host on TCP: connections of members, and
// newcomers' handshakes. Give the host Gater too.
func (m *Membership) Security() libp2p.Option {
	return libp2p.ChainOptions(
		libp2p.Security(string(Protocol), func(_ protocol.ID, muxers []upgrader.StreamMuxer) *security {
			s := &security{m: m}
			for _, x := range muxers {
				s.muxers = append(s.muxers, string(x.ID))
			}
			return s
		}),
		libp2p.Security(string(JoinProtocol), func(protocol.ID) *joinSecurity { return &joinSecurity{m: m} }),
	)
}

// security is the security transport of members.
type security struct {
	m      *Membership
	muxers []string
}

var _ sec.SecureTransport = (*security)(nil)

// ID is the protocol.
func (s *security) ID() protocol.ID { return Protocol }

// SecureInbound is the handshake as the one that was dialled.
func (s *security) SecureInbound(ctx context.Context, insecure net.Conn, p peer.ID) (sec.SecureConn, error) {
	conf, keys := s.m.current().ConfigForPeer(p)
	v := chain(conf, keys, s.m.checkLeaf)
	conf.NextProtos = append(slices.Clone(s.muxers), conf.NextProtos...)
	conf.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		// TLS would take the first of ours; libp2p takes the dialler's first.
		for _, proto := range hello.SupportedProtos {
			if slices.Contains(s.muxers, proto) {
				own := conf.Clone()
				own.NextProtos = []string{proto}
				return own, nil
			}
		}
		return conf, nil
	}
	out := &gather{Conn: nowait.New(insecure)}
	return s.handshake(ctx, out, tls.Server(out, conf), v)
}

// SecureOutbound is the handshake as the one that dials. As in libp2p it may
// succeed though the other end refuses us: that shows at the first read.
func (s *security) SecureOutbound(ctx context.Context, insecure net.Conn, p peer.ID) (sec.SecureConn, error) {
	conf, keys := s.m.current().ConfigForPeer(p)
	v := chain(conf, keys, s.m.checkLeaf)
	conf.NextProtos = append(slices.Clone(s.muxers), conf.NextProtos...)
	out := &gather{Conn: nowait.New(insecure)}
	return s.handshake(ctx, out, tls.Client(out, conf), v)
}

func (s *security) handshake(ctx context.Context, insecure *gather, c *tls.Conn, v *verified) (sec.SecureConn, error) {
	if err := c.HandshakeContext(ctx); err != nil {
		_ = insecure.Close()
		return nil, err
	}
	if v.key == nil {
		_ = insecure.Close()
		return nil, errors.New("the handshake ended without a certificate")
	}
	muxer := c.ConnectionState().NegotiatedProtocol
	if muxer == libp2pALPN {
		muxer = ""
	}
	return &secured{Conn: c, out: insecure, local: s.m.self, verified: *v, state: network.ConnectionState{
		StreamMultiplexer: protocol.ID(muxer), UsedEarlyMuxerNegotiation: muxer != "",
	}}, nil
}

// secured is a connection after the handshake.
type secured struct {
	*tls.Conn
	out   *gather
	local peer.ID
	verified
	state network.ConnectionState
}

// Write is TLS's, but the records of a large write leave together.
func (c *secured) Write(b []byte) (int, error) {
	if len(b) <= maxRecord {
		return c.Conn.Write(b)
	}
	c.out.hold()
	n, err := c.Conn.Write(b)
	if sent := c.out.send(); sent != nil && err == nil {
		return 0, sent
	}
	return n, err
}

// LocalPeer is this peer.
func (c *secured) LocalPeer() peer.ID { return c.local }

// RemotePeer is the member at the other end.
func (c *secured) RemotePeer() peer.ID { return c.peer }

// RemotePublicKey is that member's key.
func (c *secured) RemotePublicKey() crypto.PubKey { return c.key }

// ConnState says which muxer the handshake chose.
func (c *secured) ConnState() network.ConnectionState { return c.state }
