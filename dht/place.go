package dht

import (
	"bytes"
	"context"
	"crypto/sha256"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	placeTimeout = 5 * time.Second // for one lookup of where a record belongs
	tellTimeout  = 2 * time.Second // for one message to a peer
)

// placeAll announces a batch: it finds the peers for each record, then tells
// each peer all of its records in a row.
func (a *announcer) placeAll(ctx context.Context, batch []*entry) {
	d := a.d
	for _, e := range batch {
		// Ours too, since others ask us for it.
		if err := d.kad.ProviderStore().AddProvider(ctx, e.key, peer.AddrInfo{ID: d.self}); err != nil {
			d.cfg.Logger.Debug("own record not kept", "err", err)
		}
	}
	targets := a.targets(ctx, batch)
	jobs := map[peer.ID][]int{} // the peer's records, as places in the batch
	for i, list := range targets {
		for _, p := range list {
			jobs[p] = append(jobs[p], i)
		}
	}
	var mu sync.Mutex
	placed := make([][]peer.ID, len(batch))
	d.each(jobs, func(p peer.ID, list []int) {
		n := d.tell(ctx, p, batch, list)
		mu.Lock()
		defer mu.Unlock()
		for _, i := range list[:n] {
			placed[i] = append(placed[i], p)
		}
	})
	for i, e := range batch {
		a.give(e, placed[i])
	}
}

// each calls f for every peer, a bounded number at the same time, and waits.
func (d *DHT) each(jobs map[peer.ID][]int, f func(peer.ID, []int)) {
	slots := make(chan struct{}, d.cfg.Workers)
	var wg sync.WaitGroup
	for p, list := range jobs {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(p, list)
		})
	}
	wg.Wait()
}

// tell sends a peer its records and returns how many it could; a peer that
// fails once is not tried again in this batch.
func (d *DHT) tell(ctx context.Context, p peer.ID, batch []*entry, list []int) int {
	self := peer.AddrInfo{ID: d.self, Addrs: d.kad.FilteredAddrs()}
	for n, i := range list {
		one, cancel := context.WithTimeout(ctx, tellTimeout)
		err := d.messenger.PutProviderAddrs(one, p, batch[i].key, self)
		cancel()
		if err != nil {
			d.cfg.Logger.Debug("peer not told of holdings", "peer", p, "err", err)
			return n
		}
		d.metrics.told.Inc()
	}
	return len(list)
}

// targets finds for each record of a batch the peers that are to keep it.
func (a *announcer) targets(ctx context.Context, batch []*entry) [][]peer.ID {
	d, k := a.d, a.d.cfg.bucket()
	targets := make([][]peer.ID, len(batch))
	if d.kad.RoutingTable().Size() < k {
		// The table holds everybody, and everybody keeps every record.
		all := d.living(d.kad.RoutingTable().ListPeers())
		for i := range targets {
			targets[i] = all
		}
		return targets
	}
	// In order of the key space, so that one lookup serves its neighbours.
	order := make([]int, len(batch))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int { return bytes.Compare(batch[x].at[:], batch[y].at[:]) })
	slots := make(chan struct{}, d.cfg.Workers)
	var wg sync.WaitGroup
	for part := range slices.Chunk(order, max(1, (len(order)+d.cfg.Workers-1)/d.cfg.Workers)) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			var last region
			for _, i := range part {
				if !last.covers(batch[i].at, k) {
					last = d.explore(ctx, batch[i])
				}
				targets[i] = last.peers
			}
		})
	}
	wg.Wait()
	return targets
}

// living leaves out the dead.
func (d *DHT) living(list []peer.ID) []peer.ID {
	return slices.DeleteFunc(list, func(p peer.ID) bool { return p == d.self || !d.cfg.Alive(p) })
}

// region is what a lookup found out about the neighbourhood of one key.
type region struct {
	at     [32]byte
	peers  []peer.ID
	prefix int // bits: all peers that share more of them with at are in peers
	inside int // how many those are
}

// explore looks up the peers closest to a record.
func (d *DHT) explore(ctx context.Context, e *entry) region {
	ctx, cancel := context.WithTimeout(ctx, placeTimeout)
	defer cancel()
	found, err := d.kad.GetClosestPeers(ctx, string(e.key))
	if err != nil {
		d.cfg.Logger.Debug("lookup of where a record belongs", "err", err)
	}
	if len(found) == 0 || err != nil {
		return region{at: e.at, peers: d.living(found), prefix: 256}
	}
	return around(e.at, found, d.living(slices.Clone(found)))
}

// around is the region of a key whose closest peers, dead ones too, are found.
func around(at [32]byte, found, living []peer.ID) region {
	r := region{at: at, peers: living, prefix: 256}
	shared := make([]int, len(found))
	for i, p := range found {
		shared[i] = common(sha256.Sum256([]byte(p)), at)
		r.prefix = min(r.prefix, shared[i])
	}
	for _, n := range shared {
		if n > r.prefix {
			r.inside++
		}
	}
	return r
}

// covers reports whether a neighbouring key's closest peers are, for the better
// half of the k that keep its record, those of the region.
func (r region) covers(at [32]byte, k int) bool {
	return 2*r.inside >= k && common(at, r.at) > r.prefix
}

// common counts the leading bits that two places share.
func common(a, b [32]byte) int {
	for i := range a {
		if x := a[i] ^ b[i]; x != 0 {
			return 8*i + bits.LeadingZeros8(x)
		}
	}
	return 256
}
