package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/node/link"
	"github.com/raygo/raygo/node/wire"
)

// Bounds of questions between peers.
const (
	maxOpenAsks  = 1024             // of this peer, not answered yet
	maxPeerAsks  = 32               // of one other peer, under way here
	askWait      = 5 * time.Second  // for an answer, unless the context ends earlier
	maxAskWait   = 10 * time.Minute // that another peer may ask for: somebody follows a log
	answerParts  = 64               // of one answer, not looked at yet
	sendPatience = 5 * time.Second  // for room in a link's queue, for an answer
)

// errPeerGone is what questions to a peer end with when its link does.
var errPeerGone = errors.New("the peer is gone")

// asks are the questions to other peers that are not answered yet, and those of
// others that are being answered.
type asks struct {
	mu     sync.Mutex
	next   uint32
	open   map[uint32]*askState
	serves map[string]int // questions of each peer under way
}

// askState is one question under way.
type askState struct {
	peer  string
	parts chan *wire.Answer
	gone  chan struct{} // closed when the peer is
}

func newAsks() *asks { return &asks{open: map[uint32]*askState{}, serves: map[string]int{}} }

func (a *asks) begin(peer string) (uint32, *askState, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.open) >= maxOpenAsks {
		return 0, nil, raygo.Fail(raygo.CodeQueueFull, "%d questions to other peers are under way, the limit", maxOpenAsks)
	}
	a.next++
	s := &askState{peer: peer, parts: make(chan *wire.Answer, answerParts), gone: make(chan struct{})}
	a.open[a.next] = s
	return a.next, s, nil
}

func (a *asks) end(id uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, id)
}

// answered hands a part of an answer to who asked. An answer that is not looked
// at fast enough fails: a link does not wait for one reader.
func (a *asks) answered(peer string, m *wire.Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.open[m.ID]
	if s == nil || s.peer != peer {
		return
	}
	select {
	case s.parts <- m:
	default:
		delete(a.open, m.ID)
		close(s.gone)
	}
}

// peerGone fails what was asked of a peer.
func (a *asks) peerGone(peer string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, s := range a.open {
		if s.peer == peer {
			delete(a.open, id)
			close(s.gone)
		}
	}
}

