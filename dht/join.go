package dht

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	joinFirst   = 200 * time.Millisecond // how soon a peer with few others looks for more
	joinLast    = 5 * time.Second        // and how seldom, when it has none
	joinTimeout = 3 * time.Second        // for one dial
	joinAtOnce  = 3                      // members dialled at the same time
	settled     = 50 * time.Millisecond  // from a connection to its peer's place in the table
	fewLast     = time.Minute            // how seldom a peer with some, but few, looks for more
)

// stayIn finds others, and back from being alone, and keeps the table in line
// with who is alive. kad-dht looks around when it starts and then after two to
// five minutes, so that two peers that joined through a third at the same time
// would not hear of each other until then.
func (d *DHT) stayIn(ctx context.Context) {
	met := make(chan struct{}, 1)
	notify := &network.NotifyBundle{ConnectedF: func(network.Network, network.Conn) { poke(met) }}
	d.cfg.Host.Network().Notify(notify)
	defer d.cfg.Host.Network().StopNotify(notify)
	backoff, look, before := joinFirst, time.Now(), 0
	for {
		d.tend()
		size := d.kad.RoutingTable().Size()
		if size != before {
			backoff, look = joinFirst, time.Now().Add(joinFirst)
			poke(d.announce.met)
			if size > before {
				d.owners.stir(before < d.cfg.bucket())
			}
		}
		before = size
		if size < d.cfg.bucket() && !time.Now().Before(look) {
			d.dial(ctx)
			d.kad.RefreshRoutingTable()
			backoff = min(2*backoff, fewLast)
			if d.kad.RoutingTable().Size() == 0 {
				backoff = min(backoff, joinLast)
			}
			look = time.Now().Add(jitter(backoff))
		}
		wait := joinLast // between looks at who is alive
		if size < d.cfg.bucket() {
			wait = min(wait, max(time.Until(look), joinFirst))
		}
		why := sleep(ctx, wait, nil, met)
		if why == company { // whoever it is, is known a few messages later
			why = sleep(ctx, settled, nil, nil)
		}
		if why == stopped {
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

// dial connects to a few of the members that are not in the table, at random.
func (d *DHT) dial(ctx context.Context) {
	all := d.cfg.Members()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var wg sync.WaitGroup
	n := 0
	for _, m := range all {
		if m.ID == d.self || len(m.Addrs) == 0 || n == joinAtOnce || !d.cfg.Alive(m.ID) || d.kad.RoutingTable().Find(m.ID) != "" {
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
