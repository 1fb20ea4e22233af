package sched

import (
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
)

// Copies of objects: as many as Replicate asks for, and of what only a peer that
// leaves has, which does not count as a copy. A peer that was asked for one counts as if it had it while it is there
// and may still be at it. Nothing is remembered of it by the next owner of the job,
// who counts what there is and asks anew. Peers that offer nothing, as a program's
// bridge, are not asked, and those without CPUs after all others.

// How long a peer that was asked may take. One that did not make it by then, or said
// that it will not, is asked again no sooner, and after those that were never asked.
const (
	copyWait = 30 * time.Second
	copyMost = time.Hour
	copyRate = 10e6 // bytes a second, for which it gets more time
)

// maxCopies bounds the copies of one object that may be asked for.
const maxCopies = 1024

// ask is what a peer was asked for.
type ask struct {
	peer    *peer
	until   time.Time
	refused bool
}

func (a *away) askedOf(p *peer) bool {
	return slices.ContainsFunc(a.asked, func(k ask) bool { return k.peer == p })
}

func (a *away) forgetAsk(p *peer) {
	a.asked = slices.DeleteFunc(a.asked, func(k ask) bool { return k.peer == p })
}

// replicate has copies of an object made on other peers.
func (c *Core) replicate(e *Replicate) {
	o, p := c.owning(e.Object), c.procs[e.Proc]
	if o == nil || p == nil || p.job != o.job || o.value.Kind != Stored || e.Copies > maxCopies {
		return
	}
	c.wantCopies(o, e.Copies)
}

// wantCopies has so many copies of an object kept from now on.
func (c *Core) wantCopies(o *object, n int) {
	o.awayRecord().copies = n
	c.markObject(o.job, o.id)
	c.recount(o)
}

// recount looks at an object that has a copy more or less.
func (c *Core) recount(o *object) {
	if o.away != nil && o.away.copies > 0 {
		c.spreadCopies(o)
	}
}

// refuses notes that a peer has no copy of an object and will not make one.
func (c *Core) refuses(o *object, p *peer) {
	if a := o.away; a.copies > 0 {
		a.forgetAsk(p)
		a.asked = append(a.asked, ask{peer: p, until: c.now.Add(copyWait), refused: true})
		c.spreadCopies(o)
	}
}

// spreadCopies asks peers for copies until there are as many as wanted, or will be.
func (c *Core) spreadCopies(o *object) {
	j, a := o.job, o.away
	have := o.staysAt()
	if c.staysHere(o) {
		have++
	}
	if o.value.Kind != Stored || have >= a.copies || j.adopting == nil && !o.needed() {
		a.asked = nil
		delete(j.short, o.id)
		return
	}
	if j.short == nil {
		j.short = map[raygo.ObjectID]struct{}{}
	}
	j.short[o.id] = struct{}{}
	if j.adopting != nil || o.lost() {
		return
	}
	a.asked = slices.DeleteFunc(a.asked, func(k ask) bool { return k.peer.down || k.peer.draining })
	for _, k := range a.asked {
		if !k.refused && c.now.Before(k.until) {
			have++
		}
	}
	at := 0
	if n := len(c.peerOrder); n > 0 && have < a.copies {
		at = c.rng.IntN(n)
	}
	// One that runs no tasks is most often there for a program that is attached to
	// it, and leaves with that.
	for _, turn := range [...]struct{ again, idle bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		for i := 0; i < len(c.peerOrder) && have < a.copies; i++ {
			p := c.peerOrder[(at+i)%len(c.peerOrder)]
			k := slices.IndexFunc(a.asked, func(k ask) bool { return k.peer == p })
			if !takesCopies(p) || turn.idle != (p.totals[raygo.CPU] == 0) || slices.Contains(a.holders, p) ||
				turn.again != (k >= 0) || turn.again && c.now.Before(a.asked[k].until) {
				continue
			}
			c.askForCopy(o, p)
			have++
		}
	}
	if have < a.copies && !o.here && !c.draining && c.led.total.cpu > 0 && !c.now.Before(a.nextHere) {
		a.nextHere = c.now.Add(copyFor(o)) // the owner itself, where there are no others
		c.emit(&CopyHere{Source: c.source(o)})
	}
	if (len(a.asked) > 0 || c.now.Before(a.nextHere)) && !j.copiesTimed {
		j.copiesTimed = true
		c.after(copyWait, timer{kind: timerCopies, job: j})
	}
}

// copyFor is how long a copy of an object may take.
func copyFor(o *object) time.Duration {
	return min(copyMost, copyWait+time.Duration(min(float64(o.value.Size)/copyRate, copyMost.Seconds())*float64(time.Second)))
}

