package raygo

import (
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// Refs that the garbage collector found dropped are released in batches.
const (
	releaseDelay = 50 * time.Millisecond
	releaseBatch = 1000
)

// releases gathers the IDs of dropped refs.
type releases struct {
	mu   sync.Mutex
	ids  []words.ObjectID
	kick chan struct{} // something came
	full chan struct{} // a batch is full
	made chan struct{} // refs were made since the last nudge
}

func (r *releases) init() {
	r.kick, r.full, r.made = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
}

func (r *releases) add(id words.ObjectID, n int) {
	r.mu.Lock()
	for range n {
		r.ids = append(r.ids, id)
	}
	count := len(r.ids)
	r.mu.Unlock()
	c := r.kick
	if count >= releaseBatch {
		c = r.full
	} else if count > n {
		return
	}
	select {
	case c <- struct{}{}:
	default:
	}
}

func (r *releases) take() []words.ObjectID {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := r.ids
	r.ids = nil
	return ids
}

// sendReleases tells the peer of what was dropped.
func (s *Session) sendReleases() {
	ids := s.release.take()
	for len(ids) > 0 {
		n := min(len(ids), ipc.MaxIDs)
		_ = s.out.soon(ipc.AppendIDs(nil, ipc.TypeRelease, ids[:n]))
		ids = ids[n:]
	}
}

// releaseLoop sends batches, and nudges the collector: a ref that was dropped in
// a program which allocates little would otherwise hold its object for ever.
func (s *Session) releaseLoop() {
	n := nudger{s: s, pause: nudgeLeast}
	var due, nudge <-chan time.Time
	for {
		select {
		case <-s.release.made:
			if nudge == nil {
				nudge = time.After(n.pause)
			}
		case <-s.release.kick:
			if due == nil {
				due = time.After(releaseDelay)
			}
		case <-s.release.full:
			s.sendReleases()
		case <-due:
			due = nil
			s.sendReleases()
		case <-nudge:
			nudge = nil
			if n.nudge() {
				nudge = time.After(n.pause)
			}
		case <-s.ctx.Done():
			return
		}
	}
}

// nudger runs the garbage collector when refs were made since it last ran, at
// most every half second and for at most a twentieth of the time.
type nudger struct {
	s     *Session
	pause time.Duration
	cycle uint32
	again int // runs to come after the last ref was made
}

const (
	nudgeLeast = 500 * time.Millisecond
	nudgeAgain = 4 // refs are dropped some time after they were made
)

// nudge reports whether it should come again though nothing is made.
func (n *nudger) nudge() bool {
	n.s.mu.Lock()
	need := n.s.touched && n.s.table.live+len(n.s.streams) > 0
	n.s.touched = false
	n.s.mu.Unlock()
	var m debug.GCStats
	if debug.ReadGCStats(&m); !need && n.again == 0 {
		return false
	}
	if need {
		n.again = nudgeAgain
	}
	n.again--
	if ran := uint32(m.NumGC); ran != n.cycle && time.Since(m.LastGC) < n.pause/2 {
		n.cycle = ran
		return true // the program allocates enough to run it by itself
	}
	start := time.Now()
	runtime.GC()
	n.pause = max(nudgeLeast, 20*time.Since(start))
	debug.ReadGCStats(&m)
	n.cycle = uint32(m.NumGC)
	return true
}
