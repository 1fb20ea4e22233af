package world

import (
	"encoding/binary"
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

// content is what an object's bytes say: a number that follows from what made
// it, and refs.
type content struct {
	sum    uint64
	nested []raygo.ObjectID
}

// inline is a value that travels in messages.
func inline(c content) sched.Value {
	b := binary.BigEndian.AppendUint64(nil, c.sum)
	for _, id := range c.nested {
		b = append(b, id[:]...)
	}
	return sched.Value{Kind: sched.Inline, Bytes: b}
}

func (w *World) parse(v *sched.Value) content {
	if len(v.Bytes) < 8 || (len(v.Bytes)-8)%24 != 0 {
		w.Fail("a value of %d bytes came through: %x", len(v.Bytes), v.Bytes)
		return content{}
	}
	c := content{sum: binary.BigEndian.Uint64(v.Bytes)}
	for rest := v.Bytes[8:]; len(rest) > 0; rest = rest[24:] {
		c.nested = append(c.nested, raygo.ObjectID(rest))
	}
	return c
}

// stored is an object in a peer's store.
type stored struct {
	size    uint64
	content content
	cached  bool // a copy: it may be dropped
	pins    int
	deleted bool          // and goes with the last pin
	idle    time.Duration // it has been needed by nobody since; 0: it is needed
}

// keep puts bytes into the store and tells the core its CID a little later.
func (p *Peer) keep(id raygo.ObjectID, size uint64, c content) sched.Value {
	p.store[id] = &stored{size: size, content: c}
	p.at(p.w.between(time.Millisecond, 20*time.Millisecond), func() {
		if o := p.store[id]; o != nil && !o.deleted {
			p.step(&sched.Named{Object: id, CID: "cid-" + id.String()})
		}
	})
	return sched.Value{Kind: sched.Stored, Size: size, Store: id}
}

func (p *Peer) has(id raygo.ObjectID) *stored {
	if o := p.store[id]; o != nil && !o.deleted {
		return o
	}
	return nil
}

func (p *Peer) deleteObject(id raygo.ObjectID) {
	o := p.store[id]
	switch {
	case o == nil:
	case o.pins > 0:
		o.deleted = true
	default:
		delete(p.store, id)
	}
}

// fetching is a Fetch that is under way or answered.
type fetching struct {
	pinned  []raygo.ObjectID
	left    int
	missing []raygo.ObjectID
	denied  []string
}

func (p *Peer) fetch(e *sched.Fetch) {
	f := &fetching{left: len(e.Objects)}
	key := execution{e.Task, e.Award}
	p.fetches[key] = f
	p.at(ipcDelay, func() {
		if !p.room(e) {
			if p.fetches[key] == f {
				p.step(&sched.ArgsFailed{Task: e.Task, Award: e.Award, Failure: raygo.Fail(raygo.CodeStoreFull, "no room for its arguments")})
			}
			return
		}
		for _, id := range e.Objects {
			i := slices.IndexFunc(e.Sources, func(s sched.Source) bool { return s.Object == id })
			src := sched.Source{Object: id}
			if i >= 0 {
				src = e.Sources[i]
			}
			p.bring(src, func(ok bool, denied []string) {
				if p.fetches[key] != f {
					return
				}
				if ok {
					p.store[id].pins++
					f.pinned = append(f.pinned, id)
				} else {
					f.missing, f.denied = append(f.missing, id), append(f.denied, denied...)
				}
				if f.left--; f.left == 0 {
					p.fetched(e, f)
				}
			})
		}
	})
}

// room reports whether the store could take what a Fetch brings, without the
// copies that nobody uses.
func (p *Peer) room(e *sched.Fetch) bool {
	if p.m.Store == 0 {
		return true
	}
	need := uint64(0)
	for i := range e.Sources {
		if p.has(e.Sources[i].Object) == nil {
			need += e.Sources[i].Size
		}
	}
	if p.used()+need > p.m.Store {
		p.Evict()
	}
	p.step(&sched.StoreUsed{Used: float64(p.used()) / float64(p.m.Store)})
	return p.used()+need <= p.m.Store
}

func (p *Peer) used() uint64 {
	n := uint64(0)
	for _, o := range p.store {
		n += o.size
	}
	return n
}

func (p *Peer) fetched(e *sched.Fetch, f *fetching) {
	if len(f.missing) == 0 {
		p.step(&sched.ArgsReady{Task: e.Task, Award: e.Award})
		return
	}
	p.w.laws.notFound(p, f.missing)
	p.step(&sched.ArgsFailed{
		Task: e.Task, Award: e.Award, Missing: f.missing, Denied: f.denied,
		Failure: raygo.Fail(raygo.CodeObjectLost, "none of %d argument(s) was to be had", len(f.missing)),
	})
}

func (p *Peer) unpin(e *sched.Unpin) {
	key := execution{e.Task, e.Award}
	f := p.fetches[key]
	if f == nil {
		return
	}
	delete(p.fetches, key)
	for _, id := range f.pinned {
		if o := p.store[id]; o != nil {
			if o.pins--; o.pins == 0 && o.deleted {
				delete(p.store, id)
			}
		}
	}
}

func (p *Peer) copyHere(src sched.Source) {
	p.at(ipcDelay, func() {
		p.bring(src, func(ok bool, _ []string) {
			if !ok {
				p.evicted(src.Object)
			}
		})
	})
}

// bring gets an object into the store from whoever has it. done is told whether
// it is here, and who said that he has it no more.
func (p *Peer) bring(src sched.Source, done func(ok bool, denied []string)) {
	w := p.w
	if p.has(src.Object) != nil {
		done(true, nil)
		return
	}
	var denied []string
	holders := slices.DeleteFunc(slices.Clone(src.Holders), func(name string) bool { return name == p.Name })
	if len(holders) < len(src.Holders) {
		denied = append(denied, p.Name)
	}
	w.rng.Shuffle(len(holders), func(i, k int) { holders[i], holders[k] = holders[k], holders[i] })
	var next func()
	next = func() {
		if p.has(src.Object) != nil {
			done(true, nil)
			return
		}
		if p.store[src.Object] != nil { // deleted, and its readers are not done: the name is taken until they are
			p.at(w.between(50*time.Millisecond, 500*time.Millisecond), next)
			return
		}
		if len(holders) == 0 {
			done(false, denied)
			return
		}
		h := w.byName[holders[0]]
		holders = holders[1:]
		if h == nil || w.blocked(p.index, h.index) {
			p.at(w.between(50*time.Millisecond, 500*time.Millisecond), next)
			return
		}
		p.at(2*w.latency(), func() {
			o := h.has(src.Object)
			if o == nil || !h.up || w.chance(h.m.Lie.Hide) {
				denied = append(denied, h.Name)
				next()
				return
			}
			p.transfer(h, src.Object, o, next)
		})
	}
	next()
}

// transfer moves an object's bytes; then calls then.
func (p *Peer) transfer(h *Peer, id raygo.ObjectID, o *stored, then func()) {
	w := p.w
	h.uplink = max(h.uplink, w.now) + time.Duration(float64(o.size)/w.cfg.Net.Bandwidth*float64(time.Second))
	inc := h.inc
	p.at(h.uplink-w.now+w.latency(), func() {
		if h.inc == inc && h.has(id) == o && !w.blocked(p.index, h.index) && p.store[id] == nil && p.knows(id.Job()) {
			p.store[id] = &stored{size: o.size, content: o.content, cached: true}
			w.Stats.Fetched += int(o.size)
			p.step(&sched.Copied{Object: id})
		}
		then()
	})
}

// knows reports whether a job goes on as far as the peer has heard.
func (p *Peer) knows(job raygo.JobID) bool {
	j := p.w.byJob[job]
	return p.programs[job] != nil || j != nil && j.owner == p && !j.over
}

// Evict drops every cached copy that nobody uses.
func (p *Peer) Evict() {
	if !p.answers() {
		return
	}
	for _, id := range p.sortedStore() {
		if o := p.store[id]; o.cached && o.pins == 0 && !o.deleted {
			delete(p.store, id)
			p.evicted(id)
		}
	}
}

func (p *Peer) evicted(id raygo.ObjectID) {
	p.dropped[id] = p.w.now
	p.step(&sched.Evicted{Object: id})
}

func (p *Peer) sortedStore() []raygo.ObjectID {
	ids := make([]raygo.ObjectID, 0, len(p.store))
	for id := range p.store {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b raygo.ObjectID) int { return slices.Compare(a[:], b[:]) })
	return ids
}

// Holds reports whether an object's bytes are in the peer's store.
func (p *Peer) Holds(id raygo.ObjectID) bool { return p.up && p.has(id) != nil }
