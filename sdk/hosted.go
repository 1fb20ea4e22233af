package raygo

import (
	"context"
	"sync"

	"github.com/raygo/raygo/sdk/ipc"
)

// hosted is what a worker has that is no process of its own.
type hosted struct {
	once sync.Once
	over chan struct{}
}

func (h *hosted) end() { h.once.Do(func() { close(h.over) }) }

// ServeOn serves tasks of this program inside this process, as a worker of the
// peer at the other end of conn, until that ends it or ctx ends. Nothing
// separates such a worker from its host: package simnet uses it to run a
// program's own functions on simulated machines.
func ServeOn(ctx context.Context, conn *ipc.Conn) error {
	s, err := attach(ctx, conn, ipc.RoleWorker, config{inside: true})
	if err != nil {
		return err
	}
	w := s.worker
	w.hosted = &hosted{over: make(chan struct{})}
	s.routines.Go(w.execute)
	select {
	case <-w.hosted.over:
	case <-ctx.Done():
	}
	return s.Close()
}

// WithConn attaches over a connection inside this process that the caller made,
// in place of dialing. Refs that are dropped without Release are held until the
// session's end: the garbage collector has no part in a simulation.
func WithConn(dial func(ctx context.Context) (*ipc.Conn, error)) InitOption {
	return func(c *config) error { c.conn, c.inside = dial, true; return nil }
}
