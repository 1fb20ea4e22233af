package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/raygo/raygo/objects"
)

const someBlocks = 12 * objects.BlockSize

// What was verified stays when a holder dies; the rest comes from others.
func TestAHolderDiesInTheMiddle(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.join("a", nil, 128<<20), w.join("b", nil, 128<<20), w.join("c", nil, 128<<20)
	data := content(1, someBlocks)
	want := a.put(object(1), data)
	b.put(object(1), data)
	half := make(chan struct{})
	a.meddle(onBlocks(func(n int, _ []byte) verdict {
		if n == 5 {
			close(half)
			w.mu.Lock()
			a.down = true
			w.mu.Unlock()
			return cut
		}
		return pass
	}))
	want.Holders = func() []string {
		select {
		case <-half:
			return []string{"a", "b"}
		default:
			return []string{"a"}
		}
	}
	res := c.mustFetch(want, data)
	if len(res.From) != 2 {
		t.Errorf("blocks came from %v, want a and b", res.From)
	}
	if st := c.Stats().Totals; st.BytesIn > someBlocks+2*objects.BlockSize {
		t.Errorf("%d bytes came for an object of %d: blocks that were here were fetched again", st.BytesIn, someBlocks)
	}
}

// A bad block bans its sender for the object and comes from elsewhere.
func TestALiarIsNotAskedAgain(t *testing.T) {
	for name, lie := range map[string]func(head, []byte) verdict{
		"blocks": onBlocks(func(n int, block []byte) verdict { block[n]++; return pass }),
		"manifest": func(h head, body []byte) verdict {
			if h.typ == typeManifest {
				body[9]++
			}
			return pass
		},
		"short blocks": onBlocks(func(int, []byte) verdict { return shorten }),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			liar, honest, c := w.join("liar", nil, 128<<20), w.join("honest", nil, 128<<20), w.join("c", nil, 128<<20)
			data := content(1, someBlocks)
			want := honest.put(object(1), data)
			liar.put(object(1), data)
			liar.meddle(lie)
			honest.delay = 100 * time.Millisecond // the liar is asked first
			want.Holders = from("liar", "honest")
			res := c.mustFetch(want, data)
			if fmt.Sprint(res.From) != "[honest]" {
				t.Errorf("blocks came from %v", res.From)
			}
			st := c.Stats()
			if st.Totals.Bans != 1 || st.Totals.BadBlocks+st.Totals.BadManifests == 0 {
				t.Errorf("%d bans, %d bad blocks, %d bad manifests", st.Totals.Bans, st.Totals.BadBlocks, st.Totals.BadManifests)
			}
		})
	}
}

// Nothing becomes visible when all lie, and the error says who was tried.
func TestOnlyLiars(t *testing.T) {
	w := newWorld(t)
	a, c := w.join("a", nil, 128<<20), w.join("c", nil, 128<<20)
	want := a.put(object(1), content(1, someBlocks))
	a.meddle(onBlocks(func(n int, block []byte) verdict { block[0]++; return pass }))
	_, err := c.Fetch(testContext(t), want)
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "a is not asked again") {
		t.Errorf("got %v", err)
	}
	c.gone(want.Object)
}

// The manifest of the maker is believed when the CID is not known, and no other's.
func TestOnlyTheMakerIsBelieved(t *testing.T) {
	w := newWorld(t)
	maker, other, c := w.join("maker", nil, 128<<20), w.join("other", nil, 128<<20), w.join("c", nil, 128<<20)
	data := content(1, someBlocks)
	want := maker.put(object(1), data)
	other.put(object(1), content(2, someBlocks)) // something else under this name
	want.CID, want.Maker, want.Holders = cid.Undef, "maker", from("other", "maker")
	c.mustFetch(want, data)

	want.Object = object(2)
	other.put(object(2), data)
	want.Maker, want.Holders = "nobody", from("other")
	_, err := c.Fetch(testContext(t), want)
	if !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "only its maker nobody is believed") {
		t.Errorf("got %v", err)
	}
	c.gone(object(2))
}

// A holder that says nothing more is given up, and overtaken before that.
func TestAHolderStalls(t *testing.T) {
	w := newWorld(t)
	slow, fast, c := w.join("slow", nil, 128<<20), w.join("fast", nil, 128<<20), w.join("c", func(c *Config) { c.Stall = 10 * time.Second }, 128<<20)
	data := content(1, someBlocks)
	want := fast.put(object(1), data)
	slow.put(object(1), data)
	slow.meddle(onBlocks(func(n int, _ []byte) verdict {
		if n == 1 {
			return hang
		}
		return pass
	}))
	want.Holders = from("slow", "fast")
	start := time.Now()
	c.mustFetch(want, data)
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("it took %v: the holder that stalls was waited for", d)
	}
	if c.Stats().Totals.Overtaken == 0 {
		t.Error("nothing was asked of the other holder a second time")
	}
}

