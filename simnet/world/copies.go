package world

import (
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

// replicated is an object that copies were asked for.
type replicated struct {
	id    raygo.ObjectID
	n     int
	short time.Duration // there have been fewer than could be since; 0: there are enough
}

// copiesIn is how long copies may take that nothing hinders.
const copiesIn = 2 * time.Second

// askAgain is how long a peer that had no room for a copy is not asked for it.
const askAgain = 30 * time.Second

// spread is the promise of Replicas: as many copies as were asked for, or one on
// each peer that there is and has room.
func (l *laws) spread() {
	w := l.w
	if w.hides || w.faulty && w.now-w.lastFault < 2*w.cfg.Detect {
		for _, r := range l.copies {
			r.short = 0
		}
		return
	}
	for _, r := range l.copies {
		j := w.byJob[r.id.Job()]
		if j.over || !j.owner.answers() {
			r.short = 0
			continue
		}
		o, ok := j.owner.core.Object(r.id)
		if have, could, sending := l.copiesOf(j, r.id); !ok || o.Value.Kind != sched.Stored || sending || have >= min(r.n, could) {
			r.short = 0
		} else if r.short == 0 {
			r.short = w.now
		} else if w.now-r.short > copiesIn {
			w.Fail("there are %d copies of object %s since %s, %d were asked for and %d peers could have one", have, show(r.id), r.short, r.n, could)
			return
		}
	}
}

// copiesOf counts the peers that have an object and its owner can reach, and those
// that could. It reports whether one that has it has more to send than it could yet.
func (l *laws) copiesOf(j *Job, id raygo.ObjectID) (have, could int, sending bool) {
	for _, p := range l.w.peers {
		if !p.answers() || p != j.owner && !l.w.linked(p, j.owner) {
			continue
		}
		if at, had := p.dropped[id]; !p.draining && (p.has(id) != nil || !had || l.w.now-at > askAgain) {
			could++
		}
		if p.has(id) != nil {
			have++
			sending = sending || p.uplink > l.w.now
		}
	}
	return have, could, sending
}
