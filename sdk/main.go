package raygo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/raygo/raygo/sdk/ipc"
)

// WorkerEnv names the environment variable by which a peer tells a program that
// it is a worker: the number of the descriptor that leads to the peer.
const WorkerEnv = "RAYGO_WORKER_FD"

// endLimit is how long a driver that was told to end may take.
const endLimit = 4 * time.Second

// Main is what a program's main function calls. In the process that was started
// by hand it attaches to a peer, runs driver, and exits: with 0, or with 1 and
// the error on stderr. SIGINT and SIGTERM cancel the driver's context and end
// the job's tasks. In a worker it serves tasks and never returns.
func Main(driver func(ctx context.Context) error, opts ...InitOption) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := 0
	if err := runDriver(ctx, driver, opts); err != nil {
		fmt.Fprintln(os.Stderr, "raygo:", err)
		code = 1
	}
	if ctx.Err() != nil {
		code = 130
	}
	stop()
	os.Exit(code)
}

func runDriver(ctx context.Context, driver func(ctx context.Context) error, opts []InitOption) (err error) {
	if os.Getenv(WorkerEnv) != "" {
		signal.Reset(os.Interrupt, syscall.SIGTERM) // the peer ends its workers
	}
	sctx, s, err := Init(ctx, opts...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	done := make(chan error, 1)
	go func() { done <- driver(sctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(endLimit):
		return fmt.Errorf("the driver did not end within %s of the signal", endLimit)
	}
}

// Init is Main for programs that keep their own main function, and for tests: it
// attaches to a peer and gives a context that carries the session. In a worker
// it serves tasks and never returns, so call it before anything that a worker
// should not do.
func Init(ctx context.Context, opts ...InitOption) (context.Context, *Session, error) {
	if fd := os.Getenv(WorkerEnv); fd != "" {
		serveWorker(fd)
	}
	conf, err := newConfig(opts)
	if err != nil {
		return nil, nil, err
	}
	conn, stop, err := connect(ctx, &conf)
	if err != nil {
		return nil, nil, err
	}
	s, err := attach(ctx, conn, ipc.RoleDriver, conf)
	if err != nil {
		if stop != nil {
			err = errors.Join(err, stop())
		}
		return nil, nil, err
	}
	s.stopPeer = stop
	return s.context(ctx), s, nil
}

// context gives a context that carries the session.
func (s *Session) context(ctx context.Context) context.Context {
	return context.WithValue(ctx, scopeKey{}, &scope{s: s})
}

// serveWorker is a worker's life. It does not return.
func serveWorker(fd string) {
	_ = os.Unsetenv(WorkerEnv)
	s, err := attachWorker(fd)
	if err != nil {
		fmt.Fprintln(os.Stderr, "raygo worker:", err)
		os.Exit(1)
	}
	s.worker.serve()
}

func attachWorker(fd string) (*Session, error) {
	n, err := strconv.Atoi(fd)
	if err != nil {
		return nil, fmt.Errorf("$%s is %q, not a descriptor", WorkerEnv, fd)
	}
	syscall.CloseOnExec(n)
	f := os.NewFile(uintptr(n), "peer")
	c, err := net.FileConn(f)
	_ = f.Close()
	if err != nil {
		return nil, fmt.Errorf("descriptor %d of $%s: %w", n, WorkerEnv, err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("descriptor %d of $%s is no unix socket", n, WorkerEnv)
	}
	return attach(context.Background(), ipc.NewConn(u, connLimit), ipc.RoleWorker, config{})
}
