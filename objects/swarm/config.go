package swarm

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/raygo/raygo/objects"
)

// Config says where things are and how much may happen at once.
type Config struct {
	// Self is this peer's name, which it never asks.
	Self string
	// Dial opens streams to other peers. Required.
	Dial Dialer
	// Store has the objects that are served and takes those that are fetched.
	Store *objects.Store
	// Programs is the directory of files named by their CID. Empty: none are
	// served, and fetching one needs a Sink.
	Programs string
	// InFlight bounds the bytes asked for and not here yet, of all fetches.
	// Default: 64 MiB.
	InFlight int64
	// PerHolder bounds the blocks asked for of one holder for one fetch. Default: 8.
	PerHolder int
	// Flights bounds the fetches that run at a time. Default: 4,096.
	Flights int
	// Streams bounds the streams that are served to one peer at a time. Default: 4.
	Streams int
	// Stall is how long a holder may send nothing that it was asked for. Default: 5 s.
	Stall time.Duration
	// GiveUp is how long a fetch goes on without a new block. Default: 20 s.
	GiveUp time.Duration
	// Poll is how often a fetch asks its Holders again. Default: 200 ms.
	Poll time.Duration
	// Idle is how long a stream is kept that nothing was asked on. Default: 30 s.
	Idle time.Duration
	// BanFor is how long a peer is banned that sent bad blocks of several
	// objects. Default: 1 min.
	BanFor time.Duration
	// SpreadFrom is the number of blocks from which on an object is spread: who
	// asks for a block that another peer was sent just now is told to ask there.
	// Default: 9.
	SpreadFrom int
	// Logger gets what nobody else is told. Default: slog.Default().
	Logger *slog.Logger
}

// Validate reports the first field that cannot work.
func (c Config) Validate() error {
	switch {
	case c.Dial == nil:
		return errors.New("no dialer")
	case c.InFlight < 0, c.InFlight > 0 && c.InFlight < objects.BlockSize:
		return fmt.Errorf("%d bytes in flight are less than a block", c.InFlight)
	case c.PerHolder < 0 || c.PerHolder > maxAsked:
		return fmt.Errorf("%d blocks per holder are not between 1 and %d", c.PerHolder, maxAsked)
	case c.Flights < 0 || c.Streams < 0 || c.SpreadFrom < 0:
		return errors.New("a bound is negative")
	case c.Stall < 0 || c.GiveUp < 0 || c.Poll < 0 || c.Idle < 0 || c.BanFor < 0:
		return errors.New("a time is negative")
	}
	return nil
}

func (c Config) withDefaults() Config {
	setDefault(&c.InFlight, 64<<20)
	setDefault(&c.PerHolder, 8)
	setDefault(&c.Flights, 4096)
	setDefault(&c.Streams, 4)
	setDefault(&c.Stall, 5*time.Second)
	setDefault(&c.GiveUp, 20*time.Second)
	setDefault(&c.Poll, 200*time.Millisecond)
	setDefault(&c.Idle, 30*time.Second)
	setDefault(&c.BanFor, time.Minute)
	setDefault(&c.SpreadFrom, 9)
	setDefault(&c.Logger, slog.Default())
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
