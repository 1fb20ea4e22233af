package node

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/dht"
	"github.com/raygo/raygo/gossip"
	"github.com/raygo/raygo/gossip/topic"
	"github.com/raygo/raygo/node/host"
	"github.com/raygo/raygo/node/link"
	"github.com/raygo/raygo/node/member"
	"github.com/raygo/raygo/objects/swarm"
)

// Files of the mesh in the data directory.
const (
	knownFile       = "peers.json"
	portFile        = "port"
	incarnationFile = "incarnation"
)

// mesh is what joins this peer to others: the host with its links, who is there,
// and who has what.
type mesh struct {
	n       *Node
	stand   *member.Opened
	key     crypto.PrivKey
	keeper  *member.Keeper
	inviter *member.Inviter // nil unless this peer has the cluster's key
	host    *host.Host
	links   *link.Mesh
	dht     *dht.DHT
	topic   *topic.Topic
	swarm   *swarm.Swarm
	known   *knownPeers
	asks    *asks
	who     *whoIsThere
	drops   chan drop
	work    sync.WaitGroup     // answers to other peers, and what else a link gives rise to
	near    chan peer.AddrInfo // found on the local network

	provided   provided
	publishing sync.Mutex // one record of a job's owner is put at a time

	incarnation uint64
}

// drop is a link that is to be ended, by who must not wait.
type drop struct{ peer, reason string }

// openMesh makes everything that the peer needs to be found and to find others.
// Nothing moves before run.
func (n *Node) openMesh(key crypto.PrivKey, p *place) (err error) {
	if p == nil {
		return nil
	}
	m := &mesh{n: n, key: key, stand: p.stand, known: p.known, asks: newAsks(), drops: make(chan drop, 256), near: make(chan peer.AddrInfo, 64), provided: provided{names: map[raygo.ObjectID]cid.Cid{}}, incarnation: nextIncarnation(filepath.Join(n.dir.path, incarnationFile), time.Now())}
	if err := m.openHost(); err != nil {
		return err
	}
	if err := m.newKeeper(); err != nil {
		return errors.Join(err, m.host.Close())
	}
	n.mesh = m
	defer func() {
		if err != nil {
			n.mesh = nil
			_ = m.host.Close()
		}
	}()
	if m.swarm, err = swarm.New(swarm.Config{
		Self: n.id, Dial: m.dialBulk, Store: n.store, Programs: n.dir.programs(), Logger: n.log,
	}); err != nil {
		return err
	}
	if m.who, err = newWhoIsThere(m); err != nil {
		return err
	}
	if m.links, err = m.newLinks(); err != nil {
		return err
	}
	if err = m.newTopic(); err != nil {
		return err
	}
	m.dht, err = dht.New(dht.Config{
		Host: m.closedToReaders(), Cluster: m.stand.ClusterID(), Alive: m.who.alivePeer, Member: m.mayStore, Members: m.who.members,
		Registerer: n.metrics.registry, Logger: n.log,
	})
	return err
}

func (m *mesh) dialBulk(ctx context.Context, peer string) (swarm.Stream, error) {
	return m.links.OpenBulk(ctx, peer)
}

// serveBulk serves objects on a stream that another peer opened.
func (m *mesh) serveBulk(peer string, s network.Stream) {
	if !m.roleOf(peer).Allows(member.RoleClient) {
		_ = s.Reset()
		return
	}
	if err := m.swarm.Serve(m.n.ctx, s, peer); err != nil && m.n.ctx.Err() == nil {
		m.n.log.Debug("serve objects", "peer", peer, "err", err)
	}
}

// run keeps the mesh until ctx ends; then its parts end in the order in which
// they use each other.
func (m *mesh) run(ctx context.Context) error {
	if m == nil {
		<-ctx.Done()
		return nil
	}
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	part := func(run func(context.Context) error) {
		wg.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				errs <- err
			}
		})
	}
	part(m.keeper.Run)
	part(m.links.Run)
	part(m.swarm.Run)
	part(m.dht.Run)
	part(m.who.run)
	part(m.topic.Run)
	part(m.measure)
	part(m.seek)
	part(m.dropLinks)
	var err error
	select {
	case <-ctx.Done():
	case err = <-errs:
	}
	wg.Wait()
	m.work.Wait() // nothing begins any more: the links have ended
	err = errors.Join(err, m.known.save())
	done := make(chan error, 1)
	go func() { done <- errors.Join(m.dht.Close(), m.host.Close()) }()
	select {
	case closeErr := <-done:
		return errors.Join(err, closeErr)
	case <-time.After(hostCloseWait):
		return errors.Join(err, fmt.Errorf("close the host: it did not end within %s", hostCloseWait))
	}
}

// close gives back the host of a mesh that did not run.
func (m *mesh) close() {
	if m != nil {
		if m.topic != nil {
			m.topic.Close()
		}
		_ = m.host.Close() // once more after run, which does nothing
	}
}

