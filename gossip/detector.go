package gossip

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Times are those of the failure detector. Zero fields are their defaults, which
// are for machines of one network.
type Times struct {
	Ping    time.Duration // a peer that was silent so long is pinged (500 ms)
	Suspect time.Duration // a ping without an answer so long makes suspicion (2 s)
	Dead    time.Duration // and so long makes death (4.5 s)
	Broken  time.Duration // the same once the link has broken (1.5 s)
	Late    time.Duration // a tick later than this is this machine's fault (500 ms)
}

func (t Times) withDefaults() Times {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Ping, 500 * time.Millisecond}, {&t.Suspect, 2 * time.Second}, {&t.Dead, 4500 * time.Millisecond},
		{&t.Broken, 1500 * time.Millisecond}, {&t.Late, 500 * time.Millisecond},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return t
}

// Bounds of the detector's cost: flat in the size of the cluster.
const (
	pingsARound = 64 // peers pinged in one period
	askOthers   = 3  // peers asked about one that is suspected
	vouchMost   = 2  // times its deadline that others' word saves a peer we do not hear
)

// Health is what the detector thinks of a peer.
type Health uint8

// The healths of a peer.
const (
	Alive Health = iota
	Suspected
	Gone
)

// watched is a peer whose life is watched: one with a link, or whose link broke
// lately.
type watched struct {
	peer        string
	incarnation uint64
	heard       time.Time
	asked       time.Time // the first ping that has no answer; zero: none
	health      Health
	broken      bool
	refused     bool // nothing listens where it was
}

// verdict is what the detector has to say.
type verdict struct {
	peer        string
	incarnation uint64
	health      Health
	reason      string
	broken      bool
	refused     bool
}

// Detector says which peers are dead. Silence alone is not death: a peer that is
// silent is pinged, then others are asked whether they hear it, and what its own
// machine was too busy for is not held against others.
type Detector struct {
	times Times
	rng   *rand.Rand
	peers map[string]*watched
	order []string
	next  int // whose turn it is to be pinged
	due   time.Time
	forgo int // ticks in a row that were late
	said  []verdict
}

// NewDetector makes one.
func NewDetector(times Times, seed uint64) *Detector {
	return &Detector{times: times.withDefaults(), rng: rand.New(rand.NewPCG(seed, 0x676f_7373_6970)), peers: map[string]*watched{}}
}

// Up says that there is a link to an incarnation of a peer.
func (d *Detector) Up(now time.Time, peer string, incarnation uint64) {
	w := d.peers[peer]
	if w == nil {
		w = &watched{peer: peer}
		d.peers[peer] = w
		i, _ := slices.BinarySearch(d.order, peer)
		d.order = slices.Insert(d.order, i, peer)
	}
	if w.health != Alive {
		d.said = append(d.said, verdict{peer: peer, incarnation: incarnation, health: Alive, reason: "there is a link again"})
	}
	*w = watched{peer: peer, incarnation: incarnation, heard: now}
}

// Down says that the link is no more; refused that nothing listens at the peer's
// addresses.
func (d *Detector) Down(now time.Time, peer string, refused bool) {
	w := d.peers[peer]
	if w == nil {
		return
	}
	if !w.broken { // whatever it owed answers to before, it has this long to come back
		w.asked = now
	}
	w.broken, w.refused = true, w.refused || refused
}

// Heard says that something came from a peer.
func (d *Detector) Heard(now time.Time, peer string) {
	w := d.peers[peer]
	if w == nil || w.broken {
		return
	}
	w.heard, w.asked = now, time.Time{}
	if w.health == Suspected {
		w.health = Alive
		d.said = append(d.said, verdict{peer: peer, incarnation: w.incarnation, health: Alive, reason: "it was heard"})
	}
}

