package p2p

import (
	"context"
	"fmt"
	"strings"

	raygo "github.com/raygo/raygo/sdk"
)

// Embedded has the program carry its own peer: it starts with the session and
// ends with it. In a worker of the program it does nothing.
func Embedded(cfg Config) raygo.InitOption {
	return raygo.WithDialer(func(ctx context.Context) (string, func() error, error) {
		p, err := Start(ctx, cfg)
		if err != nil {
			return "", nil, err
		}
		return p.ready.Socket, p.Stop, nil
	})
}

// Connect attaches to the peer at addr without the help of the installed
// commands: unix:///path of a peer's socket, or a libp2p multiaddr with /p2p/ID.
// For the latter the program carries a Bridge.
func Connect(addr string, cfg Config) raygo.InitOption {
	return raygo.WithDialer(func(ctx context.Context) (string, func() error, error) {
		if path, ok := strings.CutPrefix(addr, "unix://"); ok && strings.HasPrefix(path, "/") {
			return path, nil, nil
		}
		if strings.HasPrefix(addr, "/") {
			p, err := Bridge(ctx, addr, cfg)
			if err != nil {
				return "", nil, err
			}
			return p.ready.Socket, p.Stop, nil
		}
		return "", nil, fmt.Errorf("connect to %q: want unix:///path of a peer's socket, or a multiaddr as /ip4/10.0.0.1/tcp/4001/p2p/ID", addr)
	})
}
