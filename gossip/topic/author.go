package topic

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/raygo/raygo/gossip"
)

// How much anybody may say.
const (
	authorBurst    = 50 // messages of one author
	authorRate     = 2  // a second, beyond the burst
	neighbourBurst = 4000
	neighbourRate  = 1000
	replayWindow   = 64
	maxAuthors     = gossip.MaxPeers
)

// author is what is remembered of who says something.
type author struct {
	tokens float64
	at     time.Time
	high   uint64 // highest sequence number of its messages
	seen   uint64 // bit i: high-i was seen
}

// take takes a token if there is one.
func (a *author) take(now time.Time, burst, rate float64) bool {
	a.tokens = min(burst, a.tokens+max(0, now.Sub(a.at).Seconds())*rate)
	a.at = now
	if a.tokens < 1 {
		return false
	}
	a.tokens--
	return true
}

// fresh reports whether a message with this number was not seen, and notes it.
// Messages overtake each other, so those a little behind are taken too; pubsub
// itself remembers for seconds only.
func (a *author) fresh(number uint64) bool {
	switch {
	case number > a.high:
		ahead := number - a.high
		if ahead >= replayWindow {
			a.seen = 0
		} else {
			a.seen <<= ahead
		}
		a.high, a.seen = number, a.seen|1
		return true
	case a.high-number >= replayWindow:
		return false
	}
	bit := uint64(1) << (a.high - number)
	if a.seen&bit != 0 {
		return false
	}
	a.seen |= bit
	return true
}

// authors bounds what each of many may say.
type authors struct {
	burst, rate float64

	mu   sync.Mutex // guards byID
	byID map[peer.ID]*author
}

func newAuthors(burst, rate float64) *authors {
	return &authors{burst: burst, rate: rate, byID: map[peer.ID]*author{}}
}

// The outcomes of a look at an author.
type outcome int

const (
	fine outcome = iota
	replayed
	tooMany
)

// spend takes one message from what p may say. number is the message's, nil if
// it has none.
func (s *authors) spend(now time.Time, p peer.ID, number []byte) outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.byID[p]
	if a == nil {
		if len(s.byID) >= maxAuthors {
			s.forgetOldest()
		}
		a = &author{tokens: s.burst, at: now}
		s.byID[p] = a
	}
	switch {
	case len(number) == 8 && !a.fresh(binary.BigEndian.Uint64(number)):
		return replayed
	case !a.take(now, s.burst, s.rate):
		return tooMany
	}
	return fine
}

// forgetOldest makes room. The mutex is held.
func (s *authors) forgetOldest() {
	var oldest peer.ID
	var at time.Time
	for p, a := range s.byID {
		if oldest == "" || a.at.Before(at) || a.at.Equal(at) && p < oldest {
			oldest, at = p, a.at
		}
	}
	delete(s.byID, oldest)
}
