package dht

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	joinFirst   = 200 * time.Millisecond // how soon a peer without others dials members again
	joinLast    = 5 * time.Second
	joinTimeout = 3 * time.Second // for one dial
	joinAtOnce  = 3               // members dialled at the same time
	look        = 5 * time.Second // between looks at the routing table
)

// stayIn finds back into the table from being alone, which kad-dht by itself
// tries every two minutes, and keeps the table in line with who is alive.
func (d *DHT) stayIn(ctx context.Context) {
	backoff := joinFirst
	for {
		d.tend()
		wait := look
		if d.kad.RoutingTable().Size() == 0 {
			d.dial(ctx)
			wait, backoff = jitter(backoff), min(2*backoff, joinLast)
		} else {
			backoff = joinFirst
		}
		if sleep(ctx, wait, nil, nil) == stopped {
			return
		}
	}
}

// jitter is d, give or take a fifth, so that a restarted cluster does not dial
// in step.
func jitter(d time.Duration) time.Duration {
	return time.Duration((0.8 + 0.4*rand.Float64()) * float64(d))
}

// tend takes the dead out of the table and puts in who is connected and speaks
// the protocol; kad-dht looks at a peer once, when it connects, and a peer that
// it overlooked or that was dead then would stay out.
func (d *DHT) tend() {
	table := d.kad.RoutingTable()
	for _, p := range table.ListPeers() {
		if !d.cfg.Alive(p) || !d.cfg.Member(p) {
			d.Remove(p)
		}
	}
	for _, p := range d.cfg.Host.Network().Peers() {
		if p == d.self || table.Find(p) != "" || !d.cfg.Alive(p) || !d.cfg.Member(p) {
			continue
		}
		if ok, err := d.cfg.Host.Peerstore().SupportsProtocols(p, d.protocol); err == nil && len(ok) > 0 {
			_, _ = table.TryAddPeer(p, true, false) // refused: its bucket is full
		}
	}
}

// dial connects to a few members at random.
func (d *DHT) dial(ctx context.Context) {
	all := d.cfg.Members()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var wg sync.WaitGroup
	n := 0
	for _, m := range all {
		if m.ID == d.self || len(m.Addrs) == 0 || !d.cfg.Alive(m.ID) || n == joinAtOnce {
			continue
		}
		n++
		wg.Go(func() { d.connect(ctx, m) })
	}
	wg.Wait()
	d.tend()
}

func (d *DHT) connect(ctx context.Context, m peer.AddrInfo) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	if err := d.cfg.Host.Connect(ctx, m); err != nil {
		d.cfg.Logger.Debug("member not reached", "peer", m.ID, "err", err)
	}
}
