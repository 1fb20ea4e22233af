package gossip

import "time"

// Config says who a Core is and how it goes about it. The zero value of a field
// is its default.
type Config struct {
	Self        string // required
	Incarnation uint64 // required: above that of every earlier start
	Seed        uint64 // of what is left to chance
	Verify      Verify // required: whether a peer signed something

	MaxPeers int // known at once (10,000); more are refused and counted
	MaxTombs int // dead incarnations that are remembered (4,096)

	Detector DetectorConfig
	Rounds   RoundsConfig

	Resync time.Duration // how often a random neighbour is compared with (10 s)
}

// DetectorConfig says how long silence may last. The defaults are for a machine
// or a local network.
type DetectorConfig struct {
	Ping     time.Duration // period in which peers are pinged (500 ms)
	MaxPings int           // peers pinged in a period; of more, each has its turn (16)
	Suspect  time.Duration // silence after which a peer is suspected and others are asked (2 s)
	Dead     time.Duration // silence after which it is dead, if nobody vouches for it (4.5 s)
	Quick    time.Duration // the same since its link broke, when its machine refuses connections and nobody vouches (1 s)
	Others   int           // how many others are asked at a time (3)
	Late     time.Duration // a tick that comes later than this means that this machine is starved (300 ms)
	MaxLate  int           // how often in a minute that is taken as an excuse (30)
	MaxPeers int           // that are watched (10,000)
	MaxTombs int           // dead incarnations that are remembered (4,096)
}

// RoundsConfig says how often and how many neighbours are told what is new.
type RoundsConfig struct {
	FanOut  int           // neighbours a round (3)
	Fast    time.Duration // between rounds while there is something to tell (200 ms)
	Slow    time.Duration // otherwise (2 s)
	Entries int           // of a digest (32)
}

func (c *Config) defaults() {
	or(&c.MaxPeers, 10_000)
	or(&c.MaxTombs, 4096)
	or(&c.Resync, 10*time.Second)
	c.Detector.defaults()
	c.Rounds.defaults()
}

func (c *DetectorConfig) defaults() {
	or(&c.Ping, 500*time.Millisecond)
	or(&c.MaxPings, 16)
	or(&c.Suspect, 2*time.Second)
	or(&c.Dead, 4500*time.Millisecond)
	or(&c.Quick, time.Second)
	or(&c.Others, 3)
	or(&c.Late, 300*time.Millisecond)
	or(&c.MaxLate, 30)
	or(&c.MaxPeers, 10_000)
	or(&c.MaxTombs, 4096)
}

func (c *RoundsConfig) defaults() {
	or(&c.FanOut, 3)
	or(&c.Fast, 200*time.Millisecond)
	or(&c.Slow, 2*time.Second)
	or(&c.Entries, 32)
	c.Entries = min(c.Entries, MaxDigest)
}

// or is v, or its default when it is zero.
func or[T comparable](v *T, standard T) {
	var zero T
	if *v == zero {
		*v = standard
	}
}
