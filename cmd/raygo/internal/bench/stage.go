package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	raygo "github.com/raygo/raygo/sdk"
)

// stage is what workloads run on; its parts come into being when first used.
type stage struct {
	quick   bool
	dir     string
	profile string

	address string // of the peer
	peer    *process
	sctx    context.Context
	session *raygo.Session
	unprof  func()

	echo        string // socket of the echo
	echoParts   []*process
	client      *echoClient
	drivers     []*process
	echoDrivers []*process

	source, target []byte      // of copies
	queued         *queueTimes // of the last million

	at      *world   // several peers
	streams *streams // the floors beside them
	landing []byte   // where copies of the floor go
}

// size gives full, or the smaller number in a quick run.
func (st *stage) size(full, quick int) int {
	if st.quick {
		return quick
	}
	return full
}

// startPeer starts the peer once.
func (st *stage) startPeer() error {
	if st.peer != nil {
		return nil
	}
	p, address, err := startProcess("peer", st.profile)
	if err != nil {
		return err
	}
	st.peer, st.address = p, address
	return nil
}

// driver gives a context in the session that most workloads share.
func (st *stage) driver(ctx context.Context) (context.Context, error) {
	if st.sctx != nil {
		return st.sctx, nil
	}
	if err := st.startPeer(); err != nil {
		return nil, err
	}
	var err error
	if st.sctx, st.session, err = st.attach(ctx); err != nil {
		return nil, err
	}
	if err := warm(st.sctx); err != nil {
		return nil, err
	}
	st.unprof, err = profileAll(st.sctx, st.profile)
	return st.sctx, err
}

// attach opens a session of its own, which is a job of its own.
func (st *stage) attach(ctx context.Context) (context.Context, *raygo.Session, error) {
	if err := st.startPeer(); err != nil {
		return nil, nil, err
	}
	return raygo.Init(ctx, raygo.Address(st.address), raygo.JobName("raygo bench"))
}

// warm has workers started and known functions defined.
func warm(ctx context.Context) error {
	if err := taskCalls(ctx, 2000, 200); err != nil {
		return fmt.Errorf("first calls: %w", err)
	}
	return nil
}

// startEcho starts the echo once.
func (st *stage) startEcho() error {
	if st.client != nil {
		return nil
	}
	st.echo = filepath.Join(st.dir, "echo.sock")
	start := func(role string, args ...string) error {
		p, _, err := startProcess(role, args...)
		if err == nil {
			st.echoParts = append(st.echoParts, p)
		}
		return err
	}
	if err := start("echo-peer", st.echo); err != nil {
		return err
	}
	for i := range echoWorkers {
		if err := start("echo-worker", st.echo, fmt.Sprint(i)); err != nil {
			return err
		}
	}
	var err error
	if st.client, err = newEchoClient(st.echo, 0); err != nil {
		return err
	}
	return st.client.calls(2000, 200)
}

// close ends everything that was started.
func (st *stage) close() {
	if st.session != nil {
		st.unprof()
		_ = st.session.Close()
	}
	if st.client != nil {
		_ = st.client.conn.Close()
	}
	if st.at != nil {
		st.at.close()
	}
	if st.streams != nil {
		st.streams.close()
	}
	all := append(append(append([]*process{}, st.drivers...), st.echoDrivers...), st.peer)
	for _, p := range append(all, st.echoParts...) {
		if p != nil {
			p.stop()
		}
	}
	_ = os.RemoveAll(st.dir)
}

// errWrong says that a workload's result is not what was computed.
var errWrong = errors.New("a result is wrong")
