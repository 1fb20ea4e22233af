package bench

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	"github.com/raygo/raygo/cmd/raygo/internal/fleet"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

// LeastPeers is how few peers tell something of several.
const LeastPeers = 2

// world is a set of peers with a driver: one peer that owns its job and offers
// nothing, and so many beside it that run the tasks, all on loopback.
type world struct {
	fleet   *fleet.Fleet
	ctx     context.Context
	session *raygo.Session
	peers   []*fleet.Peer // those that run tasks
}

// world starts so many peers, or takes those that run already.
func (st *stage) world(ctx context.Context, n int) (*world, error) {
	if st.at != nil && len(st.at.peers) == n {
		return st.at, nil
	}
	if st.at != nil {
		st.at.close()
		st.at = nil
	}
	f, err := fleet.Start(ctx, fleet.Options{Peers: n + 1, CPUs: 1, FirstIdle: true, Store: int64(st.size(5<<29, 1<<29)), Profile: st.profile})
	if err != nil {
		return nil, err
	}
	w := &world{fleet: f, peers: f.Peers()[1:]}
	w.ctx, w.session, err = raygo.Init(ctx, raygo.Address(f.Peers()[0].Address), raygo.JobName("raygo bench"), raygo.LogToDriver(false))
	if err == nil {
		err = w.warm()
	}
	if err != nil {
		w.close()
		return nil, err
	}
	st.at = w
	return w, nil
}

// warm has a worker started on each peer, which has the program by then.
func (w *world) warm() error {
	var refs []raygo.Ref[int]
	for _, p := range w.peers {
		refs = append(refs, smallFunc.Options(on(p)).Remote(w.ctx, 3))
	}
	if _, err := raygo.GetAll(w.ctx, refs); err != nil {
		return fmt.Errorf("first calls to each peer: %w", err)
	}
	return nil
}

func (w *world) close() {
	if w.session != nil {
		_ = w.session.Close()
	}
	_ = w.fleet.Stop()
}

// on binds a task to a peer.
func on(p *fleet.Peer) raygo.Option { return raygo.Strategy(raygo.NodeAffinity(p.ID, false)) }

// bare starts the floors once.
func (st *stage) bare(ctx context.Context) (*streams, error) {
	if st.streams != nil {
		return st.streams, nil
	}
	var err error
	st.streams, err = startStreams(ctx)
	return st.streams, err
}

// checksumFunc reads all of its argument.
var checksumFunc = raygo.Func1(checksum)

func checksum(_ context.Context, b []byte) (uint32, error) {
	return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)), nil
}

// served is how many bytes of objects and programs a peer has sent to others.
func served(ctx context.Context, p *fleet.Peer) (int64, error) {
	c, err := ask.Dial(ctx, p.Address)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	nodes, err := ask.List[ipc.NodeRow](ctx, c, ipc.Query{Op: ipc.QueryNodes, Limit: 1000})
	if err != nil {
		return 0, err
	}
	for i := range nodes.Rows {
		if nodes.Rows[i].PeerID != p.ID {
			continue
		}
		var sum int64
		for _, l := range nodes.Rows[i].Links {
			sum += l.Served
		}
		return sum, nil
	}
	return 0, errors.New("it is not in its own list")
}
