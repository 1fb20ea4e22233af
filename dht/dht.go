package dht

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	kad "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// closeTimeout is how long Close waits for kad-dht, whose streams may hang on a
// peer that is not there any more.
const closeTimeout = 5 * time.Second

// DHT is a peer's part in the cluster's hash table. Its methods are safe for
// concurrent use.
type DHT struct {
	cfg       Config
	self      peer.ID
	kad       *kad.IpfsDHT
	messenger *pb.ProtocolMessenger
	protocol  protocol.ID // kad-dht's
	withdraw  protocol.ID // see withdrawProtocol
	providers *recordStore
	values    *recordStore
	metrics   *metrics

	announce *announcer
	owners   *owners
	dropped  *dropped
	handlers sync.WaitGroup // of the withdraw protocol

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	closed sync.Once
	err    error          // of Close
	runs   sync.WaitGroup // calls of Run
	runMu  sync.Mutex     // orders runs.Add before runs.Wait
}

// New joins the hash table; the host answers others from here on. What is to be
// announced is announced by Run.
func New(cfg Config) (*DHT, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	m := newMetrics()
	prefix := protocol.ID("/raygo/" + cfg.Cluster)
	d := &DHT{
		cfg: cfg, self: cfg.Host.ID(), metrics: m,
		protocol:  prefix + "/kad/1.0.0",
		withdraw:  prefix + withdrawProtocol,
		providers: newRecordStore(cfg.MaxRecords, provider, m.refused.WithLabelValues("provider")),
		values:    newRecordStore(cfg.MaxRecords, signer, m.refused.WithLabelValues("owner")),
		dropped:   newDropped(3 * cfg.Reprovide),
	}
	d.announce = newAnnouncer(d)
	d.owners = newOwners(d)
	d.ctx, d.cancel = context.WithCancel(context.Background())
	if err := d.open(prefix); err != nil {
		d.cancel()
		return nil, fmt.Errorf("join hash table of cluster %s: %w", cfg.Cluster, err)
	}
	cfg.Host.SetStreamHandler(d.withdraw, d.serveWithdrawals)
	if err := m.register(cfg.Registerer, d); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// open starts kad-dht. All settings differ from its defaults for a reason that
// was measured in clusters of 2 to 300 peers.
func (d *DHT) open(prefix protocol.ID) (err error) {
	c := d.cfg
	d.kad, err = kad.New(c.Host,
		kad.Mode(kad.ModeServer), // by itself it stays a client where nothing is publicly reachable
		kad.ProtocolPrefix(prefix),
		kad.BucketSize(c.bucket()),
		kad.Concurrency(4),
		kad.Resiliency(3),
		kad.Validator(validator{cluster: c.Cluster, member: c.Member}),
		kad.BootstrapPeersFunc(c.Members),
		kad.RoutingTableRefreshPeriod(5*time.Minute),
		kad.RoutingTableRefreshQueryTimeout(2*time.Second),
		// A dead peer in a query costs up to 10 s, this filter nothing.
		kad.QueryFilter(func(_ any, ai peer.AddrInfo) bool { return c.Alive(ai.ID) }),
		kad.RoutingTableFilter(func(_ any, p peer.ID) bool { return c.Member(p) }),
		kad.MaxRecordAge(c.OwnerAge),
		kad.ValueGCInterval(c.OwnerAge/4),
		kad.ProviderDatastore(d.providers),
		kad.ValueDatastore(d.values),
		kad.ProviderManagerOpts(
			records.ProvideValidity(3*c.Reprovide),
			records.ProviderAddrTTL(3*c.Reprovide),
			records.CleanupInterval(c.Reprovide/2),
			records.Cache(noCache{}),
		),
	)
	if err != nil {
		return err
	}
	d.messenger, err = pb.NewProtocolMessenger(d.kad.MessageSender())
	if err != nil {
		return errors.Join(err, d.kad.Close())
	}
	return nil
}

// Run announces, and keeps the peer in the table, until ctx or the DHT ends. It
// is called once.
func (d *DHT) Run(ctx context.Context) error {
	d.runMu.Lock()
	if d.ctx.Err() != nil {
		d.runMu.Unlock()
		return ErrClosed
	}
	d.runs.Add(1)
	d.runMu.Unlock()
	defer d.runs.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	var wg sync.WaitGroup
	wg.Go(func() { d.announce.run(ctx) })
	wg.Go(func() { d.owners.run(ctx) })
	wg.Go(func() { d.stayIn(ctx) })
	wg.Wait()
	return context.Cause(ctx)
}

// Remove takes a dead peer out of the routing table. Whoever calls it has made
// Config.Alive false for the peer, and closes the connection.
func (d *DHT) Remove(p peer.ID) {
	if d.kad.RoutingTable().Find(p) != "" {
		d.metrics.removed.Inc()
	}
	d.kad.RoutingTable().RemovePeer(p)
}

// Stats is what the DHT has in its tables.
type Stats struct {
	Peers    int // in the routing table
	Provided int // holdings of this peer
	Queued   int // of them not announced yet
	Records  int // provider records kept for the cluster
	Owners   int // jobs whose record this peer keeps alive
}

// Stats counts what is in the tables.
func (d *DHT) Stats() Stats {
	held, queued := d.announce.len()
	return Stats{Peers: d.kad.RoutingTable().Size(), Provided: held, Queued: queued, Records: d.providers.len(), Owners: d.owners.len()}
}

// Close leaves the hash table: it stops answering, ends Run and all that is
// under way, and waits for it, but for no longer than five seconds. It is
// called before the host is closed.
func (d *DHT) Close() error {
	d.closed.Do(func() {
		d.runMu.Lock()
		d.cancel()
		d.runMu.Unlock()
		d.cfg.Host.RemoveStreamHandler(d.protocol)
		d.cfg.Host.RemoveStreamHandler(d.withdraw)
		d.announce.close()
		d.owners.close()
		done := make(chan error, 1)
		go func() {
			d.runs.Wait()
			err := d.kad.Close()
			d.handlers.Wait()
			done <- err
		}()
		late := time.NewTimer(closeTimeout)
		defer late.Stop()
		select {
		case d.err = <-done:
		case <-late.C:
			d.err = fmt.Errorf("close hash table: not done after %s", closeTimeout)
		}
		d.metrics.unregister(d.cfg.Registerer)
	})
	return d.err
}
