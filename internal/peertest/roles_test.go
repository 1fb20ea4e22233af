package peertest_test

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"

	root "github.com/raygo/raygo"
	"github.com/raygo/raygo/dht"
	"github.com/raygo/raygo/gossip"
	"github.com/raygo/raygo/gossip/topic"
	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	"github.com/raygo/raygo/node/host"
	"github.com/raygo/raygo/node/link"
	"github.com/raygo/raygo/node/member"
	"github.com/raygo/raygo/node/wire"
	"github.com/raygo/raygo/sched"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

// liar is a member that says whatever it likes, on a host of its own: it has a
// good certificate, and none of the peer's restraint.
type liar struct {
	t      *testing.T
	key    crypto.PrivKey
	id     string
	stand  *member.Membership
	host   *host.Host
	links  *link.Mesh
	dht    *dht.DHT
	topic  *topic.Topic
	advert gossip.Advert

	mu      sync.Mutex
	answers map[uint32]*wire.Answer
	task    []sched.Message // what others said to it on task streams
	downs   map[string]bool
	reader  map[string]*wire.Reader
}

// newLiar makes one in a role, linked to peers; it claims to have a hundred CPUs.
func newLiar(t *testing.T, a *member.Authority, role member.Role, peers ...*peertest.Peer) *liar {
	t.Helper()
	l := &liar{t: t, answers: map[uint32]*wire.Answer{}, downs: map[string]bool{}, reader: map[string]*wire.Reader{}}
	var err error
	check := func() {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	l.key, _, err = crypto.GenerateEd25519Key(rand.Reader)
	check()
	id, err := peer.IDFromPrivateKey(l.key)
	check()
	l.id = id.String()
	cert, err := a.Issue(id, role, time.Hour, time.Now())
	check()
	l.stand, err = member.New(l.key, a.Public(), cert)
	check()
	l.host, err = host.New(host.Config{Key: l.key, Member: l.stand, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	check()
	t.Cleanup(func() { _ = l.host.Close() })
	l.advert = gossip.Advert{
		Peer: l.id, Incarnation: 7, Seq: 1, Platform: "linux/amd64", Wire: [2]uint16{wire.Version, wire.Version},
		Addrs:  []string{l.host.Addrs()[0].String() + "/p2p/" + l.id},
		Totals: map[string]root.Quantity{root.CPU: 100 * root.Unit, root.Memory: 1 << 40},
	}
	err = l.advert.Sign(l.key.Sign)
	check()
	l.dht, err = dht.New(dht.Config{Host: l.host.Host, Cluster: l.stand.ClusterID()})
	check()
	l.topic, err = topic.New(topic.Config{Host: l.host.Host, Cluster: l.stand.ClusterID()})
	check()
	l.links, err = link.New(link.Config{
		Host: l.host, Handler: l,
		Hello: link.Hello{Versions: l.advert.Wire, Cluster: l.stand.ClusterID(), Incarnation: 7, Advert: l.advert.Bytes(), Addrs: l.advert.Addrs},
	})
	check()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{l.links.Run, l.dht.Run, l.topic.Run} {
		wg.Go(func() { _ = run(ctx) })
	}
	t.Cleanup(func() { cancel(); wg.Wait(); _ = l.dht.Close() })
	for _, p := range peers {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		err = l.links.Connect(ctx, p.Ready.Addrs[0])
		cancel()
		check()
	}
	return l
}

// Up implements link.Handler.
func (l *liar) Up(string, link.Hello) {}

// Down implements link.Handler.
func (l *liar) Down(p, _ string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.downs[p] = true
}

// Frames implements link.Handler. It is alive as far as the others can tell.
func (l *liar) Frames(p string, c link.Class, frames [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range frames {
		if c == link.Task {
			if l.reader[p] == nil {
				l.reader[p] = &wire.Reader{}
			}
			if _, m, _, err := l.reader[p].Read(f); err == nil && m != nil {
				l.task = append(l.task, m)
			}
			continue
		}
		k, body, err := wire.KindOf(f)
		if err != nil {
			continue
		}
		var a wire.Answer
		switch {
		case k == wire.KindGossip: // a ping is answered by anything
			_ = l.links.Send(p, link.Control, f)
			l.links.Flush(p)
		case k == wire.KindAnswer && wire.Decoded(body, &a) == nil:
			l.answers[a.ID] = &a
		}
	}
}

// ask puts a question to a peer and returns the last part of the answer.
func (l *liar) ask(p *peertest.Peer, id uint32, op wire.Op, q *ipc.Query) *wire.Answer {
	l.t.Helper()
	frame, err := wire.Frame(wire.KindAsk, &wire.Ask{ID: id, Op: op, Wait: 20_000, Body: ipc.Marshal(q)})
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.links.Send(p.Ready.ID, link.Control, frame); err != nil {
		l.t.Fatal(err)
	}
	l.links.Flush(p.Ready.ID)
	var a *wire.Answer
	waitFor(l.t, "an answer to "+q.Op, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		a = l.answers[id]
		return a != nil
	})
	return a
}

// say says what only peers' cores say to each other.
func (l *liar) say(p *peertest.Peer, m sched.Message) {
	l.t.Helper()
	if err := wire.Encode(m, func(f []byte) error { return l.links.Send(p.Ready.ID, link.Task, f) }); err != nil {
		l.t.Fatal(err)
	}
	l.links.Flush(p.Ready.ID)
}

// down reports whether a link to a peer has ended.
func (l *liar) down(p *peertest.Peer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.downs[p.Ready.ID]
}

// dhtHas reports whether the cluster's hash table names a holder.
func (l *liar) dhtHas(c cid.Cid, holder string) bool {
	found, _ := l.dht.Providers(context.Background(), c, 16)
	for _, p := range found {
		if p.String() == holder {
			return true
		}
	}
	return false
}

func cidOf(t *testing.T, text string) cid.Cid {
	t.Helper()
	h, err := multihash.Sum([]byte(text), multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(cid.Raw, h)
}

// keyed starts two peers of a cluster with a key.
func keyed(t *testing.T) (a *member.Authority, peers []*peertest.Peer) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cluster.key")
	if _, _, err := node.CreateCluster(file); err != nil {
		t.Fatal(err)
	}
	a, err := member.LoadAuthority(file)
	if err != nil {
		t.Fatal(err)
	}
	cfg := node.Config{CPUs: 1, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, ClusterKeyFile: file, LoopbackDir: t.TempDir()}
	for range 2 {
		p := peertest.Start(t, cfg)
		peers = append(peers, p)
		cfg.Bootstrap = p.Ready.Addrs
	}
	waitFor(t, "they meet", func() bool { return answered(t, peers[0]) == 2 && answered(t, peers[1]) == 2 })
	return a, peers
}

func answered(t *testing.T, p *peertest.Peer) int {
	t.Helper()
	var rows ipc.Rows[ipc.NodeRow]
	p.Ask(t, &ipc.Query{Op: ipc.QueryNodes}, &rows)
	return rows.Peers.Answered
}

func lists(t *testing.T, p *peertest.Peer, id string) bool {
	t.Helper()
	var rows ipc.Rows[ipc.NodeRow]
	p.Ask(t, &ipc.Query{Op: ipc.QueryNodes}, &rows)
	for i := range rows.Rows {
		if rows.Rows[i].PeerID == id {
			return true
		}
	}
	return false
}

// unharmed runs tasks on all peers.
func unharmed(t *testing.T, peers []*peertest.Peer) {
	t.Helper()
	ctx := peers[0].DriverFor(t)
	for _, p := range peers {
		if got, err := raygo.Get(ctx, whereAmI.Options(on(p.Ready.ID)).Remote(ctx)); err != nil || got != p.Ready.ID {
			t.Errorf("a task for %s ran on %s: %v", p.Ready.ID, got, err)
		}
	}
	var refs []raygo.Ref[string]
	for range 20 { // that ask for nothing fit even where there is nothing
		refs = append(refs, whereAmI.Options(raygo.NumCPUs(0), raygo.Strategy(raygo.Spread())).Remote(ctx))
	}
	if _, err := raygo.GetAll(ctx, refs); err != nil {
		t.Error(err)
	}
}

// A member that may only read is answered when it looks, and by nobody when it
// says that it is a peer, keeps records, places work, or would change something,
// however it goes about it.
func TestWhoMayOnlyReadChangesNothing(t *testing.T) {
	a, peers := keyed(t)
	l := newLiar(t, a, member.RoleRead, peers...)
	honest := newLiar(t, a, member.RolePeer, peers...) // the same in a role that may
	witness := newLiar(t, a, member.RolePeer, peers...)

	for i, op := range []wire.Op{wire.OpQuery, wire.OpQueryAll} {
		answer := l.ask(peers[0], uint32(1+i), op, &ipc.Query{Op: ipc.QueryNodes})
		var rows ipc.Rows[ipc.NodeRow]
		if answer.Failure != nil || ipc.Unmarshal(answer.Body, &rows) != nil || rows.Rows[0].PeerID == "" {
			t.Errorf("it may look, and is told: %+v", answer.Failure)
		}
	}
	for i, q := range []string{ipc.QueryCancel, ipc.QueryReplay, ipc.QueryInvite, ipc.QueryRevoke} {
		if answer := l.ask(peers[1], uint32(10+i), wire.OpQueryAll, &ipc.Query{Op: q, ID: "x"}); answer.Failure == nil || !strings.Contains(answer.Failure.Message, "role read") {
			t.Errorf("%s: it is told %+v", q, answer.Failure)
		}
	}

	job := root.NewJobID()
	for _, liar := range []*liar{l, honest} {
		if err := liar.topic.SetAdvert(&liar.advert); err != nil {
			t.Fatal(err)
		}
		if err := liar.dht.Provide(cidOf(t, liar.id)); err != nil {
			t.Fatal(err)
		}
	}
	l.say(peers[0], &sched.JobOpen{Job: job})
	if err := l.links.Send(peers[0].Ready.ID, link.Control, wire.Gossip((&gossip.Advert{}).Bytes())); err != nil {
		t.Fatal(err)
	}
	if s, err := l.links.OpenBulk(t.Context(), peers[0].Ready.ID); err == nil {
		_ = s.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := s.Read(make([]byte, 1)); err == nil {
			t.Error("it is served objects")
		}
	}
	owner := dht.OwnerRecord{Job: job, Epoch: 1}
	if err := owner.Sign(l.stand.ClusterID(), l.key); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	_ = l.dht.PutOwner(ctx, owner)
	cancel()

	waitFor(t, "a peer's records are kept", func() bool {
		return witness.dhtHas(cidOf(t, honest.id), honest.id)
	})
	waitFor(t, "a peer is listed", func() bool { return lists(t, peers[0], honest.id) && lists(t, peers[1], honest.id) })
	if witness.dhtHas(cidOf(t, l.id), l.id) {
		t.Error("its record is in the hash table")
	}
	if r, err := witness.dht.Owner(t.Context(), job); err == nil {
		t.Errorf("its record of ownership is in the hash table: %+v", r)
	} else if !errors.Is(err, dht.ErrNotFound) {
		t.Log(err)
	}
	for _, p := range peers {
		if lists(t, p, l.id) {
			t.Error("it is listed as a peer")
		}
		var jobs ipc.Rows[ipc.JobRow]
		p.Ask(t, &ipc.Query{Op: ipc.QueryJobs}, &jobs)
		if jobs.Total != 0 {
			t.Errorf("its job is listed: %+v", jobs)
		}
	}
	_, _ = honest.host.Close(), witness.host.Close() // they have no workers
	unharmed(t, peers)
	if l.down(peers[0]) || l.down(peers[1]) {
		t.Error("the link that it looks by has ended")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.task) > 0 {
		t.Errorf("it was told of tasks: %T", l.task[0])
	}
}

// A client that says it has CPUs gets no tasks, is not listed, and loses its link
// when it bids.
func TestAClientCannotPoseAsAnExecutor(t *testing.T) {
	a, peers := keyed(t)
	l := newLiar(t, a, member.RoleClient, peers...)
	if err := l.topic.SetAdvert(&l.advert); err != nil {
		t.Fatal(err)
	}
	unharmed(t, peers)
	for _, p := range peers {
		if lists(t, p, l.id) {
			t.Error("it is listed as a peer")
		}
	}
	l.mu.Lock()
	for _, m := range l.task {
		switch m.(type) {
		case *sched.Call, *sched.Assign:
			t.Errorf("it was sent %T", m)
		}
	}
	l.mu.Unlock()
	l.say(peers[0], &sched.Bid{Round: 1, Class: 1, Slots: 100})
	waitFor(t, "its link ends", func() bool { return l.down(peers[0]) })
	unharmed(t, peers)
}

// An invite's role is what a peer becomes that was started like any other: one to
// read looks at all peers through any of them, and runs nothing; one for clients
// offers nothing.
func TestTheRoleOfAnInvite(t *testing.T) {
	_, peers := keyed(t)
	start := func(role string) *peertest.Peer {
		var inv ipc.Invite
		peers[0].Ask(t, &ipc.Query{Op: ipc.QueryInvite, ID: role}, &inv)
		return peertest.Start(t, node.Config{CPUs: 8, Join: inv.Text, LoopbackDir: t.TempDir()})
	}
	reader, client := start("read"), start("client")
	var rows ipc.Rows[ipc.NodeRow]
	reader.Ask(t, &ipc.Query{Op: ipc.QueryNodes}, &rows)
	if rows.Total != 2 || rows.Peers.Answered < 2 {
		t.Errorf("it sees %+v", rows)
	}
	var status ipc.ClusterStatus
	reader.Ask(t, &ipc.Query{Op: ipc.QueryStatus}, &status)
	if len(status.Nodes.Rows) != 2 {
		t.Errorf("status: %+v", status)
	}
	ctx := peers[1].Driver()
	ref := rest.Remote(ctx, time.Minute)
	waitFor(t, "the task is seen", func() bool {
		var tasks ipc.Rows[ipc.TaskRow]
		reader.Ask(t, &ipc.Query{Op: ipc.QueryTasks}, &tasks)
		return tasks.Total == 1 && tasks.Rows[0].State == "RUNNING"
	})
	var report ipc.CancelReport
	if err := reader.Asked(&ipc.Query{Op: ipc.QueryCancel, ID: ref.ID()[:40]}, &report); err == nil || !strings.Contains(err.Error(), "role read") {
		t.Errorf("it cancels: %v", err)
	}
	if _, _, err := raygo.Init(t.Context(), raygo.Address("unix://"+reader.Ready.Socket)); err == nil || !strings.Contains(err.Error(), "role read") {
		t.Errorf("a program runs there: %v", err)
	}
	client.Ask(t, &ipc.Query{Op: ipc.QueryCancel, ID: ref.ID()[:40]}, &report)
	if report.Stopped != 1 {
		t.Errorf("a client cancels: %+v", report)
	}
	own := client.Driver()
	for range 10 {
		if got, err := raygo.Get(own, whereAmI.Remote(own)); err != nil || got == client.Ready.ID {
			t.Errorf("a task ran on %s: %v", got, err)
		}
	}
	if lists(t, peers[0], client.Ready.ID) || lists(t, peers[0], reader.Ready.ID) {
		t.Error("who offers nothing is listed")
	}
}
