package ask

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/raygo/raygo/sdk/ipc"
)

// Variable names the address of the peer in the environment.
const Variable = "RAYGO_ADDRESS"

// ErrNoPeer is wrapped when no peer answers.
var ErrNoPeer = errors.New("no peer answers")

// ErrAddress is wrapped by errors about an address that cannot be used.
var ErrAddress = errors.New("bad address")

// Socket is the path of the socket that an address means: the one given, else
// $RAYGO_ADDRESS, else the default socket. explicit is false for the last.
func Socket(address string) (path string, explicit bool, err error) {
	if address == "" {
		address = os.Getenv(Variable)
	}
	if address == "" {
		path = ipc.DefaultSocket()
		if err := ipc.CheckSocketDir(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", false, fmt.Errorf("the default socket is not to be trusted: %w", err)
		}
		return path, false, nil
	}
	path, isURL := strings.CutPrefix(address, "unix://")
	switch {
	case isURL && filepath.IsAbs(path), !isURL && filepath.IsAbs(path) && !isMultiaddr(path):
		return path, true, nil
	case isMultiaddr(address):
		return "", true, fmt.Errorf("%w %s: a peer elsewhere is reached through a bridge", ErrAddress, address)
	}
	return "", true, fmt.Errorf("%w %q: write unix:///PATH, the socket that raygo-peer printed, or its multiaddr", ErrAddress, address)
}

// Elsewhere is the multiaddr that an address, or $RAYGO_ADDRESS in place of none,
// is; "" if it is none.
func Elsewhere(address string) string {
	if address == "" {
		address = os.Getenv(Variable)
	}
	if isMultiaddr(address) {
		return address
	}
	return ""
}

func isMultiaddr(s string) bool {
	for _, p := range []string{"/ip4/", "/ip6/", "/dns/", "/dns4/", "/dns6/", "/dnsaddr/", "/p2p/"} {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// handshakeLimit bounds how long a peer may take to say who it is.
const handshakeLimit = 10 * time.Second

// Dial connects to the peer at an address as Socket reads it.
func Dial(ctx context.Context, address string) (*Client, error) {
	path, _, err := Socket(address)
	if err != nil {
		return nil, err
	}
	if err := ipc.CheckSocketPath(path); err != nil {
		return nil, fmt.Errorf("%w at unix://%s: %w", ErrNoPeer, path, err)
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeLimit)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("%w at unix://%s: %w", ErrNoPeer, path, rootCause(err))
	}
	conn := ipc.NewConn(c.(*net.UnixConn), 0)
	w, _, err := conn.Handshake(ctx, &ipc.Hello{Role: ipc.RoleCommand, PID: os.Getpid(), Program: "raygo"})
	if err != nil {
		_ = conn.Close()
		return nil, handshakeError(path, err)
	}
	return &Client{conn: conn, Peer: w.Peer, Socket: path}, nil
}
