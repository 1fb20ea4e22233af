package sched

import (
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
)

// Where the bytes of stored objects are. The owner of a job knows; its word
// travels with every ref as a Source.

// away is what is known of copies on other peers, and of the CID.
type away struct {
	holders []*peer
	cid     string
	copies  int   // that there are to be
	asked   []ask // for one
	// nextHere is when this peer may try to make one of those itself.
	nextHere time.Time
}

// stored is the record whose bytes o's value names: itself, or for an alias the
// object it is an alias of.
func (c *Core) stored(o *object) *object {
	if o.value.Store == o.id {
		return o
	}
	return o.job.objects.get(o.value.Store)
}

func (o *object) awayRecord() *away {
	if o.away == nil {
		o.away = &away{}
	}
	return o.away
}

// source is what o's bytes are and who has them.
func (c *Core) source(o *object) Source {
	s := Source{Object: o.id, Size: o.value.Size, Format: o.value.Format}
	if o.here {
		s.Holders = append(s.Holders, c.cfg.Self)
	}
	if o.away != nil {
		s.CID = o.away.cid
		for _, p := range o.away.holders {
			s.Holders = append(s.Holders, p.id)
		}
	}
	return s
}

// held notes where a value that was just made is: at the peer whose message is
// being handled, or here.
func (c *Core) held(o *object) {
	if o.value.Kind != Stored || o.value.Store != o.id {
		return
	}
	if c.from == nil {
		o.here = true
		c.rescue(o)
		return
	}
	c.holdBy(o, c.from)
	c.rescue(o)
}

func (c *Core) holdBy(o *object, p *peer) {
	a := o.awayRecord()
	if !slices.Contains(a.holders, p) {
		a.holders = append(a.holders, p)
		c.markObject(o.job, o.id)
		p.objects[o.id] = struct{}{}
	}
	a.forgetAsk(p)
	c.recount(o)
}

// unholdBy notes that a peer has an object no more.
func (c *Core) unholdBy(o *object, p *peer) {
	delete(p.objects, o.id)
	if o.away == nil {
		return
	}
	o.away.holders = slices.DeleteFunc(o.away.holders, func(q *peer) bool { return q == p })
	c.markObject(o.job, o.id)
	c.refuses(o, p)
	c.rescue(o)
}

// lost reports whether a stored object has no copy that is known of.
func (o *object) lost() bool {
	return o.value.Kind == Stored && o.value.Store == o.id && !o.here && (o.away == nil || len(o.away.holders) == 0)
}

// freeBytes has the bytes of an object deleted wherever they are.
func (c *Core) freeBytes(o *object) {
	if o.here {
		o.here = false
		c.emit(&Delete{Object: o.id})
	}
	if o.away == nil {
		return
	}
	for _, p := range o.away.holders {
		delete(p.objects, o.id)
		p.frees = append(p.frees, o.id)
		c.touch(p)
	}
	o.away.holders = nil
}

// dropBytes has bytes deleted that no record is for: where they were made.
func (c *Core) dropBytes(id raygo.ObjectID) {
	if c.from == nil {
		c.emit(&Delete{Object: id})
		return
	}
	c.from.frees = append(c.from.frees, id)
	c.touch(c.from)
}

// sources are those of the stored objects named that are not surely on the peer
// that will read them; all of them for another peer.
func (c *Core) sources(j *job, ids []raygo.ObjectID, forPeer bool) []Source {
	if len(c.peers) == 0 && !forPeer {
		return nil
	}
	var out []Source
	for _, id := range ids {
		if o := j.objects.get(id); o != nil && (forPeer || !o.here) {
			out = append(out, c.source(o))
		}
	}
	return out
}

// owning finds the record of an object of a job that this peer owns.
func (c *Core) owning(id raygo.ObjectID) *object {
	if j := c.jobs[id.Job()]; j != nil && j.owner == nil {
		return j.objects.get(id)
	}
	return nil
}

// copied notes a copy that this peer has got, and tells the owner.
func (c *Core) copied(e *Copied) {
	j := c.jobs[e.Object.Job()]
	switch {
	case j == nil:
	case j.owner != nil:
		c.toOwner(j, &Holds{Objects: []raygo.ObjectID{e.Object}})
	default:
		if o := j.objects.get(e.Object); o != nil && o.value.Kind == Stored && o.value.Store == o.id {
			o.here = true
			c.markObject(j, o.id)
			c.rescue(o)
			return
		}
		c.emit(&Delete{Object: e.Object}) // nobody needs it any more
	}
}

func (c *Core) evicted(e *Evicted) {
	j := c.jobs[e.Object.Job()]
	switch {
	case j == nil:
	case j.owner != nil:
		c.toOwner(j, &Drops{Objects: []raygo.ObjectID{e.Object}})
	default:
		o := j.objects.get(e.Object)
		if o == nil {
			return
		}
		if o.here {
			o.here = false
			c.markObject(j, o.id)
			c.recount(o)
		}
		if c.leaves(o) { // there is no copy here, or none could be made
			c.wantCopies(o, max(o.awayRecord().copies, 1))
		}
	}
}

func (c *Core) named(e *Named) {
	j := c.jobs[e.Object.Job()]
	switch {
	case j == nil:
	case j.owner != nil:
		c.toOwner(j, &NamedAs{Object: e.Object, CID: e.CID})
	default:
		if o := j.objects.get(e.Object); o != nil && o.value.Kind == Stored {
			o.awayRecord().cid = e.CID
			c.markObject(j, o.id)
		}
	}
}

// holds notes copies that another peer says it has. One of an object that is
// not needed any more is freed.
func (c *Core) holds(from *peer, m *Holds) {
	for _, id := range m.Objects {
		if o := c.owning(id); o != nil && o.value.Kind == Stored && o.value.Store == id {
			c.holdBy(o, from)
			c.rescue(o)
			continue
		}
		c.dropBytes(id)
	}
}

func (c *Core) drops(from *peer, m *Drops) {
	for _, id := range m.Objects {
		if o := c.owning(id); o != nil {
			c.unholdBy(o, from)
		}
	}
}

func (c *Core) namedAs(from *peer, m *NamedAs) {
	if o := c.owning(m.Object); o != nil && o.away != nil && o.away.cid == "" && slices.Contains(o.away.holders, from) {
		o.away.cid = m.CID
		c.markObject(o.job, o.id)
	}
}

// freeObjects deletes what the owner says is not needed any more.
func (c *Core) freeObjects(from *peer, m *FreeObjects) {
	for _, id := range m.Objects {
		if j := c.jobs[id.Job()]; j != nil && j.owner == from {
			if j.watched != nil {
				delete(j.watched.holds, id)
			}
			c.emit(&Delete{Object: id})
		}
	}
}

// openJobAt tells a peer of a job, if it has not been.
func (c *Core) openJobAt(p *peer, j *job) {
	if !p.opened[j.id] {
		p.opened[j.id] = true
		c.send(p, &JobOpen{Job: j.id, Info: j.info, Guarded: j.guards != nil})
		if j.guards != nil {
			c.send(p, &GuardedBy{Job: j.id, Guardians: j.guards.told})
		}
	}
}