// Vouch says that another peer has heard from one lately: it lives, though not
// for us, so its deadline is put off, for a while.
func (d *Detector) Vouch(now time.Time, peer string, incarnation uint64) {
	w := d.peers[peer]
	if w == nil || w.incarnation != incarnation || w.health != Suspected || now.Sub(w.heard) > vouchMost*d.times.Dead {
		return
	}
	w.asked = now
}

// Knows reports whether this peer has heard from another lately, and from which
// incarnation.
func (d *Detector) Knows(now time.Time, peer string) (incarnation uint64, ok bool) {
	w := d.peers[peer]
	if w == nil || w.broken || now.Sub(w.heard) > d.times.Suspect {
		return 0, false
	}
	return w.incarnation, true
}

// Health is what is thought of a peer; false if it is not watched.
func (d *Detector) Health(peer string) (Health, bool) {
	w := d.peers[peer]
	if w == nil {
		return Gone, false
	}
	return w.health, true
}

// tick looks after everybody: whom to ping, whom to ask others about.
func (d *Detector) tick(now time.Time) (ping, askAbout []string) {
	d.standAside(now)
	pinged := 0
	for range d.order {
		if pinged >= pingsARound {
			break
		}
		d.next = (d.next + 1) % len(d.order)
		w := d.peers[d.order[d.next]]
		if w.broken || now.Sub(w.heard) < d.times.Ping {
			continue
		}
		if w.asked.IsZero() {
			w.asked = now
		}
		ping = append(ping, w.peer)
		pinged++
	}
	for _, p := range slices.Clone(d.order) {
		w := d.peers[p]
		if w.asked.IsZero() {
			continue
		}
		switch silent := now.Sub(w.asked); {
		case silent >= d.times.Dead, w.broken && silent >= d.times.Broken, w.broken && w.refused && silent >= d.times.Broken/3:
			d.declare(w, silent)
		case w.health == Alive && (w.broken || silent >= d.times.Suspect):
			w.health = Suspected
			d.said = append(d.said, verdict{peer: p, incarnation: w.incarnation, health: Suspected, reason: "no answer for " + silent.String()})
			askAbout = append(askAbout, p)
		case w.health == Suspected:
			askAbout = append(askAbout, p)
		}
	}
	return ping, askAbout
}

func (d *Detector) declare(w *watched, silent time.Duration) {
	reason := "no answer for " + silent.Round(time.Millisecond).String()
	switch {
	case w.broken && w.refused:
		reason = "its link broke and nothing listens where it was"
	case w.broken:
		reason = "its link broke and did not come back within " + silent.Round(time.Millisecond).String()
	}
	d.said = append(d.said, verdict{peer: w.peer, incarnation: w.incarnation, health: Gone, reason: reason, broken: w.broken, refused: w.broken && w.refused})
	delete(d.peers, w.peer)
	i, _ := slices.BinarySearch(d.order, w.peer)
	d.order = slices.Delete(d.order, i, i+1)
}

// standAside puts every deadline off when the tick itself is late: this machine
// was starved or asleep, and has not been there to hear. A machine that is so
// for long is believed in the end: nobody may wait for ever.
func (d *Detector) standAside(now time.Time) {
	late := now.Sub(d.due)
	if d.due.IsZero() || late < d.times.Late {
		d.forgo = 0
		return
	}
	if d.forgo++; d.forgo > 20 {
		return
	}
	for _, p := range d.order {
		if w := d.peers[p]; !w.asked.IsZero() {
			if w.asked = w.asked.Add(late); w.asked.After(now) {
				w.asked = now
			}
		}
	}
}

// others picks whom to ask about a peer.
func (d *Detector) others(about string) []string {
	var out []string
	n := len(d.order)
	if n == 0 {
		return nil
	}
	at := d.rng.IntN(n)
	for i := 0; i < n && len(out) < askOthers; i++ {
		w := d.peers[d.order[(at+i)%n]]
		if w.peer != about && !w.broken && w.health == Alive {
			out = append(out, w.peer)
		}
	}
	return out
}