// hostCloseWait bounds how long libp2p may take to end.
const hostCloseWait = 5 * time.Second

// dropLater ends a link from where nothing may block. When too many wait, the
// link ends by its own means: both its ends ping it.
func (m *mesh) dropLater(peer, reason string) {
	select {
	case m.drops <- drop{peer, reason}:
	default:
		m.n.log.Error("too many links to drop at once", "peer", peer)
	}
}

func (m *mesh) dropLinks(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case d := <-m.drops:
			m.links.Drop(d.peer, d.reason)
		}
	}
}

// advertise makes known that what this peer is has changed.
func (m *mesh) advertise(draining bool) {
	if m == nil {
		return
	}
	if err := m.who.describe(draining); err != nil {
		m.n.log.Error("describe this peer", "err", err)
		return
	}
	a := m.who.ownAdvert()
	if err := m.links.Advertise(a.Bytes(), a.Addrs); err != nil {
		m.n.log.Warn("describe this peer on new links", "err", err)
	}
	m.who.tell(&gossip.SelfAdvert{Advert: a})
	m.announce(&a)
}

// addrs are what others reach this peer at, with its ID.
func (m *mesh) addrs() []string {
	if m == nil {
		return []string{}
	}
	out := []string{}
	for _, a := range m.host.Addrs() {
		out = append(out, a.String()+"/p2p/"+m.n.id)
	}
	return out
}

// joined reports whether there is any other peer.
func (m *mesh) joined() bool { return m.who.count.Load() > 0 }

// linked are the peers to which there is a link.
func (m *mesh) linked() []string {
	if m == nil {
		return nil
	}
	return m.who.linkedPeers()
}

// alive are those of the peers that can be asked now.
func (m *mesh) alive(peers []string) []string {
	var out []string
	for _, p := range peers {
		if m.who.isLinked(p) {
			out = append(out, p)
		}
	}
	return out
}

// openHost starts listening. The port of the last run is tried first, so that
// those who knew this peer find it again.
func (m *mesh) openHost() error {
	c := &m.n.cfg
	listen := c.Listen
	port := filepath.Join(m.n.dir.path, portFile)
	usual := len(listen) == 0 && !c.Private && !c.Client
	if usual {
		listen = []string{"/ip4/127.0.0.1/tcp/" + lastPort(port)}
	}
	cfg := host.Config{
		Key: m.key, Member: m.stand.Membership, Listen: listen, Announce: c.Announce, QUIC: c.QUIC, Relay: c.Relay, HolePunch: c.HolePunch, PortMap: c.PortMap, Reach: c.Reach,
		MDNS: c.MDNS, Found: m.foundNear, UserAgent: "raygo/" + Version, Registerer: m.n.metrics.registry, Logger: m.n.log,
	}
	h, err := host.New(m.wired(cfg))
	if err != nil && usual {
		cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
		h, err = host.New(cfg)
	}
	if err != nil {
		return fmt.Errorf("listen for other peers: %w", orChoose(err, "--listen"))
	}
	m.host = h
	if usual {
		if err := keepPort(port, h.Addrs()); err != nil {
			m.n.log.Warn("keep the port", "err", err)
		}
	}
	return nil
}

// newKeeper prepares what keeps this peer a member, and at one that has the
// cluster's key makes members of others.
func (m *mesh) newKeeper() (err error) {
	s := m.stand
	m.keeper = member.NewKeeper(member.KeeperConfig{Host: m.host, Membership: s.Membership, Authority: s.Authority, Store: s.Store, Addrs: m.known.addrs, Logger: m.n.log})
	m.n.metrics.registry.MustRegister(s.Collector())
	if s.Authority != nil && !s.Loopback {
		m.inviter, err = member.NewInviter(member.InviterConfig{
			Authority: s.Authority, Membership: s.Membership, Store: s.Store, Addrs: m.addrs, Logger: m.n.log,
		})
	}
	return err
}

// foundNear takes a peer that was found on the local network. When too many come
// at once some are left for the next time.
func (m *mesh) foundNear(p peer.AddrInfo) {
	select {
	case m.near <- p:
	default:
	}
}

// nextIncarnation is greater than that of every earlier run, whatever became of
// the clock.
func nextIncarnation(path string, now time.Time) uint64 {
	next := uint64(now.UnixNano())
	if b, err := os.ReadFile(path); err == nil {
		if last, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64); err == nil && last < math.MaxUint64/2 {
			next = max(next, last+1)
		}
	}
	_ = replaceFile(path, strconv.AppendUint(nil, next, 10)) // without it the clock alone must do
	return next
}

// peerOf splits an address with /p2p/ID.
func peerOf(addr string) (*peer.AddrInfo, error) {
	a, err := ma.NewMultiaddr(addr)
	if err != nil {
		return nil, err
	}
	return peer.AddrInfoFromP2pAddr(a)
}
