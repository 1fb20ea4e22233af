package swarm

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/raygo/raygo/objects"
)

// Swarm fetches from other peers and serves them. All methods may be called from
// many goroutines.
type Swarm struct {
	cfg    Config
	base   context.Context // ends with Run
	stop   context.CancelFunc
	wg     sync.WaitGroup // flights, sessions, blocks being verified, streams served
	budget budget
	verify slots // blocks that are hashed and written at a time
	send   slots // blocks that are read and sent at a time
	ledger *ledger
	files  *fileShelf

	// mu guards everything below. Nothing is waited for while it is held.
	mu      sync.Mutex
	closed  bool
	flights map[Key]*flight
	peers   map[string]*peer
	serving int
	count   Counters
}

const maxSending = 64

// New makes a swarm. It works from then on; Run looks after it.
func New(cfg Config) (*Swarm, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("swarm: %w", err)
	}
	s := &Swarm{
		cfg: cfg.withDefaults(), flights: map[Key]*flight{}, peers: map[string]*peer{}, ledger: newLedger(),
		verify: make(slots, 2*runtime.GOMAXPROCS(0)), send: make(slots, maxSending),
	}
	s.budget.limit = s.cfg.InFlight
	s.files = newFileShelf(s.cfg.Programs)
	s.base, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Run looks after the swarm until ctx is done. It returns when all goroutines of
// the swarm have ended; what was being fetched is forgotten.
func (s *Swarm) Run(ctx context.Context) error {
	tick := time.NewTicker(max(s.cfg.Idle/4, 100*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			s.tidy(now)
			continue
		case <-ctx.Done():
		}
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.stop()
		s.wg.Wait()
		return nil
	}
}

// caller is one who waits in Fetch.
type caller struct {
	want   *Want
	missed bool // the flight's end had begun: it was not counted
}

// Fetch brings an object or a program here. Callers that want the same share one
// fetch, which goes on until the last of them is done with it. When it fails, the
// error says what was tried on whom, and is one of this package's or of the
// store's.
func (s *Swarm) Fetch(ctx context.Context, w Want) (Result, error) {
	if err := w.key().validate(); err != nil && w.Object.IsZero() {
		return Result{}, fmt.Errorf("fetch: %w", err)
	}
	if w.CID.Defined() {
		if err := checkCID(w.CID); err != nil {
			return Result{}, fmt.Errorf("fetch: %w", err)
		}
	}
	for {
		f, c, err := s.join(&w)
		if err != nil {
			return Result{}, fmt.Errorf("fetch %s: %w", w.key(), err)
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			if s.leave(f, c) {
				return Result{}, fmt.Errorf("fetch %s: %w", w.key(), ctx.Err())
			}
			<-f.done // the end has begun, and counts this caller
		}
		res, again, err := s.result(ctx, f, c)
		if !again {
			return res, err
		}
	}
}

// result is what a flight's end means to a caller. again says that it came too
// late to be counted, or that what is here was evicted before it could be pinned.
func (s *Swarm) result(ctx context.Context, f *flight, c *caller) (res Result, again bool, err error) {
	w := c.want
	switch {
	case c.missed && f.err != nil:
		return Result{}, ctx.Err() == nil, ctx.Err()
	case f.err != nil:
		return Result{}, false, f.err
	case w.CID.Defined() && f.res.CID.Defined() && !w.CID.Equals(f.res.CID):
		return Result{}, false, fmt.Errorf("fetch %s: it was fetched as %s, not %s: %w", w.key(), f.res.CID, w.CID, ErrCorrupt)
	case w.Pin && (f.res.Present || c.missed):
		p, ok := f.sink.(pinner)
		if !ok {
			break
		}
		if err := p.pin(ctx); err != nil {
			return Result{}, ctx.Err() == nil && errors.Is(err, objects.ErrNotFound), fmt.Errorf("fetch %s: %w", w.key(), err)
		}
	}
	return f.res, false, nil
}

// join finds the flight that fetches what w wants, or begins it.
func (s *Swarm) join(w *Want) (*flight, *caller, error) {
	c := &caller{want: w}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, ErrClosed
	}
	f := s.flights[w.key()]
	if f == nil {
		if len(s.flights) >= s.cfg.Flights {
			return nil, nil, fmt.Errorf("%w: %d fetches run", ErrBusy, len(s.flights))
		}
		sink, err := s.sinkFor(w)
		if err != nil {
			return nil, nil, err
		}
		f = newFlight(s, w, sink)
		f.prio.Store(uint32(w.Priority))
		s.flights[f.key] = f
		s.wg.Go(f.run)
	}
	if f.closing {
		c.missed = true
		return f, c, nil
	}
	f.waiters[c] = struct{}{}
	f.rank()
	return f, c, nil
}

func (s *Swarm) sinkFor(w *Want) (Sink, error) {
	switch {
	case w.Into != nil:
		return w.Into, nil
	case !w.Object.IsZero() && s.cfg.Store != nil:
		return StoreSink(s.cfg.Store, w.Object), nil
	case w.Object.IsZero() && s.cfg.Programs != "":
		return FileSink(s.cfg.Programs, w.CID), nil
	}
	return nil, errors.New("there is no place for it")
}

// rank takes the priority of the most urgent caller. It is called with Swarm.mu.
func (f *flight) rank() {
	best := ForCopy
	for c := range f.waiters {
		best = min(best, c.want.Priority)
	}
	f.prio.Store(uint32(best))
}

// leave takes a caller out, and ends a flight that nobody waits for any more. It
// reports false if the flight's end has begun.
func (s *Swarm) leave(f *flight, c *caller) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.closing {
		return c.missed
	}
	delete(f.waiters, c)
	if len(f.waiters) == 0 {
		f.stop()
		f.closing = true // whoever comes now waits for the end and begins anew
		return true
	}
	f.rank()
	return true
}

// callsOf picks callers whose Holders and Find are to be asked.
func (s *Swarm) callsOf(f *flight) []*Want {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*Want
	for c := range f.waiters {
		if out = append(out, c.want); len(out) == maxCallback {
			break
		}
	}
	return out
}

// closeFlight counts the pins that its callers want. Who comes later is not counted.
func (s *Swarm) closeFlight(f *flight) (pins int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.closing = true
	for c := range f.waiters {
		if c.want.Pin {
			pins++
		}
	}
	return pins
}

// endFlight takes the flight off and lets its callers go.
func (s *Swarm) endFlight(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.closing = true
	delete(s.flights, f.key)
	if f.err == nil {
		s.count.Fetched++
	} else {
		s.count.Failed++
	}
	close(f.done)
}

func (s *Swarm) banned(name string) {
	s.mu.Lock()
	s.count.Bans++
	s.mu.Unlock()
	s.strike(name, "sent what differs from its CID")
}

func (s *Swarm) overtaken(n int) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count.Overtaken += int64(n)
}
