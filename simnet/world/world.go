package world

import (
	"fmt"
	"math/rand/v2"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

// Config says what a world is made of.
type Config struct {
	Seed  uint64
	Peers []Machine
	Net   Net

	Detect      time.Duration // a peer that is silent so long is dead; 0: 1.5 s
	CheckEvery  int           // steps of a core between two calls of Check; 0: each
	MaxSteps    int           // a world that takes more does not come to an end; 0: 20 million
	Share       bool          // hand messages over as they are instead of as copies
	Sparse      bool          // only peers with drivers have links
	KeepTrace   int           // steps that a transcript shows; 0: 400
	StarveAfter time.Duration // law 4: how long a task that fits may wait; 0: 2 s
}

// Machine is a peer: what it offers, and how it behaves.
type Machine struct {
	Resources  sched.Resources
	Labels     map[string]string
	MaxWorkers int
	MaxTasks   int           // unfinished ones; 0: the core's own bound
	Slow       float64       // its tasks run so many times as long; 0: 1
	Skew       time.Duration // of its clock
	Start      time.Duration // of a worker; 0: 50 ms
	Late       time.Duration // when it joins; 0: from the beginning
	Store      uint64        // bytes that fetches may fill; 0: no end
	Lie        Lie
}

// World is a cluster in virtual time. It is not safe for concurrent use.
type World struct {
	Stats Stats

	cfg   Config
	rng   *rand.Rand
	now   time.Duration
	queue queue

	peers    []*Peer
	byName   map[string]*Peer
	sessions map[pair]*session
	cuts     map[pair]int // links that carry nothing, counted
	group    []int        // sides of a partition
	loss     float64

	jobs  []*Job
	byJob map[raygo.JobID]*Job

	faulty    bool // something has failed on purpose
	outlives  bool // some job outlives its owner: peers say which of their lives it is
	hides     bool // a peer denies having bytes that it has: they may be lost for good
	lastFault time.Duration
	laws      laws
	trace     trace
	err       error
	serial    uint32
}

var epoch = time.Unix(1_700_000_000, 0)

// New makes a world. Its peers have not met yet: Run begins with that.
func New(cfg Config) *World {
	if cfg.Detect == 0 {
		cfg.Detect = 1500 * time.Millisecond
	}
	if cfg.CheckEvery == 0 {
		cfg.CheckEvery = 1
	}
	if cfg.MaxSteps == 0 {
		cfg.MaxSteps = 20_000_000
	}
	if cfg.KeepTrace == 0 {
		cfg.KeepTrace = 400
	}
	if cfg.StarveAfter == 0 {
		cfg.StarveAfter = 2 * time.Second
	}
	cfg.Net.fill()
	w := &World{
		cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x776f726c64)), byName: map[string]*Peer{}, sessions: map[pair]*session{},
		cuts: map[pair]int{}, group: make([]int, len(cfg.Peers)), byJob: map[raygo.JobID]*Job{}, loss: cfg.Net.Loss,
	}
	w.laws.init(w)
	w.trace.init(cfg.KeepTrace)
	for i := range cfg.Peers {
		p := newPeer(w, i, &cfg.Peers[i])
		w.peers = append(w.peers, p)
		w.byName[p.Name] = p
		w.hides = w.hides || p.m.Lie.Hide > 0
	}
	for i, m := range cfg.Peers {
		w.after(m.Late, func() { w.boot(w.peers[i]) })
	}
	w.after(lawEvery, w.laws.sweep)
	return w
}

// Peer is the peer number i.
func (w *World) Peer(i int) *Peer { return w.peers[i] }

// Now is the virtual time since the world began.
func (w *World) Now() time.Duration { return w.now }

// At has f called at a moment of virtual time, which may be now.
func (w *World) At(t time.Duration, f func()) { w.queue.push(max(t, w.now), f) }

func (w *World) after(d time.Duration, f func()) { w.queue.push(w.now+max(d, 0), f) }

// Fail stops the world with an error, unless it has one.
func (w *World) Fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("seed %d, at %s: %s", w.cfg.Seed, w.now, fmt.Sprintf(format, args...))
	}
}

// Err is the first law that was broken.
func (w *World) Err() error { return w.err }

// Transcript is the last steps, those that name any of the words if there are
// words.
func (w *World) Transcript(words ...string) string { return w.trace.text(words) }

// Run lets time pass until the given moment, a breach, or until ok.
func (w *World) Run(until time.Duration, ok func() bool) error {
	for w.err == nil && len(w.queue.heap) > 0 && w.queue.heap[0].at <= until {
		if ok != nil && ok() {
			return nil
		}
		h := w.queue.pop()
		w.now = h.at
		h.do()
		if w.Stats.Steps > w.cfg.MaxSteps {
			w.Fail("no end after %d steps", w.Stats.Steps)
		}
	}
	if w.err == nil && (ok == nil || !ok()) {
		w.now = max(w.now, until)
	}
	return w.err
}

// Finish runs until every job is over, which must be within limit of virtual
// time after the last fault, and then checks that nothing is left.
func (w *World) Finish(limit time.Duration) error {
	for w.err == nil {
		end := max(w.lastFault, w.lastSubmit()) + limit
		if err := w.Run(end, w.over); err != nil {
			return err
		}
		if w.over() {
			break
		}
		if end >= max(w.lastFault, w.lastSubmit())+limit {
			w.Fail("law 5: after %s without faults there is work left: %s", limit, w.left())
		}
	}
	if w.err != nil {
		return w.err
	}
	if err := w.Run(w.now+restAfter, nil); err != nil {
		return err
	}
	w.laws.rest()
	return w.err
}

// restAfter is how long a world without work has to come to rest: the bound of
// law 6, and the longest that a slot is kept.
const restAfter = 6 * time.Second

func (w *World) lastSubmit() time.Duration {
	var last time.Duration
	for _, j := range w.jobs {
		last = max(last, j.lastAt)
	}
	return last
}

func (w *World) over() bool {
	for _, j := range w.jobs {
		if !j.over {
			return false
		}
	}
	return true
}

func (w *World) left() string {
	text := ""
	for _, j := range w.jobs {
		if !j.over {
			text += fmt.Sprintf("job %s of %s: %s; ", j.ID, j.owner.Name, j.left())
		}
	}
	return text
}

func (w *World) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

// between draws a duration.
func (w *World) between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(w.rng.Int64N(int64(high-low)))
}

// Sum is a number that two runs have in common only if they are the same.
func (w *World) Sum() uint64 { return w.trace.sum }
