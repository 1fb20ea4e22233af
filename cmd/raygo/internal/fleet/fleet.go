// Package fleet owns peers of a moment: processes of this binary on loopback,
// which find each other by the first one's address and are gone, with all they
// wrote, when whoever started them is done.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	"github.com/raygo/raygo/sdk/ipc"
)

// Limits of a fleet.
const (
	MaxPeers = 16               // in a fleet as it is started
	meetTime = 30 * time.Second // for all peers to see each other
	lookStep = 5 * time.Millisecond
	endTime  = 10 * time.Second // for a process to end when it was asked to
)

// Options say which peers there are.
type Options struct {
	Peers int
	// CPUs of each peer; 0 means an equal share of the machine's, but at least 1.
	CPUs float64
	// Store is each peer's memory for objects; 0 means an equal share of 30 % of
	// the machine's.
	Store int64
	// FirstIdle is set for a first peer that offers no CPUs, for a driver all of
	// whose tasks are to run elsewhere.
	FirstIdle bool
	// Profile is a directory for CPU profiles of the peers; "" for none.
	Profile string
}

// Fleet is a set of peers that run.
type Fleet struct {
	o   Options
	dir string

	mu    sync.Mutex
	peers []*Peer
	made  int
}

// Start starts the peers and returns when each sees all.
func Start(ctx context.Context, o Options) (*Fleet, error) {
	if o.Peers < 1 || o.Peers > MaxPeers {
		return nil, fmt.Errorf("start %d peers: from 1 to %d are possible", o.Peers, MaxPeers)
	}
	dir, err := os.MkdirTemp("", "raygo-peers-")
	if err != nil {
		return nil, fmt.Errorf("make a place for peers: %w", err)
	}
	f := &Fleet{o: o, dir: dir}
	if err := f.start(ctx); err != nil {
		return nil, errors.Join(err, f.Stop())
	}
	return f, nil
}

// start begins with the first peer, whose address all others are told.
func (f *Fleet) start(ctx context.Context) error {
	if _, err := f.Add(ctx); err != nil {
		return err
	}
	errs := make([]error, f.o.Peers)
	var wg sync.WaitGroup
	for i := 1; i < f.o.Peers; i++ {
		wg.Go(func() { _, errs[i] = f.Add(ctx) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return f.Meet(ctx)
}

// Add starts one more peer, with custom resources. It does not wait until the
// others see it.
func (f *Fleet) Add(ctx context.Context, resources ...string) (*Peer, error) {
	f.mu.Lock()
	i := f.made
	f.made++
	s := settings{
		Name: fmt.Sprint(i), Dir: f.dir, CPUs: f.o.CPUs, Store: f.o.Store, Profile: f.o.Profile, Resources: resources,
	}
	if i == 0 && f.o.FirstIdle {
		s.CPUs = -1
	}
	if len(f.peers) > 0 {
		s.Bootstrap = f.peers[0].Addrs
	}
	f.mu.Unlock()
	if s.CPUs == 0 {
		s.CPUs = float64(share(runtime.NumCPU(), f.o.Peers, i))
	}
	if s.Store == 0 {
		s.Store = storeShare(f.o.Peers)
	}
	p, err := startPeer(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("start peer %d of %d: %w", i+1, f.o.Peers, err)
	}
	f.mu.Lock()
	f.peers = append(f.peers, p)
	f.mu.Unlock()
	return p, nil
}

// Remove ends a peer and waits for its end.
func (f *Fleet) Remove(p *Peer) {
	f.mu.Lock()
	for i := range f.peers {
		if f.peers[i] == p {
			f.peers = append(f.peers[:i], f.peers[i+1:]...)
			break
		}
	}
	f.mu.Unlock()
	p.stop()
}

// Peers are those that run, the first one first.
func (f *Fleet) Peers() []*Peer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*Peer{}, f.peers...)
}

// Dir is the XDG_RUNTIME_DIR of the peers: who shares it is the user that they
// are of.
func (f *Fleet) Dir() string { return f.dir }

// Meet waits until every peer sees all.
func (f *Fleet) Meet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, meetTime)
	defer cancel()
	peers := f.Peers()
	for _, p := range peers {
		if err := p.sees(ctx, len(peers)); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends all peers and removes what they wrote.
func (f *Fleet) Stop() error {
	var wg sync.WaitGroup
	for _, p := range f.Peers() {
		wg.Go(p.stop)
	}
	wg.Wait()
	if err := os.RemoveAll(f.dir); err != nil {
		return fmt.Errorf("remove what the peers wrote: %w", err)
	}
	return nil
}

// sees waits until the peer has so many peers in its list that answer.
func (p *Peer) sees(ctx context.Context, n int) error {
	c, err := ask.Dial(ctx, p.Address)
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		nodes, err := ask.List[ipc.NodeRow](ctx, c, ipc.Query{Op: ipc.QueryNodes, Limit: 2 * MaxPeers})
		if err != nil {
			return fmt.Errorf("ask peer %s for the others: %w", p.ID, err)
		}
		alive := 0
		for i := range nodes.Rows {
			if nodes.Rows[i].Alive {
				alive++
			}
		}
		if alive >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("peer %s sees %d of %d peers: %w", p.ID, alive, n, ctx.Err())
		case <-time.After(lookStep):
		}
	}
}

// share is what part i of n gets of a number of CPUs: at least 1.
func share(cpus, n, i int) int {
	s := cpus / n
	if i < cpus%n {
		s++
	}
	return max(1, s)
}

// leastStore is what a peer gets for objects however many there are.
const leastStore = 128 << 20

// storeShare is an equal share of 30 % of the machine's memory.
func storeShare(n int) int64 {
	var si unix.Sysinfo_t
	if unix.Sysinfo(&si) != nil {
		return leastStore
	}
	return max(leastStore, int64(si.Totalram*uint64(si.Unit)*3/10)/int64(n))
}

// place is a file or folder of one peer.
func (s *settings) place(kind string) string { return filepath.Join(s.Dir, s.Name+kind) }