// askParts puts a question to a peer and calls each with the parts of the answer.
func (m *mesh) askParts(ctx context.Context, peer string, op wire.Op, body []byte, each func([]byte) error) error {
	id, s, err := m.asks.begin(peer)
	if err != nil {
		return err
	}
	defer m.asks.end(id)
	wait := askWait
	if t, ok := ctx.Deadline(); ok {
		wait = time.Until(t)
	}
	frame, err := wire.Frame(wire.KindAsk, &wire.Ask{ID: id, Op: op, Wait: uint32(max(wait, 0).Milliseconds()), Body: body})
	if err == nil {
		err = m.sendControl(ctx, peer, frame)
	}
	if err != nil {
		return fmt.Errorf("ask peer %s: %w", peer, err)
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	for {
		select {
		case part := <-s.parts:
			if part.Failure != nil {
				return part.Failure
			}
			if err := each(part.Body); err != nil || !part.More {
				return err
			}
			t.Reset(wait)
		case <-s.gone:
			return fmt.Errorf("ask peer %s: %w", peer, errPeerGone)
		case <-t.C:
			return fmt.Errorf("ask peer %s: no answer within %s: %w", peer, wait.Round(time.Millisecond), context.DeadlineExceeded)
		case <-ctx.Done():
			return fmt.Errorf("ask peer %s: %w", peer, ctx.Err())
		}
	}
}

// askFor puts a question to a peer whose answer is one body.
func (m *mesh) askFor(ctx context.Context, peer string, op wire.Op, question, into any) error {
	if m == nil {
		return errPeerGone
	}
	return m.askParts(ctx, peer, op, wire.Encoded(question), func(b []byte) error { return wire.Decoded(b, into) })
}

// sendControl sends a frame on a peer's control stream, waiting a little for
// room: what goes there is answers and questions, which may be long.
func (m *mesh) sendControl(ctx context.Context, peer string, frame []byte) error {
	deadline := time.Now().Add(sendPatience)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := m.links.Send(peer, link.Control, frame)
		if err == nil {
			m.links.Flush(peer)
			return nil
		}
		if !errors.Is(err, link.ErrFull) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// asked answers a peer's question in a goroutine of its own.
func (m *mesh) asked(peer string, q *wire.Ask) {
	a := m.asks
	a.mu.Lock()
	busy := a.serves[peer] >= maxPeerAsks
	if !busy {
		a.serves[peer]++
	}
	a.mu.Unlock()
	m.work.Go(func() {
		if busy {
			m.answer(m.n.ctx, peer, &wire.Answer{ID: q.ID, Failure: raygo.Fail(raygo.CodeQueueFull, "peer %s answers %d questions of this one already, its limit", m.n.id, maxPeerAsks)})
			return
		}
		defer func() {
			a.mu.Lock()
			if a.serves[peer]--; a.serves[peer] == 0 {
				delete(a.serves, peer)
			}
			a.mu.Unlock()
		}()
		ctx, cancel := context.WithTimeout(m.n.ctx, min(time.Duration(q.Wait)*time.Millisecond, maxAskWait))
		defer cancel()
		body, err := m.reply(ctx, peer, q)
		last := &wire.Answer{ID: q.ID, Body: body}
		var f *raygo.Failure
		switch {
		case errors.As(err, &f):
			last.Failure = f
		case err != nil:
			last.Failure = raygo.Fail(raygo.CodeRefused, "peer %s: %v", m.n.id, err)
		}
		m.answer(ctx, peer, last)
	})
}

func (m *mesh) answer(ctx context.Context, peer string, a *wire.Answer) {
	frame, err := wire.Frame(wire.KindAnswer, a)
	if err != nil {
		frame, err = wire.Frame(wire.KindAnswer, &wire.Answer{ID: a.ID, Failure: raygo.Fail(raygo.CodeRefused, "peer %s: %v", m.n.id, err)})
	}
	if err == nil {
		err = m.sendControl(ctx, peer, frame)
	}
	if err != nil && ctx.Err() == nil {
		m.n.log.Debug("answer a peer", "peer", peer, "err", err)
	}
}

// reply finds the last part of the answer to a peer's question; parts before it
// are sent on the way.
func (m *mesh) reply(ctx context.Context, peer string, q *wire.Ask) ([]byte, error) {
	if err := m.mayAsk(peer, q.Op); err != nil {
		return nil, err
	}
	switch q.Op {
	case wire.OpQuery, wire.OpQueryAll:
		return m.n.replyQuery(ctx, peer, q)
	case wire.OpProgram:
		var ask wire.ProgramAsk
		if err := wire.Decoded(q.Body, &ask); err != nil {
			return nil, err
		}
		a, err := m.n.programAnswer(ctx, &ask)
		if err != nil {
			return nil, err
		}
		return wire.Encoded(a), nil
	case wire.OpShow:
		var ask wire.ShowAsk
		if err := wire.Decoded(q.Body, &ask); err != nil {
			return nil, err
		}
		a, err := m.n.show(peer, ask.Job)
		if err != nil {
			return nil, err
		}
		return wire.Encoded(a), nil
	case wire.OpClock:
		return wire.Encoded(&wire.ClockAnswer{Now: time.Now().UnixNano()}), nil
	case wire.OpSole:
		m.n.mu.Lock()
		defer m.n.mu.Unlock()
		return wire.Encoded(&wire.SoleAnswer{Objects: m.n.core.SoleAt(peer)}), nil
	}
	return nil, raygo.Fail(raygo.CodeRefused, "peer %s (raygo %s) does not know question %d", m.n.id, Version, q.Op)
}
