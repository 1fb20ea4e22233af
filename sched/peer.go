package sched

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	raygo "github.com/raygo/raygo"
)

// peer is another core as this one knows it: what it offers, what it has of
// ours, and what waits to be told to it at the end of the step.
type peer struct {
	id          string
	incarnation uint64
	tag         uint32
	totals      map[string]raygo.Quantity
	labels      map[string]string
	platform    string
	draining    bool
	leaving     bool // and what only it holds is being copied
	useless     bool // it took tasks and lost them: it gets no more
	down        bool

	rtt        time.Duration
	rate       float64 // bytes a second from there, measured
	correction float64 // of estimates, learnt from what they turned out to be

	running map[raygo.TaskID]*task      // tasks of ours that it has; settled ones until it says so
	objects map[raygo.ObjectID]struct{} // of ours that it holds
	opened  map[raygo.JobID]bool        // jobs of ours that it was told of
	defined map[ClassID]bool            // classes it was told of, under our number
	theirs  map[ClassID]*class          // classes it told of, under its number
	procs   int                         // processes there that are attached to jobs of ours

	denied      int // objects that it made and denies to have, since
	deniedSince time.Time

	roll   uint64 // the roll call that it has to answer; 0: none
	rollAt time.Time
	rolled uint64 // its own that is to be answered at the end of the step

	results []TaskResult
	stands  []*class
	frees   []raygo.ObjectID
	dirty   bool
}

func (c *Core) peerUp(e *PeerUp) {
	if e.Peer == c.cfg.Self || e.Peer == "" {
		return
	}
	p := c.peers[e.Peer]
	fresh := p == nil
	if fresh {
		p = &peer{
			id: e.Peer, correction: 1, running: map[raygo.TaskID]*task{}, objects: map[raygo.ObjectID]struct{}{},
			opened: map[raygo.JobID]bool{}, defined: map[ClassID]bool{}, theirs: map[ClassID]*class{},
		}
		c.peers[p.id] = p
		i, _ := slices.BinarySearchFunc(c.peerOrder, p, byPeer)
		c.peerOrder = slices.Insert(c.peerOrder, i, p)
	}
	stays := p.draining && !e.Draining
	p.incarnation, p.tag, p.totals, p.labels, p.platform, p.draining = e.Incarnation, e.Tag, e.Totals, e.Labels, e.Platform, e.Draining
	c.topologyChanged()
	if fresh {
		c.metAgain(p)
	}
	c.guardAll()
	if fresh || stays {
		c.spreadAll()
	}
	if p.draining {
		c.leaving(p)
	}
	if c.draining {
		c.send(p, &Leaving{})
	}
}

func byPeer(a, b *peer) int { return cmp.Compare(a.id, b.id) }

// topologyChanged makes every class look again at where it could run: a task
// that fitted nowhere may fit now.
func (c *Core) topologyChanged() {
	c.topology++
	for _, cl := range c.ready {
		c.chooseSelector(cl)
		cl.blockedSince = time.Time{}
		cl.nextSeek, cl.seekWait = time.Time{}, 0
	}
}

func (c *Core) peerStats(e *PeerStats) {
	if p := c.peers[e.Peer]; p != nil {
		if e.RTT > 0 {
			p.rtt, c.slowestRTT = e.RTT, max(c.slowestRTT, e.RTT)
		}
		if e.Rate > 0 {
			p.rate = e.Rate
		}
	}
}

