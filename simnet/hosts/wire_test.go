package hosts_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"github.com/raygo/raygo/simnet/hosts"
)

const echo = "/echo/1"

// serveEcho has a peer send back what it gets.
func serveEcho(p *hosts.Peer) {
	p.Host.SetStreamHandler(echo, func(s network.Stream) {
		_, _ = io.Copy(s, s)
		_ = s.Close()
	})
}

// call sends bytes to a peer and gets them back.
func call(ctx context.Context, from, to *hosts.Peer, data []byte) error {
	s, err := from.Host.NewStream(ctx, to.ID, echo)
	if err != nil {
		return err
	}
	defer s.Close()
	if by, ok := ctx.Deadline(); ok {
		_ = s.SetDeadline(by)
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := s.Write(data)
		wrote <- errors.Join(err, s.CloseWrite())
	}()
	got, err := io.ReadAll(s)
	if err != nil {
		_ = s.Reset()
	}
	if err := errors.Join(<-wrote, err); err != nil {
		return err
	}
	if !bytes.Equal(got, data) {
		return errors.New("other bytes came back")
	}
	return nil
}

func connect(t testing.TB, from, to *hosts.Peer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := from.Host.Connect(ctx, to.Info()); err != nil {
		t.Fatalf("%s to %s: %v", from.Name, to.Name, err)
	}
}

func TestTheWireTakesItsTime(t *testing.T) {
	hosts.Run(t, hosts.Config{Link: hosts.Link{Latency: 10 * time.Millisecond, Bandwidth: 10 << 20}, Secure: true}, func(w *hosts.World) {
		t := w.T
		a, b := w.Add("a"), w.Add("b")
		serveEcho(b)
		connect(t, a, b)
		start := time.Now()
		if err := call(t.Context(), a, b, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 20*time.Millisecond || took > 70*time.Millisecond {
			t.Errorf("a small call over 20 ms took %s", took)
		}
		start = time.Now()
		done := make(chan int64, 1)
		b.Host.SetStreamHandler("/sink/1", func(s network.Stream) {
			n, _ := io.Copy(io.Discard, s)
			_ = s.Close()
			done <- n
		})
		s, err := a.Host.NewStream(t.Context(), b.ID, "/sink/1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(make([]byte, 20<<20)); err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
		if n := <-done; n != 20<<20 {
			t.Fatalf("%d bytes came", n)
		}
		if took := time.Since(start); took < 2*time.Second || took > 2500*time.Millisecond {
			t.Errorf("20 MiB over 10 MiB/s took %s", took)
		}
		if sent := w.Sent("a", "b"); sent < 20<<20 || sent > 21<<20 {
			t.Errorf("%d bytes sent", sent)
		}
	})
}

func TestAShortPartitionHoldsBytesBack(t *testing.T) {
	hosts.Run(t, hosts.Config{Link: hosts.LAN}, func(w *hosts.World) {
		t := w.T
		a, b := w.Add("a"), w.Add("b")
		serveEcho(b)
		connect(t, a, b)
		w.Partition([]string{"a"}, []string{"b"})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := call(ctx, a, b, []byte("lost")); err == nil {
			t.Error("a call passes a partition")
		}
		got := make(chan error, 1)
		go func() { got <- call(t.Context(), a, b, []byte("late")) }()
		time.Sleep(5 * time.Second)
		start := time.Now()
		w.Heal()
		if err := <-got; err != nil {
			t.Errorf("a call during a partition of 5 s: %v", err)
		}
		if took := time.Since(start); took < 200*time.Millisecond || took > 700*time.Millisecond {
			t.Errorf("the answer came %s after the end of the partition", took)
		}
	})
}

func TestALongPartitionBreaksConnections(t *testing.T) {
	hosts.Run(t, hosts.Config{Link: hosts.LAN}, func(w *hosts.World) {
		t := w.T
		a, b := w.Add("a"), w.Add("b")
		connect(t, a, b)
		w.Partition([]string{"a"})
		for _, p := range []*hosts.Peer{a, b} {
			w.Eventually(p.Name+" gives up", 2*time.Minute, func() bool { return len(p.Host.Network().Peers()) == 0 })
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := a.Host.Connect(ctx, b.Info()); err == nil {
			t.Error("a dial passes a partition")
		}
		w.Heal()
		a.Host.Network().(*swarm.Swarm).Backoff().Clear(b.ID)
		connect(t, a, b)
	})
}

func TestCrashKillAndRestart(t *testing.T) {
	hosts.Run(t, hosts.Config{Link: hosts.LAN}, func(w *hosts.World) {
		t := w.T
		a, b, c := w.Add("a"), w.Add("b"), w.Add("c")
		connect(t, a, b)
		connect(t, a, c)
		up := func(p peer.ID) bool { return a.Host.Network().Connectedness(p) == network.Connected }
		w.Crash("b")
		w.Kill("c")
		w.Eventually("the killed peer is missed", time.Second, func() bool { return !up(c.ID) })
		if !up(b.ID) {
			t.Error("a crash is seen at once")
		}
		start := time.Now()
		if err := a.Host.Connect(t.Context(), c.Info()); err == nil {
			t.Error("a killed peer is connected to")
		} else if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("a killed peer's machine refuses after %s", took)
		}
		// Back with the same key: the old connection is refused on its next use.
		b = w.Restart("b")
		serveEcho(b)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := call(ctx, a, b, []byte("x")); err == nil {
			t.Error("a connection outlives the machine")
		}
		w.Eventually("the old connection is gone", 5*time.Second, func() bool { return !up(b.ID) })
		connect(t, a, b)
		if err := call(t.Context(), a, b, []byte("x")); err != nil {
			t.Error(err)
		}
	})
}

func TestOnlyThePeerOfTheAddressAnswers(t *testing.T) {
	hosts.Run(t, hosts.Config{Secure: true}, func(w *hosts.World) {
		t := w.T
		a, b, c := w.Add("a"), w.Add("b"), w.Add("c")
		if err := a.Host.Connect(t.Context(), peer.AddrInfo{ID: c.ID, Addrs: b.Info().Addrs}); err == nil {
			t.Error("one peer passes for another")
		}
	})
}

func TestIdentitiesComeFromTheSeed(t *testing.T) {
	var ids [3]peer.ID
	for i, seed := range []int64{1, 1, 2} {
		hosts.Run(t, hosts.Config{Seed: seed}, func(w *hosts.World) { ids[i] = w.Peer("a").ID })
	}
	if ids[0] != ids[1] || ids[0] == ids[2] {
		t.Errorf("%v", ids)
	}
}

func TestLossAndJitterKeepTheOrder(t *testing.T) {
	hosts.Run(t, hosts.Config{Link: hosts.Link{Latency: time.Millisecond, Jitter: 20 * time.Millisecond, Loss: 0.05}}, func(w *hosts.World) {
		t := w.T
		a, b := w.Add("a"), w.Add("b")
		serveEcho(b)
		connect(t, a, b)
		data := make([]byte, 3<<20)
		for i := range data {
			data[i] = byte(i * 7 >> 3)
		}
		if err := call(t.Context(), a, b, data); err != nil {
			t.Fatal(err)
		}
	})
}
