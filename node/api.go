package node

import (
	"context"
	"errors"
)

// ErrInUse is wrapped when another peer serves the socket or the data
// directory.
var ErrInUse = errors.New("in use by another peer")

// ErrConfig is wrapped by errors about the configuration.
var ErrConfig = errors.New("bad configuration")

// Node is a peer.
type Node struct{ cfg Config }

// New validates cfg and prepares a peer; Run starts it.
func New(cfg Config) (*Node, error) { return &Node{cfg: cfg}, nil }

// Run serves until ctx ends and everything the peer started has. ready is
// called once, when programs can connect.
func (n *Node) Run(ctx context.Context, ready func(Ready)) error {
	<-ctx.Done()
	return nil
}

// Drain stops new tasks and waits for the running ones, at most
// Config.DrainTimeout. The second call is the same as the first.
func (n *Node) Drain(ctx context.Context) error { return nil }
