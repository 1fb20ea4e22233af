package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	"github.com/raygo/raygo/cmd/raygo/internal/fleet"
	"github.com/raygo/raygo/node/procs"
	"github.com/raygo/raygo/sdk/p2p"
)

// hosted is a peer for a program that raygo starts: one that serves already, or
// one of our own.
type hosted struct {
	address string
	own     *p2p.Peer    // nil when another serves
	adapt   func()       // ends what governs this process for it
	fleet   *fleet.Fleet // several of our own, in its place
}

// hostPeer finds a peer as servingPeers does; where none answers it starts one
// in this process.
func hostPeer(ctx context.Context, at *place, notes io.Writer) (*hosted, error) {
	h, err := servingPeers(ctx, at, notes)
	if h != nil || err != nil {
		return h, err
	}
	p, err := p2p.Start(ctx, p2p.Config{})
	if err != nil {
		return nil, err
	}
	return ownPeer(p), nil
}

// ownPeer is a peer of this process, which does little else from now on.
func ownPeer(p *p2p.Peer) *hosted {
	ctx, stop := context.WithCancel(context.Background())
	var adapting sync.WaitGroup
	adapting.Go(func() { procs.Adapt(ctx) })
	return &hosted{address: p.Address(), own: p, adapt: func() { stop(); adapting.Wait() }}
}

// servingPeers finds a peer at an address, as ask.Socket reads it, through a bridge
// if it is elsewhere; nil when none answers at the default socket. An address
// that was given on purpose must answer.
func servingPeers(ctx context.Context, at *place, notes io.Writer) (*hosted, error) {
	if addr := ask.Elsewhere(at.address); addr != "" {
		b, err := at.bridge(ctx, addr)
		if err != nil {
			return nil, err
		}
		return ownPeer(b), nil
	}
	_, explicit, err := ask.Socket(at.address)
	if err != nil && explicit {
		return nil, err
	}
	c, err := ask.Dial(ctx, at.address)
	if err == nil {
		defer c.Close()
		return &hosted{address: "unix://" + c.Socket}, nil
	}
	if explicit || ctx.Err() != nil {
		return nil, err
	}
	if !errors.Is(err, ask.ErrNoPeer) {
		fmt.Fprintf(notes, "raygo: the default socket is of no use (%s); hosting a peer of our own\n", err)
	}
	return nil, nil
}

// stop ends peers of our own.
func (h *hosted) stop() error {
	if h.fleet != nil {
		return h.fleet.Stop()
	}
	if h.own == nil {
		return nil
	}
	h.adapt()
	if err := h.own.Stop(); err != nil {
		return fmt.Errorf("stop the private peer: %w", err)
	}
	return nil
}
