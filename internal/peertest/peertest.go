// Package peertest owns peers for tests: real ones, in the test's process, with
// real worker processes of the test binary.
package peertest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
)

// endTime bounds how long a peer may take to end.
const endTime = 20 * time.Second

// Peer is a running peer of a test.
type Peer struct {
	*node.Node
	Ready  node.Ready
	t      testing.TB
	cancel context.CancelFunc
	ended  chan error
}

// Start runs a private peer until the test ends, and checks then that it gave
// everything back. A CPUs of 0 in cfg means 2; a negative one means none.
func Start(t testing.TB, cfg node.Config) *Peer {
	t.Helper()
	switch {
	case cfg.CPUs == 0:
		cfg.CPUs = 2
	case cfg.CPUs < 0:
		cfg.CPUs = 0
	}
	cfg.Private = true
	if cfg.HTTP == "" {
		cfg.HTTP = "off"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	n, err := node.New(cfg)
	if err != nil {
		t.Fatalf("new peer: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Peer{Node: n, t: t, cancel: cancel, ended: make(chan error, 1)}
	ready := make(chan node.Ready, 1)
	go func() { p.ended <- n.Run(ctx, func(r node.Ready) { ready <- r }) }()
	select {
	case p.Ready = <-ready:
	case err := <-p.ended:
		t.Fatalf("run peer: %v", err)
	}
	t.Cleanup(p.Stop)
	return p
}

// Stop ends the peer and waits for it.
func (p *Peer) Stop() {
	p.t.Helper()
	p.cancel()
	if p.ended == nil {
		return
	}
	select {
	case err := <-p.ended:
		if err != nil {
			p.t.Errorf("the peer ended with: %v", err)
		}
		p.ended = nil
	case <-time.After(endTime):
		p.t.Fatalf("the peer did not end within %s", endTime)
	}
}

// Driver attaches the test to the peer as a driver of its own job, until the
// peer's test ends.
func (p *Peer) Driver(opts ...raygo.InitOption) context.Context {
	p.t.Helper()
	return p.DriverFor(p.t, opts...)
}

// DriverFor is Driver for a subtest: the job ends with t.
func (p *Peer) DriverFor(t testing.TB, opts ...raygo.InitOption) context.Context {
	t.Helper()
	ctx, s, err := raygo.Init(context.Background(), append([]raygo.InitOption{raygo.Address("unix://" + p.Ready.Socket)}, opts...)...)
	if err != nil {
		t.Fatalf("attach to the peer: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// Run is Start and Driver in one.
func Run(t testing.TB, cfg node.Config) context.Context {
	t.Helper()
	return Start(t, cfg).Driver()
}
