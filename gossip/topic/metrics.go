package topic

import (
	"fmt"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/prometheus/client_golang/prometheus"
)

// What can happen to a message. All are counted; those from lost on are lost, or
// were not wanted.
const (
	sent          = "sent"          // RPCs put into the queue of a neighbour
	published     = "published"     // by us
	delivered     = "delivered"     // to us
	duplicate     = "duplicate"     // heard once more
	lost          = "dropped"       // RPCs that the full queue of a neighbour did not take
	undeliverable = "undeliverable" // the reader here was too slow
	refusedKind   = "refused"       // malformed, or not what its author may say
	replayedKind  = "replayed"
	tooManyKind   = "too_many"  // by its author
	strangerKind  = "stranger"  // whose author is not admitted
	flooded       = "flooded"   // RPCs of a neighbour that sends too many
	throttled     = "throttled" // the validation queue was full
)

// metrics counts messages by what became of them. It is the tracer of the pubsub,
// which says nothing of its losses otherwise.
type metrics struct {
	messages *prometheus.CounterVec
	mesh     *prometheus.GaugeVec
	reg      prometheus.Registerer
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{reg: reg, messages: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "raygo_topic_messages_total", Help: "Messages of the cluster's topics, by what became of them (sent, published, delivered, duplicate, dropped, undeliverable, refused, replayed, too_many, stranger, flooded, throttled).",
	}, []string{"outcome"})}
	for _, o := range []string{sent, published, delivered, duplicate, lost, undeliverable, refusedKind, replayedKind, tooManyKind, strangerKind, flooded, throttled} {
		m.messages.WithLabelValues(o)
	}
	m.mesh = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "raygo_topic_mesh", Help: "Neighbours to which what others say is passed on, by topic.",
	}, []string{"topic"})
	if reg == nil {
		return m, nil
	}
	for _, c := range m.collectors() {
		if err := reg.Register(c); err != nil {
			m.unregister()
			return nil, fmt.Errorf("register metrics of the topics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.messages, m.mesh}
}

func (m *metrics) unregister() {
	if m.reg == nil {
		return
	}
	for _, c := range m.collectors() {
		m.reg.Unregister(c)
	}
}

func (m *metrics) count(outcome string) { m.messages.WithLabelValues(outcome).Inc() }

// DuplicateMessage counts what was heard once more. It and the rest make metrics a
// pubsub.RawTracer.
func (m *metrics) DuplicateMessage(*pubsub.Message) { m.count(duplicate) }

// RejectMessage counts what pubsub itself refused; what the validators refuse
// they have counted with their reason.
func (m *metrics) RejectMessage(_ *pubsub.Message, reason string) {
	switch reason {
	case pubsub.RejectValidationFailed, pubsub.RejectValidationIgnored:
	case pubsub.RejectValidationQueueFull, pubsub.RejectValidationThrottled:
		m.count(throttled)
	default:
		m.count(refusedKind)
	}
}

// DropRPC counts what a neighbour's full queue did not take.
func (m *metrics) DropRPC(*pubsub.RPC, peer.ID) { m.count(lost) }

// SendRPC counts what goes out.
func (m *metrics) SendRPC(*pubsub.RPC, peer.ID) { m.count(sent) }

// UndeliverableMessage counts what nobody here read in time.
func (m *metrics) UndeliverableMessage(*pubsub.Message) { m.count(undeliverable) }

// Graft counts a neighbour to which messages of a topic are passed on.
func (m *metrics) Graft(_ peer.ID, topic string) { m.mesh.WithLabelValues(topic).Inc() }

// Prune counts one less.
func (m *metrics) Prune(_ peer.ID, topic string) { m.mesh.WithLabelValues(topic).Dec() }

// OnNewOutboundStream is not counted, nor is what follows.
func (m *metrics) OnNewOutboundStream(peer.ID, protocol.ID) {}

// OnClosedOutboundStream is not counted.
func (m *metrics) OnClosedOutboundStream(peer.ID) {}

// Join is not counted.
func (m *metrics) Join(string) {}

// Leave is not counted.
func (m *metrics) Leave(string) {}

// ValidateMessage is not counted.
func (m *metrics) ValidateMessage(*pubsub.Message) {}

// DeliverMessage is not counted: the reader does it.
func (m *metrics) DeliverMessage(*pubsub.Message) {}

// ThrottlePeer is not counted.
func (m *metrics) ThrottlePeer(peer.ID) {}

// RecvRPC is not counted.
func (m *metrics) RecvRPC(*pubsub.RPC) {}

// SendRPCCompleted is not counted.
func (m *metrics) SendRPCCompleted(*pubsub.RPC, peer.ID, time.Duration) {}
