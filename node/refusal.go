package node

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/raygo/raygo/gossip"
)

// How it is found out whether anything listens where a peer was.
const (
	knockFirst = 100 * time.Millisecond // a peer that only lost its link dials too: it goes first
	knockEvery = 200 * time.Millisecond
	knockFor   = 2 * time.Second // it has been judged by then
	maxKnocks  = 64              // at once: who loses more links has lost its own network
	tryWithin  = time.Second     // of the link: many come up at once
	tryFor     = time.Second
	maxTries   = 8 // at once
)

// absence is the time between the end of a link and the next one to that peer.
type absence struct {
	cancel context.CancelFunc
	mu     sync.Mutex // held while the core is told, so that nothing is told of an absence that is over
	over   bool
}

func (a *absence) end() {
	a.mu.Lock()
	a.over = true
	a.mu.Unlock()
	a.cancel()
}

// doors are the TCP addresses that a peer signed and that are of the machine at
// the other end of a connection with it: those at which it surely listens, since
// this peer dialled it there, and others. A refusal elsewhere proves nothing:
// behind a router, the address that a peer has may be that of somebody else here.
func (m *mesh) doors(id string, addrs []string) (sure, others []ma.Multiaddr) {
	p, err := peer.Decode(id)
	if err != nil {
		return nil, nil
	}
	for _, c := range m.host.Network().ConnsToPeer(p) {
		far := c.RemoteMultiaddr()
		if _, err := far.ValueForProtocol(ma.P_CIRCUIT); err == nil || len(far) == 0 {
			continue // what is at the other end is a relay
		}
		for _, s := range addrs[:min(len(addrs), maxAddrs)] {
			info, err := peerOf(s)
			if err != nil || len(info.Addrs) == 0 {
				continue
			}
			door := info.Addrs[0]
			if _, err := door.ValueForProtocol(ma.P_TCP); err != nil || len(door) != 2 || !door[0].Equal(&far[0]) {
				continue
			}
			if c.Stat().Direction == network.DirOutbound && door.Equal(far) {
				sure = append(sure, door)
			} else {
				others = append(others, door)
			}
		}
	}
	return sure, others
}

// tryDoors finds out at which of these addresses a linked peer listens, as far as
// this peer can see: a router refuses connections for peers behind it that live.
// It is one TCP connection without a handshake, for links that the other end made.
func (w *whoIsThere) tryDoors(l *linkedPeer, doors []ma.Multiaddr) {
	ctx := w.m.n.ctx
	select {
	case <-ctx.Done():
		return
	case <-time.After(rand.N(tryWithin)):
	}
	select {
	case <-ctx.Done():
		return
	case w.tries <- struct{}{}:
	}
	defer func() { <-w.tries }()
	for _, door := range doors {
		tryCtx, cancel := context.WithTimeout(ctx, tryFor)
		c, err := (&manet.Dialer{}).DialContext(tryCtx, door)
		cancel()
		if err != nil {
			continue
		}
		_ = c.Close()
		w.mu.Lock()
		l.doors = append(l.doors, door)
		w.mu.Unlock()
	}
}

// knock finds out whether anything listens still where a peer was whose link has
// ended. If nothing does, its process is gone, and the detector need not wait.
func (w *whoIsThere) knock(ctx context.Context, id string, a *absence, doors []ma.Multiaddr) {
	defer func() { <-w.knocks }()
	p, err := peer.Decode(id)
	if err != nil {
		return
	}
	timer := time.NewTimer(knockFirst)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			timer.Reset(knockEvery)
		}
		w.m.host.ClearBackoff(p)
		_, err := w.m.host.Network().DialPeer(network.WithForceDirectDial(ctx, "is anything there"), p)
		switch {
		case err == nil:
			return
		case !allRefuse(err, doors):
			continue
		}
		a.mu.Lock()
		if !a.over {
			w.tell(&gossip.LinkDown{Peer: id, Refused: true})
		}
		a.mu.Unlock()
		return
	}
}

// allRefuse reports whether a dial failed because the machine refused connections
// at these addresses: at those of them that were dialled, and at one at least. No
// answer in time is no refusal.
func allRefuse(err error, doors []ma.Multiaddr) bool {
	var failed *swarm.DialError
	if !errors.As(err, &failed) || failed.Skipped > 0 {
		return false
	}
	refused := false
	for _, e := range failed.DialErrors {
		switch {
		case !slices.ContainsFunc(doors, e.Address.Equal):
		case !errors.Is(e.Cause, syscall.ECONNREFUSED):
			return false
		default:
			refused = true
		}
	}
	return refused
}
