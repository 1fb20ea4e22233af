package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// enc encodes hellos and refusals.
var enc = func() cbor.EncMode {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

// say writes a note.
func say(s network.Stream, kind note, body []byte) error {
	_, err := s.Write(appendNote(nil, kind, body))
	return err
}

// say64 writes a note that is a number.
func say64(s network.Stream, kind note, n uint64) error {
	_, err := s.Write(appendNumber(nil, kind, n))
	return err
}

// refuse tells the other side why there will be no link, and closes the stream.
func refuse(s network.Stream, err error) {
	r := &refusal{refusedOther, err.Error()}
	errors.As(err, &r)
	b, _ := enc.Marshal(refusal{r.Why, clip(r.Text)}) // a number and a string
	if say(s, noteRefuse, b) != nil {
		_ = s.Reset()
		return
	}
	_ = s.Close()
}

// greeting is this peer's Hello for a session, encoded.
func (m *Mesh) greeting(session uint64) ([]byte, error) {
	m.mu.RLock()
	h := m.hello
	m.mu.RUnlock()
	h.Session = session
	return enc.Marshal(h)
}

// judge accepts the other side's Hello, in which it sets Version, or says why
// not.
func (m *Mesh) judge(id peer.ID, h *Hello) error {
	if h.Peer != id.String() {
		return violation(fmt.Sprintf("it says that it is peer %q", h.Peer))
	}
	own := m.cfg.Hello
	if h.Cluster != own.Cluster {
		return &refusal{refusedCluster, fmt.Sprintf("peer %s is in cluster %s, peer %s in cluster %s", h.Peer, h.Cluster, m.name, own.Cluster)}
	}
	v, ok := Negotiate(own.Versions, h.Versions)
	if !ok {
		return &refusal{refusedVersion, fmt.Sprintf("peer %s speaks %s, peer %s speaks %s: run releases of raygo that have one in common", h.Peer, speaks(h.Versions), m.name, speaks(own.Versions))}
	}
	h.Version = v
	m.mu.RLock()
	defer m.mu.RUnlock()
	if e := m.peers[h.Peer]; e != nil && h.Incarnation < e.incarnation {
		return stale(h.Incarnation, e.incarnation)
	}
	return nil
}

// open is the opener's side: it returns when the link is installed, or not to
// be.
func (m *Mesh) open(ctx context.Context, id peer.ID) error {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "a link needs a connection"), m.cfg.Handshake)
	defer cancel()
	var streams [classes]network.Stream
	done := false
	defer func() {
		for _, s := range streams {
			if s != nil && !done {
				_ = s.Reset()
			}
		}
	}()
	for c, proto := range protocols[:classes] {
		s, err := m.cfg.Host.NewStream(ctx, id, proto)
		if err != nil {
			return fmt.Errorf("open the %v stream: %w", Class(c), err)
		}
		streams[c] = s
		defer m.limit(s)()
	}
	if err := m.admit(streams[Control].Conn()); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	h, err := m.greet(streams, id)
	if err != nil {
		return err
	}
	if err := m.judge(id, &h); err != nil {
		done = true
		_ = streams[Task].Reset()
		refuse(streams[Control], err)
		return err
	}
	if err := say64(streams[Control], noteConfirm, h.Session); err != nil {
		return fmt.Errorf("confirm: %w", err)
	}
	if err := m.install(newLink(m, id, h, streams)); err != nil {
		return err
	}
	done = true
	return nil
}

// greet says hello on both streams and hears the other side's.
func (m *Mesh) greet(streams [classes]network.Stream, id peer.ID) (Hello, error) {
	session := rand.Uint64()
	b, err := m.greeting(session)
	if err != nil {
		return Hello{}, err
	}
	if err := say(streams[Control], noteHello, b); err != nil {
		return Hello{}, fmt.Errorf("say hello: %w", err)
	}
	if err := say64(streams[Task], noteSession, session); err != nil {
		return Hello{}, fmt.Errorf("say hello: %w", err)
	}
	kind, body, err := readNote(streams[Control], MaxHello)
	if err != nil {
		return Hello{}, fmt.Errorf("wait for its hello: %w", err)
	}
	switch kind {
	case noteRefuse:
		return Hello{}, decodeRefusal(body)
	case noteHello:
		h, err := decodeHello(body)
		if err == nil && h.Session != session {
			err = violation("it answers a hello of another session")
		}
		return h, err
	}
	return Hello{}, violation(fmt.Sprintf("it answers a hello with note %d", kind))
}

// parking names a task stream that waits for its control stream, or the other
// way round.
type parking struct {
	peer    peer.ID
	session uint64
}

// maxParked bounds handshakes that are under way as the acceptor.
const maxParked = 1024

// park is where the streams of one session meet.
func (m *Mesh) park(k parking) (chan network.Stream, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.parked[k]; c != nil {
		return c, nil
	}
	if len(m.parked) >= maxParked {
		return nil, &refusal{refusedFull, fmt.Sprintf("peer %s is busy with %d other links that come up", m.name, maxParked)}
	}
	c := make(chan network.Stream)
	m.parked[k] = c
	return c, nil
}