// peerDown makes all that was in flight with a peer void: its jobs end here, our
// tasks there are tried elsewhere, what it held is gone.
func (c *Core) peerDown(e *PeerDown) {
	p := c.peers[e.Peer]
	if p == nil {
		return
	}
	p.down = true
	delete(c.peers, p.id)
	c.peerOrder = slices.DeleteFunc(c.peerOrder, func(q *peer) bool { return q == p })
	c.topologyChanged()
	for _, j := range c.sortedJobs() {
		switch {
		case j.owner == p && j.watched != nil && len(j.watched.guardians) > 0 && !j.ended:
			c.orphaned(j)
		case j.owner == p:
			c.endJob(j, fmt.Sprintf("its owner, peer %s, is gone: %s", p.id, e.Reason))
		case j.guards != nil:
			j.guards.forget(p)
		}
		if j.owner == nil && p.opened[j.id] && !p.draining && !j.ended {
			c.warn(j, fmt.Sprintf("peer %s, which ran tasks of this job, is gone (%s): what it had runs again elsewhere", p.id, e.Reason))
		}
	}
	for _, cl := range c.sortedClasses() {
		c.leaveSeat(cl, p)
	}
	for _, id := range sortedKeys(p.objects) {
		if j := c.jobs[id.Job()]; j != nil {
			if o := j.objects.get(id); o != nil {
				c.unholdBy(o, p)
			}
		}
	}
	for _, id := range c.sortedProcs() {
		if pr := c.procs[id]; pr != nil && pr.peer == p {
			c.procGone(id)
		}
	}
	why := fmt.Sprintf("peer %s, which had it, is gone: %s", p.id, e.Reason)
	for _, id := range sortedTaskIDs(p.running) {
		t := p.running[id]
		if t == nil || t.at != p {
			continue
		}
		c.leavePeer(t)
		c.lostAt(t, raygo.Fail(raygo.CodePeerDied, "%s", why))
	}
	c.failAffine(p)
	for _, j := range c.sortedJobs() {
		if j.adopting != nil {
			delete(j.adopting.waiting, p)
			c.adopted(j)
		}
	}
	c.guardAll()
	c.spreadAll()
}

// lostAt handles the end of an execution elsewhere that the system is to blame
// for.
func (c *Core) lostAt(t *task, f *raygo.Failure) {
	switch {
	case t.settled:
		c.answerCancels(t, Stopped)
	case t.cancelled:
		c.finishFailed(t, raygo.Fail(raygo.CodeCancelled, "cancelled; %s", f.Message))
		c.answerCancels(t, Stopped)
	default:
		c.retryOrFail(t, f, failed(f))
	}
}

// failAffine fails what could run on a peer that is gone and nowhere else.
func (c *Core) failAffine(p *peer) {
	for _, cl := range slices.Clone(c.ready) {
		if s := &cl.opts.Strategy; cl.owned() && s.Kind == raygo.StrategyAffinity && !s.Soft && s.Peer == p.id {
			for t := cl.queue.head(); t != nil; t = cl.queue.head() {
				cl.queue.remove(t)
				c.finishFailed(t, raygo.Fail(raygo.CodeUnschedulable, "its affinity is to peer %s, which is gone", p.id))
			}
		}
	}
}

// leavePeer takes a task off the peer that had it.
func (c *Core) leavePeer(t *task) {
	p := t.at
	delete(p.running, t.id)
	if s := t.class.seats[p]; s != nil {
		s.inflight--
	}
	t.at, t.last = nil, p
	t.job.running--
}

// send says something to a peer at once; a peer that is gone hears nothing.
func (c *Core) send(p *peer, m Message) {
	if !p.down {
		c.emit(&Send{To: p.id, Msg: m})
	}
}

// touch notes that a peer is to be told something at the end of the step.
func (c *Core) touch(p *peer) {
	if !p.dirty && !p.down {
		p.dirty = true
		c.dirtyPeers = append(c.dirtyPeers, p)
	}
}

// flush sends what was collected during a step: one message of a kind a peer.
func (c *Core) flush() {
	c.flushBids()
	c.flushSeats()
	for _, p := range c.dirtyPeers {
		p.dirty = false
		if len(p.results) > 0 || len(p.stands) > 0 {
			d := &Done{Results: p.results}
			for _, cl := range p.stands {
				cl.standing = false
				d.Stands = append(d.Stands, cl.stand())
			}
			p.results, p.stands = nil, p.stands[:0]
			c.send(p, d)
		}
		if p.rolled != 0 {
			c.send(p, c.present(p))
		}
		if len(p.frees) > 0 {
			c.send(p, &FreeObjects{Objects: p.frees})
			p.frees = nil
		}
	}
	c.dirtyPeers = c.dirtyPeers[:0]
}

// received handles a message. Its sender is believed only about itself and what
// it was given: everything else changes nothing.
func (c *Core) received(e *Received) {
	p := c.peers[e.From]
	if p == nil {
		return
	}
	before := c.from
	c.from = p
	defer func() { c.from = before }()
	switch m := e.Msg.(type) {
	case *Assign:
		c.assigned(p, m)
	case *Done:
		c.doneAt(p, m)
	case *Bid:
		c.bid(p, m)
	case *Call:
		c.called(p, m)
	case *Free:
		c.freed(p, m)
	case *FromProc:
		c.fromProc(p, m)
	case *ToProc:
		c.toProc(p, m)
	case *Yielded:
		c.yieldedAt(p, m)
	case *ClassOf:
		c.classOf(p, m)
	default:
		c.receivedRare(p, m)
	}
}

