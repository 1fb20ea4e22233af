package world

import (
	"time"

	"github.com/raygo/raygo/sched"
)

// fault notes that something fails on purpose.
func (w *World) fault(format string, args ...any) {
	w.faulty = true
	w.lastFault = max(w.lastFault, w.now)
	w.trace.note(w.now, format, args...)
}

func (w *World) of(p *Peer) func(pair) bool {
	return func(x pair) bool { return x.a == p.index || x.b == p.index }
}

// Crash ends a peer with all its processes. Of a process's end the others learn
// at once, of a machine's from their detectors.
func (w *World) Crash(p *Peer, machine bool) {
	if !p.up {
		return
	}
	w.fault("%s crashes (machine: %t)", p.Name, machine)
	p.up = false
	for _, k := range p.sortedWorkers() {
		k.alive = false
		for _, r := range k.queue {
			w.laws.ran(r)
			r.over = true
		}
	}
	for _, j := range w.jobs {
		if j.owner == p && j.started && (!j.detached || !p.core.HasHeir(j.ID)) {
			j.dead()
		}
	}
	for _, s := range w.sorted() {
		if s.of.a != p.index && s.of.b != p.index {
			continue
		}
		after := func() time.Duration {
			if machine {
				return w.between(w.cfg.Detect*4/5, w.cfg.Detect*6/5)
			}
			return w.latency()
		}
		w.breakSession(s, "crashed", after(), after())
		w.endKnows(s, s.side(p))
	}
	if w.outlives {
		w.surely(p)
	}
}

func (p *Peer) sortedWorkers() []*worker {
	var ks []*worker
	for _, v := range p.core.Workers() {
		if k := p.workers[v.ID]; k != nil {
			ks = append(ks, k)
		}
	}
	return ks
}

// Restart brings a crashed peer back as a new incarnation.
func (w *World) Restart(p *Peer) {
	if !p.up {
		w.fault("%s restarts", p.Name)
		w.boot(p)
	}
}

// Pause stops a peer for a while: it does nothing and answers nothing.
func (w *World) Pause(p *Peer, d time.Duration) {
	if !p.up {
		return
	}
	w.fault("%s stops for %s", p.Name, d)
	p.asleep++
	w.detect(w.of(p))
	inc := p.inc
	w.after(d, func() {
		if p.inc != inc || !p.up {
			return
		}
		w.fault("%s goes on", p.Name)
		if p.asleep--; p.asleep > 0 {
			return
		}
		late := p.late
		p.late = nil
		for _, f := range late {
			if p.inc == inc && p.up {
				p.run(f)
			}
		}
	})
}

// Partition puts peers on one side of a split for a while.
func (w *World) Partition(side []*Peer, d time.Duration) {
	w.fault("%d peers are cut off for %s, the first is %s", len(side), d, side[0].Name)
	w.serial++
	mark := int(w.serial)
	for _, p := range side {
		w.group[p.index] = mark
	}
	w.detect(func(x pair) bool { return w.group[x.a] != w.group[x.b] })
	w.after(d, func() {
		w.fault("the partition of %s heals", side[0].Name)
		for _, p := range side {
			if w.group[p.index] == mark {
				w.group[p.index] = 0
			}
		}
	})
}

// Cut stops one link for a while.
func (w *World) Cut(a, b *Peer, d time.Duration) {
	if a == b {
		return
	}
	w.fault("the link of %s and %s carries nothing for %s", a.Name, b.Name, d)
	of := pairOf(a.index, b.index)
	w.cuts[of]++
	w.detect(func(x pair) bool { return x == of })
	w.after(d, func() {
		w.fault("the link of %s and %s carries again", a.Name, b.Name)
		w.cuts[of]--
	})
}

// Reset breaks the session of two peers: it is dialled again at once.
func (w *World) Reset(a, b *Peer) {
	if s := w.sessions[pairOf(a.index, b.index)]; a != b && s != nil && !s.broken {
		w.fault("the session of %s and %s breaks", a.Name, b.Name)
		w.breakSession(s, "connection reset", w.latency(), w.latency())
	}
}

// Lossy has links lose a share of what they carry for a while.
func (w *World) Lossy(share float64, d time.Duration) {
	w.fault("links lose %.0f %% for %s", 100*share, d)
	w.loss = share
	w.after(d, func() {
		w.fault("links lose no more")
		w.loss = w.cfg.Net.Loss
	})
}

// Drain has a peer take nothing new.
func (w *World) Drain(p *Peer) {
	if !p.answers() || p.draining {
		return
	}
	w.trace.note(w.now, "%s drains", p.Name)
	p.draining = true
	p.step(&sched.Drain{})
	for _, s := range w.sorted() {
		if s.of.a == p.index || s.of.b == p.index {
			other := w.peers[s.of.a+s.of.b-p.index]
			other.at(w.latency(), func() {
				if side := s.side(other); s.up[side] && !s.down[side] {
					other.step(p.advert())
				}
			})
		}
	}
}

// KillWorker ends one of a peer's worker processes, one that works if there is
// one.
func (w *World) KillWorker(p *Peer) {
	if !p.answers() {
		return
	}
	var found *worker
	for _, k := range p.sortedWorkers() {
		if k.alive && (found == nil || len(k.queue) > 0 && w.chance(0.5)) {
			found = k
		}
	}
	if found != nil {
		w.fault("worker %d of %s is killed", found.id, p.Name)
		found.end("signal 9")
	}
}

// ShortOfMemory has a peer's memory guard ask for a worker.
func (w *World) ShortOfMemory(p *Peer) {
	if p.answers() {
		w.fault("%s is short of memory", p.Name)
		p.step(&sched.KillForMemory{Reason: "98 % in use"})
	}
}
