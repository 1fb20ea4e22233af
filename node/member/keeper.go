package member

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Times of a Keeper.
const (
	sweepEvery   = time.Minute
	lookEvery    = time.Minute // at the clock: timers stand still while a machine sleeps
	streamWait   = 5 * time.Second
	retryLongest = 5 * time.Minute
)

// Bounds of a Keeper.
const (
	syncWorkers  = 4
	maxSyncQueue = 4096 // peers that wait for a sync; one more is synced when it connects again
	maxServed    = 64   // requests answered at once
)

// ErrNoAuthority is an act that takes the cluster's key, at a peer without it.
var ErrNoAuthority = errors.New("this peer does not hold the cluster's key: ask one that was started with --cluster-key")

// KeeperConfig says whose membership is kept.
type KeeperConfig struct {
	Host       host.Host
	Membership *Membership
	// Authority is the cluster's key, at peers that hold it.
	Authority *Authority
	// Store keeps certificates and the deny list. Default: they are not kept.
	Store *Store
	// Addrs are addresses of members, with /p2p/ID, that are asked for a new
	// certificate when this peer's has lapsed: nobody connects to it any more
	// then. Default: those that the store has.
	Addrs func() []string
	// TTL is how long certificates last that this peer issues. Default:
	// DefaultTTL.
	TTL time.Duration
	// Logger takes what is done. Default: discard.
	Logger *slog.Logger
}

// Keeper keeps a running peer a member: it renews the certificate, passes on
// the deny list, disconnects who is a member no more, and at a peer that holds
// the cluster's key renews those of others.
type Keeper struct {
	cfg  KeeperConfig
	m    *Membership
	log  *slog.Logger
	busy chan struct{} // requests being answered

	queue  chan peer.ID // peers to sync with
	served sync.WaitGroup

	mu      sync.Mutex // one change of the deny list at a time
	waiting sync.Mutex // guards queued and closed
	queued  map[peer.ID]bool
	closed  bool
}

// NewKeeper makes a Keeper; Run does its work.
func NewKeeper(cfg KeeperConfig) *Keeper {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Keeper{
		cfg: cfg, m: cfg.Membership, log: cfg.Logger, busy: make(chan struct{}, maxServed),
		queue: make(chan peer.ID, maxSyncQueue), queued: map[peer.ID]bool{},
	}
}

// Run serves until ctx ends, and returns when all it started has ended.
func (k *Keeper) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	h := k.cfg.Host
	h.SetStreamHandler(SyncProtocol, k.serving(ctx, k.answerSync))
	if k.cfg.Authority != nil {
		h.SetStreamHandler(RenewProtocol, k.serving(ctx, k.answerRenew))
	}
	joined := &network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
		if c.Stat().Direction == network.DirOutbound {
			k.enqueue(c.RemotePeer())
		}
	}}
	h.Network().Notify(joined)
	for _, p := range h.Network().Peers() {
		k.enqueue(p)
	}
	var workers sync.WaitGroup
	for range syncWorkers {
		workers.Go(func() { k.syncAll(ctx) })
	}
	workers.Go(func() { k.renewing(ctx) })
	k.sweeping(ctx)

	stop()
	h.Network().StopNotify(joined)
	h.RemoveStreamHandler(SyncProtocol)
	h.RemoveStreamHandler(RenewProtocol)
	workers.Wait()
	k.waiting.Lock()
	k.closed = true
	k.waiting.Unlock()
	k.served.Wait()
	return ctx.Err()
}

// enqueue asks for a sync with a peer. It never blocks.
func (k *Keeper) enqueue(p peer.ID) {
	k.waiting.Lock()
	defer k.waiting.Unlock()
	if k.queued[p] {
		return
	}
	select {
	case k.queue <- p:
		k.queued[p] = true
	default:
	}
}

// enqueueAll asks for a sync with every connected peer.
func (k *Keeper) enqueueAll() {
	for _, p := range k.cfg.Host.Network().Peers() {
		k.enqueue(p)
	}
}

// sweeping disconnects members whose certificate has lapsed.
func (k *Keeper) sweeping(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	net := k.cfg.Host.Network()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, p := range k.m.sweep(func(p peer.ID) bool { return len(net.ConnsToPeer(p)) > 0 }) {
			k.log.Warn("disconnecting a member whose certificate has expired", "peer", p)
			_ = net.ClosePeer(p)
		}
	}
}

// Expel takes a peer's membership: the deny list that names it is in force here
// when Expel returns, and on its way to all connected members. It takes the
// cluster's key.
func (k *Keeper) Expel(p peer.ID) (DenyList, error) {
	if k.cfg.Authority == nil {
		return DenyList{}, fmt.Errorf("expel peer %s: %w", p, ErrNoAuthority)
	}
	if p == k.m.self {
		return DenyList{}, fmt.Errorf("expel peer %s: that is this peer itself", p)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	list, err := k.cfg.Authority.Deny(k.m.DenyList(), k.m.now(), p)
	if err != nil {
		return DenyList{}, err
	}
	if err := k.enforce(list); err != nil {
		return DenyList{}, fmt.Errorf("expel peer %s: %w", p, err)
	}
	return list, nil
}

// Take puts in force a deny list that came from elsewhere. A holder of the
// cluster's key makes one list of two that do not know of each other.
func (k *Keeper) Take(list DenyList) error {
	if list.Epoch == 0 {
		return nil
	}
	if err := list.Verify(k.m.pub); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.m.DenyList()
	if k.cfg.Authority != nil && before.Epoch > 0 {
		loses := list.after(before) && !list.covers(k.recent(before))
		adds := !list.after(before) && !before.covers(k.recent(list))
		if loses || adds {
			merged, err := k.cfg.Authority.merge(before, list, k.m.now())
			if err != nil {
				return err
			}
			list = merged
		}
	}
	if !list.after(before) {
		return nil
	}
	return k.enforce(list)
}

// recent is a list without what a new one would leave out.
func (k *Keeper) recent(d DenyList) DenyList {
	now := k.m.now()
	var keep []Denied
	for _, e := range d.Peers {
		if now.Sub(e.Since) < deniedFor {
			keep = append(keep, e)
		}
	}
	d.Peers = keep
	return d
}

// enforce puts a list in force, keeps it, disconnects whom it names and passes
// it on; mu is held.
func (k *Keeper) enforce(list DenyList) error {
	if err := k.m.Deny(list); err != nil {
		return err
	}
	k.log.Info("deny list in force", "epoch", list.Epoch, "peers", len(list.Peers))
	net := k.cfg.Host.Network()
	for _, p := range net.Peers() {
		if list.Has(p) {
			_ = net.ClosePeer(p)
		}
	}
	k.enqueueAll()
	if k.cfg.Store != nil {
		return k.cfg.Store.SaveDenyList(list)
	}
	return nil
}
