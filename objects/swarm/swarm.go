package swarm

import (
	"context"
	"fmt"
	"sync"
)

// Swarm fetches from other peers and serves them. All methods may be called from
// many goroutines.
type Swarm struct {
	cfg Config

	mu    sync.Mutex
	stats Stats
}

// New makes a swarm; nothing moves before Run.
func New(cfg Config) (*Swarm, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("swarm: %w", err)
	}
	return &Swarm{cfg: cfg.withDefaults()}, nil
}

// Run fetches and serves until ctx is done. It returns when all its goroutines
// have ended, and what was being fetched is forgotten.
func (s *Swarm) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Fetch brings an object or a program here. Callers that want the same share one
// fetch, which goes on until the last of them is done. It waits for Run.
func (s *Swarm) Fetch(ctx context.Context, w Want) (Result, error) {
	return Result{}, ErrClosed
}

// Serve answers what the peer asks on a stream, out of the store, the programs
// and the fetches that run. It returns when the stream or ctx ends, or when the
// peer breaks the rules; the stream is closed or reset then.
func (s *Swarm) Serve(ctx context.Context, st Stream, from string) error {
	_ = st.Reset()
	return ErrClosed
}

// Forget ends all exchange with a peer that is gone: what it was asked for is
// asked of others.
func (s *Swarm) Forget(peer string) {}

// Stats is the swarm's account of this moment.
func (s *Swarm) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Rate is what is known of one peer; ok is false if nothing is.
func (s *Swarm) Rate(peer string) (p PeerStats, ok bool) { return PeerStats{Peer: peer}, false }
