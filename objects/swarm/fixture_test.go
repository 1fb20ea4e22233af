package swarm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/raygo/raygo"
	"github.com/raygo/raygo/objects"
)

var testJob = raygo.JobID{1, 2, 3}

func object(n uint32) raygo.ObjectID { return raygo.NewTaskID(testJob, 1, n).Object(0) }

// content is n bytes that depend on the seed.
func content(seed uint32, n int) []byte {
	var key [32]byte
	binary.BigEndian.PutUint32(key[:], seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// pipe is an in-memory stream.
type pipe struct{ net.Conn }

func (p pipe) Reset() error { return p.Close() }

// world is a set of peers that reach each other by name.
type world struct {
	t     testing.TB
	mu    sync.Mutex
	peers map[string]*member
	ends  []func()
	bare  bool // without directories
}

// member is a peer with a real store.
type member struct {
	w     *world
	name  string
	store *objects.Store
	*Swarm
	// serve replaces Serve: for holders that are not what they should be.
	serve func(ctx context.Context, st Stream, from string) error
	// dialed counts the streams that others opened to it.
	dialed int
	down   bool
	delay  time.Duration // until a stream to it is open
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, peers: map[string]*member{}}
	t.Cleanup(w.close)
	return w
}

// close ends all peers.
func (w *world) close() {
	for len(w.ends) > 0 {
		end := w.ends[len(w.ends)-1]
		w.ends = w.ends[:len(w.ends)-1]
		end()
	}
}

// join adds a peer.
func (w *world) join(name string, change func(*Config), limit int64) *member {
	w.t.Helper()
	var spill, programs string
	if !w.bare {
		spill, programs = w.t.TempDir(), w.t.TempDir()
	}
	store, err := objects.Open(objects.Config{Limit: limit, SpillDir: spill, PutWait: 500 * time.Millisecond})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, _, err := store.OpenJob(testJob); err != nil {
		w.t.Fatal(err)
	}
	m := &member{w: w, name: name, store: store}
	cfg := Config{
		Self: name, Store: store, Programs: programs, Stall: 500 * time.Millisecond, GiveUp: 2 * time.Second, Poll: 20 * time.Millisecond,
		Dial:   func(ctx context.Context, to string) (Stream, error) { return w.dial(ctx, name, to) },
		Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	if m.Swarm, err = New(cfg); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	storeCtx, storeCancel := context.WithCancel(context.Background())
	ended, storeEnded := make(chan error, 1), make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	go func() { storeEnded <- store.Run(storeCtx) }()
	w.ends = append(w.ends, func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				w.t.Errorf("Run of %s: %v", name, err)
			}
		case <-time.After(10 * time.Second):
			w.t.Errorf("Run of %s does not end", name)
		}
		if n := m.budget.inFlight(); n != 0 {
			w.t.Errorf("%s: %d bytes are in flight after the end", name, n)
		}
		storeCancel()
		if err := <-storeEnded; err != nil {
			w.t.Errorf("store of %s: %v", name, err)
		}
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.peers[name] = m
	return m
}

func (w *world) dial(ctx context.Context, from, to string) (Stream, error) {
	w.mu.Lock()
	m := w.peers[to]
	if m == nil || m.down {
		w.mu.Unlock()
		return nil, fmt.Errorf("%s does not answer", to)
	}
	m.dialed++
	serve, delay := m.serve, m.delay
	w.mu.Unlock()
	time.Sleep(delay)
	if serve == nil {
		serve = m.Serve
	}
	a, b := net.Pipe()
	go func() { _ = serve(context.Background(), pipe{b}, from) }()
	return pipe{a}, nil
}

// kill makes a peer unreachable and breaks its streams.
func (w *world) kill(m *member) {
	w.mu.Lock()
	m.down = true
	w.mu.Unlock()
	m.mu.Lock()
	var streams []Stream
	for _, p := range m.Swarm.peers {
		for st := range p.streams {
			streams = append(streams, st)
		}
	}
	m.mu.Unlock()
	for _, st := range streams {
		_ = st.Reset()
	}
}

// put stores an object and returns a wish for it.
func (m *member) put(id raygo.ObjectID, b []byte) Want {
	m.w.t.Helper()
	if err := m.store.PutBytes(context.Background(), id, b); err != nil {
		m.w.t.Fatal(err)
	}
	return Want{Object: id, CID: objects.SumBytes(b), Size: uint64(len(b)), Holders: from(m.name)}
}

func from(names ...string) func() []string { return func() []string { return names } }

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// mustFetch fetches and compares what became visible.
func (m *member) mustFetch(w Want, want []byte) Result {
	m.w.t.Helper()
	res, err := m.Fetch(testContext(m.w.t), w)
	if err != nil {
		m.w.t.Fatal(err)
	}
	m.check(w.Object, want)
	return res
}

func (m *member) check(id raygo.ObjectID, want []byte) {
	m.w.t.Helper()
	if err := m.differs(id, want); err != nil {
		m.w.t.Fatal(err)
	}
}

// differs says what is wrong with a visible object.
func (m *member) differs(id raygo.ObjectID, want []byte) error {
	info, ok := m.store.Info(id)
	if !ok {
		return fmt.Errorf("%s: object is not in the store", m.name)
	}
	got := make([]byte, info.Size)
	if n, err := m.store.Read(context.Background(), id, 0, got); err != nil && !errors.Is(err, io.EOF) || n != len(got) {
		return fmt.Errorf("%s: read %d of %d: %w", m.name, n, len(got), err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s: the object has other bytes", m.name)
	}
	return nil
}

// gone checks that nothing of an object is left, not even its room.
func (m *member) gone(id raygo.ObjectID) {
	m.w.t.Helper()
	if info, ok := m.store.Info(id); ok {
		m.w.t.Errorf("%s: an object that was not fetched is there: %+v", m.name, info)
	}
	if u := m.store.Usage(); u.Writing != 0 || u.Pinned != 0 {
		m.w.t.Errorf("%s: %d bytes being written, %d pinned", m.name, u.Writing, u.Pinned)
	}
}

// counts waits until a member has counted that it sent so many bytes: the other end
// has the last of them a moment before.
func (m *member) counts(bytes int64) {
	m.w.t.Helper()
	eventually(m.w.t, "what was sent is counted", func() bool { return m.Stats().Totals.BytesOut >= bytes })
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}