func (c *Core) receivedRare(p *peer, msg Message) {
	switch m := msg.(type) {
	case *JobOpen:
		c.jobOpen(p, m)
	case *JobOver:
		c.jobOver(p, m)
	case *StopTask:
		c.stopTask(p, m)
	case *RecallTasks:
		c.recallTasks(p, m)
	case *CreditTask:
		c.creditTask(p, m)
	case *ProcJoined:
		c.procJoined(p, m)
	case *ProcLeft:
		if pr := c.procs[m.Proc]; pr != nil && pr.peer == p {
			c.procGone(m.Proc)
		}
	case *Holds:
		c.holds(p, m)
	case *Drops:
		c.drops(p, m)
	case *NamedAs:
		c.namedAs(p, m)
	case *FreeObjects:
		c.freeObjects(p, m)
	case *CopyObject:
		c.copyObject(p, m)
	case *Leaving:
		c.leaving(p)
	case *RollCall:
		c.rollCalled(p, m)
	case *Present:
		c.presentAt(p, m)
	default:
		c.receivedGuard(p, m)
	}
}

func (c *Core) receivedGuard(p *peer, msg Message) {
	switch m := msg.(type) {
	case *GuardedBy:
		c.guardedBy(p, m)
	case *Guard:
		c.guardFor(p, m)
	case *Guarded:
		c.guarded(p, m)
	case *Safe:
		c.safe(p, m)
	case *TakeNow:
		c.takeNow(p, m)
	case *JobTaken:
		c.taken(p, m)
	case *Rejoin:
		c.rejoined(p, m)
	}
}

// jobOver ends another's job here. An executor says it of a job of ours that it
// cannot open yet: it is told of it again when it is next spoken to.
func (c *Core) jobOver(p *peer, m *JobOver) {
	j := c.jobs[m.Job]
	switch {
	case j == nil:
	case j.owner == p:
		c.endJob(j, m.Reason)
	case j.owner == nil && p.opened[j.id]:
		if m.Full && !j.full[p.id] {
			if j.full == nil {
				j.full = map[string]bool{}
			}
			j.full[p.id] = true
			c.warn(j, "peer "+p.id+" has as many jobs of this one open as it may: nothing of this job runs there until others of them end")
		}
		p.opened[j.id] = false // it is still told of the end: it may have said so and have the job all the same
		for _, cl := range c.sortedClasses() {
			if cl.job == j {
				delete(p.defined, cl.id)
			}
		}
		for _, id := range sortedKeys(j.short) {
			if o := j.objects.get(id); o != nil && o.away.askedOf(p) {
				c.refuses(o, p)
			}
		}
	}
}

// sortedJobs, sortedClasses and sortedProcs are for loops whose effects must not
// depend on map order.
func (c *Core) sortedJobs() []*job {
	js := make([]*job, 0, len(c.jobs))
	for _, j := range c.jobs {
		js = append(js, j)
	}
	slices.SortFunc(js, func(a, b *job) int { return strings.Compare(string(a.id[:]), string(b.id[:])) })
	return js
}

func (c *Core) sortedClasses() []*class {
	cls := make([]*class, 0, len(c.classes))
	for _, cl := range c.classes {
		cls = append(cls, cl)
	}
	slices.SortFunc(cls, func(a, b *class) int { return cmp.Compare(a.id, b.id) })
	return cls
}

func (c *Core) sortedProcs() []raygo.ProcID {
	ids := make([]raygo.ProcID, 0, len(c.procs))
	for id := range c.procs {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func sortedKeys(m map[raygo.ObjectID]struct{}) []raygo.ObjectID {
	ids := make([]raygo.ObjectID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b raygo.ObjectID) int { return strings.Compare(string(a[:]), string(b[:])) })
	return ids
}

func sortedTaskIDs(m map[raygo.TaskID]*task) []raygo.TaskID {
	ids := make([]raygo.TaskID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b raygo.TaskID) int { return strings.Compare(string(a[:]), string(b[:])) })
	return ids
}
