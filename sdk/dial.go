package raygo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/raygo/raygo/sdk/ipc"
)

// AddressEnv names the environment variable with the address of the peer.
const AddressEnv = "RAYGO_ADDRESS"

// connect finds the peer and opens a connection: the dialer or address given,
// $RAYGO_ADDRESS, the default socket if a peer answers there, a private peer.
func connect(ctx context.Context, c *config) (*ipc.Conn, func() error, error) {
	if c.conn != nil {
		conn, err := c.conn(ctx)
		return conn, nil, err
	}
	if c.dialer != nil {
		socket, stop, err := c.dialer(ctx)
		if err != nil {
			return nil, nil, err
		}
		return dialOr(ctx, socket, stop)
	}
	address := c.address
	if address == "" {
		address = os.Getenv(AddressEnv)
	}
	if address != "" {
		return connectTo(ctx, address)
	}
	socket := ipc.DefaultSocket()
	if ipc.CheckSocketDir(socket) == nil {
		if conn, err := dialSocket(ctx, socket); err == nil {
			return conn, nil, nil
		}
	}
	socket, stop, err := startPeer(ctx, "--private")
	if err != nil {
		return nil, nil, err
	}
	return dialOr(ctx, socket, stop)
}

func connectTo(ctx context.Context, address string) (*ipc.Conn, func() error, error) {
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		conn, err := dialSocket(ctx, path)
		if err != nil {
			return nil, nil, fmt.Errorf("no peer answers at %s: %w", address, err)
		}
		return conn, nil, nil
	}
	if !strings.HasPrefix(address, "/") || !strings.Contains(address, "/p2p/") {
		return nil, nil, fmt.Errorf("address %q: want unix:///path/to/socket, or a multiaddr such as /ip4/192.0.2.1/tcp/4001/p2p/12D3…", address)
	}
	socket, stop, err := startPeer(ctx, "--private", "--bridge", address)
	if err != nil {
		return nil, nil, err
	}
	return dialOr(ctx, socket, stop)
}

func dialOr(ctx context.Context, socket string, stop func() error) (*ipc.Conn, func() error, error) {
	conn, err := dialSocket(ctx, strings.TrimPrefix(socket, "unix://"))
	if err != nil {
		if stop != nil {
			err = errors.Join(err, stop())
		}
		return nil, nil, fmt.Errorf("connect to %s: %w", socket, err)
	}
	return conn, stop, nil
}

func dialSocket(ctx context.Context, path string) (*ipc.Conn, error) {
	if err := ipc.CheckSocketPath(path); err != nil {
		return nil, err
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	return ipc.NewConn(c.(*net.UnixConn), connLimit), nil
}

// peerCommand is the program that serves as a private peer or a bridge.
const peerCommand = "raygo-peer"

// peerStart is how long a peer that we start may take to serve.
const peerStart = 30 * time.Second

// startPeer starts a peer for this process alone. It ends when its stdin does,
// and so with this process whatever happens to it.
func startPeer(ctx context.Context, args ...string) (string, func() error, error) {
	path, err := exec.LookPath(peerCommand)
	if err != nil {
		return "", nil, fmt.Errorf("no raygo peer is running, and %s is not on PATH to start one: install it with `go install github.com/raygo/raygo/cmd/raygo-peer`, start the program with `raygo run`, or carry a peer inside it: import github.com/raygo/raygo/sdk/p2p and pass p2p.Embedded(p2p.Config{})", peerCommand)
	}
	cmd := exec.Command(path, args...)
	var stderr tail
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, fmt.Errorf("start %s: %w", path, err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, fmt.Errorf("start %s: %w", path, err)
	}
	// Signals of the terminal are for the program, which ends its peer itself.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("start %s: %w", path, err)
	}
	exited := make(chan struct{})
	stop := sync.OnceValue(func() error {
		_ = stdin.Close()
		select {
		case <-exited:
		case <-time.After(4 * time.Second):
			_ = cmd.Process.Kill()
			<-exited
		}
		return nil
	})
	socket, err := readReady(ctx, stdout)
	go func() { // ends with the process, which stop sees to
		_ = cmd.Wait() // how it ended is in its log
		close(exited)
	}()
	if err != nil {
		_ = stop()
		return "", nil, fmt.Errorf("start %s %s: %w\n%s", path, strings.Join(args, " "), err, stderr.String())
	}
	runtime.KeepAlive(stdin)
	return socket, stop, nil
}

// readReady reads the line that says where a peer serves.
func readReady(ctx context.Context, stdout interface {
	Read([]byte) (int, error)
	Close() error
}) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, peerStart)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = stdout.Close() })
	defer stop()
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	var ready struct {
		Ready  bool   `json:"ready"`
		Socket string `json:"socket"`
	}
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("it did not become ready: %w", context.Cause(ctx))
	case err != nil:
		return "", errors.New("it ended before it was ready")
	case json.Unmarshal(line, &ready) != nil || !ready.Ready || ready.Socket == "":
		return "", fmt.Errorf("it said %q instead of where it serves", bytes.TrimSpace(line))
	}
	return ready.Socket, nil
}

// tail keeps the last few KiB written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailBytes = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if len(t.b) > tailBytes {
		t.b = append(t.b[:0], t.b[len(t.b)-tailBytes:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
