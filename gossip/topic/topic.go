package topic

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/raygo/raygo/gossip"
)

// Sizes of queues. Pubsub's own are 32 each, which one join of a large cluster
// overflows.
const (
	queueOut      = 256
	queueValidate = 256
	queueIn       = 1024
	seenFor       = 15 * time.Second // pubsub's 2 min would keep each ID twice for that long; what comes later is caught by its number
)

// ErrClosed is returned for what is told after the end.
var ErrClosed = errors.New("topic: closed")

// Topic tells the cluster what this peer has to say, and this peer what others
// have. It is safe for concurrent use.
type Topic struct {
	cfg        Config
	self       peer.ID
	metrics    *metrics
	authors    *authors
	neighbours *authors
	kick       chan struct{} // has one when there is a new advert

	life  context.Context // of the pubsub
	stop  context.CancelFunc
	posts [2]stream // adverts, events

	mu     sync.Mutex // guards what is below
	advert []byte     // this peer's, as a post
}

// stream is one topic of the pubsub.
type stream struct {
	topic *pubsub.Topic
	sub   *pubsub.Subscription
}

// The topics.
const (
	adverts = iota
	events
)

// names are the topics' names, in the order of their constants.
func names(cluster string) [2]string {
	return [2]string{"/raygo/" + cluster + "/adverts/1", "/raygo/" + cluster + "/events/1"}
}

// New joins the topics of a cluster. Run or Close ends what it began.
func New(cfg Config) (*Topic, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	t := &Topic{
		cfg: cfg, self: cfg.Host.ID(), metrics: m, kick: make(chan struct{}, 1),
		authors: newAuthors(authorBurst, authorRate), neighbours: newAuthors(neighbourBurst, neighbourRate),
	}
	t.life, t.stop = context.WithCancel(context.Background())
	if err := t.join(); err != nil {
		t.Close()
		return nil, fmt.Errorf("join the topics of cluster %s: %w", cfg.Cluster, err)
	}
	return t, nil
}

func (t *Topic) join() error {
	names := names(t.cfg.Cluster)
	ps, err := pubsub.NewGossipSub(t.life, t.cfg.Host, t.options(names)...)
	if err != nil {
		return err
	}
	for i, name := range names {
		if err := ps.RegisterTopicValidator(name, t.validator(i == adverts), pubsub.WithValidatorInline(true)); err != nil {
			return err
		}
		s := &t.posts[i]
		if s.topic, err = ps.Join(name); err != nil {
			return err
		}
		if s.sub, err = s.topic.Subscribe(pubsub.WithBufferSize(queueIn)); err != nil {
			return err
		}
	}
	return nil
}

// options are what differs from pubsub's defaults, which lose the first messages
// and those of a burst, and send each too often.
func (t *Topic) options(names [2]string) []pubsub.Option {
	params := pubsub.DefaultGossipSubParams()
	params.D, params.Dlo, params.Dhi, params.Dout = 4, 3, 6, 1
	params.Dscore, params.Dlazy, params.GossipFactor = 4, 3, 0.1
	return []pubsub.Option{
		pubsub.WithGossipSubParams(params),
		pubsub.WithFloodPublish(true), // otherwise nothing arrives before the first heartbeat
		pubsub.WithMessageSignaturePolicy(pubsub.StrictSign),
		pubsub.WithGossipSubProtocols([]protocol.ID{pubsub.GossipSubID_v12}, pubsub.GossipSubDefaultFeatures),
		pubsub.WithSubscriptionFilter(pubsub.WrapLimitSubscriptionFilter(pubsub.NewAllowlistSubscriptionFilter(names[:]...), 2*len(names))),
		pubsub.WithAppSpecificRpcInspector(t.inspect),
		pubsub.WithPeerOutboundQueueSize(queueOut),
		pubsub.WithValidateQueueSize(queueValidate),
		pubsub.WithSeenMessagesTTL(seenFor),
		pubsub.WithMaxMessageSize(2 * maxPost),
		pubsub.WithRawTracer(t.metrics),
		pubsub.WithLogger(t.cfg.Logger),
		pubsub.WithRPCLogger(t.cfg.Logger),
	}
}

// Run tells this peer's adverts and hands on what others tell, until ctx ends.
func (t *Topic) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for i := range t.posts {
		wg.Go(func() { t.read(ctx, t.posts[i].sub) })
	}
	t.tell(ctx)
	wg.Wait()
	t.Close()
	return nil
}

// Close ends the topics. Run does it too.
func (t *Topic) Close() {
	for i := range t.posts {
		if s := &t.posts[i]; s.sub != nil {
			s.sub.Cancel()
		}
	}
	t.stop()
	t.metrics.unregister()
}

// read hands on what others say on one topic.
func (t *Topic) read(ctx context.Context, sub *pubsub.Subscription) {
	for {
		msg, err := sub.Next(ctx)
		if err != nil {
			return // ctx or the subscription ended
		}
		p, ok := msg.ValidatorData.(*parsed)
		if !ok || msg.GetFrom() == t.self {
			continue
		}
		t.metrics.count(delivered)
		if p.advert != nil {
			t.cfg.Advert(*p.advert)
		} else {
			t.cfg.Notice(msg.GetFrom().String(), *p.notice)
		}
	}
}

// Neighbours is how many peers are connected that take part.
func (t *Topic) Neighbours() int {
	if t.life.Err() != nil {
		return 0
	}
	return len(t.posts[events].topic.ListPeers())
}

// SetAdvert tells the cluster what this peer is from now on. a has been signed,
// and its Seq rises. Of several within Config.Gap the last is told.
func (t *Topic) SetAdvert(a *gossip.Advert) error {
	if a.Peer != t.self.String() {
		return fmt.Errorf("%w: an advert of %s, this is %s", ErrPost, a.Peer, t.self)
	}
	b, err := (&post{Cluster: t.cfg.Cluster, Advert: a.Bytes()}).bytes()
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.advert = b
	t.mu.Unlock()
	select {
	case t.kick <- struct{}{}:
	default: // it was kicked already
	}
	return nil
}

// Tell tells the cluster of an event. It returns when the message is on its way,
// or refused: more than authorBurst at once are.
func (t *Topic) Tell(ctx context.Context, n Notice) error {
	b, err := (&post{Cluster: t.cfg.Cluster, Notice: &n}).bytes()
	if err != nil {
		return err
	}
	return t.publish(ctx, events, b)
}
