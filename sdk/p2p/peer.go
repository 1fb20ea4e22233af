package p2p

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/raygo/raygo/node"
)

// Peer is a peer that runs inside this process.
type Peer struct {
	ready node.Ready
	stop  context.CancelFunc
	done  chan struct{} // closed when the peer has ended
	err   error         // how; read after done
	once  sync.Once
}

// Start runs a peer inside this process and returns when programs can connect
// to it. It goes on when ctx ends; Stop ends it.
func Start(ctx context.Context, cfg Config) (*Peer, error) {
	return start(ctx, cfg.node())
}

// Bridge runs a peer inside this process that offers nothing and hands the tasks
// of its programs on to the cluster of the peer at addr, a multiaddr with
// /p2p/ID. It returns when that cluster has been found.
func Bridge(ctx context.Context, addr string, cfg Config) (*Peer, error) {
	c := cfg.node()
	c.Client = true
	c.Bootstrap = append([]string{addr}, c.Bootstrap...)
	p, err := start(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w%s", addr, err, advice(c, err))
	}
	return p, nil
}

// advice is what to check when a bridge finds no peer.
func advice(c node.Config, err error) string {
	switch {
	case errors.Is(err, node.ErrConfig), errors.Is(err, context.Canceled):
		return ""
	case c.InCluster():
		return "; check that the peer runs, that this machine reaches its address, and that both are members of one cluster"
	}
	return "; check that the peer runs and that this machine reaches its address; a peer on another machine also wants membership of its cluster: its key (--cluster-key, $RAYGO_CLUSTER_KEY, ClusterKeyFile) or an invite (--join, $RAYGO_JOIN, Join)"
}

func start(ctx context.Context, c node.Config) (*Peer, error) {
	n, err := node.New(c)
	if err != nil {
		return nil, fmt.Errorf("start a peer inside this process: %w", err)
	}
	own, stop := context.WithCancel(context.WithoutCancel(ctx))
	p := &Peer{stop: stop, done: make(chan struct{})}
	ready := make(chan node.Ready, 1)
	go func() { // ends with the peer; Stop waits for it
		defer close(p.done)
		p.err = n.Run(own, func(r node.Ready) { ready <- r })
	}()
	select {
	case p.ready = <-ready:
		return p, nil
	case <-p.done:
		stop()
		return nil, fmt.Errorf("start a peer inside this process: %w", errors.Join(p.err, errNotServed(p.err)))
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), p.Stop())
	}
}

func errNotServed(err error) error {
	if err != nil {
		return nil
	}
	return errors.New("it ended before it served")
}

// Address is where programs connect to the peer.
func (p *Peer) Address() string { return "unix://" + p.ready.Socket }

// ID is the peer's libp2p peer ID.
func (p *Peer) ID() string { return p.ready.ID }

// Addrs are the multiaddrs that other peers reach it at.
func (p *Peer) Addrs() []string { return slices.Clone(p.ready.Addrs) }

// Done is closed when the peer has ended, by Stop or by itself.
func (p *Peer) Done() <-chan struct{} { return p.done }

// Stop ends the peer and its workers and returns when they are gone.
func (p *Peer) Stop() error {
	p.once.Do(p.stop)
	<-p.done
	return p.err
}