func (c *Core) askForCopy(o *object, p *peer) {
	o.away.forgetAsk(p)
	o.away.asked = append(o.away.asked, ask{peer: p, until: c.now.Add(copyFor(o))})
	c.openJobAt(p, o.job)
	c.send(p, &CopyObject{Source: c.source(o)})
}

// copyObject has a copy made here, if it is the owner of the job who asks.
func (c *Core) copyObject(from *peer, m *CopyObject) {
	if j := c.jobs[m.Source.Object.Job()]; j == nil || j.ended || j.owner != from {
		c.impostors++
		return
	}
	c.emit(&CopyHere{Source: m.Source})
}

// spreadShort looks again at the objects of a job that have fewer copies than wanted.
func (c *Core) spreadShort(j *job) {
	for _, id := range sortedKeys(j.short) {
		if o := j.objects.get(id); o != nil {
			c.recount(o)
		}
	}
}

// spreadAll does so for all jobs: a peer has come or gone.
func (c *Core) spreadAll() {
	for _, j := range c.sortedJobs() {
		c.spreadShort(j)
	}
}

// What peers that leave have. An owner that leaves gives its jobs away, if they
// outlive it, so that what it has is in no better hands.

// staysHere reports whether an object's bytes are here for as long as its job needs
// them.
func (c *Core) staysHere(o *object) bool { return o.here && (!c.draining || o.job.guards == nil) }

// staysAt is how many other peers have an object and do not leave.
func (o *object) staysAt() int {
	n := 0
	if o.away != nil {
		for _, p := range o.away.holders {
			if !p.draining {
				n++
			}
		}
	}
	return n
}

// leaves reports whether bytes that are needed are only where they soon will not be.
func (c *Core) leaves(o *object) bool {
	return o.value.Kind == Stored && o.value.Store == o.id && !o.lost() && !c.staysHere(o) && o.staysAt() == 0 && o.needed()
}

// rescue has a copy made of an object that leaves: here, or where this peer leaves as
// well on another one.
func (c *Core) rescue(o *object) {
	switch {
	case !c.leaves(o):
		c.recount(o)
	case o.here, c.draining && o.job.guards != nil:
		c.wantCopies(o, max(o.awayRecord().copies, 1))
	default:
		c.recount(o)
		c.emit(&CopyHere{Source: c.source(o)})
	}
}

// rescueOwn does so for all of jobs that outlive this peer, which leaves.
func (c *Core) rescueOwn() {
	for _, j := range c.sortedJobs() {
		if j.owner != nil || j.guards == nil || j.ended {
			continue
		}
		for _, o := range sortedObjects(j.objects) {
			if o.value.Kind == Stored {
				c.rescue(o)
			}
		}
	}
}

// rescueOf does so for what a peer has that leaves.
func (c *Core) rescueOf(p *peer) {
	for _, id := range sortedKeys(p.objects) {
		if o := c.owning(id); o != nil {
			c.rescue(o)
		}
	}
}

// SoleHere counts the objects of jobs that outlive this peer that are only here or at
// others that leave, and that a peer which stays could have a copy of.
func (c *Core) SoleHere() int {
	n := 0
	for _, j := range c.jobs {
		if !c.HasHeir(j.id) {
			continue
		}
		for _, o := range j.objects.all() {
			if o.here && c.leaves(o) {
				n++
			}
		}
	}
	return n
}

// SoleAt counts the objects that are needed and that only a peer has, and others that
// leave, as far as there is anybody who could have a copy.
func (c *Core) SoleAt(id string) int {
	p := c.peers[id]
	if p == nil {
		return 0
	}
	n := 0
	for oid := range p.objects {
		if o := c.owning(oid); o != nil && c.sole(o, p) {
			n++
		}
	}
	return n
}

// sole reports whether bytes that are needed are gone when a peer is that has them:
// others that do leave as well.
func (c *Core) sole(o *object, p *peer) bool {
	if !o.needed() || c.staysHere(o) || slices.ContainsFunc(o.away.holders, func(q *peer) bool { return q != p && !q.draining }) {
		return false
	}
	return !c.draining || o.job.guards == nil || c.anyStays()
}

// anyStays reports whether there is a peer that copies can be asked of.
func (c *Core) anyStays() bool { return slices.ContainsFunc(c.peerOrder, takesCopies) }

// takesCopies reports whether a peer can be asked for a copy: one that offers nothing
// is a program's bridge.
func takesCopies(p *peer) bool { return !p.draining && p.totals != nil }
