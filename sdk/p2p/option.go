package p2p

import (
	"context"
	"fmt"
	"strings"

	"github.com/raygo/raygo/node"
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
// commands: unix:///path of a peer's socket. This build serves one machine: a
// libp2p multiaddr is refused.
func Connect(addr string, _ Config) raygo.InitOption {
	return raygo.WithDialer(func(context.Context) (string, func() error, error) {
		if path, ok := strings.CutPrefix(addr, "unix://"); ok && strings.HasPrefix(path, "/") {
			return path, nil, nil
		}
		if strings.HasPrefix(addr, "/") {
			return "", nil, fmt.Errorf("connect to %s: raygo %s serves one machine and dials no other; give unix:///path of a peer's socket", addr, node.Version)
		}
		return "", nil, fmt.Errorf("connect to %q: want unix:///path of a peer's socket", addr)
	})
}
