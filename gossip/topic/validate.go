package topic

import (
	"context"
	"fmt"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

// validator decides which messages of a topic are heard and passed on. It runs
// where the message comes in, so it does nothing but decode.
func (t *Topic) validator(adverts bool) pubsub.ValidatorEx {
	return func(_ context.Context, via peer.ID, msg *pubsub.Message) pubsub.ValidationResult {
		from := msg.GetFrom()
		if from != t.self && !t.cfg.Admit(from) {
			t.metrics.count(strangerKind)
			return pubsub.ValidationIgnore
		}
		p, err := parse(msg.GetData(), t.cfg.Cluster, from.String(), adverts)
		if err != nil {
			// Its neighbour should not have passed it on, but may be of a newer
			// version, so it keeps its connection.
			t.metrics.count(refusedKind)
			t.cfg.Logger.Debug("a message of the cluster is refused", "peer", from, "via", via, "err", err)
			return pubsub.ValidationReject
		}
		switch t.authors.spend(time.Now(), from, msg.GetSeqno()) {
		case replayed:
			t.metrics.count(replayedKind)
			return pubsub.ValidationIgnore
		case tooMany:
			t.metrics.count(tooManyKind)
			return pubsub.ValidationIgnore
		}
		msg.ValidatorData = p
		return pubsub.ValidationAccept
	}
}

// inspect bounds what one neighbour can make this peer verify: it comes before
// the signatures.
func (t *Topic) inspect(from peer.ID, rpc *pubsub.RPC) error {
	now := time.Now()
	for range rpc.GetPublish() {
		if t.neighbours.spend(now, from, nil) != fine {
			t.metrics.count(flooded)
			return fmt.Errorf("topic: %s sends more than %d messages a second", from, neighbourRate)
		}
	}
	return nil
}
