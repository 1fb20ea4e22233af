package member

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Protocols between members. Each is one request and one answer on a stream.
const (
	// RenewProtocol is spoken by members that hold the cluster's key: they
	// issue a new certificate to whoever asks, in the role it has.
	RenewProtocol protocol.ID = "/raygo/renew/1"
	// SyncProtocol is spoken by all: which deny list is in force, and the
	// asker's present certificate.
	SyncProtocol protocol.ID = "/raygo/member/1"
)

// renewRequest asks for a certificate; who asks, the connection says.
type renewRequest struct {
	Version uint16 `cbor:"1,keyasint"`
}

type renewAnswer struct {
	Certificate []byte `cbor:"1,keyasint,omitempty"`
	Error       string `cbor:"2,keyasint,omitempty"`
}

// syncRequest says what the asker has.
type syncRequest struct {
	Certificate []byte `cbor:"1,keyasint"`           // the asker's
	Epoch       uint64 `cbor:"2,keyasint"`           // of its deny list
	Tag         []byte `cbor:"3,keyasint,omitempty"` // of its deny list's signature
	List        []byte `cbor:"4,keyasint,omitempty"` // its deny list, if the other end is known to lack it
}

// syncAnswer has the other end's deny list if the asker seems to lack it.
type syncAnswer struct {
	Epoch uint64 `cbor:"1,keyasint"`
	Tag   []byte `cbor:"2,keyasint,omitempty"`
	List  []byte `cbor:"3,keyasint,omitempty"`
}

// tagLen tells two lists of one epoch apart.
const tagLen = 8

func (d DenyList) tag() []byte { return d.Sig[:min(len(d.Sig), tagLen)] }

// lacks reports whether who has a list of this epoch and tag may lack d.
func (d DenyList) lacks(epoch uint64, tag []byte) bool {
	return d.Epoch > epoch || d.Epoch == epoch && !slices.Equal(d.tag(), tag)
}

// serving is the handler of one of the protocols: bounded in number and time,
// and waited for by Run.
func (k *Keeper) serving(ctx context.Context, answer func(network.Stream) error) network.StreamHandler {
	return func(s network.Stream) {
		k.waiting.Lock()
		closed := k.closed
		if !closed {
			k.served.Add(1)
		}
		k.waiting.Unlock()
		if closed {
			_ = s.Reset()
			return
		}
		defer k.served.Done()
		_, member := k.m.RoleOf(s.Conn())
		select {
		case k.busy <- struct{}{}:
			defer func() { <-k.busy }()
		default:
			member = false // it may ask again
		}
		stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
		defer stop()
		_ = s.SetDeadline(time.Now().Add(streamWait))
		if !member {
			_ = s.Reset()
			return
		}
		if err := answer(s); err != nil {
			k.log.Debug("answer a member", "protocol", s.Protocol(), "peer", s.Conn().RemotePeer(), "err", err)
			_ = s.Reset()
			return
		}
		_ = s.Close()
	}
}

// answerRenew issues a certificate like the one that the asker has.
func (k *Keeper) answerRenew(s network.Stream) error {
	var q renewRequest
	if err := readFrame(s, maxJoinFrame, &q); err != nil {
		return err
	}
	p := s.Conn().RemotePeer()
	role, ok := k.m.RoleOf(s.Conn())
	if !ok {
		return ErrDenied
	}
	cert, err := k.cfg.Authority.Issue(p, role, k.cfg.TTL, k.m.now())
	if err != nil {
		return errors.Join(err, writeFrame(s, renewAnswer{Error: err.Error()}))
	}
	k.log.Debug("renewed a member", "peer", p, "role", role, "until", cert.NotAfter)
	return writeFrame(s, renewAnswer{Certificate: cert.Bytes()})
}

// answerSync takes what the asker has and says what it may lack.
func (k *Keeper) answerSync(s network.Stream) error {
	var q syncRequest
	if err := readFrame(s, maxSyncFrame, &q); err != nil {
		return err
	}
	cert, err := ParseCertificate(q.Certificate)
	if err != nil {
		return err
	}
	if err := k.m.Check(s.Conn().RemotePeer(), cert); err != nil {
		return err
	}
	if len(q.List) > 0 {
		list, err := ParseDenyList(q.List)
		if err != nil {
			return err
		}
		if err := k.Take(list); err != nil {
			return err
		}
	}
	d := k.m.DenyList()
	a := syncAnswer{Epoch: d.Epoch, Tag: d.tag()}
	if d.Epoch > 0 && d.lacks(q.Epoch, q.Tag) {
		a.List = d.Bytes()
	}
	return writeFrame(s, a)
}

// syncAll syncs with those that wait for it.
func (k *Keeper) syncAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-k.queue:
			k.waiting.Lock()
			delete(k.queued, p)
			k.waiting.Unlock()
			if err := k.syncWith(ctx, p); err != nil && ctx.Err() == nil {
				k.log.Debug("sync with a member", "peer", p, "err", err)
			}
		}
	}
}

