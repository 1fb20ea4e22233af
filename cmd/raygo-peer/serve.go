package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/raygo/raygo/node"
	"github.com/raygo/raygo/node/procs"
)

// serve runs a peer until it is told to stop and everything it started has
// ended.
func serve(ctx context.Context, cfg node.Config, in io.Reader, out io.Writer) error {
	// Signals are caught before anything is started, so that none can leave
	// something behind.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)

	n, err := node.New(cfg)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if cfg.Private {
		// The reader ends with the process: a read of stdin cannot be called
		// off, and nothing else waits for it.
		go endWithInput(in, stop)
	}
	var beside sync.WaitGroup
	beside.Go(func() { stopOnSignal(ctx, n, signals, stop, cfg.Logger) })
	beside.Go(func() { procs.Adapt(ctx) })
	err = n.Run(ctx, func(r node.Ready) { announce(out, r, cfg.Logger, stop) })
	stop()
	beside.Wait()
	return err
}

// announce prints the ready line.
func announce(out io.Writer, r node.Ready, log *slog.Logger, stop func()) {
	if r.Addrs == nil {
		r.Addrs = []string{}
	}
	line, err := json.Marshal(r)
	if err == nil {
		_, err = fmt.Fprintf(out, "%s\n", line)
	}
	if err != nil {
		log.Error("print the ready line; stopping", "err", err)
		stop()
	}
}

// stopOnSignal drains at the first signal and stops at the second, or when the
// drain is over. After that signals have their usual effect.
func stopOnSignal(ctx context.Context, n *node.Node, signals chan os.Signal, stop func(), log *slog.Logger) {
	defer stop()
	select {
	case <-ctx.Done():
		return
	case s := <-signals:
		log.Info("draining; a second signal stops at once", "signal", s.String())
	}
	drained := make(chan struct{})
	var drain sync.WaitGroup
	drain.Go(func() {
		defer close(drained)
		if err := n.Drain(ctx); err != nil && ctx.Err() == nil {
			log.Warn("drain", "err", err)
		}
	})
	defer drain.Wait()
	select {
	case <-ctx.Done():
	case <-drained:
	case s := <-signals:
		log.Info("stopping at once", "signal", s.String())
		signal.Stop(signals)
	}
	stop()
}

// endWithInput stops a private peer when the program that started it is gone.
func endWithInput(in io.Reader, stop func()) {
	_, _ = io.Copy(io.Discard, in)
	stop()
}
