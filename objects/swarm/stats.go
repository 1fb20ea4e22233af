package swarm

import (
	"time"
)

// Stats is a swarm's account of this moment.
type Stats struct {
	Fetching  int   // fetches that run
	Waiting   int   // callers that wait for them
	InFlight  int64 // bytes asked for and not here yet
	Serving   int   // streams that are served
	Peers     []PeerStats
	Totals    Counters
	BannedNow []string // peers that are not asked
}

// Counters only grow.
type Counters struct {
	BytesIn, BytesOut   int64 // of blocks
	BlocksIn, BlocksOut int64
	Fetched, Failed     int64 // fetches that ended
	BadBlocks           int64 // blocks that differed from their digest
	BadManifests        int64
	Bans                int64 // holders that were given up for one object
	PeerBans            int64 // peers that were banned for a while
	Overtaken           int64 // blocks asked of a second holder
	Wasted              int64 // bytes that came twice
	Refused             int64 // answers Busy
	Elsewhere           int64 // answers Elsewhere
	Floods              int64 // streams that were cut off
}

// PeerStats is what is known of the exchange with one peer.
type PeerStats struct {
	Peer              string
	BytesIn, BytesOut int64
	Rate              float64       // bytes per second that it sends, learnt; 0: not known
	RTT               time.Duration // learnt; 0: not known
	Bad               int64         // blocks and manifests that were wrong
	Banned            bool
}
