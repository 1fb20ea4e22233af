package world

import (
	"time"

	raygo "github.com/raygo/raygo"
)

// aside draws from the dice of what came to the worlds later.
func (d *plan) aside(f func()) {
	d.rng, d.more = d.more, d.rng
	f()
	d.rng, d.more = d.more, d.rng
}

// enrich adds to a program what programs did not have at first.
func (d *plan) enrich(g *Program) {
	d.aside(func() {
		if d.one(2) {
			d.puts(g)
		}
		if d.one(2) {
			d.memoized(g)
		}
	})
}

// nestKnown has some of the memoized calls put a value and return a ref to it: what
// names other values is not kept for calls to come.
func (d *plan) nestKnown(g *Program) {
	for i := range g.Tasks {
		t := &g.Tasks[i]
		switch {
		case !g.Classes[t.Class].Options.Memoize:
		case t.Same > 0: // it is the same call word for word
			t.Puts = g.Tasks[t.Same-1].Puts
		case d.latest.IntN(4) == 0:
			t.Puts = uint64(10 + d.latest.IntN(1<<20))
		}
	}
}

// span is the time in which the driver of a program makes its calls.
func (g *Program) span() time.Duration {
	last := time.Duration(0)
	for i := range g.Tasks {
		last = max(last, g.Tasks[i].At)
	}
	return last
}

// puts has the driver store values that calls take, and some of all that is stored
// copied.
func (d *plan) puts(g *Program) {
	span := g.span()
	for i := range g.Tasks {
		if g.Tasks[i].Puts > raygo.InlineLimit && d.one(2) {
			g.Tasks[i].Copies = d.n(2, 4)
		}
	}
	for range d.n(1, 4) {
		t := Task{Class: cPlain, At: d.time(0, span+time.Second), Put: true, Get: d.one(2), Size: uint64(d.n(1<<10, 3<<20))}
		if d.one(2) {
			t.Copies, t.Hold = d.n(1, 4), time.Duration(1+t.Size%12)*time.Second
		}
		g.Tasks = append(g.Tasks, t)
		put := len(g.Tasks) - 1
		for range d.n(0, 3) {
			g.Tasks = append(g.Tasks, Task{
				Class: d.n(cPlain, cPack), At: t.At + d.time(0, 2*time.Second), Run: d.time(0, 100*time.Millisecond), Deps: []int{put}, Get: d.one(2),
			})
		}
	}
}

// memoized adds calls of a function whose results are kept, most of them more than
// once.
func (d *plan) memoized(g *Program) {
	span := g.span()
	g.Classes = append(g.Classes, Ordinary(func(o *raygo.Options) { o.MaxRetries, o.Memoize = -1, true }))
	class := len(g.Classes) - 1
	for range d.n(1, 6) {
		t := Task{Class: class, At: d.time(0, span+time.Second), Run: d.time(0, 200*time.Millisecond), Get: d.one(2)}
		if d.one(2) {
			t.Size = uint64(d.n(200<<10, 2<<20))
		}
		if d.one(8) {
			t.CrashFirst = 1
		}
		if d.one(2) {
			if i := d.argument(g); i >= 0 && g.Tasks[i].Class != class {
				t.Deps, t.At = []int{i}, max(t.At, g.Tasks[i].At)
			}
		}
		g.Tasks = append(g.Tasks, t)
		first := len(g.Tasks) - 1
		for range d.n(0, 4) {
			again := t
			again.Same, again.At, again.Get = first+1, t.At+d.time(0, 3*time.Second), d.one(2)
			g.Tasks = append(g.Tasks, again)
			if d.one(2) { // others take what may be known
				g.Tasks = append(g.Tasks, Task{Class: cPlain, At: again.At, Run: time.Millisecond, Deps: []int{len(g.Tasks) - 1}, Get: true})
			}
		}
	}
}
