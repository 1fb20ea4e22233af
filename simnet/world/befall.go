package world

import "time"

// befall draws one fault.
func (d *plan) befall(w *World) {
	at := d.time(200*time.Millisecond, maxFaults-time.Second)
	victim := w.peers[d.n(0, len(w.peers)-1)]
	if d.owners[victim.index] && !d.one(5) {
		victim = w.peers[d.n(0, len(w.peers)-1)]
	}
	other := w.peers[d.n(0, len(w.peers)-1)]
	long := d.time(50*time.Millisecond, 4*time.Second)
	machine, back := d.one(2), d.time(300*time.Millisecond, 3*time.Second)
	var side []*Peer
	for _, p := range w.peers {
		if d.one(3) || p == victim {
			side = append(side, p)
		}
	}
	kind := d.n(0, 11)
	w.At(at, func() {
		switch kind {
		case 0, 1, 2:
			w.Crash(victim, machine)
			w.after(back, func() { w.Restart(victim) })
		case 3, 4:
			w.Pause(victim, long)
		case 5, 6:
			w.Partition(side, long)
		case 7:
			w.Cut(victim, other, long)
			w.Reset(victim, w.peers[0])
		case 8:
			w.Lossy(0.3, long)
		case 9:
			w.KillWorker(victim)
		case 10:
			w.ShortOfMemory(victim)
			victim.Evict()
		case 11:
			if d.plain && !d.owners[victim.index] {
				w.Drain(victim)
			}
		}
	})
}
