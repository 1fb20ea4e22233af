package topic

import (
	"errors"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/raygo/raygo/gossip"
)

// Config says whom to tell and who is told. The zero value of a field is its
// default.
type Config struct {
	Host    host.Host // required; whoever it lets in hears everything
	Cluster string    // required: the cluster's ID

	// Advert is given the adverts of other peers; their own signature is still to
	// be checked, though nobody else can have sent them. Notice is given what
	// other peers tell. Each is called by one goroutine. While one blocks, up to
	// 1,024 messages wait, more are lost and counted.
	Advert func(gossip.Advert)
	Notice func(from string, n Notice)

	// Admit says whose messages are heard and passed on, beyond what the handshake
	// let in: peers, not clients, say what they are. nil: everybody's.
	Admit func(p peer.ID) bool

	Gap     time.Duration // between one advert of ours and the next (1 s)
	Refresh time.Duration // after which an advert is told again though it is the same (10 min)

	Registerer prometheus.Registerer // nil: not counted anywhere
	Logger     *slog.Logger          // nil: silent
}

// defaults fills in what is zero.
func (c *Config) defaults() error {
	switch {
	case c.Host == nil:
		return errors.New("topic: no host")
	case c.Cluster == "":
		return errors.New("topic: no cluster")
	case c.Gap < 0 || c.Refresh < 0:
		return errors.New("topic: a negative time")
	}
	if c.Advert == nil {
		c.Advert = func(gossip.Advert) {}
	}
	if c.Notice == nil {
		c.Notice = func(string, Notice) {}
	}
	if c.Admit == nil {
		c.Admit = func(peer.ID) bool { return true }
	}
	if c.Gap == 0 {
		c.Gap = time.Second
	}
	if c.Refresh == 0 {
		c.Refresh = 10 * time.Minute
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
