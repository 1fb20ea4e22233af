package raygo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/raygo/raygo/sdk/ipc"
)

// WorkerEnv names the environment variable by which a peer tells a program that
// it is a worker: the number of the descriptor that leads to the peer.
const WorkerEnv = "RAYGO_WORKER_FD"

// How long a driver that was told to end may take until its session is closed,
// and until the process is gone.
const (
	driverLimit  = 2500 * time.Millisecond
	processLimit = 4500 * time.Millisecond
)

// Main is what a program's main function calls. In the process that was started
// by hand it attaches to a peer, runs driver, and exits: with 0, or with 1 and
// the error on stderr. SIGINT and SIGTERM cancel the driver's context and end
// the job's tasks; the process is gone within 5 seconds, with code 130, and a
// second signal ends it at once. In a worker Main serves tasks and never returns.
func Main(driver func(ctx context.Context) error, opts ...InitOption) {
	if fd := os.Getenv(WorkerEnv); fd != "" {
		serveWorker(fd)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() {
		stop() // the next signal is not caught
		time.Sleep(processLimit)
		os.Exit(signalled)
	})
	err := runDriver(ctx, driver, opts)
	switch {
	case ctx.Err() != nil:
		if err != nil && !errors.Is(err, context.Canceled) {
			fmt.Fprintln(os.Stderr, "raygo:", err)
		}
		os.Exit(signalled)
	case err != nil:
		fmt.Fprintln(os.Stderr, "raygo:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// signalled is the exit code of a driver that a signal ended.
const signalled = 130

func runDriver(ctx context.Context, driver func(ctx context.Context) error, opts []InitOption) (err error) {
	sctx, s, err := Init(ctx, opts...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.end(goodbye(ctx, err))) }()
	done := make(chan error, 1)
	go func() {
		err := errors.New("the driver ended its goroutine (runtime.Goexit) without returning")
		defer func() { done <- err }()
		err = driver(sctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(driverLimit):
		return fmt.Errorf("the driver did not end within %s of the signal", driverLimit)
	}
}

// goodbye says how a driver ended: by a signal, which cancelled ctx, with an
// error, or well.
func goodbye(ctx context.Context, err error) *ipc.Goodbye {
	switch {
	case ctx.Err() != nil:
		return &ipc.Goodbye{State: ipc.JobStopped, Reason: "the driver was interrupted by a signal"}
	case err != nil:
		reason := err.Error()
		if len(reason) > ipc.MaxReason {
			reason = strings.ToValidUTF8(reason[:ipc.MaxReason], "")
		}
		return &ipc.Goodbye{State: ipc.JobFailed, Reason: reason}
	}
	return &ipc.Goodbye{State: ipc.JobFinished}
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
