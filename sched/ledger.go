package sched

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	raygo "github.com/raygo/raygo"
)

// Resources are a machine's totals.
type Resources struct {
	CPU    raygo.Quantity
	Memory int64
	GPUIDs []string
	Custom map[string]raygo.Quantity
}

// demand is what a class asks for, with custom resources as indices of the
// ledger so that admission touches no map.
type demand struct {
	cpu, gpu raygo.Quantity
	memory   int64
	custom   []amount
	missing  string // a custom resource that this machine does not have
}

type amount struct {
	index int
	q     raygo.Quantity
}

// grant is what a task holds. CPU can be given back while the task blocks.
type grant struct {
	held bool
	cpu  raygo.Quantity // 0 while given back
	gpus []int          // indices of the GPUs held, each by min(gpu, 1)
}

// ledger counts what is free. Law 3: free + held = total, exactly, for every
// resource at every moment.
type ledger struct {
	total, free struct {
		cpu    raygo.Quantity
		memory int64
	}
	gpuIDs      []string
	gpuFree     []raygo.Quantity
	names       []string
	customTotal []raygo.Quantity
	customFree  []raygo.Quantity
}

func newLedger(r Resources) *ledger {
	l := &ledger{gpuIDs: r.GPUIDs}
	l.total.cpu, l.total.memory = r.CPU, r.Memory
	l.free = l.total
	for range r.GPUIDs {
		l.gpuFree = append(l.gpuFree, raygo.Unit)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Custom)) {
		l.names = append(l.names, name)
		l.customTotal = append(l.customTotal, r.Custom[name])
	}
	l.customFree = slices.Clone(l.customTotal)
	return l
}

func (l *ledger) demandOf(o *raygo.Options) demand {
	d := demand{cpu: o.CPU, gpu: o.GPU, memory: o.Memory}
	for _, name := range slices.Sorted(maps.Keys(o.Custom)) {
		q := o.Custom[name]
		if q == 0 {
			continue
		}
		i, ok := slices.BinarySearch(l.names, name)
		if !ok {
			d.missing = fmt.Sprintf("resource %q %s of 0", name, q)
			continue
		}
		d.custom = append(d.custom, amount{i, q})
	}
	return d
}

// impossible says why d can never fit this machine, or "".
func (l *ledger) impossible(d *demand) string {
	var why []string
	if d.missing != "" {
		why = append(why, d.missing)
	}
	if d.cpu > l.total.cpu {
		why = append(why, fmt.Sprintf("CPU %s of %s", d.cpu, l.total.cpu))
	}
	if d.gpu > raygo.Unit*raygo.Quantity(len(l.gpuIDs)) {
		why = append(why, fmt.Sprintf("GPU %s of %d", d.gpu, len(l.gpuIDs)))
	}
	if d.memory > l.total.memory {
		why = append(why, fmt.Sprintf("memory %d of %d bytes", d.memory, l.total.memory))
	}
	for _, a := range d.custom {
		if a.q > l.customTotal[a.index] {
			why = append(why, fmt.Sprintf("%s %s of %s", l.names[a.index], a.q, l.customTotal[a.index]))
		}
	}
	return strings.Join(why, ", ")
}

// fits reports whether d could be taken now, and which resource is short if
// not. It is the one test behind admission and bids.
func (l *ledger) fits(d *demand) (bool, string) {
	if d.cpu > l.free.cpu {
		return false, raygo.CPU
	}
	if d.memory > l.free.memory {
		return false, raygo.Memory
	}
	for _, a := range d.custom {
		if a.q > l.customFree[a.index] {
			return false, l.names[a.index]
		}
	}
	if d.gpu > 0 && l.chooseGPUs(d.gpu) == nil {
		return false, raygo.GPU
	}
	return d.missing == "", d.missing
}

// chooseGPUs picks GPUs for q: whole ones for 1 and more, the fullest one that
// still has room for a fraction.
func (l *ledger) chooseGPUs(q raygo.Quantity) []int {
	var picked []int
	if q >= raygo.Unit {
		for i, free := range l.gpuFree {
			if free == raygo.Unit {
				if picked = append(picked, i); raygo.Quantity(len(picked))*raygo.Unit == q {
					return picked
				}
			}
		}
		return nil
	}
	best := -1
	for i, free := range l.gpuFree {
		if free >= q && (best < 0 || free < l.gpuFree[best]) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	return []int{best}
}

// take gives d out; the caller has asked fits.
func (l *ledger) take(d *demand) grant {
	g := grant{held: true, cpu: d.cpu}
	l.free.cpu -= d.cpu
	l.free.memory -= d.memory
	for _, a := range d.custom {
		l.customFree[a.index] -= a.q
	}
	if d.gpu > 0 {
		g.gpus = l.chooseGPUs(d.gpu)
		for _, i := range g.gpus {
			l.gpuFree[i] -= min(d.gpu, raygo.Unit)
		}
	}
	return g
}

// give takes back all that g holds.
func (l *ledger) give(d *demand, g *grant) {
	if !g.held {
		return
	}
	l.free.cpu += g.cpu
	l.free.memory += d.memory
	for _, a := range d.custom {
		l.customFree[a.index] += a.q
	}
	for _, i := range g.gpus {
		l.gpuFree[i] += min(d.gpu, raygo.Unit)
	}
	*g = grant{}
}

// lend gives the CPU back while its task blocks; reclaim takes it again.
func (l *ledger) lend(g *grant) {
	l.free.cpu += g.cpu
	g.cpu = 0
}

func (l *ledger) reclaim(d *demand, g *grant) bool {
	if d.cpu > l.free.cpu {
		return false
	}
	l.free.cpu -= d.cpu
	g.cpu = d.cpu
	return true
}

func (l *ledger) gpuNames(g *grant) []string {
	var ids []string
	for _, i := range g.gpus {
		ids = append(ids, l.gpuIDs[i])
	}
	return ids
}
