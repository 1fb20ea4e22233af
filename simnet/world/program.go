package world

import (
	"encoding/binary"
	"time"

	raygo "github.com/raygo/raygo"
)

// Program is what a simulated driver has done: classes and a graph of calls.
type Program struct {
	Classes []Class
	Tasks   []Task
}

// Class is a function with its options.
type Class struct{ Options raygo.Options }

// Task is one call. Its value follows from its number and from the values of
// what it takes and of what it calls.
type Task struct {
	Class    int
	At       time.Duration // when the driver submits it, after the job began
	Deps     []int         // earlier calls of the driver whose values it takes
	Run      time.Duration
	Size     uint64        // of its value; above raygo.InlineLimit it is stored
	Children []int         // calls that it makes itself, and gets
	Items    int           // of a generator
	Puts     uint64        // it stores an object of that size and returns a ref in its value
	Child    bool          // called by another task, not by the driver
	Get      bool          // the driver gets a stored value, rather than only hearing of it
	Put      bool          // the driver stores the value itself, of Size bytes
	Hold     time.Duration // so long the driver holds on to what it stored itself
	Copies   int           // that are to be had of what Put or Puts stores; 0: none is asked for
	Same     int           // 1 + the number of the call that it repeats word for word; 0: it is the first of its kind

	CrashFirst int     // so many attempts take their worker with them
	FailFirst  int     // so many attempts return an error that is retried
	Crash      float64 // an attempt's chance to take its worker with it
	Deaf       bool    // it ignores its context
	CancelAt   time.Duration
	Force      bool
	MayFail    bool // whatever it comes to is right
}

// Ordinary is a class with the default options, changed by set.
func Ordinary(set ...func(*raygo.Options)) Class {
	o := raygo.DefaultOptions()
	for _, f := range set {
		f(&o)
	}
	return Class{Options: o}
}

func args(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i)) }

// base is the call that a call repeats, or the call itself.
func (g *Program) base(i int) int {
	if s := g.Tasks[i].Same; s > 0 {
		return s - 1
	}
	return i
}

func number(args []byte) int { return int(binary.BigEndian.Uint32(args)) }

// mix is a step of splitmix64.
func mix(a, b uint64) uint64 {
	z := a + 0x9e3779b97f4a7c15*(b+1)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// sums are the values that calls must have, as dependents see them.
func (g *Program) sums() []uint64 {
	out := make([]uint64, len(g.Tasks))
	var sum func(i int) uint64
	sum = func(i int) uint64 {
		if out[i] != 0 {
			return out[i]
		}
		if b := g.base(i); b != i {
			out[i] = sum(b)
			return out[i]
		}
		t := &g.Tasks[i]
		h := mix(uint64(i), 7)
		for _, d := range t.Deps {
			h = mix(h, g.seen(d, sum(d)))
		}
		for _, k := range t.Children {
			h = mix(h, sum(k))
		}
		out[i] = h
		return h
	}
	for i := range g.Tasks {
		sum(i)
	}
	return out
}

// parts is how many values a call returns, 0 for one that is not divided.
func (g *Program) parts(i int) int {
	if o := &g.Classes[g.Tasks[i].Class].Options; !o.Generator && o.NumReturns > 1 {
		return o.NumReturns
	}
	return 0
}

// seen is what a dependent makes of a call's value: of its parts, if it has any.
func (g *Program) seen(i int, sum uint64) uint64 {
	n := g.parts(i)
	if n == 0 {
		return sum
	}
	h := uint64(0)
	for k := range n {
		h = mix(h, part(sum, k))
	}
	return h
}

func part(sum uint64, k int) uint64 { return mix(sum, uint64(1000+k)) }

// shaky reports for each call whether it may fail by itself, or because of what
// it takes or calls.
func (g *Program) shaky() []bool {
	out := make([]bool, len(g.Tasks))
	for range 2 { // children come after their parents, arguments before
		for i := range g.Tasks {
			t := &g.Tasks[i]
			out[i] = out[i] || t.MayFail || t.CancelAt > 0
			for _, d := range t.Deps {
				out[i] = out[i] || out[d]
			}
			for _, k := range t.Children {
				out[i] = out[i] || out[k]
			}
		}
		for i := len(g.Tasks) - 1; i >= 0; i-- {
			for _, k := range g.Tasks[i].Children {
				out[i] = out[i] || out[k]
			}
		}
	}
	return out
}