// syncWith exchanges deny lists with a peer, and shows it our certificate.
func (k *Keeper) syncWith(ctx context.Context, p peer.ID) error {
	d := k.m.DenyList()
	q := syncRequest{Certificate: k.m.Certificate().Bytes(), Epoch: d.Epoch, Tag: d.tag()}
	var a syncAnswer
	if err := k.request(ctx, p, SyncProtocol, q, maxSyncFrame, &a); err != nil {
		return err
	}
	if len(a.List) > 0 {
		list, err := ParseDenyList(a.List)
		if err != nil {
			return err
		}
		if err := k.Take(list); err != nil {
			return err
		}
	}
	if d = k.m.DenyList(); d.Epoch == 0 || !d.lacks(a.Epoch, a.Tag) {
		return nil
	}
	q.Epoch, q.Tag, q.List = d.Epoch, d.tag(), d.Bytes()
	return k.request(ctx, p, SyncProtocol, q, maxSyncFrame, &a)
}

// request is one exchange with a connected peer.
func (k *Keeper) request(ctx context.Context, p peer.ID, proto protocol.ID, q any, limit int, a any) error {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "membership"), streamWait)
	defer cancel()
	s, err := k.cfg.Host.NewStream(ctx, p, proto)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	err = writeFrame(s, q)
	if err == nil {
		err = s.CloseWrite()
	}
	if err == nil {
		err = readFrame(s, limit, a)
	}
	if err != nil {
		_ = s.Reset()
		return err
	}
	return s.Close()
}

// renewing keeps the certificate fresh: at half of its life, then again and
// again until somebody issues the next.
func (k *Keeper) renewing(ctx context.Context) {
	due := k.m.Certificate().renewAt()
	failed := 0
	for {
		if wait := due.Sub(k.m.now()); wait > 0 {
			timer := time.NewTimer(min(wait, lookEvery))
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
			continue
		}
		err := k.RenewNow(ctx)
		if ctx.Err() != nil {
			return
		}
		cert, now := k.m.Certificate(), k.m.now()
		if err == nil {
			failed, due = 0, cert.renewAt()
			if soonest := now.Add(time.Second); due.Before(soonest) {
				due = soonest
			}
			continue
		}
		failed++
		left := cert.NotAfter.Sub(now)
		// Between a second and five minutes, doubling, with jitter; what has no
		// authority connected at half life has half a life to find one.
		wait := min(time.Second<<min(failed, 9), retryLongest, max(left/10, time.Second))
		if left < 0 {
			wait = min(time.Second<<min(failed, 9), retryLongest)
		}
		wait = wait/2 + rand.N(wait/2+1)
		due = now.Round(0).Add(wait)
		k.m.count.notRenewed.Add(1)
		k.log.Warn("the certificate of membership is not renewed yet", "expires_in", left.Round(time.Second), "again_in", wait.Round(time.Millisecond), "err", err)
	}
}

// rejoin asks for a new certificate when the old one has lapsed.
func (k *Keeper) rejoin(ctx context.Context, lapsed Certificate) error {
	var addrs []string
	if k.cfg.Addrs != nil {
		addrs = k.cfg.Addrs()
	}
	if k.cfg.Store != nil {
		if j, err := k.cfg.Store.Joined(); err == nil {
			addrs = append(addrs, j.Addrs...)
		}
	}
	cert, err := Rejoin(ctx, k.m.key, k.m.pub, lapsed, addrs)
	if err != nil {
		return err
	}
	return k.takeCertificate(cert)
}

// RenewNow takes a new certificate: of its own making at a peer that holds the
// cluster's key, else from the first connected member that does, or by joining
// again if the present one has lapsed.
func (k *Keeper) RenewNow(ctx context.Context) error {
	if a := k.cfg.Authority; a != nil {
		cert, err := a.Issue(k.m.self, k.m.Role(), k.cfg.TTL, k.m.now())
		if err != nil {
			return err
		}
		return k.takeCertificate(cert)
	}
	if cert := k.m.Certificate(); !k.m.now().Before(cert.NotAfter) {
		return k.rejoin(ctx, cert)
	}
	var errs []error
	for _, p := range k.cfg.Host.Network().Peers() {
		if known, err := k.cfg.Host.Peerstore().SupportsProtocols(p, RenewProtocol); err == nil && len(known) == 0 {
			continue
		}
		var a renewAnswer
		err := k.request(ctx, p, RenewProtocol, renewRequest{Version: 1}, maxJoinFrame, &a)
		if err == nil && a.Error != "" {
			err = fmt.Errorf("it says %q", a.Error)
		}
		var cert Certificate
		if err == nil {
			cert, err = ParseCertificate(a.Certificate)
		}
		if err == nil {
			err = k.takeCertificate(cert)
		}
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("peer %s: %w", p, err))
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 0 {
		return errors.New("renew the certificate of membership: no connected member holds the cluster's key")
	}
	return fmt.Errorf("renew the certificate of membership: %w", errors.Join(errs...))
}

// takeCertificate puts a certificate in use, keeps it and shows it to others.
func (k *Keeper) takeCertificate(cert Certificate) error {
	if err := k.m.Renew(cert); err != nil {
		return err
	}
	k.log.Info("certificate of membership renewed", "role", cert.Role, "until", cert.NotAfter)
	k.enqueueAll()
	if k.cfg.Store != nil && k.cfg.Authority == nil {
		return k.cfg.Store.saveCertificate(k.m.pub, cert)
	}
	return nil
}
