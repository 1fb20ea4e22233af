package swarm

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/raygo/raygo/objects"
	"pgregory.net/rapid"
)

func TestBits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 70).Draw(t, "n")
		b, want := newBits(n), map[int]bool{}
		for _, i := range rapid.SliceOf(rapid.IntRange(0, n-1)).Draw(t, "set") {
			b.set(i)
			want[i] = true
		}
		for _, i := range rapid.SliceOf(rapid.IntRange(0, n-1)).Draw(t, "clear") {
			b.clear(i)
			delete(want, i)
		}
		var list []int
		for i := b.next(0); i >= 0; i = b.next(i + 1) {
			list = append(list, i)
		}
		if b.count() != len(want) || len(list) != len(want) {
			t.Fatalf("%d and %v in the set, want %v", b.count(), list, want)
		}
		for i := range n {
			if b.has(i) != want[i] {
				t.Fatalf("block %d: %v", i, b.has(i))
			}
		}
		back := newBits(n)
		for _, x := range spansOf(list) {
			for i := x.first; i < x.first+x.n; i++ {
				back.set(int(i))
			}
		}
		from := rapid.IntRange(0, len(b)-1).Draw(t, "from")
		other := newBits(n)
		other.or(0, b[:from])
		other.or(8*from, b[from:])
		if !slices.Equal(back, b) || !slices.Equal(other, b) {
			t.Fatalf("%v and %v instead of %v", back, other, b)
		}
	})
}

// Who was sent a block just now is named to others, until that is long ago or he
// is gone.
func TestTheLedgerRefersToWhoHasIt(t *testing.T) {
	l, now, k := newLedger(), time.Now(), ObjectKey(object(1))
	expect := func(to, want string, insist bool) {
		t.Helper()
		if got := l.send(k, 3, to, insist, now); got != want {
			t.Errorf("%s is referred to %q, want %q", to, got, want)
		}
	}
	expect("a", "", false)
	expect("a", "", false) // again, if it asks again
	expect("b", "a", false)
	expect("b", "", true)
	expect("a", "b", false)
	now = now.Add(freshFor + time.Millisecond)
	expect("c", "", false)
	now = now.Add(freshFor / 2)
	l.sent(k, 3, "c", now) // only now is it out
	now = now.Add(freshFor * 3 / 4)
	expect("d", "c", false)
	l.forget("c")
	expect("d", "", false)
	if got := l.ask(k, "a", now); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	if got := l.ask(k, "b", now); !slices.Equal(got, []string{"a"}) {
		t.Errorf("got %v", got)
	}
	now = now.Add(askersFor + time.Second)
	if got := l.ask(k, "c", now); len(got) != 0 {
		t.Errorf("got %v of long ago", got)
	}
	for n := range maxSpread + 10 {
		l.send(ObjectKey(object(uint32(n))), 0, "a", false, now)
	}
	if len(l.keys) > maxSpread {
		t.Errorf("%d objects are kept", len(l.keys))
	}
	if l.tidy(now.Add(time.Hour)); len(l.keys) != 0 {
		t.Errorf("%d objects are kept for ever", len(l.keys))
	}
}

// The most urgent goes first, but nobody waits for ever.
func TestTheBudgetGoesToTheMostUrgent(t *testing.T) {
	now := time.Now()
	nudged := ""
	w := func(name string, p Priority) *waiter {
		return &waiter{prio: func() Priority { return p }, nudge: func() { nudged += name }}
	}
	b := budget{limit: 10}
	busy, late, early, urgent := w("x", ForGet), w("l", ForCopy), w("e", ForCopy), w("u", ForGet)
	if !b.take(busy, 10, now) || b.take(early, 5, now) || b.take(late, 5, now.Add(time.Millisecond)) || b.take(urgent, 5, now.Add(time.Second)) {
		t.Fatal("more was given than there is")
	}
	b.give(5, now.Add(time.Second))
	if nudged != "u" || b.take(early, 5, now.Add(time.Second)) || !b.take(urgent, 5, now.Add(time.Second)) {
		t.Errorf("nudged %q, used %d", nudged, b.used)
	}
	b.leave(urgent, now.Add(time.Second))
	long := now.Add(20 * time.Second) // by then the first copy is as urgent as a fresh Get
	b.give(5, long)
	if b.take(w("n", ForGet), 5, long) || !b.take(early, 5, long) {
		t.Error("who waits longest is passed over for ever")
	}
	// What is larger than all of it goes alone.
	all := budget{limit: 10}
	if !all.take(w("a", ForGet), 20, now) || all.take(w("b", ForGet), 1, now) {
		t.Error("a block larger than the budget")
	}
}

