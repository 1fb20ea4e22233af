package gossip

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// bench is one core with peers that are played by the test.
type bench struct {
	c   *Core
	now time.Time
}

func newBench(peers int) *bench {
	b := &bench{now: time.Unix(1000, 0)}
	b.c = New(Config{Self: "me", Incarnation: 1, Seed: 7, Verify: func(string, []byte, []byte) bool { return true }})
	b.step(&SelfAdvert{Advert{Peer: "me", Incarnation: 1, Seq: 1}})
	for i := range peers {
		b.step(&LinkUp{Peer: fmt.Sprint("p", i), Incarnation: 1})
	}
	return b
}

func (b *bench) step(ev Event) []Effect {
	return append([]Effect(nil), b.c.Step(b.now, ev)...)
}

// pass lets time go by, ticking when it is due, and collects what was judged.
// Those in answering answer every ping at once.
func (b *bench) pass(d time.Duration, answering ...string) (judged []Judged) {
	until := b.now.Add(d)
	for !b.c.Next().After(until) {
		b.now = b.c.Next()
		judged = append(judged, b.settle(b.step(&Tick{}), answering)...)
	}
	b.now = until
	return judged
}

func (b *bench) settle(effects []Effect, answering []string) (judged []Judged) {
	for len(effects) > 0 {
		e := effects[0]
		effects = effects[1:]
		switch e := e.(type) {
		case *Judged:
			judged = append(judged, *e)
		case *Send:
			for _, p := range answering {
				if p == e.To {
					effects = append(effects, b.step(&Heard{Peer: p})...)
				}
			}
		}
	}
	return judged
}

func healths(judged []Judged) (out []string) {
	for _, j := range judged {
		out = append(out, fmt.Sprint(j.Peer, " ", j.Health))
	}
	return out
}

func TestSilenceIsSuspectedThenDeath(t *testing.T) {
	b := newBench(3)
	b.pass(5*time.Second, "p0", "p1", "p2")
	if got := b.pass(1900*time.Millisecond, "p0", "p1"); len(got) > 0 {
		t.Fatalf("after 1.9 s: %v", got)
	}
	got := healths(b.pass(4*time.Second, "p0", "p1"))
	if want := []string{"p2 1", "p2 2"}; !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	if _, ok := b.c.Health("p2"); ok {
		t.Error("the dead one is still watched")
	}
}

// A link that broke shortens the wait and does not kill by itself.
func TestABrokenLinkIsNotDeath(t *testing.T) {
	b := newBench(3)
	b.pass(5*time.Second, "p0", "p1", "p2")
	b.step(&LinkDown{Peer: "p2"})
	got := healths(b.pass(time.Second, "p0", "p1"))
	if want := []string{"p2 1"}; !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	b.step(&LinkUp{Peer: "p2", Incarnation: 1})
	if got := b.pass(10*time.Second, "p0", "p1", "p2"); len(got) > 0 {
		t.Fatalf("it is back, but %v", got)
	}
}

func TestARefusedConnectionIsDeathSoon(t *testing.T) {
	b := newBench(2)
	b.pass(5*time.Second, "p0", "p1")
	b.step(&LinkDown{Peer: "p1", Refused: true})
	got := healths(b.pass(1500*time.Millisecond, "p0"))
	if len(got) != 2 || got[1] != "p1 2" {
		t.Fatalf("got %v", got)
	}
}

// A refusal that is found out after the link broke counts as much, and not before
// its time; a link that came up meanwhile makes it void.
func TestARefusalAfterTheLinkBroke(t *testing.T) {
	b := newBench(2)
	b.pass(5*time.Second, "p0", "p1")
	b.step(&LinkDown{Peer: "p1"})
	if got := healths(b.pass(400*time.Millisecond, "p0")); reflect.DeepEqual(got, []string{"p1 2"}) {
		t.Fatalf("dead without a refusal: %v", got)
	}
	b.step(&LinkDown{Peer: "p1", Refused: true})
	dead := b.pass(500*time.Millisecond, "p0")
	if n := len(dead); n == 0 || dead[n-1].Health != Gone || !dead[n-1].Refused || dead[n-1].Incarnation != 1 {
		t.Fatalf("refused: %+v", dead)
	}

	b = newBench(2)
	b.pass(5*time.Second, "p0", "p1")
	b.step(&LinkDown{Peer: "p1", Refused: true})
	b.step(&LinkUp{Peer: "p1", Incarnation: 2}) // its next life
	b.step(&LinkDown{Peer: "p1"})
	if got := healths(b.pass(time.Second, "p0")); !reflect.DeepEqual(got, []string{"p1 1"}) {
		t.Fatalf("a refusal of the life before counts: %v", got)
	}
}

// A peer that owed an answer when its link broke has as long to come back as any
// other: it was busy, which a link that breaks says nothing about.
func TestABrokenLinkHasItsOwnTime(t *testing.T) {
	b := newBench(2)
	b.pass(5*time.Second, "p0", "p1")
	b.pass(1900*time.Millisecond, "p0") // it is silent, and not suspected
	b.step(&LinkDown{Peer: "p1"})
	if got := healths(b.pass(time.Second, "p0")); !reflect.DeepEqual(got, []string{"p1 1"}) {
		t.Fatalf("a second after the link broke: %v", got)
	}
	dead := b.pass(time.Second, "p0")
	if n := len(dead); n == 0 || dead[n-1].Health != Gone || !dead[n-1].Broken || dead[n-1].Refused {
		t.Fatalf("two seconds after: %+v", dead)
	}
}

