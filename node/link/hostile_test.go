package link

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// liar is a host that speaks the protocol by hand, as the opener.
type liar struct {
	testHost
	ctl, task network.Stream
}

func newLiar(t *testing.T, b *node) *liar {
	t.Helper()
	for {
		h := newHost(t, newKey(t), 0)
		if h.ID().String() < b.name && h.ID() < b.host.ID() {
			t.Cleanup(func() { _ = h.Close() })
			return &liar{testHost: h}
		}
		_ = h.Close()
	}
}

// hello begins a link and returns the answer.
func (x *liar) hello(t *testing.T, b *node, change func(*Hello)) (note, []byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := x.Connect(ctx, peer.AddrInfo{ID: b.host.ID(), Addrs: b.host.Addrs()}); err != nil {
		return 0, nil, err
	}
	var err error
	if x.ctl, err = x.NewStream(ctx, b.host.ID(), ControlProtocol); err != nil {
		return 0, nil, err
	}
	if x.task, err = x.NewStream(ctx, b.host.ID(), TaskProtocol); err != nil {
		return 0, nil, err
	}
	h := Hello{Versions: [2]uint16{1, 1}, Cluster: "test", Peer: x.ID().String(), Incarnation: 1, Session: 42}
	if change != nil {
		change(&h)
	}
	body, err := enc.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	if err := say(x.ctl, noteHello, body); err != nil {
		return 0, nil, err
	}
	if err := say64(x.task, noteSession, 42); err != nil {
		return 0, nil, err
	}
	_ = x.ctl.SetReadDeadline(time.Now().Add(5 * time.Second))
	return readNote(x.ctl, MaxHello)
}

// join is hello and confirm.
func (x *liar) join(t *testing.T, b *node) {
	t.Helper()
	kind, _, err := x.hello(t, b, nil)
	if err != nil || kind != noteHello {
		t.Fatalf("hello is answered with note %d, %v", kind, err)
	}
	if err := say64(x.ctl, noteConfirm, 42); err != nil {
		t.Fatal(err)
	}
	until(t, "the link is up", func() bool { return b.isUp(x.ID().String()) })
}

// length is a frame's length alone.
func length(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// A peer that breaks the protocol on a link loses it and is banned; others are
// unharmed.
func TestAPeerThatBreaksTheProtocolIsBanned(t *testing.T) {
	a, b := pair(t, func(c *Config) {
		c.MaxRate = [2]int{1000, 1000}
		c.Silence = 300 * time.Millisecond
		c.Ping = 50 * time.Millisecond
	})
	if a.name > b.name {
		a, b = b, a
	}
	for name, c := range map[string]struct {
		do   func(x *liar)
		want string
	}{
		"oversized frame":     {func(x *liar) { _, _ = x.task.Write(length(MaxFrame + 1)) }, "a frame of 4194305 bytes"},
		"hugest frame":        {func(x *liar) { _, _ = x.ctl.Write(length(noteBit - 1)) }, "bytes; at most"},
		"oversized note":      {func(x *liar) { _, _ = x.ctl.Write(length(math.MaxUint32)) }, "a note of 2147483647 bytes"},
		"empty note":          {func(x *liar) { _, _ = x.ctl.Write(length(noteBit)) }, "a note of 0 bytes"},
		"truncated frame":     {func(x *liar) { _, _ = x.task.Write(append(length(10), "half"...)); _ = x.task.CloseWrite() }, "cut off after 8 bytes"},
		"false ack":           {func(x *liar) { _ = say64(x.ctl, noteAck, 1<<40) }, "it acknowledges"},
		"second hello":        {func(x *liar) { _ = say(x.ctl, noteHello, nil) }, "in the middle of a link"},
		"flood of frames":     {func(x *liar) { _, _ = x.task.Write(bytes.Repeat(length(0), 5000)) }, "more than 1000 frames a second"},
		"flood of pings":      {func(x *liar) { _, _ = x.ctl.Write(bytes.Repeat(appendNumber(nil, notePing, 1), 5000)) }, "more than 1000 frames a second"},
		"number of no number": {func(x *liar) { _ = say(x.ctl, notePing, []byte("five!")) }, "a note of a number"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newLiar(t, b)
			x.join(t, b)
			id := x.ID().String()
			c.do(x)
			until(t, "the link is down", func() bool { return !b.isUp(id) })
			if e, _ := b.last(false); e.peer != id || !strings.Contains(e.reason, c.want) {
				t.Errorf("it is down because %q; want %q", e.reason, c.want)
			}
			until(t, "it is banned", func() bool {
				for _, s := range b.mesh.Peers() {
					if s.Peer == id && time.Now().Before(s.BannedUntil) {
						return true
					}
				}
				return false
			})
			_, _, err := x.hello(t, b, nil)
			for err == nil { // the connection may not be closed yet, but there is only a refusal on it
				_, _, err = readNote(x.ctl, MaxHello)
			}
			if b.isUp(id) {
				t.Error("a banned peer has a link")
			}
		})
	}
	if !b.isUp(a.name) {
		t.Error("an honest peer lost its link")
	}
	if _, downs := a.last(false); downs != 0 {
		t.Errorf("an honest peer's link went down %d times", downs)
	}
}

