package swarm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/raygo/raygo"
	"github.com/raygo/raygo/objects"
)

// One fetch serves all who want the object.
func TestAHundredWaitersAreOneFetch(t *testing.T) {
	w := newWorld(t)
	a, b := w.join("a", nil, 128<<20), w.join("b", nil, 128<<20)
	data := content(1, someBlocks)
	want := a.put(object(1), data)
	want.Pin = true
	var wg sync.WaitGroup
	for k := range 100 {
		wg.Go(func() {
			mine := want
			mine.Priority = Priority(k % 5)
			if _, err := b.Fetch(testContext(t), mine); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	a.counts(someBlocks)
	if st := a.Stats().Totals; st.BytesOut != someBlocks || a.dialed != 1 {
		t.Errorf("%d bytes were sent over %d streams for an object of %d", st.BytesOut, a.dialed, someBlocks)
	}
	if info, _ := b.store.Info(want.Object); info.Pins != 100 {
		t.Errorf("%d pins, want one for each of 100", info.Pins)
	}
	b.check(want.Object, data)
}

// A caller that gives up takes the fetch along only if it is the last one.
func TestCancel(t *testing.T) {
	w := newWorld(t)
	a, b := w.join("a", nil, 128<<20), w.join("b", nil, 128<<20)
	data := content(1, someBlocks)
	want := a.put(object(1), data)
	gate := make(chan struct{})
	a.meddle(onBlocks(func(n int, _ []byte) verdict {
		if n == 3 {
			<-gate
		}
		return pass
	}))
	begin := func() (cancel func(), result chan error) {
		ctx, cancel := context.WithCancel(t.Context())
		result = make(chan error, 1)
		waiting := b.Stats().Waiting
		go func() { _, err := b.Fetch(ctx, want); result <- err }()
		eventually(t, "a fetch that waits", func() bool { return b.Stats().Waiting > waiting })
		return cancel, result
	}
	cancel1, first := begin()
	cancel2, second := begin()
	cancel1()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if st := b.Stats(); st.Fetching != 1 {
		t.Errorf("%d fetches run, want the one that somebody waits for", st.Fetching)
	}
	cancel2()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	eventually(t, "the end of the fetch", func() bool { return b.Stats().Fetching == 0 })
	b.gone(want.Object)
	close(gate)
	b.mustFetch(want, data) // on the same stream, past what was given up
}

// behaviour 156, when the object comes from another peer
func TestNoRoom(t *testing.T) {
	w := newWorld(t)
	a, b := w.join("a", nil, 128<<20), w.join("b", nil, 16<<20)
	data := content(1, someBlocks)
	want := a.put(object(1), data)
	b.put(object(2), content(2, 8<<20))
	if _, err := b.store.Pin(t.Context(), []raygo.ObjectID{object(2)}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Fetch(testContext(t), want); !errors.Is(err, objects.ErrStoreFull) {
		t.Errorf("got %v, want ErrStoreFull", err)
	}
	if _, ok := b.store.Info(want.Object); ok {
		t.Error("an object that was not fetched is there")
	}
	if st := a.Stats().Totals; st.BytesOut != 0 {
		t.Errorf("%d bytes were fetched without room for them", st.BytesOut)
	}
	b.store.Unpin(object(2))
	b.mustFetch(want, data)
}

// behaviour 162, with arguments from elsewhere: what was fetched for somebody is
// his before the next object can push it out.
func TestFetchedObjectsArePinnedBeforeTheyCanGo(t *testing.T) {
	w := newWorld(t)
	a, b := w.join("a", nil, 128<<20), w.join("b", nil, 10<<20)
	const size = 6 << 20
	one, two := a.put(object(1), content(1, size)), a.put(object(2), content(2, size))
	one.Pin, two.Pin = true, true
	var wg sync.WaitGroup
	for _, want := range []Want{one, two} {
		wg.Go(func() {
			for end := time.Now().Add(10 * time.Second); ; {
				_, err := b.Fetch(testContext(t), want)
				if err == nil {
					break
				}
				if !errors.Is(err, objects.ErrStoreFull) || time.Now().After(end) {
					t.Error(err)
					return
				}
			}
			b.check(want.Object, content(want.Object.Task().Seq(), size))
			b.store.Unpin(want.Object)
		})
	}
	wg.Wait()
	a.counts(2 * size)
	if st := a.Stats().Totals; st.BytesOut != 2*size {
		t.Errorf("%d bytes were sent for two objects of %d: they pushed each other out", st.BytesOut, size)
	}
}

// behaviour 151: what was spilled is served from disk.
func TestSpilledObjectsAreServed(t *testing.T) {
	w := newWorld(t)
	a, b := w.join("a", nil, 16<<20), w.join("b", nil, 128<<20)
	data := content(1, someBlocks)
	want := a.put(object(1), data)
	a.put(object(2), content(2, someBlocks))
	if info, _ := a.store.Info(object(1)); info.State != objects.Spilled {
		t.Fatalf("the object is %s", info.State)
	}
	b.mustFetch(want, data)
}

// A peer that is still fetching serves what it has.
func TestAPeerServesWhatItHasSoFar(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.join("a", nil, 128<<20), w.join("b", nil, 128<<20), w.join("c", nil, 128<<20)
	data := content(1, someBlocks)
	want := a.put(object(1), data)
	gate := make(chan struct{})
	a.meddle(onBlocks(func(n int, _ []byte) verdict {
		if n == 6 {
			<-gate
		}
		return pass
	}))
	half := make(chan error, 1)
	go func() { _, err := b.Fetch(testContext(t), want); half <- err }()
	eventually(t, "the first half at b", func() bool { return b.Stats().Totals.BlocksIn == 6 })
	viaB := want
	viaB.Holders = from("b")
	whole := make(chan error, 1)
	go func() { _, err := c.Fetch(testContext(t), viaB); whole <- err }()
	eventually(t, "the first half at c", func() bool { return c.Stats().Totals.BlocksIn == 6 })
	if _, ok := c.store.TryPin([]raygo.ObjectID{want.Object}); ok {
		t.Error("half an object is visible")
	}
	close(gate)
	for _, done := range []chan error{half, whole} {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	c.check(want.Object, data)
}

// Programs travel by CID, whatever their size.
func TestProgramsTravelByCID(t *testing.T) {
	w := newWorld(t)
	a, b := w.join("a", nil, 64<<20), w.join("b", nil, 64<<20)
	for n, size := range sizes {
		data := content(uint32(n), size)
		name := objects.SumBytes(data)
		if err := os.WriteFile(filepath.Join(a.cfg.Programs, name.String()), data, 0o500); err != nil {
			t.Fatal(err)
		}
		res, err := b.Fetch(testContext(t), Want{CID: name, Holders: from("a")})
		if err != nil {
			t.Fatalf("program of %d bytes: %v", size, err)
		}
		got, err := os.ReadFile(filepath.Join(b.cfg.Programs, name.String()))
		if err != nil || !objects.SumBytes(got).Equals(name) {
			t.Errorf("program of %d bytes: other bytes, %v", size, err)
		}
		if st, err := os.Stat(filepath.Join(b.cfg.Programs, name.String())); err != nil || st.Mode().Perm() != 0o500 {
			t.Errorf("program of %d bytes: %v, %v", size, st, err)
		}
		if res.Size != uint64(size) || !res.CID.Equals(name) {
			t.Errorf("got %+v", res)
		}
		if again, err := b.Fetch(testContext(t), Want{CID: name}); err != nil || !again.Present {
			t.Errorf("again: %+v, %v", again, err)
		}
	}
	left, err := filepath.Glob(filepath.Join(b.cfg.Programs, ".fetch-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

// A file that was changed under its name is not served as what it was.
func TestAChangedProgramIsNotServed(t *testing.T) {
	w := newWorld(t)
	a, b := w.join("a", nil, 64<<20), w.join("b", nil, 64<<20)
	name := objects.SumBytes(content(1, someBlocks))
	if err := os.WriteFile(filepath.Join(a.cfg.Programs, name.String()), content(2, someBlocks), 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Fetch(testContext(t), Want{CID: name, Holders: from("a")}); err == nil {
		t.Error("fetched a program that nobody has")
	}
	if left, _ := os.ReadDir(b.cfg.Programs); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

// What is learnt of a peer is there for whoever estimates transfers.
func TestRatesAreLearnt(t *testing.T) {
	w := newWorld(t)
	a, b := w.join("a", nil, 128<<20), w.join("b", nil, 128<<20)
	if _, ok := b.Rate("a"); ok {
		t.Error("a rate is known before anything was sent")
	}
	data := content(1, someBlocks)
	b.mustFetch(a.put(object(1), data), data)
	st, ok := b.Rate("a")
	if !ok || st.Rate < 1<<20 || st.RTT <= 0 || st.BytesIn != someBlocks {
		t.Errorf("got %+v", st)
	}
	a.counts(someBlocks)
	if st, _ := a.Rate("b"); st.BytesOut != someBlocks {
		t.Errorf("the other side counted %d bytes", st.BytesOut)
	}
}

// A swarm that ends lets everybody go.
func TestTheEndOfASwarm(t *testing.T) {
	w := newWorld(t)
	c := w.join("c", func(c *Config) { c.GiveUp = time.Minute }, 64<<20)
	result := make(chan error, 1)
	go func() {
		_, err := c.Fetch(testContext(t), Want{Object: object(1), Size: 10, Holders: from("x")})
		result <- err
	}()
	eventually(t, "the fetch", func() bool { return c.Stats().Fetching == 1 })
	c.stop()
	if err := <-result; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestWishesThatMakeNoSense(t *testing.T) {
	w := newWorld(t)
	c := w.join("c", func(c *Config) { c.Programs = "" }, 64<<20)
	for want, w := range map[string]Want{
		"names neither":   {},
		"no place for it": {CID: objects.SumBytes(nil)},
	} {
		if _, err := c.Fetch(testContext(t), w); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for n, cfg := range []Config{{}, {Dial: c.cfg.Dial, InFlight: 1}, {Dial: c.cfg.Dial, PerHolder: -1}, {Dial: c.cfg.Dial, Stall: -1}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("configuration %d is taken", n)
		}
	}
}