// A peer that sent wrong bytes of several objects is left alone for a while.
func TestAPeerThatLiesOftenIsBannedForAWhile(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.join("a", nil, 64<<20), w.join("b", nil, 64<<20), w.join("c", func(c *Config) { c.BanFor = 300 * time.Millisecond }, 64<<20)
	a.meddle(onBlocks(func(n int, block []byte) verdict { block[0]++; return pass }))
	b.delay = 20 * time.Millisecond
	for n := range uint32(strikesBan) {
		data := content(n, 1000)
		want := a.put(object(n), data)
		b.put(object(n), data)
		want.Holders = from("a", "b")
		c.mustFetch(want, data)
		c.Forget("b")
	}
	st := c.Stats()
	if st.Totals.PeerBans != 1 || !slices.Equal(st.BannedNow, []string{"a"}) {
		t.Errorf("bans %d, banned %v", st.Totals.PeerBans, st.BannedNow)
	}
	dialed := a.dialed
	data := content(9, 1000)
	want := b.put(object(9), data)
	want.Holders = from("a", "b")
	c.mustFetch(want, data)
	if a.dialed != dialed {
		t.Error("it was dialled although it is banned")
	}
	eventually(t, "the end of the ban", func() bool { return len(c.Stats().BannedNow) == 0 })
	a.serve = nil
	data = content(10, 1000)
	c.mustFetch(a.put(object(10), data), data)
}

// A stream on which nothing is asked is closed, and opened again when needed.
func TestIdleStreamsAreClosed(t *testing.T) {
	w := newWorld(t)
	a, b := w.join("a", nil, 64<<20), w.join("b", func(c *Config) { c.Idle = 100 * time.Millisecond }, 64<<20)
	for n := range uint32(2) {
		data := content(n, 1000)
		b.mustFetch(a.put(object(n), data), data)
		eventually(t, "the end of the stream", func() bool { return a.Stats().Serving == 0 })
	}
}

// Forget takes a peer that was declared dead out of what is under way.
func TestForgottenPeersAreReplaced(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.join("a", nil, 64<<20), w.join("b", nil, 64<<20), w.join("c", func(c *Config) { c.Stall = time.Minute }, 64<<20)
	data := content(1, objects.BlockSize)
	want := a.put(object(1), data)
	b.put(object(1), data)
	a.meddle(onBlocks(func(int, []byte) verdict { return hang }))
	gone := make(chan struct{})
	want.Holders = func() []string {
		select {
		case <-gone:
			return []string{"b"}
		default:
			return []string{"a"}
		}
	}
	result := make(chan error, 1)
	go func() { _, err := c.Fetch(testContext(t), want); result <- err }()
	eventually(t, "the block to be asked for", func() bool { return c.Stats().InFlight > 0 })
	close(gone)
	w.kill(a)
	c.Forget("a")
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	c.check(want.Object, data)
}

// A caller that knows another CID than what came is not given it.
func TestAnotherCIDThanWanted(t *testing.T) {
	w := newWorld(t)
	a, b := w.join("a", nil, 64<<20), w.join("b", nil, 64<<20)
	want := a.put(object(1), content(1, 1000))
	want.CID = objects.SumBytes(content(2, 1000))
	if _, err := b.Fetch(testContext(t), want); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v", err)
	}
	b.gone(want.Object)
	late, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Fetch(late, want); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