func (m *Mesh) unpark(k parking) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.parked, k)
}

// acceptTask takes a task stream to its control stream.
func (m *Mesh) acceptTask(s network.Stream) {
	id := s.Conn().RemotePeer()
	defer m.limit(s)()
	kind, body, err := readNote(s, 16)
	if err != nil || kind != noteSession || len(body) != 8 || m.lower(id) {
		_ = s.ResetWithError(network.StreamProtocolViolation)
		return
	}
	k := parking{id, binary.BigEndian.Uint64(body)}
	c, err := m.park(k)
	if err != nil {
		_ = s.ResetWithError(network.StreamResourceLimitExceeded)
		return
	}
	timer := time.NewTimer(m.cfg.Handshake)
	defer timer.Stop()
	select {
	case c <- s:
	case <-timer.C:
		m.unpark(k)
		_ = s.Reset()
	case <-m.life.Done():
	}
}

// acceptControl is the acceptor's side.
func (m *Mesh) acceptControl(s network.Stream) {
	id := s.Conn().RemotePeer()
	defer m.limit(s)()
	if err := m.mayBegin(id, s.Conn()); err != nil {
		m.counts.refused.Add(1)
		refuse(s, err)
		return
	}
	err := m.accept(s, id)
	m.mu.Lock()
	e := m.peers[id.String()]
	e.accepting--
	if err != nil && e.link == nil {
		e.err = err
		if errors.Is(err, ErrRefused) {
			e.settle(err)
		}
	}
	m.mu.Unlock()
	if err == nil {
		return
	}
	var bad violation
	if errors.As(err, &bad) {
		m.ban(id.String(), id, err.Error())
	}
	m.counts.refused.Add(1)
	m.log.Warn("link refused", "peer", id.String(), "err", err)
}

// mayBegin reports why a peer may not begin a link now. If it may, the entry
// counts it until it is accepted or not.
func (m *Mesh) mayBegin(id peer.ID, c network.Conn) error {
	if m.lower(id) {
		return fmt.Errorf("peer %s opens the links between us: it has the lower ID", m.name)
	}
	if err := m.admit(c); err != nil {
		return err
	}
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	e, err := m.entry(id)
	switch {
	case err != nil:
		return &refusal{refusedFull, err.Error()}
	case now.Before(e.banned):
		return &refusal{refusedBanned, fmt.Sprintf("peer %s refuses links for %s more: %v", m.name, e.banned.Sub(now).Round(time.Second), e.err)}
	case !e.shake(now):
		return &refusal{refusedFull, fmt.Sprintf("peer %s takes at most %d links a second from one peer", m.name, shakeRate)}
	case e.link == nil && len(m.live) >= m.cfg.MaxLinks:
		return m.fullLocked()
	}
	e.accepting++
	return nil
}

// accept hears the opener's Hello and answers; it returns when the link is
// installed, or not to be.
func (m *Mesh) accept(s network.Stream, id peer.ID) (err error) {
	var task network.Stream
	told := false // why not, on a stream that has to stay for it to arrive
	defer func() {
		if err != nil && task != nil {
			_ = task.Reset()
		}
		if err != nil && !told {
			_ = s.Reset()
		}
	}()
	kind, body, err := readNote(s, MaxHello)
	if err != nil {
		return fmt.Errorf("wait for its hello: %w", err)
	}
	if kind != noteHello {
		return violation(fmt.Sprintf("it began with note %d", kind))
	}
	h, err := decodeHello(body)
	if err != nil {
		return err
	}
	if err := m.judge(id, &h); err != nil {
		told = true
		refuse(s, err)
		return err
	}
	if task, err = m.taskOf(parking{id, h.Session}); err != nil {
		told = true
		refuse(s, err)
		return err
	}
	b, err := m.greeting(h.Session)
	if err != nil {
		return err
	}
	if err := say(s, noteHello, b); err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	kind, body, err = readNote(s, MaxHello)
	switch {
	case err != nil:
		return fmt.Errorf("wait for its confirmation: %w", err)
	case kind == noteRefuse:
		return decodeRefusal(body)
	case kind != noteConfirm || len(body) != 8 || binary.BigEndian.Uint64(body) != h.Session:
		return violation(fmt.Sprintf("it answers a hello with note %d", kind))
	}
	return m.install(newLink(m, id, h, [classes]network.Stream{s, task}))
}

// taskOf waits for the task stream of a session, and leaves time to say that it
// did not come.
func (m *Mesh) taskOf(k parking) (network.Stream, error) {
	c, err := m.park(k)
	if err != nil {
		return nil, err
	}
	defer m.unpark(k)
	timer := time.NewTimer(m.cfg.Handshake / 2)
	defer timer.Stop()
	select {
	case s := <-c:
		return s, nil
	case <-m.life.Done():
		return nil, ErrClosed
	case <-timer.C:
		return nil, errors.New("its task stream did not come")
	}
}