// A holder that is the only one and stalls is an error in bounded time.
func TestTheOnlyHolderStalls(t *testing.T) {
	w := newWorld(t)
	a, c := w.join("a", nil, 128<<20), w.join("c", func(c *Config) { c.Stall, c.GiveUp = 100*time.Millisecond, 500*time.Millisecond }, 128<<20)
	want := a.put(object(1), content(1, someBlocks))
	a.meddle(onBlocks(func(n int, _ []byte) verdict { return hang }))
	start := time.Now()
	_, err := c.Fetch(testContext(t), want)
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "sent nothing for") {
		t.Errorf("got %v", err)
	}
	if d := time.Since(start); d > 8*time.Second {
		t.Errorf("it took %v", d)
	}
	c.gone(want.Object)
}

// Frames that are none end the stream; a peer that goes on is banned for a while.
func TestFramesThatAreNone(t *testing.T) {
	for _, v := range []verdict{oversize, cut, babble} {
		w := newWorld(t)
		a, b, c := w.join("a", nil, 128<<20), w.join("b", nil, 128<<20), w.join("c", func(c *Config) { c.Stall = 100 * time.Millisecond }, 128<<20)
		data := content(1, someBlocks)
		want := b.put(object(1), data)
		a.put(object(1), data)
		a.meddle(onBlocks(func(n int, _ []byte) verdict { return v }))
		start := time.Now()
		want.Holders = func() []string { // the honest one only after the other had its chances
			banned := c.Stats().Totals.PeerBans > 0
			if since := time.Since(start); since < 250*time.Millisecond || v != cut && !banned && since < 5*time.Second {
				return []string{"a"}
			}
			return []string{"a", "b"}
		}
		c.mustFetch(want, data)
		if st := c.Stats(); v != cut && (st.Totals.PeerBans == 0 || fmt.Sprint(st.BannedNow) != "[a]") {
			t.Errorf("verdict %d: %d bans of peers, banned %v", v, st.Totals.PeerBans, st.BannedNow)
		}
	}
}

// Whoever waits for bytes that nobody has is told at once.
func TestLostObjectsAreNamed(t *testing.T) {
	w := newWorld(t)
	w.join("a", nil, 64<<20)
	w.join("b", nil, 64<<20)
	c := w.join("c", nil, 64<<20)
	looked := 0
	want := Want{Object: object(1), CID: objects.SumBytes(content(1, someBlocks)), Size: someBlocks, Holders: from("a", "b"),
		Find: func(context.Context) []string { looked++; return []string{"b"} }}
	start := time.Now()
	_, err := c.Fetch(testContext(t), want)
	if !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "a does not have it; b does not have it") {
		t.Errorf("got %v", err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("it took %v to find out", d)
	}
	if looked == 0 {
		t.Error("nobody looked further")
	}
	c.gone(want.Object)

	want.Holders, want.Find = nil, nil
	if _, err := c.Fetch(testContext(t), want); !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "no holder is known") {
		t.Errorf("got %v", err)
	}
}

// When the holders that are known are of no use, others are looked for.
func TestFindHelpsWhenHintsFail(t *testing.T) {
	w := newWorld(t)
	w.join("empty", nil, 64<<20)
	a, c := w.join("a", nil, 64<<20), w.join("c", nil, 64<<20)
	data := content(1, someBlocks)
	want := a.put(object(1), data)
	want.Holders = from("empty", "dead")
	want.Find = func(context.Context) []string { return []string{"a"} }
	c.mustFetch(want, data)
}

func TestUnreachableHoldersAreNamed(t *testing.T) {
	w := newWorld(t)
	c := w.join("c", func(c *Config) { c.GiveUp = 300 * time.Millisecond }, 64<<20)
	want := Want{Object: object(1), CID: objects.SumBytes(content(1, 10)), Size: 10, Holders: from("x")}
	_, err := c.Fetch(testContext(t), want)
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "x cannot be reached: dial: x does not answer") {
		t.Errorf("got %v", err)
	}
	c.gone(want.Object)
}

// A holder that sends a few bytes now and then is not waited for without end.
func TestAHolderThatDripsIsGivenUp(t *testing.T) {
	w := newWorld(t)
	a, c := w.join("a", nil, 64<<20), w.join("c", func(c *Config) { c.GiveUp = 100 * time.Millisecond }, 64<<20)
	data := content(1, objects.BlockSize)
	want := a.put(object(1), data)
	a.serve = func(_ context.Context, st Stream, _ string) error {
		defer st.Close()
		frame := append(head{len: indexLen + len(data), typ: typeBlock, id: 1}.append(nil), 0, 0, 0, 0)
		go func() { _, _ = io.Copy(io.Discard, st) }()
		for _, b := range append(frame, data...) {
			if _, err := st.Write([]byte{b}); err != nil {
				return err
			}
			time.Sleep(5 * time.Millisecond)
		}
		return nil
	}
	start := time.Now()
	_, err := c.Fetch(testContext(t), want)
	if d := time.Since(start); !errors.Is(err, ErrUnreachable) || d > 3*time.Second {
		t.Errorf("after %v: %v", d, err)
	}
	c.gone(want.Object)
}