// A frame that is begun and never ends costs the link, not a buffer for ever.
func TestAFrameThatDoesNotGoOnEndsTheLink(t *testing.T) {
	b := newNode(t, keys(t, 9)[8], 0, func(c *Config) { c.Silence = 300 * time.Millisecond; c.Ping = 50 * time.Millisecond })
	x := newLiar(t, b)
	x.join(t, b)
	_, _ = x.task.Write(append(length(MaxFrame), "begun"...))
	go func() { // it lives otherwise
		for i := uint64(0); say64(x.ctl, notePing, i) == nil; i++ {
			time.Sleep(20 * time.Millisecond)
		}
	}()
	until(t, "the link is down", func() bool { return !b.isUp(x.ID().String()) })
	if e, _ := b.last(false); !strings.Contains(e.reason, "did not go on") {
		t.Errorf("it is down because %q", e.reason)
	}
}

// A peer that says nothing at all loses its link.
func TestASilentPeerLosesItsLink(t *testing.T) {
	b := newNode(t, keys(t, 9)[8], 0, func(c *Config) { c.Silence = 300 * time.Millisecond; c.Ping = 50 * time.Millisecond })
	x := newLiar(t, b)
	x.join(t, b)
	until(t, "the link is down", func() bool { return !b.isUp(x.ID().String()) })
	if e, _ := b.last(false); !strings.Contains(e.reason, "nothing was heard") {
		t.Errorf("it is down because %q", e.reason)
	}
}

// What a handshake may not be: another peer's name, nonsense, a stream too few,
// or too many of them.
func TestHandshakesThatLieAreRefused(t *testing.T) {
	b := newNode(t, keys(t, 9)[8], 0, func(c *Config) { c.Handshake = 300 * time.Millisecond })
	x := newLiar(t, b)
	kind, body, err := x.hello(t, b, func(h *Hello) { h.Peer = b.name })
	if err == nil && (kind != noteRefuse || !strings.Contains(decodeRefusal(body).Error(), "it says that it is peer")) {
		t.Errorf("another's name is answered with note %d, %v", kind, decodeRefusal(body))
	}
	x = newLiar(t, b)
	kind, body, err = x.hello(t, b, func(h *Hello) { h.Session = 43 })
	if err != nil || kind != noteRefuse || !strings.Contains(decodeRefusal(body).Error(), "task stream did not come") {
		t.Errorf("two sessions are answered with note %d, %q, %v", kind, body, err)
	}
	x = newLiar(t, b)
	if _, _, err = x.hello(t, b, func(h *Hello) { h.Versions = [2]uint16{3, 1} }); err == nil {
		t.Error("nonsense is answered")
	}
	x = newLiar(t, b)
	refused := 0
	for range 2 * shakeBurst {
		kind, body, err := x.hello(t, b, nil)
		if err != nil {
			t.Fatal(err)
		}
		if kind == noteRefuse && strings.Contains(decodeRefusal(body).Error(), "links a second") {
			refused++
		}
		_ = x.ctl.Reset()
		_ = x.task.Reset()
	}
	if refused < shakeBurst/2 {
		t.Errorf("%d of %d handshakes in a row were refused", refused, 2*shakeBurst)
	}
	if _, ups := b.last(true); ups != 0 {
		t.Errorf("%d links came up", ups)
	}
	until(t, "nothing is left", func() bool {
		b.mesh.mu.Lock()
		defer b.mesh.mu.Unlock()
		return len(b.mesh.parked) == 0
	})
}

// The peer with the higher ID may not open links, and a peer that answers with
// lies is not up.
func TestAnAcceptorThatLiesIsRefused(t *testing.T) {
	k := keys(t, 2)
	a := newNode(t, k[0], 0, nil)
	h := newHost(t, k[1], 0)
	defer h.Close()
	answer := make(chan []byte, 1)
	h.SetStreamHandler(ControlProtocol, func(s network.Stream) {
		_, _, _ = readNote(s, MaxHello)
		_, _ = s.Write(<-answer)
		_, _ = io.Copy(io.Discard, s)
	})
	h.SetStreamHandler(TaskProtocol, func(s network.Stream) { _, _ = io.Copy(io.Discard, s) })
	body, err := enc.Marshal(Hello{Versions: [2]uint16{1, 1}, Cluster: "test", Peer: h.ID().String(), Session: 7})
	if err != nil {
		t.Fatal(err)
	}
	answer <- appendNote(nil, noteHello, body)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := a.mesh.Connect(ctx, h.Addrs()[0].String()+"/p2p/"+h.ID().String()); err == nil {
		t.Error("a hello of another session brings a link up")
	}
	until(t, "it is banned", func() bool { p := a.mesh.Peers(); return len(p) == 1 && !p[0].BannedUntil.IsZero() })
	if s := a.mesh.Peers()[0]; !strings.Contains(s.Err, "another session") {
		t.Errorf("it is banned because %q", s.Err)
	}
	if err := a.mesh.Connect(ctx, h.Addrs()[0].String()+"/p2p/"+h.ID().String()); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "banned") {
		t.Errorf("connecting to a banned peer: %v", err)
	}
}