// One that others hear is spared, but not for ever.
func TestTheWordOfOthersPutsDeathOff(t *testing.T) {
	b := newBench(2)
	b.pass(5*time.Second, "p0", "p1")
	suspected := b.now
	var dead time.Time
	for b.now.Sub(suspected) < time.Minute && dead.IsZero() {
		for _, j := range b.pass(100*time.Millisecond, "p0") {
			if j.Health == Gone {
				dead = b.now
			}
		}
		b.step(&Frame{From: "p0", Bytes: (&message{Kind: kindVouch, About: "p1", Incarnation: 1}).bytes()})
	}
	if took := dead.Sub(suspected); dead.IsZero() || took < 6*time.Second || took > 20*time.Second {
		t.Fatalf("dead after %s", took)
	}
}

// The word of others about another incarnation is of no use.
func TestTheWordAboutAnotherLifeIsNothing(t *testing.T) {
	b := newBench(2)
	b.pass(5*time.Second, "p0", "p1")
	begin := b.now
	for b.now.Sub(begin) < 6*time.Second {
		b.pass(100*time.Millisecond, "p0")
		b.step(&Frame{From: "p0", Bytes: (&message{Kind: kindVouch, About: "p1", Incarnation: 2}).bytes()})
	}
	if _, ok := b.c.Health("p1"); ok {
		t.Error("it was believed")
	}
}

// A core that was stopped, or that gets its ticks late, does not take that for
// the silence of others.
func TestAStarvedCoreCondemnsNobody(t *testing.T) {
	for _, late := range []time.Duration{600 * time.Millisecond, 3 * time.Second, 30 * time.Second, time.Hour} {
		b := newBench(5)
		b.pass(5*time.Second, "p0", "p1", "p2", "p3", "p4")
		b.pass(1 * time.Second) // pings are out, answers are in the socket
		b.now = b.c.Next().Add(late)
		if got := b.settle(b.step(&Tick{}), nil); len(got) > 0 {
			t.Fatalf("%s late: %v", late, got)
		}
		if got := b.pass(5*time.Second, "p0", "p1", "p2", "p3", "p4"); len(got) > 0 {
			t.Fatalf("%s late, then answered: %v", late, got)
		}
	}
}

// A machine that is always late still finds the dead in the end.
func TestStarvationIsNoExcuseForEver(t *testing.T) {
	b := newBench(2)
	b.pass(5*time.Second, "p0", "p1")
	begin := b.now
	for b.now.Sub(begin) < 2*time.Minute {
		b.now = b.c.Next().Add(700 * time.Millisecond)
		b.settle(b.step(&Tick{}), []string{"p0"})
		if _, ok := b.c.Health("p1"); !ok {
			return
		}
	}
	t.Error("the dead one was never named")
}

// Whatever happens: nobody is judged dead who was heard from within the time it
// takes, nobody is judged who is not watched, and the same events give the same
// effects.
func TestDetectorUnderRandomEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, twin := newBench(4), newBench(4)
		heard, down := map[string]time.Time{}, map[string]bool{}
		for i := range 4 {
			heard[fmt.Sprint("p", i)] = a.now
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			p := fmt.Sprint("p", rapid.IntRange(0, 3).Draw(t, "peer"))
			var ev Event
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				ev, heard[p], down[p] = &LinkUp{Peer: p, Incarnation: 1}, a.now, false
			case 1:
				ev, down[p] = &LinkDown{Peer: p, Refused: rapid.Bool().Draw(t, "refused")}, true
			case 2:
				ev = &Heard{Peer: p}
				if _, ok := a.c.Health(p); ok && !down[p] {
					heard[p] = a.now
				}
			case 3:
				ev = &Frame{From: p, Bytes: (&message{Kind: kindVouch, About: fmt.Sprint("p", rapid.IntRange(0, 3).Draw(t, "about")), Incarnation: 1}).bytes()}
				if _, ok := a.c.Health(p); ok && !down[p] {
					heard[p] = a.now
				}
			default:
				a.now = a.now.Add(time.Duration(rapid.IntRange(1, 900).Draw(t, "ms")) * time.Millisecond)
				ev = &Tick{}
			}
			twin.now = a.now
			effects, again := a.step(ev), twin.step(ev)
			if !reflect.DeepEqual(effects, again) {
				t.Fatalf("two cores with the same events: %v, %v", effects, again)
			}
			for _, e := range effects {
				j, ok := e.(*Judged)
				if !ok || j.Health != Gone {
					continue
				}
				if silent := a.now.Sub(heard[j.Peer]); !down[j.Peer] && silent < a.c.det.times.Dead {
					t.Fatalf("%s is dead, %s after it was heard", j.Peer, silent)
				}
			}
		}
		if len(a.c.det.order) > 4 || len(a.c.det.peers) != len(a.c.det.order) {
			t.Fatalf("%d watched, %d in order", len(a.c.det.peers), len(a.c.det.order))
		}
	})
}
